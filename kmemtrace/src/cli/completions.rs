//! `kmemtrace completions`: what a shell needs to complete kmemtrace's command line.

use std::io::{self, Write};

use clap_complete::Shell;

use super::{Outcome, definition};
use crate::judge::Answer;

/// Arguments of `kmemtrace completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Where they go: bash: /usr/share/bash-completion/completions/kmemtrace; zsh: /usr/share/zsh/site-functions/_kmemtrace; \
fish: /usr/share/fish/vendor_completions.d/kmemtrace.fish. For one session of bash: . <(kmemtrace completions bash)")]
pub(super) struct Args {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes them to stdout.
pub(super) fn run(args: &Args) -> Outcome {
    // The generator panics if it cannot write; memory it always can.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "kmemtrace", &mut script);
    let mut out = io::stdout().lock();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Answer::Clean)
}
