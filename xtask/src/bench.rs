//! `cargo xtask bench`: what kmemtrace costs, against what one would use without it.
//!
//! A benchmark is no test: whatever it finds, it ends with status 0 and says whether the goal is met.

mod measure;
mod replay;
mod state;
mod walk;

use std::process::ExitCode;

use crate::error::Error;

/// Measure what kmemtrace costs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
}

/// The benchmarks, one file each.
#[derive(Debug, clap::Subcommand)]
enum Benchmark {
    Replay(replay::Args),
    State(state::Args),
    Walk(walk::Args),
}

/// Runs a benchmark.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    match &args.benchmark {
        Benchmark::Replay(args) => replay::run(args)?,
        Benchmark::State(args) => state::run(args)?,
        Benchmark::Walk(args) => walk::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
