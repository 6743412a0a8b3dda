//! A slab allocation that failed, with all that the kernel says about it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Task;

/// A failed slab allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabFailure {
    /// The slab cache, in the kernel's bytes.
    pub cache: Option<Bytes>,
    /// Its object size in bytes.
    pub object_size: Option<u32>,
    /// What an object takes up in a slab, in bytes: with its alignment and what debugging adds.
    pub buffer_size: Option<u32>,
    /// A new slab is wanted as 2 to the power of this pages.
    pub order: Option<u32>,
    /// The smallest order that holds an object, tried when the wanted one is not to be had.
    pub min_order: Option<u32>,
    /// The allocation's gfp mask: its bits differ between kernels.
    pub gfp: Option<u32>,
    /// The mask in the kernel's words: `GFP_ATOMIC|__GFP_ZERO`.
    pub gfp_flags: Option<String>,
    /// The NUMA node that was asked for, -1 for any.
    pub node: Option<i32>,
    /// The CPU that asked.
    pub cpu: Option<u32>,
    /// What the cache had on each NUMA node.
    pub nodes: Vec<NodeSlabs>,
    /// Failures before this one that the kernel log's rate limit held back, as the log says.
    pub suppressed: Option<u64>,
    /// Who was running: in an interrupt, whoever it interrupted.
    pub task: Option<Task>,
}

/// What a slab cache has on a NUMA node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeSlabs {
    /// The NUMA node's number.
    pub node: u32,
    /// Slabs that it has of the cache.
    pub slabs: u64,
    /// The objects that they have room for.
    pub objects: u64,
    /// Those of them that are free.
    pub free: u64,
}

/// A slab cache's name taken apart, where it belongs to one memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnedCache<'a> {
    /// The cache that it is a memcg's copy of: `dentry`.
    pub cache: &'a [u8],
    /// 3.10: the kmemcg id, which the memcg keeps until it is freed. 4.14: the serial number of its css.
    pub id: u64,
    /// The name of the cgroup, without its parents'.
    pub leaf: &'a [u8],
}

impl SlabFailure {
    /// Whose cache it was. On kernels where each memcg has slab caches of its own (`memcg_create_kmem_cache`, up to 5.8) a
    /// cache is named `CACHE(ID:LEAF)`, and a refused charge so tells which cgroup's limit refused it.
    pub fn owned_cache(&self) -> Option<OwnedCache<'_>> {
        let inner = self.cache.as_deref()?.strip_suffix(b")")?;
        // A leaf can hold anything but a slash; a cache's name holds no parenthesis.
        let open = inner.iter().position(|&byte| byte == b'(')?;
        let (cache, inner) = (&inner[..open], &inner[open + 1..]);
        let colon = inner.iter().position(|&byte| byte == b':')?;
        let (id, leaf) = (&inner[..colon], &inner[colon + 1..]);
        // `parse` takes a sign, which the kernel does not write
        let id = str::from_utf8(id).ok().filter(|id| !id.starts_with('+'))?;
        Some(OwnedCache {
            cache,
            id: id.parse().ok()?,
            leaf,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memcg_s_cache_names_it() {
        let owned = |cache: &'static [u8]| {
            let failure = SlabFailure {
                cache: Some(Bytes::from_static(cache)),
                ..SlabFailure::default()
            };
            let owned = failure.owned_cache();
            owned.map(|owned| (owned.cache.to_vec(), owned.id, owned.leaf.to_vec()))
        };
        let some = |cache: &[u8], id, leaf: &[u8]| Some((cache.to_vec(), id, leaf.to_vec()));
        assert_eq!(
            owned(b"dentry(3:ebf02fc7)"),
            some(b"dentry", 3, b"ebf02fc7")
        );
        assert_eq!(
            owned(b"kmalloc-64(12:a:b (1:c)\xff)"),
            some(b"kmalloc-64", 12, b"a:b (1:c)\xff")
        );
        assert_eq!(owned(b"dentry(0:)"), some(b"dentry", 0, b""));
        for none in [
            &b"dentry"[..],
            b"dentry()",
            b"dentry(3)",
            b"dentry(+3:x)",
            b"dentry(-1:x)",
            b"dentry(3:x",
            b"",
        ] {
            assert_eq!(owned(none), None, "{}", none.escape_ascii());
        }
    }
}
