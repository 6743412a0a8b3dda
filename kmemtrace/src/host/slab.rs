//! Slab caches that belong to one memcg: where 3.10's zombies show, by name.

pub(super) mod listing;
mod pin;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    os::fd::OwnedFd,
};

use listing::{ListedName, NameKind};
pub use pin::{SlabHoldings, slab_pin};
use rustix::fs::{AtFlags, CWD, FileType, readlinkat, statat};

use super::{MEMCG_IDS, Root, parse::number};

/// Where the kernel lists all slab caches.
pub(super) const SLAB: &str = "/sys/kernel/slab";

/// Where the slab caches of memcgs stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlabLayout {
    /// On 3.10: `/sys/kernel/slab/CACHE(ID:LEAF)`. `num_cgroups` in `/proc/cgroups` leaves out the zombies that kernel
    /// memory pins: it falls at rmdir (`cgroup_free_fn`).
    TopLevel,
    /// On 4.x: `/sys/kernel/slab/CACHE/cgroup/CACHE(ID:LEAF)` (`kmem_cache.memcg_kset`). `num_cgroups` counts zombies.
    Nested,
}

/// What `/sys/kernel/slab` says about memcgs that have slab caches of their own. Kernels from 5.9 on have no such caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabMemcgs {
    /// Whether the names could be listed at all: not with `CONFIG_SLAB`, nor without sysfs for slab caches.
    pub listed: bool,
    /// Where they stand; `None` if there is not one such name, with or without a cache behind it.
    pub layout: Option<SlabLayout>,
    /// How many memcgs with kernel memory there were at one time, at least: the highest kmemcg id that a name has, plus
    /// one, as the kernel hands out the lowest free id (`memcg_update_cache_sizes`). Nested names have the serial number of
    /// the memcg instead, which tells nothing of the kind: `None`.
    pub peak: Option<u64>,
    /// The memcgs by the id in the names: on 3.10 the kmemcg id, which a memcg keeps until it is freed, on 4.x its serial
    /// number. Those without a cache are there, too: whether they are alive is not known from here.
    pub memcgs: BTreeMap<u32, SlabMemcg>,
}

/// What the names with one id tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabMemcg {
    /// The name of the cgroup, without its parents'. 3.10 leaves the links of freed memcgs behind and uses their ids again,
    /// so one id may stand beside several names: this is the one with caches of its own.
    pub leaf: Vec<u8>,
    /// Other names that it may have as well: all their links lead to the present memcg's caches, and nothing tells which
    /// of them are old.
    pub or: Vec<Vec<u8>>,
    /// The caches that are there, none twice.
    pub caches: Vec<SlabCache>,
    /// Names that lead nowhere, and names of earlier memcgs with this id that lead to the present one's caches. A dangling
    /// name says that this cache is gone, not that the memcg is.
    pub gone: u32,
}

/// A memcg's slab cache: its place below `/sys/kernel/slab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabCache(Vec<u8>);

impl SlabCache {
    /// The cache at this place below `/sys/kernel/slab`.
    #[cfg(test)]
    pub(crate) fn at(place: impl Into<Vec<u8>>) -> Self {
        Self(place.into())
    }

    /// The place below `/sys/kernel/slab`: `dentry(7:ctr1)`, `:aA-0000192/cgroup/dentry(20:c0)`.
    pub fn path(&self) -> &[u8] {
        &self.0
    }

    /// The cache without its memcg: `dentry`.
    pub fn name(&self) -> &[u8] {
        // A leaf holds no slash.
        let last = self.0.rsplit(|&byte| byte == b'/').next();
        let last = last.unwrap_or_default();
        owner(last).map_or(last, |(cache, ..)| cache)
    }
}

impl SlabMemcgs {
    /// How many of the live memcgs, given by the last parts of their paths, no cache is named after, and so are not among those
    /// that [`SlabMemcgs::peak`] counts.
    pub fn unnamed<'a>(&self, live: impl Iterator<Item = (&'a [u8], u64)>) -> u64 {
        let named: HashSet<&[u8]> = self
            .with_cache()
            .flat_map(|(_, memcg)| std::iter::once(&memcg.leaf).chain(&memcg.or))
            .map(|leaf| &leaf[..])
            .collect();
        let unnamed = live.filter(|(leaf, _)| !named.contains(leaf));
        unnamed.map(|(_, count)| count).sum()
    }

    /// The memcgs that have a cache. Up to 5.2 that keeps them alive; from 5.3 on the caches of a removed memcg are its
    /// parent's (`memcg_reparent_kmem_caches`), and only still have its name.
    pub fn with_cache(&self) -> impl Iterator<Item = (u32, &SlabMemcg)> {
        let all = self.memcgs.iter();
        all.filter(|(_, memcg)| !memcg.caches.is_empty())
            .map(|(id, memcg)| (*id, memcg))
    }
}

