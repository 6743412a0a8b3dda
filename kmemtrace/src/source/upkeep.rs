//! What a source does besides reading its records: it walks the directories, sends ticks with the kernel's counts, keeps
//! account of what was lost, and reads slab failures from the kernel log where no hook sees them.
//!
//! What it emits is: a walk (`Zombie` and `Present` each, then `Walked`), then the records' events, a `Tick` every second or oftener, a
//! `Zombie` for each of which that has changed what it holds, and after a loss a `Gap` and a new walk.

use std::{
    collections::HashMap,
    mem,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    clock::{self, Clock},
    kmsg::{Kmsg, finish_kernel_log, read_kernel_log},
    records::{BATCH, Records},
};
use crate::{
    error::Error,
    event::{
        Cgroup, Counts, Event, Fact, Gap, GapReason, Holds, Path as CgroupPath, Stamp, Walked,
    },
    host::{self, Directory, Hierarchy, Root},
};

/// How often records are read. Sources are woken earlier only if their buffer is filling up.
pub(super) const READ: Duration = Duration::from_millis(50);

/// How often losses are looked for, and the kernel's counts compared while they do not agree.
const CHECK: Duration = Duration::from_millis(200);

/// How often a tick is sent while all is well, unless it is to be oftener: with it verdicts come due.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How long the tracker's counts and the kernel's may differ before a walk is owed: something was lost without a trace.
const DISAGREE: Duration = Duration::from_secs(30);

/// How often the kernel is asked again what its zombies hold; and a sixtieth of a CPU's time goes into it at most.
const LOOK: Duration = Duration::from_secs(10);
const LOOK_REST: u32 = 60;

/// Batches in a row before something else gets its turn.
const BATCHES: usize = 16;

/// How often a quiet moment is waited for before the counts are given up for this time.
const QUIET_TRIES: usize = 3;

/// The upkeep of one source.
#[derive(Debug)]
pub(super) struct Upkeep {
    hierarchy: Hierarchy,
    clock: Clock,
    kmsg: Option<Kmsg>,
    /// `CLOCK_MONOTONIC` up to which no record was lost.
    whole_until_ns: u64,
    /// A walk is owed: none yet, or records were lost since the last one.
    walk_owed: bool,
    /// When the last walk ended, and its time.
    walked: Option<(Instant, Duration)>,
    /// When the kernel was asked for its zombies last, and how long that took; `None` if it cannot be asked.
    looked: Option<(Instant, Duration)>,
    /// What was told of each then, by the serial number of its css.
    told: HashMap<u64, Holds>,
    /// The kernel's count leaves zombies out: once seen, it stays so, and to look again is to list 200,000 names.
    leaves_out: bool,
    /// Since when the counts have differed.
    unsettled: Option<Instant>,
    checked: Instant,
    ticked: Instant,
    /// How often a tick is sent.
    tick_every: Duration,
    /// How often to walk though nothing was lost: what the source does not see, the walk finds.
    walk_every: Option<Duration>,
}

impl Upkeep {
    /// From now on. `kmsg` is the kernel log, if slab failures are to be read from it.
    pub(super) fn new(
        hierarchy: Hierarchy,
        kmsg: Option<Kmsg>,
        tick_every: Duration,
        walk_every: Option<Duration>,
    ) -> Self {
        Self {
            hierarchy,
            clock: Clock::now(),
            kmsg,
            whole_until_ns: clock::mono_ns(),
            walk_owed: true,
            walked: None,
            looked: None,
            told: HashMap::new(),
            leaves_out: false,
            unsettled: None,
            checked: Instant::now(),
            ticked: Instant::now(),
            tick_every: tick_every.min(TICK),
            walk_every,
        }
    }

    /// The hierarchy that is watched.
    pub(super) fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// This moment, on the clock that the events' times are on.
    pub(super) fn now(&self) -> Stamp {
        self.clock.stamp(clock::mono_ns())
    }

    /// A moment of `CLOCK_MONOTONIC` on both clocks.
    pub(super) fn stamp(&self, mono_ns: u64) -> Stamp {
        self.clock.stamp(mono_ns)
    }

    /// Whether the first walk is still to be done.
    pub(super) fn is_new(&self) -> bool {
        self.walked.is_none()
    }

