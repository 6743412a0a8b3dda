//! `kmemtrace export`: a trace for other tools.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::{
    Failure, Outcome,
    player::{self, Player, RunViews},
    values::duration,
};
use crate::{
    error::Error,
    judge::Answer,
    sink::{
        export::{ExportFormat, FORMATS},
        filter::Filter,
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
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    to: &'static ExportFormat,
    /// Where to; stdout unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long a removed memory cgroup may live on before it is called leaked; as in the live run unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    grace: Option<Duration>,
}

/// The formats that there are, by name.
fn format() -> impl TypedValueParser<Value = &'static ExportFormat> {
    let names = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(names).try_map(|name| {
        let format = FORMATS.iter().find(|format| format.name == name);
        format.ok_or("no such format")
    })
}

/// Writes traces to a file or to stdout.
pub(super) fn run(args: &Args) -> Outcome {
    let play = player::open(&args.files, args.grace)?;
    let to = args.to;
    let several = play.hostnames().len() > 1;
    let stdout = io::stdout();
    let out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(|error| cannot(path, error))?),
        None if !to.is_text && stdout.is_terminal() => {
            let error = Error::new("what is not text is not for a terminal");
            return Err(error.help("-o FILE").into());
        }
        None => Box::new(stdout.lock()),
    };
    let filter = Filter {
        all: true,
        ..Filter::default()
    };
    let bar = player::bar(&args.files, args.output.is_none());
    let view = RunViews::new(out, filter, |out| (to.begin)(out, several));
    let mut player = Player::new(play, view, bar);
    let ended = player.all().and_then(|()| player.close());
    match (ended, &args.output) {
        (Err(Failure::Output(error)), Some(path)) => Err(cannot(path, error).into()),
        (ended, _) => {
            ended?;
            Ok(if player.is_whole() {
                Answer::Clean
            } else {
                Answer::Unknown
            })
        }
    }
}

fn cannot(path: &Path, error: io::Error) -> Error {
    let name = Name::whole(path.as_os_str().as_bytes());
    Error::caused(format!("cannot write {name}"), error)
}