/// Where a memcg's slab cache is on the machine.
pub fn slab_cache(cache: &SlabCache) -> std::path::PathBuf {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    std::path::Path::new(SLAB).join(OsStr::from_bytes(cache.path()))
}

/// Whether memcgs have names at the top of `/sys/kernel/slab` ([`SlabLayout::TopLevel`]): then `num_cgroups` leaves out the
/// zombies that kernel memory pins. The first such name will do.
pub fn has_top_level_names(root: &Root) -> bool {
    let Ok(top) = top(root) else {
        return false;
    };
    let mut any = false;
    let _ = listing::each(&top, &mut |entry| any |= owner(entry.name).is_some());
    any
}

/// How many links `/sys/kernel/slab` has (`stat`): one for each directory in it, so that a change shows without a listing.
pub fn slab_links(root: &Root) -> Option<u64> {
    let stat = rustix::fs::stat(root.path(SLAB)).ok()?;
    Some(stat.st_nlink as u64)
}

fn top(root: &Root) -> rustix::io::Result<OwnedFd> {
    listing::directory(CWD, root.path(SLAB).as_os_str().as_encoded_bytes())
}

/// Reads the names in `/sys/kernel/slab`: a listing, on 4.x one more for each cache, and one `readlink` for each cache name.
/// Where merged caches are links, a dangling one is a cache that is gone. What cannot be read is not there.
///
/// A node that has used up its ids has some 200,000 names. None of them is looked at by itself: on 3.10 a link leads to
/// `:at-0000192-00000007` beside it (`sysfs_slab_add`, `create_unique_id`), so the listing tells which links lead nowhere.
pub fn slab_memcgs(root: &Root) -> SlabMemcgs {
    let Ok(top) = top(root) else {
        return SlabMemcgs::default();
    };
    let mut found = CacheLinks::default();
    let mut caches = Vec::new();
    let _ = listing::each(&top, &mut |entry| {
        // A number past the last kmemcg id is no kmemcg id (MEMCG_CACHES_MAX_SIZE).
        match owner(entry.name).filter(|(_, id, _)| u64::from(*id) < MEMCG_IDS) {
            Some((cache, id, leaf)) => found.add(b"", &entry, cache, id, leaf),
            None if entry.kind == NameKind::Link => {}
            None if of_one_memcg(entry.name) => {
                found.targets.insert(entry.name.to_vec(), entry.inode);
            }
            None => caches.push(entry.name.to_vec()),
        }
    });
    found.resolve(&top, b"");
    let mut layout = (!found.memcgs.is_empty()).then_some(SlabLayout::TopLevel);
    let peak = found.memcgs.keys().next_back();
    let peak = peak.map(|id| u64::from(*id) + 1);
    for cache in caches {
        let place = [&cache, &b"/cgroup"[..]].concat();
        let Ok(nested) = listing::directory(&top, &place) else {
            continue;
        };
        let place = [&place, &b"/"[..]].concat();
        let _ = listing::each(&nested, &mut |entry| {
            if let Some((cache, id, leaf)) = owner(entry.name) {
                layout = Some(SlabLayout::Nested);
                found.add(&place, &entry, cache, id, leaf);
            }
        });
        found.resolve(&nested, &place);
    }
    SlabMemcgs {
        listed: true,
        layout,
        peak: peak.filter(|_| layout == Some(SlabLayout::TopLevel)),
        memcgs: found.settle(),
    }
}

/// A cache that a name leads to.
struct LiveCache {
    leaf: Vec<u8>,
    path: Vec<u8>,
    /// The cache's directory, as an inode number: a cache can have several names.
    inode: u64,
    link: bool,
}

/// The names of one id.
#[derive(Default)]
struct IdNames {
    live: Vec<LiveCache>,
    /// Of the names that lead nowhere, the least leaf, and how many there are.
    dangling: Vec<u8>,
    gone: u32,
}

#[derive(Default)]
struct CacheLinks {
    memcgs: BTreeMap<u32, IdNames>,
    /// What links can lead to, and its inode number.
    targets: HashMap<Vec<u8>, u64>,
    /// Links by the cache that they are of, with the id, and where the leaf begins.
    links: HashMap<Vec<u8>, Vec<(u32, Vec<u8>)>>,
}

impl CacheLinks {
    fn add(&mut self, place: &[u8], entry: &ListedName<'_>, cache: &[u8], id: u32, leaf: &[u8]) {
        match entry.kind {
            NameKind::Directory => self.live(place, entry.name, id, leaf, entry.inode, false),
            NameKind::Link => {
                let name = entry.name.to_vec();
                match self.links.get_mut(cache) {
                    Some(links) => links.push((id, name)),
                    None => {
                        self.links.insert(cache.to_vec(), vec![(id, name)]);
                    }
                }
            }
            NameKind::Other => {}
        }
    }

