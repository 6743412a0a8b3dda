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
    account::Account,
    clock,
    kmsg::{Kmsg, finish_kernel_log, read_kernel_log},
    records::{BATCH, Records},
};
use crate::{
    error::Error,
    event::{
        Cgroup, Counts, Event, Fact, GapReason, Holds, Path as CgroupPath, Stamp, Walked, Wanted,
    },
    host::{self, Directory, Hierarchy, Root},
};

/// How often records are read. Sources are woken earlier only if their buffer is filling up.
pub(super) const READ: Duration = Duration::from_millis(50);

/// How often losses are looked for, and the kernel's counts compared while they do not agree.
const CHECK: Duration = Duration::from_millis(200);

/// How often a tick is sent while all is well, unless it is to be oftener: with it verdicts come due.
pub(super) const TICK: Duration = Duration::from_secs(1);

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
    account: Account,
    kmsg: Option<Kmsg>,
    /// When the last walk ended, and its time.
    walked: Option<(Instant, Duration)>,
    /// When the kernel was asked for its zombies last, and how long that took; `None` if it cannot be asked.
    looked: Option<(Instant, Duration)>,
    /// What was told of each then, by the serial number of its css.
    told: HashMap<u64, Holds>,
    /// The kernel's count leaves zombies out: once seen, it stays so, and to look again is to list 200,000 names.
    leaves_out: bool,
    /// What whoever follows the events was in want of last.
    wanted: Wanted,
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
            account: Account::new(),
            kmsg,
            walked: None,
            looked: None,
            told: HashMap::new(),
            leaves_out: false,
            wanted: Wanted::Nothing,
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
        self.account.now()
    }

    /// Whether the first walk is still to be done.
    pub(super) fn is_new(&self) -> bool {
        self.walked.is_none()
    }

    /// What is wanted beside what is due anyway, until it is told otherwise.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// Takes what there is and does what is due; returns whether more records are left.
    pub(super) fn turn(
        &mut self,
        records: &mut impl Records,
        events: &mut Vec<Event>,
    ) -> Result<bool, Error> {
        let left = self.drain(records, events) >= BATCH;
        if self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            self.check(records, left, events)?;
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
        finish_kernel_log(&mut self.kmsg, self.account.clock(), events);
        records.look_for_losses(&mut self.account, events)?;
        self.correct(events);
        if self.account.owes_walk()
            && let Err(error) = self.walk(records, events)
        {
            tracing::warn!("{error}");
        }
        self.tick(records, events);
        Ok(())
    }

    /// Looks for losses, walks if a walk is owed, and sends a tick if one is due.
    fn check(
        &mut self,
        records: &mut impl Records,
        left: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.read_kernel_log(events);
        records.look_for_losses(&mut self.account, events)?;
        if left {
            return Ok(());
        }
        self.correct(events);
        let last = self.walked.map(|(ended, _)| ended.elapsed());
        if self
            .walk_every
            .is_some_and(|every| last.is_some_and(|elapsed| elapsed >= every))
        {
            self.account.owe_walk();
        }
        // A walk costs more than an event: in a storm that overruns the buffer, walking at every loss would make more loss.
        let rested = self
            .walked
            .is_none_or(|(ended, took)| ended.elapsed() > took.saturating_mul(4));
        if self.account.owes_walk() && rested {
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
        if self.wanted != Wanted::Nothing || self.ticked.elapsed() >= self.tick_every {
            self.tick(records, events);
        }
        Ok(())
    }

    /// Owes a walk if one is wanted, and says first why, if that is to be said: once.
    fn correct(&mut self, events: &mut Vec<Event>) {
        match self.wanted {
            Wanted::Correction(found) => {
                self.account.contradicted(found, events);
                self.wanted = Wanted::Walk;
            }
            Wanted::Walk => self.account.owe_walk(),
            Wanted::Counts | Wanted::Nothing => {}
        }
    }

    /// Takes in what the kernel log says of slab failures, where that is how they are seen.
    fn read_kernel_log(&mut self, events: &mut Vec<Event>) {
        if read_kernel_log(&mut self.kmsg, self.account.clock(), events) {
            self.account.gap(GapReason::KernelLog, None, events);
        }
    }

    /// Takes all records, or as many as a full buffer has: in a storm there are always more.
    fn drain_all(&mut self, records: &mut impl Records, events: &mut Vec<Event>) {
        for _ in 0..BATCHES {
            if self.drain(records, events) < BATCH {
                return;
            }
        }
    }

    /// Takes a batch of records, and says how many of them were not understood.
    fn drain(&mut self, records: &mut impl Records, events: &mut Vec<Event>) -> usize {
        let taken = records.drain(&mut self.account, events);
        self.account.tell_not_understood(events);
        taken
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
        let time = self.account.stamp(began_mono_ns);
        let directories = host::walk(&Root::live(), &self.hierarchy, &mut |directory| {
            // Alive when the walk began or made since: a later death is in the records.
            records.present(&directory);
            let fact = Fact::Present(present(&directory));
            events.push(Event { time, fact });
        });
        let directories =
            directories.map_err(|error| Error::file("walk", &self.hierarchy.mount, error))?;
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
        self.account.walked();
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
        let mut zombies = match records.zombies() {
            Ok(zombies) => zombies?,
            Err(error) => {
                tracing::warn!("{error}");
                return None;
            }
        };
        self.looked = Some((Instant::now(), started.elapsed()));
        // What happened before each was seen comes first.
        self.drain_all(records, events);
        // What is there and makes no sense was not named: said before the others are, which are certain.
        let bad = zombies.refuse_nonsense();
        self.account.not_understood(bad);
        self.account.tell_not_understood(events);
        let count = zombies.found.len() as u64;
        let before = mem::take(&mut self.told);
        for (mono_ns, cgroup) in zombies.found {
            let holds = cgroup.serial.zip(cgroup.holds.as_deref().copied());
            self.told.extend(holds);
            let is_known = holds.is_some_and(|(serial, holds)| before.get(&serial) == Some(&holds));
            if is_known && !all {
                continue;
            }
            self.account.fact(mono_ns, Fact::Zombie(cgroup), events);
        }
        (zombies.complete && bad == 0).then_some(count)
    }

    fn tick(&mut self, records: &mut impl Records, events: &mut Vec<Event>) {
        let counts = self.counts(records, events);
        self.account.read_clock();
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
            self.leaves_out = self.leaves_out || host::has_top_level_names(&Root::live());
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
            if self.drain(records, events) == 0 && records.is_whole() {
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
