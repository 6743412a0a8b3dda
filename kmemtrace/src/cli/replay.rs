//! `kmemtrace replay`: a trace shown as the live run was.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep_until};

use super::{
    Color, Failure, Format, Outcome, Verdict, colored, duration,
    filter::{Filter, ShowArgs},
    moment::{Moment, moment},
    run::Stop,
    runtime,
};
use crate::{
    error::Error,
    event::{Stamp, header::Header},
    sink::{
        Sink,
        jsonl::JsonLines,
        label::Labelled,
        tail::{Tail, TailOptions},
    },
    trace::{Done, Play, Step, TraceError},
    tracker::{Change, What},
};

/// Arguments of `kmemtrace replay`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 nothing leaked, 1 a leak was found, 2 could not tell, an error, or lines could not be read.")]
pub(super) struct Args {
    /// Traces, plain or packed with zstd, in any order: a run's files, several nodes'; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How fast
    #[arg(long, value_enum, default_value_t, value_name = "SPEED")]
    speed: Speed,
    /// Show nothing from before this time: 2026-03-14T12:31:00Z, or 90s after the beginning; what came before counts all the same
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Moment>,
    /// Stop at this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Moment>,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How fast a trace is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Speed {
    /// As it happened
    #[value(name = "1x")]
    Real,
    /// Ten times as fast
    #[value(name = "10x")]
    Tenfold,
    /// As fast as it can be read
    #[default]
    Max,
}

impl Speed {
    fn factor(self) -> Option<u32> {
        match self {
            Self::Real => Some(1),
            Self::Tenfold => Some(10),
            Self::Max => None,
        }
    }
}

/// Plays traces to their ends.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let filter = args.show.filter()?;
    let play = Play::open(&args.files, args.grace).map_err(|error| cannot(&error))?;
    let several = play.hostnames().len() > 1;
    let mut replay = Replay {
        view: View::new(args.show.format, color, several),
        filter,
        bar: bar(&args.files, args.speed),
        faults: 0,
        verdict: None,
        from: args.from,
        to: args.to,
        began_ns: play.began_ns(),
    };
    let mut play = play;
    match args.speed.factor() {
        None => replay.all(&mut play)?,
        Some(factor) => runtime()?.block_on(replay.paced(&mut play, factor))?,
    }
    replay.end(&mut play)
}

fn cannot(error: &TraceError) -> Error {
    Error::new(error.to_string())
}

struct Replay {
    view: View,
    filter: Filter,
    bar: ProgressBar,
    /// Lines that could not be read.
    faults: u64,
    verdict: Option<Verdict>,
    from: Option<Moment>,
    to: Option<Moment>,
    /// When the first of the traces begins, on the wall clock.
    began_ns: i64,
}

/// So many lines that cannot be read are told one by one.
const FAULTS_SHOWN: u64 = 10;

/// Steps between two looks at how far it is.
const PROGRESS: u64 = 1 << 14;

impl Replay {
    fn all(&mut self, play: &mut Play) -> Result<(), Failure> {
        let mut changes = Vec::new();
        let mut steps = 0_u64;
        while !self.is_over(play) {
            let Some(step) = play.step(&mut changes) else {
                break;
            };
            self.show(step, &mut changes)?;
            steps += 1;
            if steps.is_multiple_of(PROGRESS) {
                self.bar.set_position(play.position());
            }
        }
        Ok(())
    }

    async fn paced(&mut self, play: &mut Play, factor: u32) -> Result<(), Failure> {
        let mut end = Stop::new(None)?;
        let began = Instant::now();
        let from_ns = self
            .from
            .map_or(self.began_ns, |from| from.after(self.began_ns));
        let mut changes = Vec::new();
        while !self.is_over(play) {
            if let Some(ns) = play.next_ns() {
                let ahead = Duration::from_nanos(ns.saturating_sub(from_ns).max(0).unsigned_abs());
                tokio::select! {
                    biased;
                    () = end.wait() => break,
                    () = sleep_until(began + ahead / factor) => {}
                }
            }
            let Some(step) = play.step(&mut changes) else {
                break;
            };
            self.show(step, &mut changes)?;
            self.view.flush()?;
            self.bar.set_position(play.position());
        }
        Ok(())
    }

    fn is_over(&self, play: &mut Play) -> bool {
        let Some(to) = self.to else { return false };
        let next_ns = play.next_ns();
        next_ns.is_some_and(|ns| ns > to.after(self.began_ns))
    }

