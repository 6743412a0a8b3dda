//! Slab caches that belong to one memcg: where 3.10's zombies show.

use std::{collections::BTreeMap, fs, os::unix::ffi::OsStrExt};

use super::{Root, parse::number};

/// What `/sys/kernel/slab` says about memcgs that have slab caches of their own.
///
/// On 3.10 these stand there as `CACHE(ID:LEAF)` (`memcg_create_cache_name`; 4.x keeps them in a directory `cgroup` of
/// each cache), and a zombie that kernel memory pins has given up its place in `num_cgroups`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabMemcgs {
    /// There are such names, with or without a cache: `num_cgroups` may leave zombies out.
    pub any: bool,
    /// How many memcgs with kernel memory there were at one time, at least: the highest kmemcg id that a name has, plus
    /// one, as the kernel hands out the lowest free id (`memcg_update_cache_sizes`).
    pub peak: u64,
    /// The memcgs that still have a cache: the kmemcg id, which a memcg keeps until it is freed, and the name of the
    /// cgroup, without its parents'.
    pub with_cache: BTreeMap<u32, Vec<u8>>,
}

/// Reads the names in `/sys/kernel/slab`. Where merged caches are links, a dangling one is a cache that is gone.
pub fn slab_memcgs(root: &Root) -> SlabMemcgs {
    let mut memcgs = SlabMemcgs::default();
    let Ok(entries) = fs::read_dir(root.path("/sys/kernel/slab")) else {
        return memcgs;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some((id, leaf)) = owner(name.as_bytes()) else {
            continue;
        };
        memcgs.any = true;
        memcgs.peak = memcgs.peak.max(u64::from(id) + 1);
        // Metadata follows the link.
        if !memcgs.with_cache.contains_key(&id) && fs::metadata(entry.path()).is_ok() {
            memcgs.with_cache.insert(id, leaf.to_vec());
        }
    }
    memcgs
}

/// The kmemcg id and the cgroup in `CACHE(ID:LEAF)`.
pub(super) fn owner(name: &[u8]) -> Option<(u32, &[u8])> {
    let inner = name.strip_suffix(b")")?;
    // A leaf can hold anything but a slash; a cache's name holds no parenthesis.
    let open = inner.iter().position(|&byte| byte == b'(')?;
    let inner = &inner[open + 1..];
    let colon = inner.iter().position(|&byte| byte == b':')?;
    Some((number(&inner[..colon])?, &inner[colon + 1..]))
}
