//! v1: what kernel memory of removed cgroups is still charged to the directories above them.

mod slabinfo;

use std::{
    collections::HashSet,
    io::{self, Read},
};

pub use slabinfo::{Slabinfo, is_opt_in};

use super::{
    Directory, FileProblem, Hierarchy, Malformed, Root, SlabMemcgs, Version,
    parse::{SMALL, lines, number},
    slab::has_top_level_names,
    walk,
};

/// How many directories are told one by one: more have no business on one machine, but a copy can hold anything.
const DIRECTORIES: usize = 200_000;

/// In how many of them files are read: on a machine with more, what removed memcgs hold is not worth the time that it takes.
const READ: usize = 20_000;

/// How many pages usage may change by while that of all directories is read: processors take some 32 or 64 at a time
/// (`MEMCG_CHARGE_BATCH`), whatever their size. With pages of 4 KiB it is a mebibyte.
pub const NOISE: u64 = 256;

/// How many problems are told one by one.
const PROBLEMS: usize = 100;

/// Of which directories `memory.kmem.slabinfo` may be read.
///
/// On 3.10.0-514 its reader locks a mutex that is not initialised yet while accounting is being switched on
/// (`memcg_update_cache_sizes` comes after `KMEM_ACCOUNTED_ACTIVE`), and hangs or oopses. So it is never read in a directory
/// that has not been there for a minute, and never again and again.
pub enum Ask<'a> {
    /// Of none.
    Nobody,
    /// Of the root alone, which has no such mutex: it is refused before (`memcg_can_account_kmem`).
    Root,
    /// Of the root, and of those of the others that this picks by their paths.
    Settled(&'a mut dyn FnMut(&[u8]) -> bool),
}

/// What `memory.kmem.*` of all directories tells.
#[derive(Debug, Default)]
pub struct Kmem {
    /// Bytes of kernel memory that removed memcgs hold: the sum over the directories, and so many at least. `None` where
    /// the kernel does not account kernel memory to memcgs in this way, before 3.8 and from 5.9 on, or nothing can be read.
    pub held_bytes: Option<u64>,
    /// Directories with children about which cannot be told whether there is anything held below them.
    pub blind: u64,
    /// Of those, the ones that have more than their children, but so little of it for all that they have that it may have
    /// changed while it was read.
    pub noisy: u64,
    /// The directories, parents before children; the root first. Where the kernel does not account, the root alone.
    pub directories: Vec<KmemDirectory>,
    /// Files that could not be read or understood: the first hundred.
    pub problems: Vec<FileProblem>,
    /// How many more directories or problems there are than are told.
    pub left_out: u64,
}

impl Kmem {
    /// Whether removed memcgs may hold something that does not show, with these names of slab caches.
    pub fn may_hide(&self, slab: &SlabMemcgs) -> bool {
        self.noisy > 0 || !slab.listed && self.blind > 0
    }
}

/// A directory of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmemDirectory {
    /// From the hierarchy's root, which is `/`.
    pub path: Vec<u8>,
    /// `memory.kmem.usage_in_bytes`: its own and all that is below it, dead or alive. `None` without such a file.
    pub usage: Option<u64>,
    /// Whether tasks are in it (`cgroup.procs`, else `tasks`); `None` if that cannot be read, or was not as it has no kernel
    /// memory.
    pub tasks: Option<bool>,
    /// `memory.kmem.slabinfo`.
    pub slabinfo: Slabinfo,
    /// Whether it has slab caches of its own, by their names in `/sys/kernel/slab`, else by `memory.kmem.slabinfo`; `None` if
    /// neither tells.
    pub caches: Option<bool>,
    /// Whether there are directories below it.
    pub parent: bool,
    /// What is below it is charged to it as well (`memory.use_hierarchy`, which is inherited; systemd sets it at the root).
    pub hierarchical: bool,
    /// Bytes held by what has been removed directly below it: what it has beyond its children. 0 if nothing is held, or if
    /// that cannot be told, since memory may be its own. It is told of the root, which is not charged anything itself, and
    /// of directories without tasks and without slab caches of their own.
    ///
    /// Usage changes while it is read. So with tasks below, less than [`NOISE`] pages or an eighth of all is not believed; and if it
    /// is more than these pages, it is not known whether anything is held ([`Kmem::noisy`]).
    pub held: u64,
}

/// What a child tells its parent, by its place in the list.
struct ChildSums {
    parent: Option<usize>,
    usage: u64,
    /// All of them could be read.
    known: bool,
    /// There may be tasks in them or further down.
    busy: bool,
}

