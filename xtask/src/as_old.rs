//! `cargo xtask as-old-kernel PROGRAM`: what `cargo xtask test --old-kernel` has cargo start each test binary with.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use crate::{error::Error, old_kernel, workspace};

/// Run a program without the system calls that Linux 3.10 does not have
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

/// Becomes the program.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let (program, rest) = args
        .program
        .split_first()
        .ok_or_else(|| Error::new("no program is named"))?;
    old_kernel::become_old().map_err(Error::new)?;
    let mut command = Command::new(program);
    let cause = command.args(rest).exec();
    Err(workspace::cannot_start(&command, &cause))
}
