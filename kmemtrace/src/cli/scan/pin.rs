//! What keeps a zombie: pure.

use serde::Serialize;

use crate::source::bpf::Memcg;

/// What a zombie holds most of, as far as that tells what keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Pin {
    /// Pages of files: `drop_caches` frees those that are clean.
    PageCache,
    /// Files on a tmpfs, shared memory, or memory of a process that has moved on: freed with the file or the process.
    Anonymous,
    /// Pages that are locked, or of a ramfs.
    Unevictable,
    /// Pages that are swapped out.
    Swap,
    /// TCP's buffers.
    Sockets,
    /// Zombies below it: it goes with the last of them.
    Children,
    /// References without memory: a socket, an inode that was written, a process's.
    References,
}

impl Pin {
    /// In a table.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::PageCache => "page cache",
            Self::Anonymous => "tmpfs or anon",
            Self::Unevictable => "unevictable",
            Self::Swap => "swap",
            Self::Sockets => "sockets",
            Self::Children => "children",
            Self::References => "references",
        }
    }
}

/// What keeps it, if anything tells. `children` is how many dead children it has.
///
/// Pages come first: each is a reference of its own (each folio), whatever else there is. `kmem.usage` tells nothing: what
/// was charged for slab objects stays in it, though their object cgroup went to the parent (`memcg_reparent_objcgs`).
pub(super) fn pin(memcg: &Memcg, children: u64) -> Option<Pin> {
    if let Some(lru) = memcg.lru {
        let lists = [
            (lru.file_bytes, Pin::PageCache),
            (lru.anon_bytes, Pin::Anonymous),
            (lru.unevictable_bytes, Pin::Unevictable),
        ];
        let most = lists.into_iter().filter(|(bytes, _)| *bytes > 0);
        if let Some((_, pin)) = most.max_by_key(|(bytes, _)| *bytes) {
            return Some(pin);
        }
    }
    // A dead memcg keeps its id for its swap entries alone (`mem_cgroup_id_get_many`).
    if memcg.memcg_id.is_some_and(|id| id != 0) {
        return Some(Pin::Swap);
    }
    if memcg.tcpmem_bytes > Some(0) {
        return Some(Pin::Sockets);
    }
    let others = memcg.refcount.map(|count| count - children as i64);
    match others {
        Some(1..) => Some(Pin::References),
        _ if children > 0 => Some(Pin::Children),
        _ => None,
    }
}
