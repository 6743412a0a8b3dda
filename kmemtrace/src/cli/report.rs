//! `kmemtrace report`: what traces come to, as one HTML page.

mod diagnosis;

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Failure, Outcome, output_file::place, values::duration};
use crate::{
    catalogue::{Catalogue, Lang},
    error::Error,
    judge::Answer,
    report::{Fold, Report, page},
    sink::Sink,
    text::{escape::Name, units::Count},
    trace::{Play, PlayTally, Step},
};

/// So many lines that cannot be read are told one by one.
const FAULTS_SHOWN: u64 = 10;

/// Arguments of `kmemtrace report`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The page is one file without network, fonts or images from elsewhere: open it from disk, send it, print it. It holds names \
of cgroups, pods, tasks and the node.

Exit status: 0 it is written, whatever it says; 2 an error, or not all of the trace could be read.")]
pub(super) struct Args {
    /// Traces of one node, plain or packed with zstd, in any order; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The page; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
    /// The language of the page
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
}

/// Writes the page: 0 if that worked.
pub(super) fn run(args: &Args) -> Outcome {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        let error = Error::new("a page is not for a terminal");
        return Err(error.help("-o FILE.html, or pipe it").into());
    }
    let play = Play::open(&args.files, args.grace).map_err(Error::of)?;
    let read = read(play)?;
    let report = read.fold.finish();
    one_node(&report)?;
    let diagnosed = diagnosis::diagnosis(&report, args.lang).unwrap_or_default();
    let catalogue = Catalogue::exact(args.lang);
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        page::write(&report, &diagnosed, &read.notes, &catalogue, &mut out)?;
        out.flush()
    };
    if to_stdout {
        write(&mut io::stdout().lock()).map_err(Failure::Output)?;
    } else {
        place(&args.output, "name another place", |mut file| {
            write(&mut file)
        })?;
    }
    Ok(if read.broken {
        Answer::Unknown
    } else {
        Answer::Clean
    })
}

/// What was read.
pub(super) struct Read {
    pub(super) fold: Fold,
    /// What was skipped and passed over.
    notes: Vec<String>,
    /// A file could not be read to its end.
    pub(super) broken: bool,
}

/// Plays traces of one node, and tells stderr what could not be read.
pub(super) fn read(mut play: Play) -> Result<Read, Failure> {
    let mut fold = Fold::new();
    let mut open = None;
    let mut changes = Vec::new();
    let mut faults = 0;
    let mut notes = Vec::new();
    let mut broken = false;
    while let Some(step) = play.step(&mut changes) {
        match step {
            Ok(Step::Began { run, time, header }) => {
                if open.replace(run).is_some() {
                    let error = Error::new("the traces have runs that went on at the same time");
                    return Err(error.help("give those of one recorder").into());
                }
                fold.header(time, &header)?;
            }
            Ok(Step::Fact { run, .. }) => {
                if let Some(state) = play.state(run) {
                    for change in &changes {
                        fold.change(change, state)?;
                    }
                }
                changes.clear();
            }
            Ok(Step::Ended { time, tracker, .. }) => {
                open = None;
                fold.end(time, tracker.state())?;
            }
            Err(error) => {
                faults += 1;
                broken |= error.is_final();
                if faults <= FAULTS_SHOWN {
                    say(&error.to_string());
                    notes.push(error.to_string());
                }
            }
        }
    }
    let mut note = |text: String| {
        say(&text);
        notes.push(text);
    };
    let PlayTally { tally, torn, .. } = play.done();
    if faults > FAULTS_SHOWN {
        note(format!("and {} more", Count(faults - FAULTS_SHOWN, "line")));
    }
    for file in torn {
        note(format!(
            "{file} ends in the middle of a line, as when its writer was killed"
        ));
    }
    if tally.unknown_kinds + tally.unknown_fields > 0 {
        note(format!(
            "ignored what a newer version wrote: {} and {}",
            Count(tally.unknown_kinds, "line"),
            Count(tally.unknown_fields, "field")
        ));
    }
    Ok(Read {
        fold,
        notes,
        broken,
    })
}

fn say(what: &str) {
    // Without stderr there is nobody to tell; the page has it, too.
    let _ = writeln!(io::stderr(), "kmemtrace: {}", Name::whole(what.as_bytes()));
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
