//! What zombies hold: what a cgroup without tasks is charged beyond its children.
//!
//! The page counters are the measure (`memory.usage_in_bytes`, `memory.current`): they are exact, and what a zombie holds
//! stays charged to all cgroups above it. `memory.stat` only says of which kind, as far as it does: on v1 it has no slab,
//! and up to 5.4 it misses what a processor has not added up yet, 32 pages for each counter and memcg
//! (`MEMCG_CHARGE_BATCH`).

mod stat;

use std::{
    collections::BTreeMap,
    io::Read,
    ops::Bound::{Excluded, Unbounded},
    path::{Path, PathBuf},
};

pub use stat::Kinds;

use super::{Hierarchy, Reading, Reason, Root, Unread, Version};
use crate::host::{self, Directory};
use stat::Stat;

/// Of more directories than this it takes too long.
const DIRECTORIES: usize = 20_000;

/// What zombies hold, at least: what is held below the root itself is not seen, as the root is charged for what has no
/// cgroup as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZombieHoldings {
    /// All of it.
    pub sum: Kinds,
    /// Where: parents after children.
    pub below: Vec<Below>,
    /// Directories with tasks of their own, about which it cannot be told whether something is held below them.
    pub blind: u64,
}

/// What is held directly below one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Below {
    /// From the hierarchy's root.
    pub path: Vec<u8>,
    /// How much; nothing if that cannot be told, as tasks are in it.
    pub held: Kinds,
    /// Whether tasks are in it or below it, in live cgroups.
    pub busy: bool,
    /// How many zombies there are directly below it; `None` on v1, where no file tells.
    pub zombies: Option<u64>,
}

/// One directory.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// What it and all below it are charged.
    usage: u64,
    /// v2: the dying cgroups at any depth below it (`nr_dying_descendants`).
    dying: Option<u64>,
    tasks: bool,
    children: ChildCharges,
}

/// What its children are charged together.
#[derive(Clone, Copy, Debug, Default)]
struct ChildCharges {
    any: bool,
    busy: bool,
    usage: u64,
    dying: u64,
}

/// Reads it.
///
/// # Errors
///
/// The hierarchy cannot be walked, has too many directories, or none but the root.
pub fn read(root: &Root, at: &Hierarchy) -> Reading<ZombieHoldings> {
    let mount = at.mount.display().to_string();
    let mut nodes: BTreeMap<Vec<u8>, Node> = BTreeMap::new();
    // Of those whose files cannot be read as well: each costs as much.
    let mut looked_at = 0;
    let walked = host::walk(root, at, &mut |directory| {
        if !directory.memory || directory.path == b"/" {
            return;
        }
        looked_at += 1;
        if looked_at <= DIRECTORIES
            && let Some(node) = node(&directory, at.version)
        {
            nodes.insert(directory.path.to_vec(), node);
        }
    });
    walked.map_err(|error| Unread::new(mount.clone(), error))?;
    if looked_at > DIRECTORIES {
        return Err(Unread::new(mount, Reason::TooMany(DIRECTORIES as u64)));
    }
    if nodes.is_empty() {
        return Err(Unread::new(mount, Reason::RootAlone));
    }
    let noise = root.page_size_at_most().times(host::NOISE);
    let mut held = held(&mut nodes, noise);
    for below in &mut held.below {
        let total = below.held.other;
        if total > 0 {
            let noise = if below.busy { noise } else { 0 };
            below.held = kinds((root, at), &nodes, &below.path, total, noise);
            held.sum += below.held;
        }
    }
    Ok(held)
}

fn node(directory: &Directory<'_>, version: Version) -> Option<Node> {
    let usage = match version {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    let usage = match directory.read(usage, SMALL) {
        Ok(text) => number(&text)?,
        // A copy of an older kmemtrace has the statistics alone.
        Err(_) => Stat::parse(&directory.read("memory.stat", LARGE).ok()?, version)?.total(),
    };
    let mut first = [0];
    let procs = directory.open("cgroup.procs");
    let tasks = procs.and_then(|mut procs| procs.read(&mut first));
    let dying = (version == Version::V2)
        .then(|| directory.read("cgroup.stat", SMALL).ok())
        .flatten();
    Some(Node {
        usage,
        dying: dying.and_then(|text| dying_descendants(&text)),
        tasks: tasks.map_or(true, |read| read > 0),
        children: ChildCharges::default(),
    })
}

const SMALL: u64 = 64 << 10;
const LARGE: u64 = 1 << 20;

fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.trim().parse().ok()
}

