//! Traces played: several files at once, each run's facts through a tracker of its own, in the order of their times.
//!
//! A run may lie in several files, and a file may hold several runs. Memory is bounded by the memcgs alive in the runs that
//! are open at a time: a file is opened when its time comes.

mod queue;
mod run;
mod tally;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
    mem,
    path::Path,
    time::Duration,
};

use super::{Trace, TraceError};
use crate::{
    event::{Stamp, header::Header, json::Item, nanos},
    tracker::{Change, Status, Tracker},
};
use queue::{File, OpenFile, QueuedTrace, time};
use run::{PartId, PlayedRun, RunId, goes_on};
pub use tally::PlayTally;

/// What comes next.
#[derive(Debug)]
pub enum PlayStep {
    /// A run begins, or what there is of it.
    Began {
        /// Its number, from 0 in the order in which they begin.
        run: usize,
        /// Its beginning.
        time: Stamp,
        /// What it was taken on, and with what.
        header: Box<Header>,
    },
    /// A fact was taken in: what changed was appended, and [`Play::state`] is the state after it.
    Fact {
        /// The run's number.
        run: usize,
        /// The fact's time.
        time: Stamp,
    },
    /// A run ended. That it was killed shows in nothing but its time, which is its last fact's then.
    Ended {
        /// The run's number.
        run: usize,
        /// Its end.
        time: Stamp,
        /// Where things stood.
        tracker: Box<Tracker>,
    },
}

/// Plays traces.
#[derive(Debug)]
pub struct Play {
    grace: Option<Duration>,
    lives: bool,
    /// Files that are still to be opened, the latest first.
    waiting: Vec<QueuedTrace>,
    began_ns: i64,
    hostnames: BTreeSet<String>,
    files: Vec<Option<OpenFile>>,
    /// The file of the item that was taken last, and its line there.
    at: Option<(usize, u64)>,
    /// The files that are open, by their next item's time.
    order: BinaryHeap<Reverse<(i64, usize)>>,
    runs: HashMap<usize, PlayedRun>,
    /// How many runs have begun.
    begun: usize,
    ready: VecDeque<Result<PlayStep, TraceError>>,
    done: PlayTally,
}