    /// Takes what there is and does what is due; returns whether more records are left. `settled` is the tracker's word on
    /// whether its counts and the kernel's agree.
    pub(super) fn turn(
        &mut self,
        records: &mut impl Records,
        settled: bool,
        events: &mut Vec<Event>,
    ) -> Result<bool, Error> {
        let left = records.drain(self, events) >= BATCH;
        if self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            self.check(records, settled, left, events)?;
        }
        Ok(left)
    }

    /// Whatever is left, at the end of a run.
    pub(super) fn finish(
        &mut self,
        records: &mut impl Records,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.drain_all(records, events);
        self.read_kernel_log(events);
        finish_kernel_log(&mut self.kmsg, self.clock, events);
        records.look_for_losses(self, events)?;
        if self.walk_owed
            && let Err(error) = self.walk(records, events)
        {
            tracing::warn!("{error}");
        }
        self.tick(records, events);
        Ok(())
    }

    /// A walk must tell what there is.
    pub(super) fn owe_walk(&mut self) {
        self.walk_owed = true;
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

    /// Looks for losses, walks if a walk is owed, and sends a tick if one is due.
    fn check(
        &mut self,
        records: &mut impl Records,
        settled: bool,
        left: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.read_kernel_log(events);
        records.look_for_losses(self, events)?;
        if left {
            return Ok(());
        }
        if settled {
            self.unsettled = None;
        } else if self.unsettled.get_or_insert_with(Instant::now).elapsed() >= DISAGREE {
            self.unsettled = None;
            self.walk_owed = true;
        }
        let last = self.walked.map(|(ended, _)| ended.elapsed());
        self.walk_owed |= self
            .walk_every
            .is_some_and(|every| last.is_some_and(|elapsed| elapsed >= every));
        // A walk costs more than an event: in a storm that overruns the buffer, walking at every loss would make more loss.
        let rested = self
            .walked
            .is_none_or(|(ended, took)| ended.elapsed() > took.saturating_mul(4));
        if self.walk_owed && rested {
            if let Err(error) = self.walk(records, events) {
                // Still owed: the next check tries again.
                tracing::warn!("{error}");
                self.walked = Some((Instant::now(), CHECK));
            }
            return Ok(());
        }
        let rest = |took: Duration| LOOK.max(took.saturating_mul(LOOK_REST));
        if self
            .looked
            .is_some_and(|(last, took)| last.elapsed() >= rest(took))
        {
            self.tell_zombies(records, events, false);
        }
        if !settled || self.ticked.elapsed() >= self.tick_every {
            self.tick(records, events);
        }
        Ok(())
    }

    /// Takes in what the kernel log says of slab failures, where that is how they are seen.
    fn read_kernel_log(&mut self, events: &mut Vec<Event>) {
        if read_kernel_log(&mut self.kmsg, self.clock, events) {
            self.gap(GapReason::KernelLog, None, events);
        }
    }

    /// Takes all records, or as many as a full buffer has: in a storm there are always more.
    fn drain_all(&mut self, records: &mut impl Records, events: &mut Vec<Event>) {
        for _ in 0..BATCHES {
            if records.drain(self, events) < BATCH {
                return;
            }
        }
    }

    /// Walks the hierarchy and reports every directory, then the end of the walk with the kernel's counts.
    pub(super) fn walk(
        &mut self,
        records: &mut impl Records,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let began_mono_ns = clock::mono_ns();
        let zombies = self.tell_zombies(records, events, true);
        let time = self.clock.stamp(began_mono_ns);
        let directories = host::walk(&Root::live(), &self.hierarchy, &mut |directory| {
            // Alive when the walk began or made since: a later death is in the records.
            records.present(&directory);
            let fact = Fact::Present(present(&directory));
            events.push(Event { time, fact });
        });
        let directories = directories.map_err(|error| {
            Error::caused(
                format!("cannot walk {}", self.hierarchy.mount.display()),
                error,
            )
        })?;
        let counts = self.counts(records, events);
        let time = self.now();
        let walked = Walked {
            began_mono_ns,
            directories,
            zombies,
            counts,
        };
        events.push(Event {
            time,
            fact: Fact::Walked(walked),
        });
        self.walked = Some((Instant::now(), started.elapsed()));
        self.walk_owed = false;
        self.ticked = Instant::now();
        Ok(())
    }

    /// Asks the kernel for the removed memcgs that it has, and reports all, or those that are new or hold now what they did
    /// not hold the last time; returns how many there are, if it named all.
    /// Before the directories: on v2 one cgroup can have a dead memcg and a live one, and the dead one is older.
    fn tell_zombies(
        &mut self,
        records: &mut impl Records,
        events: &mut Vec<Event>,
        all: bool,
    ) -> Option<u64> {
        let started = Instant::now();
        let zombies = match records.zombies() {
            Ok(zombies) => zombies?,
            Err(error) => {
                tracing::warn!("{error}");
                return None;
            }
        };
        self.looked = Some((Instant::now(), started.elapsed()));
        // What happened before each was seen comes first.
        self.drain_all(records, events);
        let count = zombies.found.len() as u64;
        let before = mem::take(&mut self.told);
        for (mono_ns, cgroup) in zombies.found {
            let holds = cgroup.serial.zip(cgroup.holds.as_deref().copied());
            self.told.extend(holds);
            let is_known = holds.is_some_and(|(serial, holds)| before.get(&serial) == Some(&holds));
            if is_known && !all {
                continue;
            }
            let time = self.stamp(mono_ns);
            events.push(Event {
                time,
                fact: Fact::Zombie(cgroup),
            });
        }
        zombies.complete.then_some(count)
    }

    fn tick(&mut self, records: &mut impl Records, events: &mut Vec<Event>) {
        let counts = self.counts(records, events);
        self.clock = Clock::now();
        let time = self.now();
        events.push(Event {
            time,
            fact: Fact::Tick(counts),
        });
        self.ticked = Instant::now();
    }

    /// The kernel's counts at a moment at which every event before them has been appended, and none after; no counts if
    /// there is no such moment.
    fn counts(&mut self, records: &mut impl Records, events: &mut Vec<Event>) -> Counts {
        for _ in 0..QUIET_TRIES {
            self.drain_all(records, events);
            self.leaves_out = self.leaves_out || host::count_leaves_zombies_out(&Root::live());
            if self.leaves_out {
                return Counts::default();
            }
            let counts = match host::counts(&Root::live(), &self.hierarchy) {
                Ok(counts) => counts,
                Err(error) => {
                    // On a machine out of memory or files, events matter more than counts.
                    tracing::warn!("cannot count memory cgroups: {error}");
                    return Counts::default();
                }
            };
            if records.drain(self, events) == 0 && records.is_whole() {
                return counts;
            }
        }
        Counts::default()
    }
}

pub(super) fn present(directory: &Directory<'_>) -> Cgroup {
    Cgroup {
        id: Some(directory.id),
        parent_id: directory.parent_id,
        path: Some(CgroupPath::whole(Bytes::copy_from_slice(directory.path))),
        memory: Some(directory.memory),
        ..Cgroup::default()
    }
}