/// Reads the kernel memory of all directories of a v1 hierarchy; on v2 there is nothing of the kind.
///
/// Two small files of each of the first 20,000, and of one without kernel memory but one. `slab` says which have slab caches of
/// their own.
///
/// # Errors
///
/// The hierarchy cannot be walked. What else cannot be read is among the problems.
pub fn kmem(
    root: &Root,
    hierarchy: &Hierarchy,
    slab: &SlabMemcgs,
    mut ask: Ask<'_>,
) -> io::Result<Kmem> {
    let mut kmem = Kmem::default();
    if hierarchy.version == Version::V2 {
        return Ok(kmem);
    }
    let per_memcg_caches = slab.layout.is_some();
    let mut children: Vec<ChildSums> = Vec::new();
    // The places of the directories from the root to the last one seen: its next sibling's parent is among them.
    let mut above: Vec<usize> = Vec::new();
    walk(root, hierarchy, &mut |directory| {
        // The root's file tells on 3.10; where memcgs have caches, these tell.
        if let Some(root) = kmem.directories.first()
            && !per_memcg_caches
            && !root.slabinfo.tells()
        {
            return;
        }
        if kmem.directories.len() == DIRECTORIES {
            kmem.left_out += 1;
            return;
        }
        let is_parent = |at: &usize| {
            let path = &kmem.directories[*at].path;
            let below = directory.path.strip_prefix(&path[..]);
            *at == 0 || below.is_some_and(|rest| rest.starts_with(b"/"))
        };
        while above.last().is_some_and(|at| !is_parent(at)) {
            above.pop();
        }
        let parent = above.last().copied();
        children.push(ChildSums {
            parent,
            usage: 0,
            known: true,
            busy: false,
        });
        if let Some(parent) = parent {
            kmem.directories[parent].parent = true;
        }
        above.push(kmem.directories.len());
        if kmem.directories.len() >= READ {
            kmem.left_out += 1;
            kmem.directories.push(KmemDirectory::unread(&directory));
            return;
        }
        let mut read = read(&directory, &mut ask, &mut |problem| {
            if kmem.problems.len() < PROBLEMS {
                kmem.problems.push(problem);
            } else {
                kmem.left_out += 1;
            }
        });
        let inherited = parent.is_some_and(|parent| kmem.directories[parent].hierarchical);
        read.hierarchical = inherited || number_in(&directory, HIERARCHICAL).ok() != Some(Some(0));
        kmem.directories.push(read);
    })?;
    caches(&mut kmem.directories, slab);
    let accounted = per_memcg_caches || kmem.directories.iter().any(|one| one.slabinfo.tells());
    if accounted && kmem.left_out == 0 {
        held(
            &mut kmem,
            &mut children,
            root.page_size_at_most().times(NOISE),
        );
    }
    Ok(kmem)
}

/// What a directory's `memory.kmem.slabinfo` says, if it is safe to read there; for a few directories, and not again and again
/// ([`Ask`]).
pub fn slabinfo(directory: &Directory<'_>) -> Slabinfo {
    slabinfo::read(directory).unwrap_or(Slabinfo::Unknown)
}

/// Whether `num_cgroups` leaves out the zombies that kernel memory pins: it falls at rmdir on 3.10 (`cgroup_free_fn`). Names at
/// the top of `/sys/kernel/slab` show that, and where no memcg has one, that accounting is for somebody to switch on.
pub fn count_leaves_zombies_out(root: &Root, hierarchy: &Hierarchy) -> bool {
    has_top_level_names(root) || is_opt_in(root, hierarchy)
}

/// Says which directories have slab caches of their own.
fn caches(directories: &mut [KmemDirectory], slab: &SlabMemcgs) {
    let names: HashSet<&[u8]> = slab
        .with_cache()
        .flat_map(|(_, memcg)| std::iter::once(&memcg.leaf).chain(&memcg.or))
        .map(|leaf| &leaf[..])
        .collect();
    // 4.x may be built to show none (CONFIG_SLUB_MEMCG_SYSFS_ON).
    let root = directories.first().map(|root| root.slabinfo);
    let all_named = slab.listed && (slab.layout.is_some() || root == Some(Slabinfo::Inactive));
    for directory in directories {
        let leaf = directory.path.rsplit(|&byte| byte == b'/').next();
        directory.caches = match directory.slabinfo {
            Slabinfo::Active { .. } => Some(true),
            _ if leaf.is_some_and(|leaf| names.contains(leaf)) => Some(true),
            _ if all_named => Some(false),
            Slabinfo::HeaderOnly | Slabinfo::Inactive => Some(false),
            _ => None,
        };
    }
}

