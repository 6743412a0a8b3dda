//! `kmemtrace report`: what a trace comes to, as one HTML page.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Failure, Outcome, Verdict, placed::place};
use crate::{
    error::Error,
    event::{Stamp, json::Item},
    report::{Fold, Report, page},
    sink::{Sink, escape::Name},
    trace::{Trace, TraceError},
    tracker::{self, Change, Tracker, What},
};

/// How many lines that cannot be understood are named.
const NAMED: u64 = 10;

/// Arguments of `kmemtrace report`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The page is one file without network, fonts or images from elsewhere: open it from disk, send it, print it. It holds names \
of cgroups, pods, tasks and the node.

Exit status: 0 it is written, whatever it says; 2 an error, or not all of the trace could be read.")]
pub(super) struct Args {
    /// The trace of one node: JSON lines, plain or zstd; `-` for stdin
    #[arg(value_name = "FILE")]
    trace: PathBuf,
    /// The page; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes the page: 0 if that worked.
pub(super) fn run(args: &Args) -> Outcome {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        let error = Error::new("a page is not for a terminal");
        return Err(error.help("-o FILE.html, or pipe it").into());
    }
    let trace = Trace::open(&args.trace).map_err(|error| Error::new(error.to_string()))?;
    let read = read(trace)?;
    let report = read.fold.finish();
    one_node(&report)?;
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        page::write(&report, &read.notes, &mut out)?;
        out.flush()
    };
    if to_stdout {
        write(&mut io::stdout().lock()).map_err(Failure::Output)?;
    } else {
        place(&args.output, "name another place", |mut file| {
            write(&mut file)
        })?;
    }
    Ok(match read.broken {
        None => Verdict::Clean,
        Some(_) => Verdict::Unknown,
    })
}

/// A trace that was read as far as that goes.
struct Read {
    fold: Fold,
    /// What was skipped and passed over.
    notes: Vec<String>,
    /// Why it was not read to its end.
    broken: Option<TraceError>,
}

/// A run that goes on.
struct Playing {
    tracker: Tracker,
    now: Stamp,
}

impl Playing {
    fn end(&self, at: Stamp, fold: &mut Fold) -> io::Result<()> {
        fold.change(&Change {
            time: at,
            what: What::Summary(Box::new(self.tracker.summary())),
            totals: self.tracker.totals(),
        })
    }
}

fn read(mut trace: Trace) -> Result<Read, Failure> {
    let mut fold = Fold::new();
    let mut playing: Option<Playing> = None;
    let mut changes = Vec::new();
    let mut errors = 0;
    let mut notes = Vec::new();
    let mut broken = None;
    for item in &mut trace {
        match item {
            Ok(Item::Header(time, header)) => {
                if let Some(killed) = playing.take() {
                    killed.end(killed.now, &mut fold)?;
                }
                fold.header(time, &header)?;
                let config = tracker::Config {
                    grace: Duration::from_nanos(header.grace_ns),
                    polled: header.is_polled(),
                };
                playing = Some(Playing {
                    tracker: Tracker::new(config),
                    now: time,
                });
            }
            Ok(Item::Event(event)) => {
                if let Some(run) = &mut playing {
                    if event.time.mono_ns > run.now.mono_ns {
                        run.now = event.time;
                    }
                    run.tracker.apply(&event, &mut changes);
                }
            }
            Ok(Item::End(time)) => {
                if let Some(run) = playing.take() {
                    run.end(time, &mut fold)?;
                }
            }
            Err(error) => {
                errors += 1;
                if errors <= NAMED {
                    tracing::warn!("{}", Name::whole(error.to_string().as_bytes()));
                    notes.push(error.to_string());
                }
                if error.is_final() {
                    broken = Some(error);
                    break;
                }
            }
        }
        for change in changes.drain(..) {
            fold.change(&change)?;
        }
    }
    if let Some(killed) = playing {
        killed.end(killed.now, &mut fold)?;
    }
    let tally = trace.tally();
    if errors > NAMED {
        notes.push(format!(
            "{} more lines could not be understood",
            errors - NAMED
        ));
    }
    if tally.torn {
        notes.push(
            "the trace ends within a line: its writer was stopped by force, or had no room"
                .to_owned(),
        );
    }
    if tally.unknown_kinds + tally.unknown_fields > 0 {
        notes.push(format!(
            "passed over, since they are from a later version: {} lines, {} fields",
            tally.unknown_kinds, tally.unknown_fields
        ));
    }
    Ok(Read {
        fold,
        notes,
        broken,
    })
}

/// A report is of one node: the sums of several would be of none.
fn one_node(report: &Report) -> Result<(), Error> {
    let Some(last) = report.last() else {
        return Err(
            Error::new("no run in the trace").help("a trace begins with a line of the kind header")
        );
    };
    let other = report
        .runs
        .iter()
        .find(|run| run.header.hostname != last.header.hostname);
    let Some(other) = other else {
        return Ok(());
    };
    let name = |host: &Option<String>| {
        let host = host.as_deref().unwrap_or("a node without a name");
        Name::whole(host.as_bytes()).to_string()
    };
    let nodes = (name(&other.header.hostname), name(&last.header.hostname));
    let error = format!(
        "the trace has runs of several nodes, such as {} and {}",
        nodes.0, nodes.1
    );
    Err(Error::new(error).help("take each node's lines for themselves"))
}
