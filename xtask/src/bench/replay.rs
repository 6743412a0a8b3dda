//! `cargo xtask bench replay`: how many facts a second `kmemtrace replay` takes on one core.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

use super::measure::{Spread, cpu_time};
use crate::{error::Error, workspace};

/// Measure the CPU time of `kmemtrace replay` over a trace made for it, plain and packed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many facts the trace has
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    facts: u64,
    /// How often to measure each
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// Facts a second.
const GOAL: f64 = 1e6;

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let (program, writer) = build()?;
    println!(
        "CPU time, user and system: the median, and the least and the most of {} rounds",
        args.rounds
    );
    for name in ["trace.jsonl", "trace.jsonl.zst"] {
        let file =
            Trace(std::env::temp_dir().join(format!("kmemtrace-bench-{}-{name}", process::id())));
        let mut command = Command::new(&writer);
        command.arg(&file.0).arg(args.facts.to_string());
        let (_, said) = cpu_time(&mut [command])?;
        let facts: u64 = said.trim().parse().map_err(|_| {
            Error::new(format!(
                "cannot understand what the trace's writer said: {said}"
            ))
        })?;
        let bytes = fs::metadata(&file.0).map_or(0, |file| file.len());
        println!("{name}: {facts} facts in {:.1} MB", bytes as f64 / 1e6);
        for (what, options) in [
            ("leaks", &[][..]),
            ("--all", &["--all"]),
            ("--all --format json", &["--all", "--format", "json"]),
        ] {
            let mut times = Vec::new();
            for _ in 0..args.rounds {
                times.push(replay(&program, &file.0, options)?);
            }
            let Some(spread) = Spread::of(times) else {
                continue;
            };
            let rate = facts as f64 / spread.median().as_secs_f64();
            let goal = match (what, rate >= GOAL) {
                ("leaks", true) => "; the goal, 1 million, is met",
                ("leaks", false) => "; the goal, 1 million, is NOT met",
                _ => "",
            };
            println!(
                "  {what:<20} {spread}: {:.2} million facts a second{goal}",
                rate / 1e6
            );
        }
    }
    Ok(())
}

fn replay(program: &Path, trace: &Path, options: &[&str]) -> Result<Duration, Error> {
    // Nobody reads what it shows: a reader's time would be measured, too.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" > /dev/null", "sh"]);
    shell.arg(program).arg("replay").arg(trace).args(options);
    let (time, _) = cpu_time(&mut [shell])?;
    Ok(time)
}

/// Builds the program, and what writes a trace.
fn build() -> Result<(PathBuf, PathBuf), Error> {
    for what in [&["--bin", "kmemtrace"], &["--example", "trace"]] {
        let built = workspace::status(
            workspace::cargo()
                // As what is given to others is built.
                .args(["build", "--profile", "dist", "--package", "kmemtrace"])
                .args(what)
                .current_dir(workspace::root()?),
        )?;
        if !built.success() {
            return Err(Error::new("cannot build what is measured"));
        }
    }
    let dist = workspace::target()?.join("dist");
    Ok((dist.join("kmemtrace"), dist.join("examples/trace")))
}

/// A file that is removed in the end.
struct Trace(PathBuf);

impl Drop for Trace {
    fn drop(&mut self) {
        // It is in a place for temporary files.
        let _ = fs::remove_file(&self.0);
    }
}
