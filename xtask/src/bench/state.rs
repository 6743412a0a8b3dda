//! `cargo xtask bench state`: what a snapshot of the tracker's state costs while there are very many zombies.

use std::{process::Command, time::Duration};

use super::measure::Spread;
use crate::{error::Error, workspace};

/// Measure the CPU time of a snapshot of the tracker's state, with all that it tells
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many zombies there are
    #[arg(long, value_name = "N", default_value_t = 65_000, value_parser = clap::value_parser!(u64).range(1..))]
    zombies: u64,
    /// How often to measure
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// So that ten a second cost little.
const GOAL: Duration = Duration::from_millis(10);

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let built = workspace::status(
        workspace::cargo()
            // As what is given to others is built.
            .args(["build", "--profile", "dist", "--package", "kmemtrace"])
            .args(["--example", "state"])
            .current_dir(workspace::root()?),
    )?;
    if !built.success() {
        return Err(Error::new("cannot build what is measured"));
    }
    let program = workspace::target()?.join("dist/examples/state");
    let args_of = [args.zombies.to_string(), args.rounds.to_string()];
    let said = workspace::output(Command::new(program).args(args_of))?;
    let times = said
        .lines()
        .map(|line| line.parse().map(Duration::from_nanos));
    let times = times.collect::<Result<_, _>>().ok();
    let Some(spread) = times.and_then(Spread::of) else {
        return Err(Error::new(format!(
            "cannot understand what was measured: {said}"
        )));
    };
    let met = if spread.median() < GOAL {
        "is met"
    } else {
        "is NOT met"
    };
    println!(
        "{} zombies: a snapshot takes {spread}; the goal, under {GOAL:?}, {met}",
        args.zombies
    );
    Ok(())
}
