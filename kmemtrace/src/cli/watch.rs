//! `kmemtrace watch`: the live tail.

use std::path::PathBuf;

use super::{
    Color, Outcome,
    filter::ShowArgs,
    recording::{LimitArgs, Recording},
    run::{self, LiveRun},
    source::SourceArgs,
};
use crate::sink::Sinks;

/// Arguments of `kmemtrace watch`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Look once, say what is there, and stop
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    show: ShowArgs,
    /// Append all that is seen to this file, whatever is shown, to be replayed later; packed with zstd if it ends in .zst
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Watches until a signal such as Ctrl-C or the end of `--for`.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let recording = match &args.record {
        Some(path) => Some(Recording::open(path, args.limits)?),
        None => None,
    };
    let stdout = run::stdout(args.show.format, color, args.show.filter()?);
    let run = LiveRun {
        source: &args.source,
        once: args.once,
        sinks: Sinks::new(vec![stdout]),
        recording,
    };
    run.watch().map(|watched| watched.verdict)
}
