//! The source that needs nothing but files: it polls the directories, the slab caches' names and the kernel's counts, and
//! tells what changed. On kernels without BPF and tracing, and on a copy of a machine's files, it is all there is.
//!
//! A poll sees what is there at its time. What was made and removed between two polls shows in counts alone, and when
//! something went is known as an interval; no poll sees a memcg freed.

mod diff;
mod pace;
mod poll;
mod snapshot;

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until};

use self::{
    diff::History,
    pace::{CacheNames, Pace},
    poll::Poll,
};
use super::{
    clock::ClockOffset,
    kmsg::{Kmsg, finish_kernel_log, read_kernel_log},
};
use crate::{
    error::Error,
    event::{Contradiction, Event, Fact, Gap, GapReason, Stamp, Wanted, header::HookReport, sense},
    host::{self, Hierarchy, HostFacts, Root, Version},
    plan::{HookId, WayKind},
};

/// How often the kernel memory that zombies hold is added up, at most.
const ADD_UP: Duration = Duration::from_secs(30);

/// A poll that begins so much later than it was due, beyond its interval, leaves a gap: the machine or this process stood still.
const LATE: Duration = Duration::from_secs(1);

/// What the source is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Copies of a machine's files to look at, the earliest first; none: the machine itself.
    pub copies: Vec<Root>,
    /// How often to poll.
    pub interval: Duration,
}

/// Polls, and what they have seen so far.
#[derive(Debug)]
pub struct Source {
    /// Copies that are still to be looked at.
    copies: VecDeque<Root>,
    root: Root,
    /// The last copy has been looked at.
    done: bool,
    hierarchy: Hierarchy,
    history: History,
    /// The names of slab caches: as a node that leaks has many, they have a pace of their own.
    names: CacheNames,
    /// When the kernel memory that zombies hold was added up.
    measured: Pace,
    /// When directories were read.
    polled: Pace,
    clock: ClockOffset,
    kmsg: Option<Kmsg>,
    /// Why there is no kernel log.
    no_kmsg: Option<String>,
    interval: Duration,
    /// When the next poll is due.
    due: Instant,
    /// The distance between polls that was told of last.
    told: Duration,
    /// What is to be said before the next poll.
    contradiction: Option<Contradiction>,
}

impl Source {
    /// Begins to poll.
    ///
    /// # Errors
    ///
    /// There is no hierarchy with memory cgroups to be seen.
    pub fn start(facts: &HostFacts, config: &Config) -> Result<Self, Error> {
        let hierarchy = facts.memory.clone().map_err(|none| {
            Error::new(format!("cannot watch memory cgroups: {none}")).help(none.help())
        })?;
        let mut copies = VecDeque::from(config.copies.clone());
        let root = copies.pop_front();
        let names = CacheNames::new(root.as_ref().unwrap_or(&Root::live()), &hierarchy);
        let (kmsg, no_kmsg) = if root.is_none() {
            match Kmsg::here() {
                Ok(kmsg) => (Some(kmsg), None),
                Err(why) => (None, Some(why)),
            }
        } else {
            (None, None)
        };
        Ok(Self {
            copies,
            clock: root.as_ref().map_or_else(ClockOffset::now, snapshot::clock),
            root: root.unwrap_or_else(Root::live),
            done: false,
            hierarchy,
            history: History::default(),
            names,
            measured: Pace::default(),
            polled: Pace::default(),
            kmsg,
            no_kmsg,
            interval: config.interval,
            due: Instant::now(),
            told: config.interval,
            contradiction: None,
        })
    }

    /// How each hook is seen.
    pub fn hooks(&self) -> Vec<HookReport> {
        let report = |hook: HookId, way: Option<WayKind>, lost: Option<String>| HookReport {
            hook: hook.as_str().to_owned(),
            way: way.map(|way| way.as_str().to_owned()),
            refused: Vec::new(),
            lost,
        };
        let v2 = self.hierarchy.version == Version::V2;
        vec![
            report(
                HookId::LIFECYCLE,
                Some(WayKind::Poll),
                Some(format!(
                    "memory cgroups that are made and removed between two {}, who makes and removes them, and the moment at which one is freed",
                    if self.root.is_live() {
                        "polls"
                    } else {
                        "copies"
                    },
                )),
            ),
            report(HookId::MEMCG, v2.then_some(WayKind::Poll), None),
            report(
                HookId::SLAB_FAILURE,
                self.no_kmsg.is_none().then_some(WayKind::Kmsg),
                Some(match &self.no_kmsg {
                    None => "failures that the kernel log's rate limit holds back, and who failed"
                        .to_owned(),
                    Some(why) => format!("slab allocations that fail ({why})"),
                }),
            ),
            report(
                HookId::MKDIR_FAILURE,
                None,
                Some("cgroups that could not be made".to_owned()),
            ),
        ]
    }

    /// This moment, or that at which the copy was made, on the clock that the events' times are on.
    pub fn now(&self) -> Stamp {
        self.clock.stamp(snapshot::mono_ns(&self.root))
    }

    /// Says before the next poll that the kernel's counts contradict what polls saw, if that is wanted. A poll looks at everything as
    /// it is.
    pub fn want(&mut self, wanted: Wanted) {
        self.contradiction = match wanted {
            Wanted::Correction(found) if self.root.is_live() => Some(found),
            _ => None,
        };
    }

