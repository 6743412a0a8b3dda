//! What keeps a zombie, and what would free it: pure.

use serde::{Serialize, Serializer};

use crate::event::Holds;

/// After so long without a change a zombie is called stable, in nanoseconds: walks come by more often
/// (`source::upkeep`).
const RECENT_NS: u64 = 120_000_000_000;

/// What a zombie holds most of, as far as that tells what keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "snake_case"))]
pub enum Pin {
    /// Pages of files: reclaim frees those that are clean or can be written.
    PageCache,
    /// Files on a tmpfs or shared memory, as far as that is known: freed with the file.
    Tmpfs,
    /// Memory of a process that has moved on, freed with the process; or, unless that is known, that of [`Pin::Tmpfs`].
    Anonymous,
    /// Pages that are locked, or of a ramfs.
    Unevictable,
    /// Pages that are swapped out.
    Swap,
    /// Buffers of sockets.
    Sockets,
    /// Zombies below it: it goes with the last of them.
    Children,
    /// References without memory: a socket, an inode that was written, a process's.
    References,
}

impl Pin {
    /// In JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageCache => "page_cache",
            Self::Tmpfs => "tmpfs",
            Self::Anonymous => "anonymous",
            Self::Unevictable => "unevictable",
            Self::Swap => "swap",
            Self::Sockets => "sockets",
            Self::Children => "children",
            Self::References => "references",
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageCache => "page cache",
            Self::Tmpfs => "tmpfs",
            Self::Anonymous => "tmpfs or anon",
            Self::Unevictable => "unevictable",
            Self::Swap => "swap",
            Self::Sockets => "sockets",
            Self::Children => "children",
            Self::References => "references",
        }
    }

    /// What keeps it, if anything tells.
    ///
    /// Memory comes first: each page, in memory or swapped out, is a reference of its own (each folio), whatever else there is.
    /// `kmem.usage` tells nothing: what was charged for slab objects stays in it, though their object cgroup went to the
    /// parent (`memcg_reparent_objcgs`).
    pub fn of(holds: &Holds) -> Option<Self> {
        // What of the anonymous lists is a tmpfs's: most of it, or not.
        let anonymous = match (holds.anon_bytes, holds.shmem_bytes) {
            (Some(anon), Some(shmem)) if shmem > anon / 2 => Self::Tmpfs,
            _ => Self::Anonymous,
        };
        let kinds = [
            (holds.tcpmem_bytes, Self::Sockets),
            (holds.swap_bytes, Self::Swap),
            (holds.file_bytes, Self::PageCache),
            (holds.anon_bytes, anonymous),
            (holds.unevictable_bytes, Self::Unevictable),
        ];
        let most = kinds.into_iter().filter(|(bytes, _)| *bytes > Some(0));
        if let Some((_, pin)) = most.max_by_key(|(bytes, _)| *bytes) {
            return Some(pin);
        }
        // Where swap is not counted (`swapaccount=0`).
        if holds.keeps_id == Some(true) {
            return Some(Self::Swap);
        }
        let others = holds
            .refcount
            .map(|count| count.saturating_sub_unsigned(holds.dead_children));
        match others {
            Some(1..) => Some(Self::References),
            _ if holds.dead_children > 0 => Some(Self::Children),
            _ => None,
        }
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Whether `memory.reclaim`, `memory.force_empty` or `drop_caches` frees all that is seen to keep it (`Some(true)`), or
/// cannot, as something else keeps it that only its owner lets go (`Some(false)`). `None` where nothing tells: of
/// references without memory nobody knows whose they are, and what is kept by its children goes as they do.
pub fn reclaimable(holds: &Holds) -> Option<bool> {
    let stuck = [
        holds.anon_bytes,
        holds.unevictable_bytes,
        holds.tcpmem_bytes,
    ];
    if holds.keeps_id == Some(true) || stuck.iter().any(|bytes| *bytes > Some(0)) {
        return Some(false);
    }
    (holds.file_bytes > Some(0) && holds.dead_children == 0).then_some(true)
}

/// How what a zombie holds has changed of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trend {
    /// It holds less and less.
    Draining,
    /// It holds what it held.
    Stable,
    /// It holds more and more: somebody still uses what is charged to it.
    Growing,
}

impl Trend {
    /// In JSON and in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Stable => "stable",
            Self::Growing => "growing",
        }
    }

    /// From one walk to the next.
    pub fn between(before: u64, after: u64) -> Self {
        match after.cmp(&before) {
            std::cmp::Ordering::Less => Self::Draining,
            std::cmp::Ordering::Equal => Self::Stable,
            std::cmp::Ordering::Greater => Self::Growing,
        }
    }
}

impl Serialize for Trend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What keeps a zombie, as walks of the kernel's own memcgs found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// What keeps it, if that is seen.
    pub pin: Option<Pin>,
    /// What it holds, in bytes.
    pub bytes: Option<u64>,
    /// What it held when the first walk after its removal came by.
    pub first_bytes: Option<u64>,
    /// How that has changed of late; `None` if too few walks came by.
    pub trend: Option<Trend>,
    /// [`reclaimable`]
    pub reclaimable: Option<bool>,
}

