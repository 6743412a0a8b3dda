//! Traces played to stdout or into a file: what `replay` and `export` have in common.

use std::{
    collections::HashMap,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep_until};

use super::{Failure, Outcome, output::tell, run::Stop, values::Moment};
use crate::{
    error::Error,
    event::{Stamp, header::Header},
    judge::Answer,
    sink::{
        Sink,
        filter::{Filter, Filtered},
        runs::{Runs, SharedOut},
    },
    trace::{Faults, Play, PlayStep, TraceError},
    tracker::{Change, Status},
};

/// How traces are played.
pub(super) struct Player {
    pub(super) play: Play,
    pub(super) view: RunViews,
    pub(super) from: Option<Moment>,
    pub(super) to: Option<Moment>,
    bar: ProgressBar,
    faults: Faults,
    verdict: Option<Answer>,
    /// When the first of the traces begins, on the wall clock.
    began_ns: i64,
}

/// Steps between two looks at how far it is.
const PROGRESS: u64 = 1 << 14;

/// Opens traces to be played.
pub(super) fn open(files: &[PathBuf], grace: Option<Duration>) -> Result<Play, Error> {
    Play::open(files, grace).map_err(Error::of)
}

impl Player {
    /// All of it, to be shown to somebody who may see how far it is.
    pub(super) fn new(play: Play, view: RunViews, bar: ProgressBar) -> Self {
        Self {
            began_ns: play.began_ns(),
            play,
            view,
            from: None,
            to: None,
            bar,
            faults: Faults::default(),
            verdict: None,
        }
    }

    /// As fast as it can be read.
    pub(super) fn all(&mut self) -> Result<(), Failure> {
        let mut changes = Vec::new();
        let mut steps = 0_u64;
        while !self.is_over() {
            let Some(step) = self.play.step(&mut changes) else {
                break;
            };
            self.show(step, &mut changes)?;
            steps += 1;
            if steps.is_multiple_of(PROGRESS) {
                self.bar.set_position(self.play.position());
            }
        }
        Ok(())
    }

    /// So many times as fast as it happened.
    pub(super) async fn paced(&mut self, factor: u32) -> Result<(), Failure> {
        let mut end = Stop::new()?;
        let began = Instant::now();
        let from_ns = self
            .from
            .map_or(self.began_ns, |from| from.after(self.began_ns));
        let mut changes = Vec::new();
        while !self.is_over() {
            if let Some(ns) = self.play.next_ns() {
                let ahead = Duration::from_nanos(ns.saturating_sub(from_ns).max(0).unsigned_abs());
                tokio::select! {
                    biased;
                    () = end.wait() => break,
                    () = sleep_until(began + ahead / factor) => {}
                }
            }
            let Some(step) = self.play.step(&mut changes) else {
                break;
            };
            self.show(step, &mut changes)?;
            self.view.flush()?;
            self.bar.set_position(self.play.position());
        }
        Ok(())
    }

    fn is_over(&mut self) -> bool {
        let Some(to) = self.to else { return false };
        let next_ns = self.play.next_ns();
        next_ns.is_some_and(|ns| ns > to.after(self.began_ns))
    }

    fn show(
        &mut self,
        step: Result<PlayStep, TraceError>,
        changes: &mut Vec<Change>,
    ) -> io::Result<()> {
        match step {
            Ok(PlayStep::Fact { run, time }) => {
                let shown = self
                    .from
                    .is_none_or(|from| time.wall_ns >= from.after(self.began_ns));
                if shown
                    && !changes.is_empty()
                    && let Some(state) = self.play.state(run)
                {
                    for change in &*changes {
                        self.view.change(run, change, state)?;
                    }
                }
                changes.clear();
            }
            Ok(PlayStep::Began { run, time, header }) => self.view.begin(run, time, &header)?,
            Ok(PlayStep::Ended { run, time, tracker }) => {
                let state = tracker.state();
                let verdict = state.summary().answer();
                self.verdict = Some(self.verdict.map_or(verdict, |before| before.and(verdict)));
                self.view.end(run, time, state)?;
            }
            Err(error) => {
                if let Some(said) = self.faults.take(&error) {
                    self.say(&said.to_string());
                }
            }
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        self.bar.suspend(|| tell(what));
    }

    /// Ends what is open, says what there is to be said of the files, and what it comes to.
    pub(super) fn end(mut self) -> Outcome {
        self.close()?;
        match self.verdict {
            Some(Answer::Clean) if !self.is_whole() => Ok(Answer::Unknown),
            Some(verdict) => Ok(verdict),
            None => Err(Error::new("there is no run in what was read").into()),
        }
    }

    /// Whether everything could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// Ends what is open, and says what there is to be said of the files.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let open: Vec<_> = self.play.stop().collect();
        for step in open {
            self.show(Ok(step), &mut Vec::new())?;
        }
        self.view.finish()?;
        self.bar.finish_and_clear();
        for said in self.faults.rest(self.play.done()) {
            self.say(&said.to_string());
        }
        Ok(())
    }
}

/// The runs, each with a sink of its own.
pub(super) struct RunViews {
    out: SharedOut,
    runs: Box<dyn Runs>,
    filter: Filter,
    sinks: HashMap<usize, Box<dyn Sink>>,
}

impl RunViews {
    /// Shows of runs what the filter lets through, as `runs` makes sinks for them, which write to what it is given.
    pub(super) fn new(
        out: impl Write + 'static,
        filter: Filter,
        runs: impl FnOnce(SharedOut) -> Box<dyn Runs>,
    ) -> Self {
        let out = SharedOut::new(out);
        Self {
            runs: runs(out.clone()),
            filter,
            out,
            sinks: HashMap::new(),
        }
    }

    fn begin(&mut self, run: usize, time: Stamp, header: &Header) -> io::Result<()> {
        let sink = self.runs.begin(run, header)?;
        let mut sink: Box<dyn Sink> = Box::new(Filtered::new(self.filter.clone(), sink));
        sink.header(time, header)?;
        self.sinks.insert(run, sink);
        Ok(())
    }

    fn change(&mut self, run: usize, change: &Change, state: Status<'_>) -> io::Result<()> {
        match self.sinks.get_mut(&run) {
            Some(sink) => sink.change(change, state),
            None => Ok(()),
        }
    }

    fn end(&mut self, run: usize, time: Stamp, state: Status<'_>) -> io::Result<()> {
        match self.sinks.remove(&run) {
            Some(mut sink) => sink.end(time, state),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.runs.finish()?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        for sink in self.sinks.values_mut() {
            sink.flush()?;
        }
        self.out.flush()
    }
}

/// How far it is, on a terminal that does not show the trace itself.
pub(super) fn bar(files: &[PathBuf], shows: bool) -> ProgressBar {
    let sizes: Option<u64> = files
        .iter()
        .map(|file| Some(file.metadata().ok()?.len()))
        .sum();
    let Some(bytes) = sizes.filter(|_| !shows || !io::stdout().is_terminal()) else {
        return ProgressBar::hidden();
    };
    let style = ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
