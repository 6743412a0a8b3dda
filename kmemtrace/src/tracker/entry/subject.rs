//! A memcg as changes show it.

use super::{MemcgEntry, Stage};
use crate::{
    event::{Cgroup, Stamp, Task},
    tracker::pin::{Pin, Pinned, reclaimable},
};

/// What the kernel's count says of removed memcgs that nothing else tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByCount {
    /// So many of them are zombies, at least.
    pub zombies: u64,
    /// How many there are.
    pub candidates: u64,
}

/// A memcg as a change shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// What is known of it, the latest of each.
    pub cgroup: Cgroup,
    /// How many memcgs with this cgroup id came before it.
    pub generation: u32,
    /// When it was made, if that was seen.
    pub created: Option<Stamp>,
    /// Who made it, if that was seen.
    pub creator: Option<Task>,
    /// When it went offline.
    pub offlined: Option<Stamp>,
    /// If that was not seen: it was still alive at this `CLOCK_MONOTONIC` time, in nanoseconds.
    pub offlined_after_ns: Option<u64>,
    /// Nanoseconds as a zombie until the change.
    pub zombie_ns: Option<u64>,
    /// Its end would not be seen, or was not: it may have been freed unseen, or was. Events were lost, or it is polled.
    pub across_gap: bool,
    /// Called leaked by the kernel's count.
    pub by_count: Option<ByCount>,
    /// What keeps it, if a walk of the kernel's own memcgs came by since it is dead.
    pub pinned: Option<Pinned>,
}

impl Subject {
    /// A cgroup of which only this event is known.
    pub(in crate::tracker) fn unknown(cgroup: &Cgroup) -> Self {
        Self {
            cgroup: cgroup.clone(),
            ..Self::default()
        }
    }
}

impl MemcgEntry {
    pub(in crate::tracker) fn subject(&self, now: Stamp) -> Subject {
        let (offlined, offlined_after_ns) = match self.stage {
            Stage::Zombie { since, after, .. } => (Some(since), after),
            Stage::Live => (None, None),
        };
        Subject {
            cgroup: self.cgroup.clone(),
            generation: self.generation,
            created: self.created,
            creator: self.creator,
            offlined,
            offlined_after_ns,
            zombie_ns: offlined.map(|since| now.mono_ns.saturating_sub(since.mono_ns)),
            across_gap: !self.is_certain(),
            by_count: self.by_count,
            pinned: self.pinned(now),
        }
    }

    /// Nanoseconds as a zombie, if it was seen going offline.
    pub(in crate::tracker) fn exact_zombie_ns(&self, now: Stamp) -> Option<u64> {
        match self.stage {
            Stage::Zombie {
                since, after: None, ..
            } => Some(now.mono_ns.saturating_sub(since.mono_ns)),
            Stage::Zombie { .. } | Stage::Live => None,
        }
    }

    /// What pins it, how many bytes it holds, and whether reclaim frees these, if a walk found that.
    pub(in crate::tracker) fn pin(&self) -> Option<(Pin, Option<u64>, bool)> {
        let holds = self.cgroup.holds.as_deref()?;
        let reclaimable = reclaimable(holds) == Some(true);
        Some((Pin::of(holds)?, holds.bytes(), reclaimable))
    }

    /// What keeps it, as walks found it.
    pub(in crate::tracker) fn pinned(&self, now: Stamp) -> Option<Pinned> {
        let holds = self.cgroup.holds.as_deref()?;
        let weighed = self.weighed;
        Some(Pinned {
            pin: Pin::of(holds),
            bytes: holds.bytes(),
            first_bytes: weighed.map(|weighed| weighed.first_bytes()),
            trend: weighed.and_then(|weighed| weighed.trend(now.mono_ns)),
            reclaimable: reclaimable(holds),
        })
    }
}
