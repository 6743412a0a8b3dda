//! What a source keeps account of while it reads: the clock that events' times are on, up to when nothing was lost, and whether
//! a walk is owed.

use super::clock::{self, ClockOffset};
use crate::event::{Event, Fact, Gap, GapReason, Stamp};

/// The account of one source.
#[derive(Debug)]
pub(super) struct Account {
    clock: ClockOffset,
    /// `CLOCK_MONOTONIC` up to which no record was lost.
    whole_until_ns: u64,
    /// A walk is owed: none yet, or records were lost since the last one.
    walk_owed: bool,
}

impl Account {
    /// From now on: a walk is owed.
    pub(super) fn new() -> Self {
        Self {
            clock: ClockOffset::now(),
            whole_until_ns: clock::mono_ns(),
            walk_owed: true,
        }
    }

    /// This moment, on the clock that the events' times are on.
    pub(super) fn now(&self) -> Stamp {
        self.clock.stamp(clock::mono_ns())
    }

    /// A moment of `CLOCK_MONOTONIC` on both clocks.
    pub(super) fn stamp(&self, mono_ns: u64) -> Stamp {
        self.clock.stamp(mono_ns)
    }

    /// Both clocks.
    pub(super) fn clock(&self) -> ClockOffset {
        self.clock
    }

    /// The wall clock may have been set.
    pub(super) fn read_clock(&mut self) {
        self.clock = ClockOffset::now();
    }

    /// A walk must tell what there is.
    pub(super) fn owe_walk(&mut self) {
        self.walk_owed = true;
    }

    /// Whether one must.
    pub(super) fn owes_walk(&self) -> bool {
        self.walk_owed
    }

    /// One did.
    pub(super) fn walked(&mut self) {
        self.walk_owed = false;
    }

    /// Nothing was lost up to this moment of `CLOCK_MONOTONIC`.
    pub(super) fn whole(&mut self, until_ns: u64) {
        self.whole_until_ns = until_ns;
    }

    /// Says that events may have been lost.
    pub(super) fn gap(&mut self, reason: GapReason, lost: Option<u64>, events: &mut Vec<Event>) {
        let gap = Gap {
            from_mono_ns: self.whole_until_ns,
            lost,
            reason,
        };
        events.push(Event {
            time: self.now(),
            fact: Fact::Gap(gap),
        });
        // The kernel log's losses say nothing about cgroups.
        self.walk_owed |= reason != GapReason::KernelLog;
    }
}
