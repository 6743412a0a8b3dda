//! The command line: one file a verb, with its arguments and its `run`.

mod completions;
mod diagnose;
mod doctor;
mod export;
mod filter;
mod man;
mod output;
mod output_file;
mod player;
mod reclaim;
mod record;
mod recording;
mod replay;
mod report;
mod reproduce;
mod root;
mod run;
mod scan;
mod snapshot;
mod source;
mod values;
mod watch;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anstream::{AutoStream, ColorChoice};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

#[cfg(feature = "schema")]
pub use diagnose::schema as diagnosis_schema;

use crate::{error::Error, judge::Answer};

/// The version, with what it was built from.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("KMEMTRACE_COMMIT"),
    ", eBPF object ",
    env!("KMEMTRACE_BPF_SHA256"),
    ")"
);

/// Find the memory cgroups that this node leaks, while they leak
#[derive(Debug, Parser)]
#[command(
    name = "kmemtrace",
    bin_name = "kmemtrace",
    version = VERSION,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 nothing leaked, 1 a leak was found, 2 could not tell or an error."
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    watch: watch::Args,
    #[command(flatten)]
    shared: Shared,
}

/// What every verb takes.
#[derive(Args, Debug)]
struct Shared {
    /// Colours
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    color: Color,
    /// Say more on stderr; twice for the eBPF verifier's logs
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch memory cgroups live, and report those that leak (this is the default)
    Watch(watch::Args),
    /// Record what happens to a file, to be replayed later and elsewhere
    Record(record::Args),
    /// Play recorded traces, and show them as if it were happening now
    Replay(replay::Args),
    /// Convert recorded traces for other tools: JSON lines, a table, OpenTelemetry, Perfetto
    Export(export::Args),
    /// Look once: how many memory cgroups are live, how many are zombies, how many ids are left
    Scan(scan::Args),
    /// Say what is wrong with this node, why, and what to do, with the evidence
    Diagnose(diagnose::Args),
    /// Free what can be freed of zombies without a reboot: says what it would do, and does it with --apply
    Reclaim(reclaim::Args),
    /// Make some zombies on purpose, to see whether this kernel leaks, and clear them away
    Reproduce(reproduce::Args),
    /// Say what kmemtrace can see on this host, and why not more
    Doctor(doctor::Args),
    /// Copy the files that kmemtrace reads into an archive, to be looked at elsewhere with --root
    Snapshot(snapshot::Args),
    /// Write a report of recordings: one HTML page that needs nothing else
    Report(report::Args),
    /// Write a shell's completions of this command line to stdout
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// People
    #[default]
    Text,
    /// Programs
    Json,
}

/// The exit status of a verb that ran.
const fn code(answer: Answer) -> u8 {
    match answer {
        Answer::Clean => 0,
        Answer::Leak => 1,
        Answer::Unknown => 2,
    }
}

/// The command line's definition, for what is generated from it.
fn definition() -> clap::Command {
    // The commit belongs to a binary, not to its manual.
    Cli::command().version(env!("CARGO_PKG_VERSION"))
}

/// Parses the command line, runs the verb, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe must not turn --help into a failure.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    log(cli.shared.verbose);
    let color = cli.shared.color;
    let result = match &cli.verb {
        None => watch::run(&cli.watch, color),
        Some(Verb::Watch(args)) => watch::run(args, color),
        Some(Verb::Record(args)) => record::run(args, color),
        Some(Verb::Replay(args)) => replay::run(args, color),
        Some(Verb::Export(args)) => export::run(args),
        Some(Verb::Scan(args)) => scan::run(args, color),
        Some(Verb::Diagnose(args)) => diagnose::run(args, color),
        Some(Verb::Reclaim(args)) => reclaim::run(args, color),
        Some(Verb::Reproduce(args)) => reproduce::run(args, color),
        Some(Verb::Doctor(args)) => doctor::run(args, color),
        Some(Verb::Snapshot(args)) => snapshot::run(args),
        Some(Verb::Report(args)) => report::run(args),
        Some(Verb::Completions(args)) => completions::run(args),
        Some(Verb::Man(args)) => man::run(args),
    };
    match result {
        Ok(answer) => ExitCode::from(code(answer)),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever read it has seen enough.
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // If stderr is closed, the exit status is all that is left to say.
            use io::Write;
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Why a verb did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something could not be done.
    Error(Error),
    /// stdout could not be written.
    Output(io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What a verb ends with.
pub(crate) type Outcome = Result<Answer, Failure>;

/// Whether stdout gets colours.
fn colored(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let stdout = io::stdout();
            stdout.is_terminal() && AutoStream::choice(&stdout) != ColorChoice::Never
        }
    }
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("off,kmemtrace={level}"));
    // The only subscriber of this process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        // It would panic where stderr is closed.
        .log_internal_errors(false)
        .try_init();
}
