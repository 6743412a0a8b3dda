//! The trace's lines made into events.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    buffer::TraceBuffer,
    directories::Directories,
    line::{TraceLine, TraceRecord, hex, line, signed},
    probes::{FoundDirectory, Probes},
    slabs::Slabs,
    tasks::Tasks,
    times::Times,
    tracepoints::{LineMeaning, Tracepoints},
};
use crate::{
    error::Error,
    event::{Event, Fact, GapReason, SlabFailure, Task},
    host::{self, Directory, Hierarchy, Root},
    source::{
        account::Account,
        clock,
        records::{BATCH, Records},
    },
};

/// Reads of the pipe in a row: each gives a page at most.
const READS: usize = 512;

/// The buffer, and what its lines are understood with.
#[derive(Debug)]
pub(super) struct TraceReader {
    hierarchy: Hierarchy,
    buffer: TraceBuffer,
    times: Times,
    tracepoints: Tracepoints,
    probes: Probes,
    slabs: Slabs,
    directories: Directories,
    tasks: Tasks,
    seen: FirstSeen,
    skipped: u64,
    /// When the directories were last looked at for births, and for how long.
    looked: Option<(Instant, Duration)>,
    hurry: bool,
    broken: Option<io::Error>,
}

/// When each directory was first seen, so that new ones can be told from old ones.
#[derive(Debug, Default)]
struct FirstSeen {
    by_id: HashMap<u64, (u64, u32)>,
    round: u32,
}

impl FirstSeen {
    /// A look at all directories came by this one, the root first; returns when it was first seen.
    fn see(&mut self, directory: &Directory<'_>) -> u64 {
        if directory.path == b"/" {
            let round = self.round;
            self.by_id.retain(|_, (_, last)| *last == round);
            self.round += 1;
        }
        let round = self.round;
        let entry = self.by_id.entry(directory.id);
        let seen = entry.or_insert_with(|| (clock::mono_ns(), round));
        seen.1 = round;
        seen.0
    }
}

impl TraceReader {
    pub(super) fn new(
        hierarchy: Hierarchy,
        buffer: TraceBuffer,
        times: Times,
        tracepoints: Tracepoints,
        probes: Probes,
        slabs: Slabs,
        directories: Directories,
    ) -> Self {
        Self {
            hierarchy,
            buffer,
            times,
            tracepoints,
            probes,
            slabs,
            directories,
            tasks: Tasks::default(),
            seen: FirstSeen::default(),
            skipped: 0,
            looked: None,
            hurry: false,
            broken: None,
        }
    }

    fn line(&mut self, text: &[u8], account: &mut Account, events: &mut Vec<Event>) {
        match line(text) {
            TraceLine::Event(record) => self.event(&record, account, events),
            TraceLine::Lost(count) => account.gap(GapReason::TraceLost, count, events),
            TraceLine::Empty => {}
            TraceLine::Unknown if !self.buffer.may_be_ours(text) => {}
            TraceLine::Unknown => account.not_understood(1),
        }
    }

    fn event(&mut self, record: &TraceRecord<'_>, account: &mut Account, events: &mut Vec<Event>) {
        if self.times.take_mark(record.time_ns, record.text) {
            return;
        }
        let Some(event) = self.buffer.ours(record.event) else {
            return;
        };
        let record = &TraceRecord { event, ..*record };
        let time_ns = self.times.mono_ns(record.time_ns, clock::mono_ns());
        let tasks = &mut self.tasks;
        let mut who = || -> Option<Task> { Some(tasks.of(record.thread.as_ref()?)) };
        if record.event.starts_with(b"cgroup_") {
            match self
                .tracepoints
                .take(record, time_ns, who, &mut self.directories)
            {
                LineMeaning::Fact(fact) => {
                    if matches!(fact, Fact::Renamed(_)) {
                        // What is below it has another path, too.
                        account.owe_walk();
                    }
                    account.fact(time_ns, fact, events);
                }
                LineMeaning::Nothing => {}
                LineMeaning::Unknown => account.not_understood(1),
            }
        } else if record.event.starts_with(b"slab") {
            let failure = SlabFailure {
                // What is no mask stays none: it is refused with the fact.
                gfp: hex(record.text, "gfp").map(|gfp| gfp.try_into().unwrap_or(u32::MAX)),
                node: signed(record.text, "node"),
                task: who(),
                ..SlabFailure::default()
            };
            self.slabs.push(time_ns, failure);
        } else if !self.probes.take(record, time_ns, who) {
            account.not_understood(1);
        } else if !self.probes.wants_look() {
            self.tell(account, events);
        }
    }