/// What walks found of one zombie. They tell of it again when it has changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    first_ns: u64,
    first_bytes: u64,
    bytes: u64,
    changed: Option<(u64, Trend)>,
}

impl Weighed {
    /// A walk came by; `before` is what those before it found.
    pub(super) fn again(before: Option<Self>, mono_ns: u64, bytes: u64) -> Self {
        let Some(before) = before else {
            return Self {
                first_ns: mono_ns,
                first_bytes: bytes,
                bytes,
                changed: None,
            };
        };
        let trend = Trend::between(before.bytes, bytes);
        Self {
            bytes,
            changed: match trend {
                Trend::Stable => before.changed,
                moved => Some((mono_ns, moved)),
            },
            ..before
        }
    }

    pub(super) fn first_bytes(&self) -> u64 {
        self.first_bytes
    }

    pub(super) fn trend(&self, now_ns: u64) -> Option<Trend> {
        let recent = |ns: u64| now_ns.saturating_sub(ns) < RECENT_NS;
        match self.changed {
            Some((ns, trend)) if recent(ns) => Some(trend),
            _ => (!recent(self.first_ns)).then_some(Trend::Stable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(refcount: i64, [file, anon]: [u64; 2], dead_children: u64) -> Holds {
        Holds {
            file_bytes: Some(file),
            anon_bytes: Some(anon),
            shmem_bytes: None,
            unevictable_bytes: Some(0),
            tcpmem_bytes: Some(0),
            swap_bytes: Some(0),
            keeps_id: Some(false),
            refcount: Some(refcount),
            dead_children,
        }
    }

    #[test]
    fn a_pin_is_what_most_pages_are_or_what_else_there_is() {
        let of = |holds: Holds| Pin::of(&holds);
        assert_eq!(of(holds(9, [5, 4], 0)), Some(Pin::PageCache));
        assert_eq!(of(holds(9, [4, 5], 1)), Some(Pin::Anonymous));
        for (shmem_bytes, pin) in [
            (Some(5), Pin::Tmpfs),
            (Some(3), Pin::Tmpfs),
            (Some(2), Pin::Anonymous),
        ] {
            let told = Holds {
                shmem_bytes,
                ..holds(9, [4, 5], 1)
            };
            assert_eq!(of(told), Some(pin));
        }
        assert_eq!(of(holds(2, [0, 0], 2)), Some(Pin::Children));
        assert_eq!(of(holds(3, [0, 0], 2)), Some(Pin::References));
        assert_eq!(of(holds(0, [0, 0], 0)), None, "about to be freed");
        let nothing = holds(3, [0, 0], 0);
        let swapped = Holds {
            keeps_id: Some(true),
            ..nothing
        };
        assert_eq!(of(swapped), Some(Pin::Swap));
        for (swap, pin) in [(9, Pin::Anonymous), (10, Pin::Swap)] {
            let some = Holds {
                swap_bytes: Some(swap),
                keeps_id: Some(true),
                ..holds(9, [0, 9], 0)
            };
            assert_eq!(of(some), Some(pin), "{swap}");
        }
        let tcp = Holds {
            tcpmem_bytes: Some(4096),
            ..nothing
        };
        assert_eq!(of(tcp), Some(Pin::Sockets));
        assert_eq!(of(Holds::default()), None);
    }

    #[test]
    fn page_cache_alone_can_be_reclaimed() {
        let of = |holds: Holds| reclaimable(&holds);
        assert_eq!(of(holds(9, [5, 0], 0)), Some(true));
        assert_eq!(of(holds(9, [5, 1], 0)), Some(false));
        let swapped = Holds {
            keeps_id: Some(true),
            ..holds(9, [5, 0], 0)
        };
        assert_eq!(of(swapped), Some(false));
        assert_eq!(of(holds(9, [5, 0], 1)), None, "as its child does");
        assert_eq!(of(holds(9, [0, 0], 0)), None);
        assert_eq!(of(Holds::default()), None);
    }

    #[test]
    fn a_trend_is_of_late() {
        let first = Weighed::again(None, 0, 100);
        assert_eq!(first.trend(1), None);
        assert_eq!(first.trend(RECENT_NS), Some(Trend::Stable));
        let less = Weighed::again(Some(first), 10, 50);
        assert_eq!(less.trend(11), Some(Trend::Draining));
        // Walks that find no change do not end a trend at once.
        let same = Weighed::again(Some(less), 20, 50);
        assert_eq!(same.trend(21), Some(Trend::Draining));
        assert_eq!(same.trend(10 + RECENT_NS), Some(Trend::Stable));
        let more = Weighed::again(Some(same), 30, 51);
        assert_eq!(more.trend(31), Some(Trend::Growing));
        assert_eq!(more.first_bytes(), 100);
    }
}