    fn live(&mut self, place: &[u8], name: &[u8], id: u32, leaf: &[u8], inode: u64, link: bool) {
        self.memcgs.entry(id).or_default().live.push(LiveCache {
            leaf: leaf.to_vec(),
            path: [place, name].concat(),
            inode,
            link,
        });
    }

    /// Finds out where the links lead: by name where they lead to names with their ids, else one by one.
    fn resolve(&mut self, at: &OwnedFd, place: &[u8]) {
        for (_, links) in std::mem::take(&mut self.links) {
            let prefix = links.first().and_then(|(id, name)| {
                let target = readlinkat(at, &name[..], Vec::new()).ok()?;
                let prefix = target.to_bytes().strip_suffix(&suffix(*id)[..])?;
                (prefix.starts_with(b":") && !prefix.contains(&b'/')).then(|| prefix.to_vec())
            });
            for (id, name) in links {
                let inode = match &prefix {
                    Some(prefix) => self
                        .targets
                        .get(&[&prefix[..], &suffix(id)].concat())
                        .copied(),
                    // Follows the link.
                    None => statat(at, &name[..], AtFlags::empty())
                        .ok()
                        .filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
                        .map(|stat| stat.st_ino),
                };
                let Some((_, _, leaf)) = owner(&name) else {
                    continue;
                };
                match inode {
                    Some(inode) => self.live(place, &name, id, leaf, inode, true),
                    None => self.memcgs.entry(id).or_default().dangle(leaf),
                }
            }
        }
    }

    fn settle(self) -> BTreeMap<u32, SlabMemcg> {
        let memcgs = self.memcgs.into_iter();
        memcgs.map(|(id, names)| (id, names.settle())).collect()
    }
}

/// How `create_unique_id` ends the name of a memcg's cache: `-%08d`.
fn suffix(id: u32) -> Vec<u8> {
    format!("-{id:08}").into_bytes()
}

impl IdNames {
    /// A name that leads nowhere.
    fn dangle(&mut self, leaf: &[u8]) {
        if self.gone == 0 || leaf < &self.dangling[..] {
            self.dangling = leaf.to_vec();
        }
        self.gone = self.gone.saturating_add(1);
    }

    fn settle(self) -> SlabMemcg {
        let Self {
            mut live,
            dangling,
            mut gone,
        } = self;
        // Directories have the true name. A memcg made later has links to all its caches, an earlier one to some of them.
        let mut leaves: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
        for LiveCache { leaf, link, .. } in &live {
            let (directories, all) = leaves.entry(leaf).or_default();
            *directories += usize::from(!link);
            *all += 1;
        }
        let Some(&most) = leaves.values().max() else {
            return SlabMemcg {
                leaf: dangling,
                gone,
                ..SlabMemcg::default()
            };
        };
        let best = leaves.into_iter().filter(|(_, score)| *score == most);
        let mut or: Vec<_> = best.map(|(leaf, _)| leaf.to_vec()).collect();
        let leaf = or.remove(0);
        // The chosen leaf's names first, a directory before the links to it.
        live.sort_by(|a, b| {
            let rank = |name: &LiveCache| (name.leaf != leaf, name.link);
            rank(a).cmp(&rank(b)).then_with(|| a.path.cmp(&b.path))
        });
        let mut seen = HashSet::new();
        let mut caches = Vec::new();
        for name in live {
            if seen.insert(name.inode) {
                caches.push(SlabCache(name.path));
            } else if name.leaf != leaf && !or.contains(&name.leaf) {
                gone = gone.saturating_add(1);
            }
        }
        SlabMemcg {
            leaf,
            or,
            caches,
            gone,
        }
    }
}

/// The cache, the id and the cgroup in `CACHE(ID:LEAF)`.
pub(super) fn owner(name: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let inner = name.strip_suffix(b")")?;
    // A leaf can hold anything but a slash; a cache's name holds no parenthesis.
    let open = inner.iter().position(|&byte| byte == b'(')?;
    let (cache, inner) = (&inner[..open], &inner[open + 1..]);
    let colon = inner.iter().position(|&byte| byte == b':')?;
    let (id, leaf) = (&inner[..colon], &inner[colon + 1..]);
    let id = number(id).filter(|_| id.iter().all(u8::is_ascii_digit))?;
    Some((cache, id, leaf))
}

/// Whether this is what the links of a merged cache lead to on 3.10, `:at-0000192-00000007` (`create_unique_id` adds the
/// kmemcg id in eight digits): it has no caches of memcgs below it.
pub(super) fn of_one_memcg(name: &[u8]) -> bool {
    let mut parts = name.rsplit(|&byte| byte == b'-');
    let digits = |part: Option<&[u8]>, least| {
        part.is_some_and(|part| part.len() >= least && part.iter().all(u8::is_ascii_digit))
    };
    name.starts_with(b":") && digits(parts.next(), 8) && digits(parts.next(), 7)
}

#[cfg(test)]
mod tests;