    /// Tells what the probes' lines add up to, once the directories have been looked at if need be. A look costs more than
    /// an event: in a storm it is left for later, and the steps with it.
    fn tell(&mut self, account: &mut Account, events: &mut Vec<Event>) {
        if self.probes.missed() {
            account.owe_walk();
        }
        if self.probes.is_told() {
            return;
        }
        let mut found = Vec::new();
        if self.probes.wants_look() {
            let rested = self
                .looked
                .is_none_or(|(ended, took)| ended.elapsed() > took.saturating_mul(4));
            if !rested && !self.hurry {
                return;
            }
            let started = Instant::now();
            let seen = &mut self.seen;
            let walked = host::walk(&Root::live(), &self.hierarchy, &mut |directory| {
                let seen_ns = seen.see(&directory);
                found.push(FoundDirectory {
                    id: directory.id,
                    parent_id: directory.parent_id,
                    path: Bytes::copy_from_slice(directory.path),
                    seen_ns,
                });
            });
            self.looked = Some((Instant::now(), started.elapsed()));
            if let Err(error) = walked {
                tracing::warn!("cannot look for new directories: {error}");
                account.owe_walk();
            }
        }
        for (time_ns, fact) in self.probes.tell(&found, &mut self.directories) {
            if let Fact::MkdirFailure(failure) = &fact {
                self.tracepoints.failed(time_ns, failure);
            }
            account.fact(time_ns, fact, events);
        }
    }

    /// Whether it reads the buffer that all share.
    pub(super) fn is_shared(&self) -> bool {
        self.buffer.is_shared()
    }

    /// From now on all there is is told at once, whatever it costs: it is the end.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
    }
}

impl Records for TraceReader {
    fn drain(&mut self, account: &mut Account, events: &mut Vec<Event>) -> usize {
        self.tasks.forget();
        let mut taken = 0;
        let mut lines = Vec::new();
        for _ in 0..READS {
            let read = self
                .buffer
                .read(|line| lines.push(Bytes::copy_from_slice(line)));
            taken += lines.len();
            for text in lines.drain(..) {
                self.line(&text, account, events);
            }
            match read {
                Ok(true) if taken < BATCH => {}
                Ok(_) => break,
                Err(error) => {
                    self.broken.get_or_insert(error);
                    break;
                }
            }
        }
        self.tell(account, events);
        self.slabs.tell(self.hurry, |time_ns, failure| {
            account.fact(time_ns, Fact::SlabFailure(failure), events);
        });
        taken
    }

    fn look_for_losses(
        &mut self,
        account: &mut Account,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(Error::file("read", &self.buffer.path("trace_pipe"), error));
        }
        self.times.mark(|text| self.buffer.mark(text));
        let now = clock::mono_ns();
        let skipped = self.buffer.skipped().unwrap_or(0);
        if skipped > self.skipped {
            account.gap(GapReason::TraceLost, Some(skipped - self.skipped), events);
        }
        self.skipped = skipped;
        if self.buffer.was_disturbed() {
            account.gap(GapReason::TraceLost, None, events);
        }
        if !self.buffer.is_off() {
            account.whole(now);
        }
        Ok(())
    }

    fn present(&mut self, directory: &Directory<'_>) {
        if directory.path == b"/" {
            self.directories.forget();
        }
        self.tracepoints.present(directory.id, directory.path);
        self.seen.see(directory);
    }

    fn is_whole(&self) -> bool {
        self.probes.is_told()
    }
}
