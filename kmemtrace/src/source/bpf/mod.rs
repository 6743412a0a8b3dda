//! The eBPF source: hooks in the kernel, a ring buffer, and after every loss a new look at the kernel's own state.
//!
//! What a run of it emits is: a walk of the directories (`Present` each, then `Walked`), then what the hooks report, a
//! `Tick` with the kernel's counts every second, and after lost records a `Gap` and a new walk. The hooks attach before
//! the first walk, so that nothing falls between them.

mod attach;
mod layout;
mod losses;
mod ring;
mod start;

use std::time::Duration;

use aya::Ebpf;
use bytes::Bytes;
pub use start::hooks_without_source;
use tokio::time::{Instant, Interval};

use self::{attach::Outcome, losses::Losses, ring::Ring};
use super::{
    clock::{self, Clock},
    kmsg::Kmsg,
};
use crate::{
    error::Error,
    event::{
        Cgroup, Counts, Event, Fact, Gap, GapReason, Path as CgroupPath, Stamp, Walked,
        header::HookReport,
        wire::{self, Context, Decoded},
    },
    host::{self, Hierarchy, Root},
    plan::Options,
};

/// How often the ring is read. The programs wake the collector earlier only if the ring is filling up.
const READ: Duration = Duration::from_millis(50);

/// How often losses are looked for, and the kernel's counts compared while they do not agree.
const CHECK: Duration = Duration::from_millis(200);

/// How often a tick is sent while all is well.
const TICK: Duration = Duration::from_secs(1);

/// How long the tracker's counts and the kernel's may differ before the directories are walked again: something was lost
/// without a trace.
const DISAGREE: Duration = Duration::from_secs(30);

/// Records taken from the ring before the caller gets its turn: it bounds the batch, not the ring.
const BATCH: usize = 8192;

/// Batches in a row before something else gets its turn.
const BATCHES: usize = 16;

/// How often a quiet moment is waited for before the counts are given up for this time.
const QUIET_TRIES: usize = 3;

/// What the source is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ring buffer's size in bytes; rounded up to what the kernel takes.
    pub ring_bytes: u32,
    /// Which ways may be used.
    pub options: Options,
}

/// Attached programs and what they report.
pub struct Source {
    // Programs stay attached as long as this lives; when the process dies, however it dies, the kernel detaches them.
    _ebpf: Ebpf,
    outcomes: Vec<Outcome>,
    ring: Ring,
    losses: Losses,
    kmsg: Option<Kmsg>,
    context: Context,
    hierarchy: Hierarchy,
    clock: Clock,
    timer: Interval,
    /// `CLOCK_MONOTONIC` up to which no record was lost.
    whole_until_ns: u64,
    /// A walk is owed: none yet, or records were lost since the last one.
    walk_owed: bool,
    /// When the last walk ended, and how long it took.
    walked: Option<(Instant, Duration)>,
    /// Since when the counts have differed.
    unsettled: Option<Instant>,
    checked: Instant,
    ticked: Instant,
}

impl Source {
    /// How each hook is seen.
    pub fn hooks(&self) -> Vec<HookReport> {
        let version = self.hierarchy.version;
        self.outcomes
            .iter()
            .map(|outcome| outcome.report(version))
            .collect()
    }

    /// This moment, on the clock that the events' times are on.
    pub fn now(&self) -> Stamp {
        self.clock.stamp(clock::mono_ns())
    }

