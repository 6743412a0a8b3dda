//! kmemtrace's own commands: `cargo xtask VERB`, one file a verb.

mod bpf;
mod error;
#[path = "../../kmemtrace/build/fingerprint.rs"]
mod fingerprint;
mod run;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// kmemtrace's own commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Bpf(bpf::Args),
    Run(run::Args),
    Test(test::Args),
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Bpf(args) => bpf::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Vm(args) => vm::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
