//! What a source keeps account of while it reads: the clock that events' times are on, up to when nothing was lost, and whether
//! a walk is owed.

use super::clock::{self, ClockOffset};
use crate::event::{
    Contradiction, Event, Fact, Gap, GapReason, Stamp,
    sense::{self, Nonsense},
};

/// A record may be so much ahead of the clock: where the trace has a clock of its own, it is put on this one by estimate.
const AHEAD_NS: u64 = 2_000_000_000;

/// The account of one source.
#[derive(Debug)]
pub(super) struct Account {
    clock: ClockOffset,
    /// `CLOCK_MONOTONIC` up to which no record was lost.
    whole_until_ns: u64,
    /// A walk is owed: none yet, or records were lost since the last one.
    walk_owed: bool,
    /// Records that were not understood, and have not been told of.
    bad: u64,
    /// Up to this moment of `CLOCK_MONOTONIC` records are not from the future.
    future_ns: u64,
}

impl Account {
    /// From now on: a walk is owed.
    pub(super) fn new() -> Self {
        Self {
            clock: ClockOffset::now(),
            whole_until_ns: clock::mono_ns(),
            walk_owed: true,
            bad: 0,
            future_ns: 0,
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

    /// Takes in what a record told, unless that cannot be.
    pub(super) fn fact(&mut self, mono_ns: u64, fact: Fact, events: &mut Vec<Event>) {
        match sense::fact(mono_ns, &fact) {
            Ok(()) => self.sensible(mono_ns, fact, events),
            Err(nonsense) => self.refuse(nonsense, &fact),
        }
    }

    /// Takes in a fact that [`sense`] has let pass, unless it is from the future.
    pub(super) fn sensible(&mut self, mono_ns: u64, fact: Fact, events: &mut Vec<Event>) {
        if mono_ns > self.future_ns {
            self.future_ns = clock::mono_ns().saturating_add(AHEAD_NS);
            if mono_ns > self.future_ns {
                return self.refuse(Nonsense::Time(mono_ns), &fact);
            }
        }
        let time = self.stamp(mono_ns);
        events.push(Event { time, fact });
    }

    fn refuse(&mut self, nonsense: Nonsense, fact: &Fact) {
        tracing::debug!("not believed: {nonsense}: {fact:?}");
        self.not_understood(1);
    }

    /// So many records say nothing.
    pub(super) fn not_understood(&mut self, records: u64) {
        self.bad += records;
    }

    /// Says how many records were not understood since the last call: one gap, however many they are.
    pub(super) fn tell_not_understood(&mut self, events: &mut Vec<Event>) {
        if let bad @ 1.. = std::mem::take(&mut self.bad) {
            self.gap(GapReason::BadRecord, Some(bad), events);
        }
    }

    /// Says that the kernel's counts contradict the events so far. A walk must tell what there is.
    pub(super) fn contradicted(&mut self, found: Contradiction, events: &mut Vec<Event>) {
        let time = self.now();
        let fact = Fact::Gap(found.gap());
        events.push(Event { time, fact });
        self.owe_walk();
    }

    /// Says that events may have been lost.
    pub(super) fn gap(&mut self, reason: GapReason, lost: Option<u64>, events: &mut Vec<Event>) {
        let gap = Gap {
            from_mono_ns: self.whole_until_ns,
            lost,
            reason,
            counted: None,
        };
        events.push(Event {
            time: self.now(),
            fact: Fact::Gap(gap),
        });
        // The kernel log's losses say nothing about cgroups.
        self.walk_owed |= reason != GapReason::KernelLog;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Cgroup;

    fn made(id: u64) -> Fact {
        Fact::Created(Cgroup {
            id: Some(id),
            ..Cgroup::default()
        })
    }

    /// However many there are, it is one gap; and nothing of them is told.
    #[test]
    fn what_cannot_be_is_counted_and_not_told() {
        let mut account = Account::new();
        account.walked();
        let mut events = Vec::new();
        let now = clock::mono_ns();
        account.fact(now, made(7), &mut events);
        account.fact(now + 10 * AHEAD_NS, made(8), &mut events);
        account.fact(now, made(0), &mut events);
        account.not_understood(3);
        assert_eq!(events.len(), 1);
        assert!(!account.owes_walk());
        account.tell_not_understood(&mut events);
        account.tell_not_understood(&mut events);
        let [_, gap] = &events[..] else {
            panic!("{events:?}");
        };
        let Fact::Gap(gap) = &gap.fact else {
            panic!("{gap:?}");
        };
        assert_eq!((gap.reason, gap.lost), (GapReason::BadRecord, Some(5)));
        assert!(account.owes_walk());
    }
}