    /// Waits for the next events and appends them. `settled` is the tracker's word on whether its counts and the kernel's
    /// agree: as long as they do not, they are compared more often. Cancel-safe: what was not appended is not lost.
    ///
    /// # Errors
    ///
    /// The ring, the counters of losses or, the first time, the directories cannot be read.
    pub async fn next(&mut self, settled: bool, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.walked.is_none() {
            return self.walk(events);
        }
        tokio::select! {
            ready = self.ring.readable() => {
                ready.map_err(|error| Error::caused("cannot wait for the ring buffer", &error))?;
            }
            _ = self.timer.tick() => {}
        }
        let left = self.drain(events) == BATCH;
        if left {
            // The ring does not call again for what was in it already.
            self.timer.reset_immediately();
        }
        if self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            self.check(settled, left, events)?;
        }
        Ok(())
    }

    /// Whatever is left in the ring, at the end of a run.
    ///
    /// # Errors
    ///
    /// The counters of losses cannot be read.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        self.drain_all(events);
        self.read_kernel_log(events);
        self.finish_kernel_log(events);
        self.look_for_losses(events)?;
        if self.walk_owed
            && let Err(error) = self.walk(events)
        {
            tracing::warn!("{error}");
        }
        self.tick(events);
        Ok(())
    }

    /// Looks for losses, walks if a walk is owed, and sends a tick if one is due.
    fn check(&mut self, settled: bool, left: bool, events: &mut Vec<Event>) -> Result<(), Error> {
        self.read_kernel_log(events);
        self.look_for_losses(events)?;
        if left {
            return Ok(());
        }
        if settled {
            self.unsettled = None;
        } else if self.unsettled.get_or_insert_with(Instant::now).elapsed() >= DISAGREE {
            self.unsettled = None;
            self.walk_owed = true;
        }
        // A walk costs more than an event: in a storm that overruns the ring, walking at every loss would make more loss.
        let rested = self
            .walked
            .is_none_or(|(ended, took)| ended.elapsed() > took.saturating_mul(4));
        if self.walk_owed && rested {
            if let Err(error) = self.walk(events) {
                // Still owed: the next check tries again.
                tracing::warn!("{error}");
                self.walked = Some((Instant::now(), CHECK));
            }
            return Ok(());
        }
        if !settled || self.ticked.elapsed() >= TICK {
            self.tick(events);
        }
        Ok(())
    }

    /// Takes in what the kernel log says of slab failures, where that is how they are seen.
    fn read_kernel_log(&mut self, events: &mut Vec<Event>) {
        let Some(kmsg) = &mut self.kmsg else {
            return;
        };
        let clock = self.clock;
        let read = kmsg.poll(|mono_ns, failure| events.push(logged(clock, mono_ns, failure)));
        match read {
            Ok(0) => {}
            Ok(_) => self.gap(GapReason::KernelLog, None, events),
            Err(error) => {
                tracing::warn!(
                    "cannot read /dev/kmsg any more: {error}; slab failures go unseen from now on"
                );
                self.finish_kernel_log(events);
                self.gap(GapReason::KernelLog, None, events);
            }
        }
    }

    /// Takes in what is left of it, and reads no more.
    fn finish_kernel_log(&mut self, events: &mut Vec<Event>) {
        let clock = self.clock;
        if let Some(mut kmsg) = self.kmsg.take() {
            kmsg.finish(|mono_ns, failure| events.push(logged(clock, mono_ns, failure)));
        }
    }

    /// Takes at most [`BATCH`] records; returns how many.
    fn drain(&mut self, events: &mut Vec<Event>) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Some(record) = self.ring.next()
        {
            taken += 1;
            self.push(&record, events);
        }
        taken
    }

    /// Takes all records, or as many as a full ring has: in a storm there are always more.
    fn drain_all(&mut self, events: &mut Vec<Event>) {
        for _ in 0..BATCHES {
            if self.drain(events) < BATCH {
                return;
            }
        }
    }

    fn push(&mut self, record: &Bytes, events: &mut Vec<Event>) {
        match wire::decode(record, &self.context) {
            Decoded::Fact(mono_ns, fact) => {
                events.push(Event {
                    time: self.clock.stamp(mono_ns),
                    fact,
                });
            }
            Decoded::Nothing => {}
            Decoded::Unknown => self.gap(GapReason::BadRecord, Some(1), events),
        }
    }

    fn look_for_losses(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let now = clock::mono_ns();
        let found = self.losses.since_last()?;
        if found.dropped > 0 {
            self.gap(GapReason::RingFull, Some(found.dropped), events);
        }
        if found.skipped > 0 {
            self.gap(GapReason::Recursion, Some(found.skipped), events);
        }
        self.whole_until_ns = now;
        Ok(())
    }

    fn gap(&mut self, reason: GapReason, lost: Option<u64>, events: &mut Vec<Event>) {
        let gap = Gap {
            from_mono_ns: self.whole_until_ns,
            lost,
            reason,
        };
        events.push(Event {
            time: self.clock.stamp(clock::mono_ns()),
            fact: Fact::Gap(gap),
        });
        // The kernel log's losses say nothing about cgroups.
        self.walk_owed |= reason != GapReason::KernelLog;
    }

    /// Walks the hierarchy and reports every directory, then the end of the walk with the kernel's counts.
    fn walk(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let started = Instant::now();
        let began_mono_ns = clock::mono_ns();
        let time = self.clock.stamp(began_mono_ns);
        let directories = host::walk(&Root::live(), &self.hierarchy, &mut |directory| {
            let cgroup = Cgroup {
                id: directory.id,
                parent_id: directory.parent_id,
                path: Some(CgroupPath::whole(Bytes::copy_from_slice(directory.path))),
                memory: Some(directory.memory),
                ..Cgroup::default()
            };
            // Alive when the walk began or made since: a later death is in the ring.
            events.push(Event {
                time,
                fact: Fact::Present(cgroup),
            });
        });
        let directories = directories.map_err(|error| {
            Error::caused(
                format!("cannot walk {}", self.hierarchy.mount.display()),
                &error,
            )
        })?;
        let counts = self.counts(events);
        let time = self.clock.stamp(clock::mono_ns());
        let walked = Walked {
            began_mono_ns,
            directories,
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

    fn tick(&mut self, events: &mut Vec<Event>) {
        let counts = self.counts(events);
        self.clock = Clock::now();
        let time = self.clock.stamp(clock::mono_ns());
        events.push(Event {
            time,
            fact: Fact::Tick(counts),
        });
        self.ticked = Instant::now();
    }

    /// The kernel's counts at a moment at which every event before them has been appended, and none after; no counts if
    /// there is no such moment.
    fn counts(&mut self, events: &mut Vec<Event>) -> Counts {
        for _ in 0..QUIET_TRIES {
            self.drain_all(events);
            let counts = match host::counts(&Root::live(), &self.hierarchy) {
                Ok(counts) => counts,
                Err(error) => {
                    // On a machine out of memory or files, events matter more than counts.
                    tracing::warn!("cannot count memory cgroups: {error}");
                    return Counts::default();
                }
            };
            if self.drain(events) == 0 {
                return counts;
            }
        }
        Counts::default()
    }
}

/// A slab failure from the kernel log, whose clock drifts from `CLOCK_MONOTONIC`; but nothing has happened in the future.
fn logged(clock: Clock, mono_ns: u64, failure: crate::event::SlabFailure) -> Event {
    Event {
        time: clock.stamp(mono_ns.min(clock::mono_ns())),
        fact: Fact::SlabFailure(failure),
    }
}
