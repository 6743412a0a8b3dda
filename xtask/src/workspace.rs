//! Where things are, and how the commands that do the work are started.

use std::{
    env,
    ffi::OsString,
    path::{self, Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use crate::error::Error;

/// The workspace's root, without symbolic links: compilers name files this way.
pub(crate) fn root() -> Result<PathBuf, Error> {
    // What the running cargo says; the folder that this binary was built in may have moved since.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.join("..");
    root.canonicalize()
        .map_err(|cause| Error::file("find the workspace at", &root, cause))
}

/// This program.
pub(crate) fn own() -> Result<PathBuf, Error> {
    env::current_exe().map_err(|cause| Error::caused("cannot tell where xtask itself is", cause))
}

/// The target folder that this program was built in: cargo puts `PROFILE/xtask` there.
pub(crate) fn target() -> Result<PathBuf, Error> {
    let own = own()?;
    own.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            Error::new(format!(
                "cannot find the target folder: {} is not in one",
                own.display()
            ))
        })
}

/// Cargo's own folder, with the sources of the dependencies.
pub(crate) fn cargo_home() -> Result<PathBuf, Error> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or_else(|| Error::new("cannot find cargo's folder: neither CARGO_HOME nor HOME is set"))
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// The first `name` that PATH leads to.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .and_then(|file| path::absolute(file).ok())
}

/// Runs `command` with this program's terminal until it ends.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus, Error> {
    command
        .status()
        .map_err(|cause| cannot_start(command, &cause))
}

/// What a command that has to succeed writes to its standard output, without the white space around it.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let run = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| cannot_start(command, &cause))?;
    if !run.status.success() {
        return Err(Error::new(format!(
            "{} failed: {}",
            command.get_program().display(),
            run.status
        )));
    }
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

/// What to say if `command` does not even start.
pub(crate) fn cannot_start(command: &Command, cause: &std::io::Error) -> Error {
    Error::new(format!(
        "cannot start {}: {cause}",
        command.get_program().display()
    ))
}

/// `status` as this program's own exit code; 2 if a signal ended the command.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(2),
    )
}