fn dying_descendants(stat: &[u8]) -> Option<u64> {
    let stat = str::from_utf8(stat).ok()?;
    // The number of memory's alone is told from 6.12 on; a cgroup without a memcg is no zombie here.
    let value = |key: &str| {
        let mut lines = stat.lines();
        lines.find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    };
    value("nr_dying_subsys_memory ").or_else(|| value("nr_dying_descendants "))
}

/// Where something is held, and how much: all of it of a kind that is not known yet. Usage changes while it is read: with
/// tasks below, less than `noise` is not believed.
fn held(nodes: &mut BTreeMap<Vec<u8>, Node>, noise: u64) -> ZombieHoldings {
    let mut held = ZombieHoldings::default();
    // Children come after their parents: each is done before the parent is looked at.
    let paths: Vec<Vec<u8>> = nodes.keys().rev().cloned().collect();
    for path in paths {
        let Some(&node) = nodes.get(&path) else {
            continue;
        };
        let busy = node.tasks || node.children.busy;
        if let Some(parent) = nodes.get_mut(parent(&path)) {
            let children = &mut parent.children;
            children.any = true;
            children.busy |= busy;
            children.usage = children.usage.saturating_add(node.usage);
            children.dying = children.dying.saturating_add(node.dying.unwrap_or(0));
        }
        let zombies = node
            .dying
            .map(|dying| dying.saturating_sub(node.children.dying));
        let noise = if busy { noise.max(node.usage / 8) } else { 0 };
        let beyond = node.usage.saturating_sub(node.children.usage);
        // With tasks in it, some of it is its own.
        let told = !node.tasks && zombies != Some(0) && beyond > noise;
        held.blind += u64::from(node.tasks && zombies.map_or(node.children.any, |any| any > 0));
        if told || zombies.is_some_and(|zombies| zombies > 0) {
            held.below.push(Below {
                held: Kinds {
                    other: if told { beyond } else { 0 },
                    ..Kinds::default()
                },
                path,
                busy,
                zombies,
            });
        }
    }
    held
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    &path[..end]
}

/// Of which kinds `total` is, that a directory is charged beyond its children; less than `noise` of a kind is not believed.
fn kinds(
    (root, at): (&Root, &Hierarchy),
    nodes: &BTreeMap<Vec<u8>, Node>,
    path: &[u8],
    total: u64,
    noise: u64,
) -> Kinds {
    let mut own = one(root, at, path);
    let inside = [path, b"/"].concat();
    let below = nodes.range::<[u8], _>((Excluded(&inside[..]), Unbounded));
    for (child, node) in below.take_while(|(below, _)| below.starts_with(&inside)) {
        if parent(child) == path && node.usage > 0 {
            own.subtract(one(root, at, child));
        }
    }
    own.kinds(total, noise)
}

/// What a directory's files say of the kinds; what cannot be read says nothing.
fn one(root: &Root, at: &Hierarchy, path: &[u8]) -> Stat {
    let place = place(at, path);
    let stat = root.read(place.join("memory.stat")).ok();
    let mut stat = stat
        .and_then(|text| Stat::parse(&text, at.version))
        .unwrap_or_default();
    if at.version == Version::V1 {
        let kernel = root.read(place.join("memory.kmem.usage_in_bytes")).ok();
        stat.set_kernel(kernel.and_then(|text| number(&text)).unwrap_or(0));
    }
    stat
}

/// Where a directory of the hierarchy is on the machine.
pub fn place(at: &Hierarchy, path: &[u8]) -> PathBuf {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let inside = path.strip_prefix(b"/").unwrap_or(path);
    at.mount.join(Path::new(OsStr::from_bytes(inside)))
}

#[cfg(test)]
mod tests;
