//! How often what costs much is read again: so that polling takes 2 % of a CPU at most, whatever there is to read.

use std::time::Duration;

use tokio::time::Instant;

use super::poll::Poll;
use crate::{
    event::{Counts, MEMCG_IDS},
    host::{self, Ask, Hierarchy, Kmem, Root, SlabLayout, SlabMemcgs},
    source::clock,
};

/// The rest after something, as a multiple of the CPU time that it took. Directories, names and kernel memory have it each: two
/// thirds of 1 % of a CPU, and 2 % together.
const REST: u32 = 150;

/// So often names are listed though nothing shows that they have changed.
const ANYWAY: Duration = Duration::from_mins(1);

/// When something was read, and what that cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    /// CPU time.
    cost: Duration,
}

impl Pace {
    /// Reads it, and measures that.
    pub(super) fn measure<T>(&mut self, read: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu();
        let done = read();
        self.cost = clock::thread_cpu().saturating_sub(before);
        self.last = Some(Instant::now());
        done
    }

    /// Does what there is to do with what was read, which counts like the reading.
    pub(super) fn add<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu();
        let done = work();
        self.cost += clock::thread_cpu().saturating_sub(before);
        done
    }

    /// How long to wait before it is read again.
    pub(super) fn rest(&self) -> Duration {
        self.cost.saturating_mul(REST)
    }

    /// Whether so much time has passed since the last time, and the time to rest.
    pub(super) fn is_due(&self, least: Duration) -> bool {
        self.last
            .is_none_or(|last| last.elapsed() >= self.rest().max(least))
    }
}

/// The names of slab caches: 200,000 on a node that has used up its ids.
#[derive(Debug, Default)]
pub(super) struct CacheNames {
    pace: Pace,
    /// How many links the directory had: on 3.10 and later one for each cache in it.
    links: Option<u64>,
    layout: Option<SlabLayout>,
    peak: Option<u64>,
    ids_peak: Option<u64>,
    /// Somebody has to switch accounting on (3.10): then the kernel's count leaves out the zombies that kernel memory holds, whether
    /// or not a memcg has a name.
    opt_in: bool,
    /// None of them can be there: nothing is held.
    none_held: bool,
}

impl CacheNames {
    /// Nothing has been listed yet.
    pub(super) fn new(root: &Root, hierarchy: &Hierarchy) -> Self {
        Self {
            opt_in: host::is_opt_in(root, hierarchy),
            ..Self::default()
        }
    }

    /// The names, if they may have changed and it is time; else nothing is listed. `moved` says that memory cgroups came or
    /// went since the last time. Copies are always listed.
    pub(super) fn list(&mut self, root: &Root, moved: bool) -> SlabMemcgs {
        if root.is_live() {
            let links = host::slab_links(root);
            let changed = moved || links != self.links || self.pace.is_due(ANYWAY);
            if !changed || !self.pace.is_due(Duration::ZERO) {
                return SlabMemcgs::default();
            }
            self.links = links;
        }
        let slab = self.pace.measure(|| host::slab_memcgs(root));
        (self.layout, self.peak) = (slab.layout, slab.peak);
        slab
    }

    /// Reads something of the caches that are named, which counts like the listing.
    pub(super) fn measure<T>(&mut self, read: impl FnOnce() -> T) -> T {
        self.pace.add(read)
    }

    /// Where the caches of memcgs stood when they were listed last.
    pub(super) fn layout(&self) -> Option<SlabLayout> {
        self.layout
    }

    /// Of which directories `memory.kmem.slabinfo` is to be read to add up what zombies hold: where no memcg has a name, the root's
    /// says that they are accounted at all. `None` where there is nothing to add up.
    pub(super) fn to_add_up(&self) -> Option<Ask<'static>> {
        match self.layout {
            Some(_) => Some(Ask::Nobody),
            None => self.opt_in.then_some(Ask::Root),
        }
    }

    /// Takes in what was added up.
    pub(super) fn added_up(&mut self, kmem: &Kmem, slab: &SlabMemcgs) {
        self.none_held = kmem.held_bytes.unwrap_or(0) == 0 && !kmem.may_hide(slab);
    }

    /// Leaves out a count that leaves zombies out, where no name shows that.
    pub(super) fn doubt(&self, counts: &mut Counts) {
        if self.opt_in && self.layout.is_none() && !self.none_held {
            *counts = Counts {
                held_bytes: counts.held_bytes,
                kmemcg_peak: Some(0),
                ..Counts::default()
            };
        }
    }

    /// Takes in what a poll saw, and adds what the last listing tells of the past to its counts.
    pub(super) fn complete(&mut self, seen: &mut Poll) {
        if seen.slab.listed {
            let live = seen.directories.values().filter(|one| one.memory);
            let unnamed = seen.slab.unnamed(live.map(|one| (one.leaf(), 1)));
            self.ids_peak = self.peak.map(|peak| (peak + unnamed).min(MEMCG_IDS));
        }
        seen.counts.kmemcg_peak = self.peak;
        seen.counts.ids_peak = self.ids_peak;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories, names and kernel memory rest each for itself: what all of them take together is what docs/safety.md promises.
    #[test]
    fn three_readings_take_two_percent_together() {
        for cost in [1, 300, 5000].map(Duration::from_millis) {
            let mut pace = Pace::default();
            assert!(pace.is_due(Duration::ZERO));
            pace.cost = cost;
            pace.last = Some(Instant::now());
            assert!(!pace.is_due(Duration::ZERO));
            let share = cost.as_secs_f64() / (cost + pace.rest()).as_secs_f64();
            assert!(3.0 * share <= 0.02, "{share}");
        }
    }
}
