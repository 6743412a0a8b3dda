//! `cargo xtask run`: builds kmemtrace as the caller and runs it as root.

use std::{
    ffi::OsString,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
};

use crate::{error::Error, workspace};

/// Build kmemtrace as you, and run `kmemtrace watch` as root
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build with optimisations, as users run it (the default)
    #[arg(long, conflicts_with = "dev")]
    release: bool,
    /// Build fast and run slow
    #[arg(long)]
    dev: bool,
    /// What to pass on to `kmemtrace watch`
    #[arg(last = true, value_name = "ARG")]
    watch: Vec<OsString>,
}

/// Builds, then becomes kmemtrace: its exit status and the terminal's signals need no forwarding.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let release = args.release || !args.dev;
    let (profile, folder) = if release {
        ("release", "release")
    } else {
        ("dev", "debug")
    };
    let built = workspace::status(
        workspace::cargo()
            .args(["build", "--package", "kmemtrace", "--profile", profile])
            .current_dir(workspace::root()?),
    )?;
    if !built.success() {
        // Cargo has said why.
        return Ok(workspace::exit_code(built));
    }
    let program = workspace::target()?.join(folder).join("kmemtrace");
    let mut command = as_root(&program)?;
    let cause = command.arg("watch").args(&args.watch).exec();
    Err(workspace::cannot_start(&command, &cause))
}

/// `program` itself for root, through sudo for anybody else.
fn as_root(program: &Path) -> Result<Command, Error> {
    // This process's own entry in /proc belongs to whom it runs as.
    let own = Path::new("/proc/self");
    let user = fs::metadata(own)
        .map_err(|cause| Error::file("read", own, cause))?
        .uid();
    if user == 0 {
        return Ok(Command::new(program));
    }
    let sudo = workspace::on_path("sudo").ok_or_else(|| {
        Error::new("cannot run kmemtrace: it needs root, and there is no sudo on PATH")
            .help(format!("as root, run {} watch", program.display()))
    })?;
    let mut command = Command::new(sudo);
    command.arg("--").arg(program);
    Ok(command)
}
