//! `kmemtrace record`: a trace, to be looked at later and elsewhere.

use std::path::PathBuf;

use super::{
    Color, Format, Outcome,
    recording::{LimitArgs, Recording},
    run::{self, LiveRun},
    source::SourceArgs,
};
use crate::{
    judge::Answer,
    sink::{Sinks, filter::Filter},
};

/// Arguments of `kmemtrace record`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 nothing leaked, 1 a leak was found, 2 could not tell, an error, or the recording had to stop.")]
pub(super) struct Args {
    /// The trace, which is appended to; packed with zstd if it ends in .zst
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// Records until a signal such as Ctrl-C or the end of `--for`.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let filter = Filter {
        quiet: true,
        ..Filter::default()
    };
    let run = LiveRun {
        source: &args.source,
        once: false,
        sinks: Sinks::new(vec![run::stdout(Format::Text, color, filter)]),
        recording: Some(Recording::open(&args.file, args.limits)?),
    };
    let watched = run.watch()?;
    Ok(if watched.recorded {
        watched.verdict
    } else {
        Answer::Unknown
    })
}
