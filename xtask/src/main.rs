//! kmemtrace's own commands: `cargo xtask VERB`, one file a verb.

mod as_old;
mod bench;
mod bpf;
mod dist;
#[path = "../../kmemtrace/src/error.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the product's: to use it as a dependency, xtask would wait for the object that it builds"
)]
mod error;
#[path = "../../kmemtrace/build/fingerprint.rs"]
mod fingerprint;
#[path = "../../tests/old_kernel.rs"]
mod old_kernel;
mod run;
mod target;
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
    AsOldKernel(as_old::Args),
    Bench(bench::Args),
    Bpf(bpf::Args),
    Dist(dist::Args),
    Run(run::Args),
    Test(test::Args),
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::AsOldKernel(args) => as_old::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Bpf(args) => bpf::run(&args),
        Verb::Dist(args) => dist::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Vm(args) => vm::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
