//! When to believe the kernel's counts.
//!
//! A reading can be off by what is in flight: `num_cgroups` falls an RCU grace period after `cgroup_release`
//! (`css_free_rwork_fn`) and rises before `cgroup_mkdir`, `nr_dying_subsys` rises with `css_offline`, tens of milliseconds
//! after `cgroup_rmdir`. So only a difference that stays is believed, except right after a walk, when nothing better is
//! known.

/// Ticks that must agree on a difference.
const STEADY_TICKS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// At the start or after a gap: the live ones are not known yet.
    NeedsWalk,
    /// The live ones are known, and how many zombies there are is not.
    NeedsCounts,
    Done,
}

/// What to do about a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountReading {
    /// Nothing yet.
    Wait,
    /// The totals are the kernel's.
    Agrees,
    /// Believe it: it is the first after a walk, and may be off.
    First,
    /// Believe it: it stayed.
    Steady,
}

#[derive(Debug)]
pub(super) struct Check {
    sync: Sync,
    /// By how much the kernel's last count differed, and how many ticks in a row it did.
    difference: i64,
    ticks: u32,
    /// Since when, or since which walk, it has differed.
    since_ns: u64,
}

impl Check {
    pub(super) fn new() -> Self {
        Self {
            sync: Sync::NeedsWalk,
            difference: 0,
            ticks: 0,
            since_ns: 0,
        }
    }

    /// The kernel's last count agreed with the totals, or it does not count.
    pub(super) fn settled(&self) -> bool {
        self.difference == 0
    }

    /// Since when, or since which walk, the counts have not, on `CLOCK_MONOTONIC`.
    pub(super) fn differs_since(&self) -> Option<u64> {
        (!self.settled()).then_some(self.since_ns)
    }

    /// Whether the live ones are known, without which a count says nothing of zombies.
    pub(super) fn knows_live(&self) -> bool {
        self.sync != Sync::NeedsWalk
    }

    /// A cgroup came or went: readings before and after it are not comparable.
    pub(super) fn disturb(&mut self) {
        self.ticks = 0;
    }

    pub(super) fn gap(&mut self) {
        self.sync = Sync::NeedsWalk;
        self.ticks = 0;
    }

    pub(super) fn walked(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
        // Also where the counts have differed for long: on a busy node they may never be steady.
        if self.sync == Sync::NeedsWalk || self.difference != 0 {
            self.sync = Sync::NeedsCounts;
        }
        self.ticks = 0;
    }

    /// Takes in by how much the kernel's count is above the totals.
    pub(super) fn read(&mut self, now_ns: u64, difference: i64) -> CountReading {
        if self.settled() {
            self.since_ns = now_ns;
        }
        match self.sync {
            Sync::NeedsWalk => return CountReading::Wait,
            Sync::NeedsCounts => {
                self.sync = Sync::Done;
                self.ticks = 0;
                self.difference = difference;
                return CountReading::First;
            }
            Sync::Done => {}
        }
        self.ticks = if difference == self.difference {
            self.ticks + 1
        } else {
            1
        };
        self.difference = difference;
        if difference == 0 {
            CountReading::Agrees
        } else if self.ticks >= STEADY_TICKS {
            CountReading::Steady
        } else {
            CountReading::Wait
        }
    }

    /// What of the difference is left after the totals were put right.
    pub(super) fn corrected(&mut self, left: i64) {
        self.difference = left;
        self.ticks = 0;
    }
}