const HIERARCHICAL: &str = "memory.use_hierarchy";

/// Works out what is held below each directory.
fn held(kmem: &mut Kmem, children: &mut [ChildSums], noise: u64) {
    // Children before parents.
    for (at, directory) in kmem.directories.iter_mut().enumerate().rev() {
        let usage = directory.usage;
        let busy = directory.tasks != Some(false) && usage != Some(0) || children[at].busy;
        if let Some(parent) = children[at].parent {
            let parent = &mut children[parent];
            parent.busy |= busy;
            match usage {
                Some(usage) => parent.usage = parent.usage.saturating_add(usage),
                None => parent.known = false,
            }
        }
        // The root is charged nothing itself (`memcg_can_account_kmem`, 4.x `memcg_kmem_charge`), whatever tasks it has. Where
        // the hierarchy is not one (use_hierarchy is 0), it has less than its children: nothing is held there.
        let is_root = children[at].parent.is_none();
        let nothing_own = directory.tasks == Some(false) && directory.caches == Some(false);
        let below = &children[at];
        let tells = below.known && (is_root || nothing_own) || usage == Some(0);
        let tells = tells && directory.hierarchical;
        let Some(usage) = usage.filter(|_| tells) else {
            kmem.blind += u64::from(directory.parent || !directory.hierarchical);
            continue;
        };
        let beyond = usage.saturating_sub(below.usage);
        let most = if below.busy { noise.max(usage / 8) } else { 0 };
        // Of gigabytes an eighth is room for all ids there are: a page is enough to pin one.
        let unsure = beyond > noise && beyond <= most;
        kmem.noisy += u64::from(unsure);
        kmem.blind += u64::from(unsure);
        directory.held = Some(beyond).filter(|&beyond| beyond > most).unwrap_or(0);
        let sum = kmem.held_bytes.unwrap_or(0);
        kmem.held_bytes = Some(sum.saturating_add(directory.held));
    }
}

impl KmemDirectory {
    fn unread(directory: &Directory<'_>) -> Self {
        Self {
            path: directory.path.to_vec(),
            usage: None,
            tasks: None,
            slabinfo: Slabinfo::Unasked,
            caches: None,
            parent: false,
            hierarchical: true,
            held: 0,
        }
    }
}

fn read(
    directory: &Directory<'_>,
    ask: &mut Ask<'_>,
    problem: &mut dyn FnMut(FileProblem),
) -> KmemDirectory {
    let usage = number_in(directory, "memory.kmem.usage_in_bytes").unwrap_or_else(|unread| {
        problem(unread);
        None
    });
    let is_root = directory.parent_id.is_none();
    let asked = match ask {
        Ask::Nobody => false,
        Ask::Root => is_root,
        Ask::Settled(picks) => is_root || picks(directory.path),
    };
    let slabinfo = if asked {
        slabinfo::read(directory).unwrap_or_else(|unread| {
            problem(unread);
            Slabinfo::Unknown
        })
    } else {
        Slabinfo::Unasked
    };
    KmemDirectory {
        usage,
        tasks: if usage == Some(0) {
            None
        } else {
            tasks(directory)
        },
        slabinfo,
        ..KmemDirectory::unread(directory)
    }
}

/// The file's place on the machine, within its hierarchy.
fn named(directory: &Directory<'_>, file: &str) -> String {
    let path = directory.path.strip_suffix(b"/").unwrap_or(directory.path);
    format!("{}/{file}", path.escape_ascii())
}

/// A file with one number; `None` if there is no such file.
fn number_in(directory: &Directory<'_>, file: &str) -> Result<Option<u64>, FileProblem> {
    let bytes = match directory.read(file, SMALL) {
        Ok(bytes) => bytes,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => {
            let file = named(directory, file);
            return Err(FileProblem::Read { file, error });
        }
    };
    let first = lines(&bytes).next();
    let value = first.and_then(|(_, line)| number(line));
    value.map(Some).ok_or_else(|| {
        FileProblem::Malformed(Malformed {
            file: named(directory, file).into(),
            line: first.map_or(1, |(line, _)| line),
            problem: if first.is_none() {
                "empty"
            } else {
                "no number"
            },
        })
    })
}

/// Whether tasks are in it: one byte tells.
fn tasks(directory: &Directory<'_>) -> Option<bool> {
    let any = |file| -> io::Result<bool> {
        let mut first = [0];
        Ok(directory.open(file)?.read(&mut first)? > 0)
    };
    any("cgroup.procs").or_else(|_| any("tasks")).ok()
}

/// There is no such file, or its directory has been removed.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests;
