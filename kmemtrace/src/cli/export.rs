//! `kmemtrace export`: a trace for other tools.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use clap::ValueEnum;

use super::{
    Failure, Outcome,
    filter::Filter,
    playing::{self, Out, Playing, View},
    values::duration,
};
use crate::{
    error::Error,
    event::header::Header,
    judge::Answer,
    sink::{
        Sink,
        csv::Csv,
        jsonl::JsonLines,
        otlp::Otlp,
        parquet::{self, Rows, Shared},
        perfetto::Perfetto,
    },
    text::escape::Name,
};

/// Arguments of `kmemtrace export`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 it is written, 2 an error, or lines of a trace could not be read.")]
pub(super) struct Args {
    /// Traces, plain or packed with zstd, in any order: a run's files, several nodes'; `-` for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// For what
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Target,
    /// Where to; stdout unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
}

/// What a trace is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// JSON lines of all changes, with verdicts, as `replay --all --format json` shows them
    Jsonl,
    /// A table with a row for each change
    Csv,
    /// The same table as Parquet, for data frames and query engines
    Parquet,
    /// OpenTelemetry log records, as collectors read them from files
    OtlpJson,
    /// A trace for <https://ui.perfetto.dev>
    Perfetto,
}

impl Target {
    fn sink(
        self,
        run: usize,
        header: &Header,
        out: Out,
        several: bool,
        table: &Shared<Out>,
    ) -> io::Result<Box<dyn Sink>> {
        let several = several && header.hostname.is_some();
        Ok(match self {
            Self::Jsonl if several => Box::new(JsonLines::new(out).with_hostname()),
            Self::Jsonl => Box::new(JsonLines::new(out)),
            Self::Csv => Box::new(Csv::new(out, run == 0)?),
            Self::Parquet => Box::new(Rows::new(table, out)?),
            Self::OtlpJson => Box::new(Otlp::new(out)),
            Self::Perfetto => Box::new(Perfetto::new(out, run)),
        })
    }
}

/// Writes traces to a file or to stdout.
pub(super) fn run(args: &Args) -> Outcome {
    let play = playing::open(&args.files, args.grace)?;
    let to = args.to;
    let several = play.hostnames().len() > 1;
    let stdout = io::stdout();
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(|error| cannot(path, error))?),
        None if matches!(to, Target::Perfetto | Target::Parquet) && stdout.is_terminal() => {
            let error = Error::new("what is not text is not for a terminal");
            return Err(error.help("-o FILE").into());
        }
        None => Box::new(stdout.lock()),
    };
    let table = Shared::default();
    let rows = Rc::clone(&table);
    let mut view = View::new(out, move |run, header, out| {
        to.sink(run, header, out, several, &rows)
    });
    if to == Target::Parquet {
        view = view.ending(move |out| parquet::finish(&table, out));
    }
    let filter = Filter {
        all: true,
        ..Filter::default()
    };
    let bar = playing::bar(&args.files, args.output.is_none());
    let mut playing = Playing::new(play, view, filter, bar);
    let played = playing.all();
    let ended = played.and_then(|()| playing.close());
    match (ended, &args.output) {
        (Err(Failure::Output(error)), Some(path)) => Err(cannot(path, error).into()),
        (ended, _) => Ok(match ended? {
            0 => Answer::Clean,
            _ => Answer::Unknown,
        }),
    }
}

fn cannot(path: &Path, error: io::Error) -> Error {
    let name = Name::whole(path.as_os_str().as_bytes());
    Error::caused(format!("cannot write {name}"), error)
}