    /// Waits for the next poll and appends what it tells. Cancel-safe: a poll that has begun is finished.
    ///
    /// # Errors
    ///
    /// The directories cannot be read the first time. Later a poll that cannot read them is a gap.
    pub async fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.root.is_live() {
            sleep_until(self.due).await;
            return self.poll(events);
        }
        self.poll(events)?;
        match self.copies.pop_front() {
            Some(next) => self.root = next,
            None => self.done = true,
        }
        Ok(())
    }

    /// Whether this machine is polled, and no copy.
    pub fn is_live(&self) -> bool {
        self.root.is_live()
    }

    /// Whether all copies have been looked at; on the machine itself there is always more to see.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// One more poll, at the end of a run.
    ///
    /// # Errors
    ///
    /// As [`Source::next`].
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.root.is_live() {
            self.poll(events)?;
        }
        finish_kernel_log(&mut self.kmsg, self.clock, events);
        Ok(())
    }

    fn poll(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let started = Instant::now();
        let late = started.saturating_duration_since(self.due) > self.interval + LATE;
        let began_ns = snapshot::mono_ns(&self.root);
        self.clock = snapshot::clock(&self.root);
        if let Some(found) = self.contradiction.take() {
            events.push(Event {
                time: self.now(),
                fact: Fact::Gap(found.gap()),
            });
        }
        if self.root.is_live() {
            self.read_kernel_log(began_ns, events);
        } else {
            self.read_copied_log(events);
        }
        // Before the directories: what is named then and has no directory after it is no live one.
        let slab = self.names.list(&self.root, self.history.has_moved());
        let looked = self
            .polled
            .measure(|| poll::look(&self.root, &self.hierarchy, self.names.layout()));
        let mut seen = match looked {
            Ok(seen) => seen,
            Err(error) => {
                let what = format!("cannot walk {}", self.hierarchy.mount.display());
                let error = Error::caused(what, error);
                if self.history.is_new() {
                    return Err(error);
                }
                // The next poll tells what changed since the last one that could.
                tracing::warn!("{error}");
                if self.root.is_live() {
                    self.gap(GapReason::LatePoll, began_ns, None, events);
                }
                self.due = started + self.interval;
                return Ok(());
            }
        };
        seen.slab = slab;
        self.names.complete(&mut seen);
        if !self.root.is_live() {
            (seen.began_ns, seen.ended_ns) = (began_ns, began_ns);
        }
        let zombies = self.names.measure(|| self.history.zombies(&seen));
        self.add_up(&mut seen, &zombies);
        self.names.doubt(&mut seen.counts);
        let unmeasured = self.history.unmeasured(&zombies);
        self.names
            .measure(|| poll::measure(&self.root, &mut seen, unmeasured));
        // What is told of names is dear where these were listed, else what is told of directories.
        let listed = seen.slab.listed;
        let take = || self.history.take(seen, &zombies);
        let facts = if listed {
            self.names.measure(take)
        } else {
            self.polled.add(take)
        };
        let mut bad = 0;
        for (mono_ns, fact) in facts {
            if let Err(what) = sense::fact(mono_ns, &fact) {
                tracing::debug!("not believed: {what}: {fact:?}");
                bad += 1;
                continue;
            }
            events.push(Event {
                time: self.clock.stamp(mono_ns),
                fact,
            });
        }
        if bad > 0 {
            self.gap(GapReason::BadRecord, began_ns, Some(bad), events);
        }
        if self.root.is_live() && late {
            self.gap(GapReason::LatePoll, began_ns, None, events);
        }
        let distance = self.interval.max(self.polled.rest());
        if distance > self.told * 2 {
            tracing::info!(
                "polling every {distance:.1?} instead of {:.1?}, so as to take at most 2 % of a CPU",
                self.interval
            );
            self.told = distance;
        }
        self.due = Instant::now().max(started + distance);
        Ok(())
    }

    /// Adds up the kernel memory that zombies hold: a walk that reads files in every directory, so not at every poll, but
    /// whenever that may tell whether zombies that are seen no more have been freed.
    fn add_up(&mut self, seen: &mut Poll, zombies: &[u32]) {
        let Some(ask) = self.names.to_add_up().filter(|_| seen.slab.listed) else {
            return;
        };
        let least = if self.history.loses(zombies) {
            Duration::ZERO
        } else {
            ADD_UP
        };
        if self.root.is_live() && !self.measured.is_due(least) {
            return;
        }
        let kmem = self
            .measured
            .measure(|| host::kmem(&self.root, &self.hierarchy, &seen.slab, ask));
        if let Ok(kmem) = &kmem {
            self.names.added_up(kmem, &seen.slab);
        }
        match kmem {
            // A part that cannot be seen is not nothing.
            Ok(kmem) if kmem.blind > 0 => {
                seen.counts.held_bytes = kmem.held_bytes.filter(|&bytes| bytes > 0);
            }
            Ok(kmem) => seen.counts.held_bytes = kmem.held_bytes,
            Err(error) => tracing::warn!("cannot read what zombies hold: {error}"),
        }
    }

    fn gap(
        &self,
        reason: GapReason,
        from_mono_ns: u64,
        lost: Option<u64>,
        events: &mut Vec<Event>,
    ) {
        let gap = Gap {
            from_mono_ns,
            lost,
            reason,
            counted: None,
        };
        events.push(Event {
            time: self.now(),
            fact: Fact::Gap(gap),
        });
    }

    /// What a copy's kernel log says that the last one's did not.
    fn read_copied_log(&self, events: &mut Vec<Event>) {
        match snapshot::slab_failures(&self.root, self.history.last_ns()) {
            Ok(failures) => {
                let event = |(mono_ns, failure)| Event {
                    time: self.clock.stamp(mono_ns),
                    fact: Fact::SlabFailure(failure),
                };
                events.extend(failures.into_iter().map(event));
            }
            Err(why) => tracing::info!("{why}"),
        }
    }

    fn read_kernel_log(&mut self, began_ns: u64, events: &mut Vec<Event>) {
        if read_kernel_log(&mut self.kmsg, self.clock, events) {
            self.gap(GapReason::KernelLog, began_ns, None, events);
        }
    }
}