impl Play {
    /// Plays these files, `-` being the standard input. A zombie is called leaked after `grace`, or if that is not given after
    /// the time that its trace was taken with.
    ///
    /// # Errors
    ///
    /// One of them cannot be opened, or does not begin as a trace does.
    pub fn open<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        grace: Option<Duration>,
    ) -> Result<Self, TraceError> {
        let waiting = paths
            .into_iter()
            .map(|path| QueuedTrace::look(path.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(waiting, grace))
    }

    /// Plays one trace from wherever it comes.
    ///
    /// # Errors
    ///
    /// It does not begin as a trace does.
    pub fn of(mut trace: Trace, grace: Option<Duration>) -> Result<Self, TraceError> {
        let first = trace.next().transpose()?;
        let from_ns = first.as_ref().map_or(0, |item| time(item).wall_ns);
        let waiting = QueuedTrace {
            file: File::Open(Box::new((trace, first))),
            from_ns,
            hostname: None,
            part: None,
        };
        Ok(Self::new(vec![waiting], grace))
    }

    fn new(mut waiting: Vec<QueuedTrace>, grace: Option<Duration>) -> Self {
        let part = |file: &QueuedTrace| file.part.as_ref().map_or(1, |(_, part)| *part);
        waiting.sort_by_key(|file| Reverse((file.from_ns, part(file))));
        let hostnames = waiting.iter().filter_map(|file| file.hostname.clone());
        Self {
            grace,
            lives: true,
            began_ns: waiting.last().map_or(0, |file| file.from_ns),
            hostnames: hostnames.collect(),
            waiting,
            files: Vec::new(),
            at: None,
            order: BinaryHeap::new(),
            runs: HashMap::new(),
            begun: 0,
            ready: VecDeque::new(),
            done: PlayTally::default(),
        }
    }

    /// Tells of lives only where something is wrong: see [`Tracker::without_lives`].
    #[must_use]
    pub fn without_lives(mut self) -> Self {
        self.lives = false;
        self
    }

    /// When the first of the files begins, on the wall clock in nanoseconds.
    pub fn began_ns(&self) -> i64 {
        self.began_ns
    }

    /// The nodes whose headers the files begin with.
    pub fn hostnames(&self) -> &BTreeSet<String> {
        &self.hostnames
    }

    /// When the next step happened, on the wall clock in nanoseconds; nothing if it has been read already.
    pub fn next_ns(&mut self) -> Option<i64> {
        if !self.ready.is_empty() {
            return None;
        }
        self.admit();
        self.order.peek().map(|Reverse((ns, _))| *ns)
    }

    /// Where a run stands that has begun and not ended.
    pub fn state(&self, run: usize) -> Option<Status<'_>> {
        self.runs.get(&run).map(|run| run.tracker.state())
    }

    /// Where the fact or the header of the latest step stands: the trace's name, and the line, counted from 1.
    pub fn at(&self) -> Option<(&str, u64)> {
        let (number, line) = self.at?;
        Some((self.files.get(number)?.as_ref()?.trace.name(), line))
    }

    /// The files that have been read to their ends.
    pub fn done(&self) -> &PlayTally {
        &self.done
    }

    /// How many bytes have been read in all, packed as they are.
    pub fn position(&self) -> u64 {
        let open = self.files.iter().flatten();
        self.done.bytes + open.map(|file| file.trace.position()).sum::<u64>()
    }

    /// The next step; what it changed is appended to `changes`.
    ///
    /// # Errors
    ///
    /// Something of a file could not be read: the rest goes on.
    pub fn step(&mut self, changes: &mut Vec<Change>) -> Option<Result<PlayStep, TraceError>> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Some(step);
            }
            self.admit();
            let Reverse((_, number)) = self.order.pop()?;
            match self.file(number)?.next.take() {
                None => self.close(number),
                Some(item) => {
                    self.at = self.file(number).map(|file| (number, file.line));
                    self.lose(number, &item, changes);
                    self.pull(number);
                    if let Some(step) = self.take(number, item, changes) {
                        return Some(Ok(step));
                    }
                }
            }
        }
    }

    /// Ends the runs that are open, as they stand.
    pub fn stop(&mut self) -> impl Iterator<Item = PlayStep> {
        let mut open: Vec<_> = self.runs.drain().collect();
        open.sort_unstable_by_key(|(run, _)| *run);
        open.into_iter().map(|(number, run)| {
            let time = run.now();
            run.end(number, time)
        })
    }

    fn file(&mut self, number: usize) -> Option<&mut OpenFile> {
        self.files.get_mut(number)?.as_mut()
    }

    /// Opens the files whose time has come.
    fn admit(&mut self) {
        while let Some(file) = self.waiting.pop_if(|file| {
            let next = self.order.peek();
            next.is_none_or(|Reverse((next_ns, _))| file.from_ns < *next_ns)
        }) {
            // The part before it may not have been read to its end yet.
            match self.playing_before(&file) {
                Some(before) => before.followers.push_back(file),
                None => self.begin(file, VecDeque::new()),
            }
        }
    }

    fn playing_before(&mut self, file: &QueuedTrace) -> Option<&mut OpenFile> {
        let part = file.part.as_ref()?;
        let mut files = self.files.iter_mut().flatten();
        files.find(|file| {
            let own = file.run.and_then(|run| Some(&self.runs.get(&run)?.part));
            let last = file.followers.back().map_or(own, |file| file.part.as_ref());
            last.is_some_and(|last| goes_on(last, part))
        })
    }

    /// The run that this part goes on with.
    fn run_before(&self, part: &PartId) -> Option<usize> {
        let mut runs = self.runs.iter();
        runs.find_map(|(number, run)| goes_on(&run.part, part).then_some(*number))
    }

    fn begin(&mut self, file: QueuedTrace, followers: VecDeque<QueuedTrace>) {
        let (trace, next) = match file.file {
            File::Open(open) => *open,
            File::Closed(path) => match Trace::open(&path) {
                Ok(trace) => (trace, None),
                Err(error) => return self.ready.push_back(Err(error)),
            },
        };
        let number = self.files.len();
        let begun = next.is_some();
        self.files.push(Some(OpenFile {
            line: trace.tally().lines,
            bad: 0,
            trace,
            next,
            newest_ns: file.from_ns,
            run: None,
            followers,
        }));
        if begun {
            self.order.push(Reverse((file.from_ns, number)));
        } else {
            self.pull(number);
        }
    }

    /// Reads a file's next item.
    fn pull(&mut self, number: usize) {
        let Some(file) = self.files.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        loop {
            match file.trace.next() {
                Some(Ok(next)) => {
                    file.newest_ns = file.newest_ns.max(time(&next).wall_ns);
                    file.next = Some(next);
                    file.line = file.trace.tally().lines;
                }
                Some(Err(error)) => {
                    let goes_on = !error.is_final();
                    file.bad += u64::from(goes_on);
                    self.ready.push_back(Err(error));
                    if goes_on {
                        continue;
                    }
                }
                None => {}
            }
            return self.order.push(Reverse((file.newest_ns, number)));
        }
    }

    /// Tells the run's tracker of the lines before this item that could not be understood.
    fn lose(&mut self, number: usize, item: &Item, changes: &mut Vec<Change>) {
        let Some(file) = self.file(number) else {
            return;
        };
        let bad = mem::take(&mut file.bad);
        let run = file.run;
        if let (Item::Event(_) | Item::End(_), 1..) = (item, bad)
            && let Some(run) = run.and_then(|run| self.runs.get_mut(&run))
        {
            run.tracker.not_understood(time(item), bad, changes);
        }
    }

    fn take(&mut self, number: usize, item: Item, changes: &mut Vec<Change>) -> Option<PlayStep> {
        match item {
            Item::Header(time, header) => {
                self.header(number, time, header);
                None
            }
            Item::Event(event) => {
                let run = self.file(number)?.run?;
                self.runs.get_mut(&run)?.tracker.apply(&event, changes);
                let time = event.time;
                Some(PlayStep::Fact { run, time })
            }
            Item::End(time) => {
                let run = self.file(number)?.run.take()?;
                Some(self.runs.remove(&run)?.end(run, time))
            }
        }
    }

    fn header(&mut self, number: usize, time: Stamp, header: Box<Header>) {
        let part = (RunId::of(time, &header), header.part.unwrap_or(1));
        let goes_on = self.run_before(&part);
        let before = self.file(number).and_then(|file| file.run.take());
        self.end_unless(before, |run| Some(run) == goes_on);
        let run = goes_on.unwrap_or(self.begun);
        if let Some(run) = self.runs.get_mut(&run) {
            run.part = part;
        } else {
            let mut header = header;
            if let Some(grace) = self.grace {
                header.grace_ns = nanos(grace);
            }
            let mut tracker = Tracker::of(&header);
            if !self.lives {
                tracker = tracker.without_lives();
            }
            self.runs.insert(
                run,
                PlayedRun {
                    part,
                    tracker,
                    began: time,
                },
            );
            self.begun += 1;
            self.ready
                .push_back(Ok(PlayStep::Began { run, time, header }));
        }
        if let Some(file) = self.file(number) {
            file.run = Some(run);
        }
    }

    /// Ends a run whose file has no more of it.
    fn end_unless(&mut self, run: Option<usize>, goes_on: impl Fn(usize) -> bool) {
        if let Some(number) = run
            && !goes_on(number)
            && let Some(run) = self.runs.remove(&number)
        {
            let time = run.now();
            self.ready.push_back(Ok(run.end(number, time)));
        }
    }

    /// A file's end.
    fn close(&mut self, number: usize) {
        let Some(file) = self.files.get_mut(number).and_then(Option::take) else {
            return;
        };
        self.done.add(&file.trace);
        let part = file.run.and_then(|run| Some(&self.runs.get(&run)?.part));
        let follows = |file: &QueuedTrace| {
            let next = file.part.as_ref();
            part.zip(next)
                .is_some_and(|(part, next)| goes_on(part, next))
        };
        let followed = self.waiting.iter().chain(&file.followers).any(follows);
        self.end_unless(file.run, |_| followed);
        let mut followers = file.followers;
        if let Some(follower) = followers.pop_front() {
            self.begin(follower, followers);
        }
    }
}