    fn show(
        &mut self,
        step: Result<Step, TraceError>,
        changes: &mut Vec<Change>,
    ) -> io::Result<()> {
        match step {
            Ok(Step::Fact { run, time }) => {
                let shown = self
                    .from
                    .is_none_or(|from| time.wall_ns >= from.after(self.began_ns));
                for change in changes.drain(..) {
                    if shown && self.filter.shows(&change) {
                        self.view.change(run, &change)?;
                    }
                }
            }
            Ok(Step::Began { run, time, header }) => self.view.begin(run, time, &header)?,
            Ok(Step::Ended {
                run,
                time,
                summary,
                totals,
            }) => {
                let verdict = Verdict::from(summary.finding());
                self.verdict = Some(self.verdict.map_or(verdict, |before| before.and(verdict)));
                let what = What::Summary(summary);
                self.view.change(run, &Change { time, what, totals })?;
                self.view.end(run);
            }
            Err(error) => self.fault(&error),
        }
        Ok(())
    }

    fn fault(&mut self, error: &TraceError) {
        self.faults += 1;
        if self.faults <= FAULTS_SHOWN {
            self.say(&error.to_string());
        }
    }

    fn say(&self, what: &str) {
        // Without stderr there is nobody to tell.
        self.bar.suspend(|| {
            let _ = writeln!(io::stderr(), "kmemtrace: {what}");
        });
    }

    fn end(mut self, play: &mut Play) -> Outcome {
        for step in play.stop() {
            self.show(Ok(step), &mut Vec::new())?;
        }
        self.view.flush()?;
        self.bar.finish_and_clear();
        let Done { tally, torn, .. } = play.done();
        if let Some(more) = self.faults.checked_sub(FAULTS_SHOWN + 1) {
            self.say(&format!("and {} lines more", more + 1));
        }
        for file in torn {
            self.say(&format!(
                "{file} ends in the middle of a line, as when its writer was killed"
            ));
        }
        if tally.unknown_kinds + tally.unknown_fields > 0 {
            self.say(&format!(
                "passed over what a later version wrote: {} lines and {} fields",
                tally.unknown_kinds, tally.unknown_fields
            ));
        }
        match self.verdict {
            None => Err(Error::new("there is no run in what was read").into()),
            Some(Verdict::Clean) if self.faults > 0 => Ok(Verdict::Unknown),
            Some(verdict) => Ok(verdict),
        }
    }
}

/// The runs on stdout, each as if it were alone.
struct View {
    out: Out,
    format: Format,
    color: bool,
    /// Lines say of which node they are.
    several: bool,
    sinks: HashMap<usize, Box<dyn Sink>>,
}

/// What all of them write to.
#[derive(Clone)]
struct Out(Rc<RefCell<BufWriter<io::StdoutLock<'static>>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl View {
    fn new(format: Format, color: Color, several: bool) -> Self {
        let out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        Self {
            out: Out(Rc::new(RefCell::new(out))),
            format,
            color: colored(color),
            several,
            sinks: HashMap::new(),
        }
    }

    fn begin(&mut self, run: usize, time: Stamp, header: &Header) -> io::Result<()> {
        let out = self.out.clone();
        let options = TailOptions { color: self.color };
        let node = header.hostname.as_deref().filter(|_| self.several);
        let mut sink: Box<dyn Sink> = match (self.format, node) {
            (Format::Json, None) => Box::new(JsonLines::new(out)),
            (Format::Json, Some(_)) => Box::new(JsonLines::new(out).with_hostname()),
            (Format::Text, None) => Box::new(Tail::new(out, options)),
            (Format::Text, Some(node)) => Box::new(Tail::new(Labelled::new(out, node), options)),
        };
        sink.header(time, header)?;
        self.sinks.insert(run, sink);
        Ok(())
    }

    fn change(&mut self, run: usize, change: &Change) -> io::Result<()> {
        match self.sinks.get_mut(&run) {
            Some(sink) => sink.change(change),
            None => Ok(()),
        }
    }

    fn end(&mut self, run: usize) {
        self.sinks.remove(&run);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How far it is, on a terminal that does not show the trace itself.
fn bar(files: &[PathBuf], speed: Speed) -> ProgressBar {
    let sizes: BTreeSet<_> = files
        .iter()
        .map(|file| file.metadata().map(|file| file.len()).ok())
        .collect();
    if io::stdout().is_terminal() || sizes.contains(&None) || speed != Speed::Max {
        return ProgressBar::hidden();
    }
    let bytes = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum();
    let style = ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {eta}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
