//! Zombies that the kernel's count does not allow: some of what events told was wrong, or an end was lost.
//!
//! One tick proves nothing, as a count and the events are not of one moment. A zombie that has just been removed may not be
//! counted yet; so only those that have had the time ([`settle_ns`]) are compared. One whose end is being told may be counted no
//! more (`css_release_work_fn` counts it off, `css_free` comes an RCU grace period later); so a surplus is held for as long, and
//! ends that come meanwhile are taken off it. What is then left in each of [`TICKS`] ticks, nothing in flight explains.

use crate::event::{Contradiction, Counted, Counts};

/// So long after `rmdir` a count may not speak of a removed cgroup yet. A directory may have been walked past before it went,
/// and counted after.
const SETTLE_NS: u64 = 2_000_000_000;

/// `nr_dying_subsys_memory` rises with `css_offline`, which a kworker calls: seconds after `rmdir` on a busy machine.
const SETTLE_OFFLINE_NS: u64 = 5_000_000_000;

/// Ticks in a row that must have it: one reading can be torn (`/proc/cgroups` and the directories are read one after the other), three
/// of a row, over the time above, cannot.
const TICKS: u32 = 3;

/// A correction that did not help is not repeated at once, but after this many times as long; up to [`LONGEST_NS`].
const LONGER: u64 = 4;
const LONGEST_NS: u64 = 3_600_000_000_000;

/// If nobody corrects it, as in a trace that was recorded without corrections, it is corrected by the count alone after this.
const ANSWER_NS: u64 = 30_000_000_000;

/// How long after its removal, or its end, a count speaks of a zombie.
pub(super) fn settle_ns(counts: &Counts) -> u64 {
    if counts.dying_memory.is_some() {
        SETTLE_OFFLINE_NS
    } else {
        SETTLE_NS
    }
}

/// Or it has been there for so long without a break: where zombies go all the time, some end always explains it.
const LONG_NS: u64 = 30_000_000_000;

/// What the counts have shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Surplus {
    /// When the count last allowed all that was tracked; 0 before the first.
    allowed_ns: u64,
    /// Ticks in a row that did not.
    ticks: u32,
    /// What such a tick showed, as far as no end explains it.
    open: Option<OpenSurplus>,
    /// The last of these.
    counted: Counted,
    /// How long it must last, if longer than the count takes to settle.
    patience_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct OpenSurplus {
    since_ns: u64,
    settle_ns: u64,
    left: u64,
}

impl Surplus {
    /// Takes in a count: so many settled zombies are above it.
    pub(super) fn read(&mut self, now_ns: u64, settle_ns: u64, above: u64, counted: Counted) {
        if above == 0 {
            *self = Self {
                allowed_ns: now_ns,
                ..Self::default()
            };
            return;
        }
        if self.allowed_ns == 0 {
            self.allowed_ns = now_ns;
        }
        self.counted = counted;
        self.ticks = self.ticks.saturating_add(1);
        let open = self.open.get_or_insert(OpenSurplus {
            since_ns: now_ns,
            settle_ns,
            left: above,
        });
        open.left = open.left.min(above);
    }

    /// A certain zombie's end was told: `removed_ns` is when it was removed.
    pub(super) fn ended(&mut self, removed_ns: u64, now_ns: u64) {
        let Some(open) = &mut self.open else { return };
        let was_compared = removed_ns.saturating_add(open.settle_ns) <= open.since_ns;
        let was_in_flight = now_ns <= open.since_ns.saturating_add(open.settle_ns);
        if was_compared && was_in_flight {
            open.left = open.left.saturating_sub(1);
            if open.left == 0 {
                self.open = None;
            }
        }
    }

    /// The contradiction, once nothing else explains what the counts show.
    pub(super) fn found(&self, now_ns: u64) -> Option<Contradiction> {
        self.lasted(now_ns, 0).then_some(Contradiction {
            from_mono_ns: self.allowed_ns,
            counted: self.counted,
        })
    }

    /// The same, once nobody has corrected it for long.
    pub(super) fn unanswered(&self, now_ns: u64) -> Option<Contradiction> {
        let found = self.found(now_ns);
        found.filter(|_| self.lasted(now_ns, ANSWER_NS))
    }

    fn lasted(&self, now_ns: u64, more_ns: u64) -> bool {
        let by = |since_ns: u64, ns: u64| {
            let ns = ns.max(self.patience_ns).saturating_add(more_ns);
            since_ns.saturating_add(ns) <= now_ns
        };
        let unexplained = self
            .open
            .is_some_and(|open| by(open.since_ns, open.settle_ns));
        self.ticks >= TICKS && (unexplained || by(self.allowed_ns, LONG_NS))
    }

    /// It has been said, and a walk is on its way.
    pub(super) fn corrected(&mut self, now_ns: u64) {
        let settle_ns = self.open.map_or(SETTLE_NS, |open| open.settle_ns);
        let patience_ns = self.patience_ns.max(settle_ns).saturating_mul(LONGER);
        *self = Self {
            allowed_ns: now_ns,
            patience_ns: patience_ns.min(LONGEST_NS),
            ..Self::default()
        };
    }

    /// Events were lost, or a walk came by: what the counts showed before says nothing.
    pub(super) fn forget(&mut self, now_ns: u64) {
        *self = Self {
            allowed_ns: now_ns,
            patience_ns: self.patience_ns,
            ..Self::default()
        };
    }
}
