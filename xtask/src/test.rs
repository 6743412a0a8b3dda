//! `cargo xtask test`: all tests, and one line that sums them up.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    process::{ExitCode, Stdio},
};

use rustix::fs::{Access, StatVfsMountFlags};

use crate::{error::Error, workspace};

/// Run all tests and sum up their results in one line
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run them without the system calls that Linux 3.10 does not have
    #[arg(long)]
    old_kernel: bool,
    /// What to pass on to `cargo test`
    #[arg(allow_hyphen_values = true, value_name = "ARG")]
    cargo: Vec<OsString>,
    /// What to pass on to the test binaries
    #[arg(last = true, value_name = "TEST_ARG")]
    tests: Vec<OsString>,
}

/// Runs the tests, shows their output as it comes, and ends with cargo's own status.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut command = workspace::cargo();
    if args.old_kernel {
        command.arg("--config").arg(runner()?);
        // insta asks cargo for it otherwise, and cargo's OpenSSL takes getrandom(2).
        command.env("INSTA_WORKSPACE_ROOT", workspace::root()?);
    }
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(&args.cargo)
        .arg("--")
        .args(&args.tests)
        .current_dir(workspace::root()?)
        .stdout(Stdio::piped());
    if let Some(folder) = temporary() {
        command.env("TMPDIR", folder);
    }
    let mut child = command
        .spawn()
        .map_err(|cause| workspace::cannot_start(&command, &cause))?;
    let counts = match child.stdout.take() {
        Some(output) => follow(output, io::stdout().lock())
            .map_err(|cause| Error::caused("cannot pass on the tests' output", cause))?,
        None => Counts::default(),
    };
    let status = child
        .wait()
        .map_err(|cause| Error::caused("cannot wait for cargo test", cause))?;
    if !status.success() && counts.failed == 0 {
        eprintln!(
            "note: cargo test failed and no test did: a build failed, or a test binary ended early"
        );
    }
    println!("kmemtrace tests: {counts}");
    Ok(workspace::exit_code(status))
}

/// A folder in memory for what the tests unpack, if there is one with room: a copy of a node whose ids are used up has
/// 260,000 links, which a disk takes four times as long to make and remove. None if the caller has chosen a folder.
fn temporary() -> Option<&'static str> {
    const SHM: &str = "/dev/shm";
    let chosen = env::var_os("TMPDIR").is_some();
    let system = rustix::fs::statvfs(SHM).ok().filter(|_| !chosen)?;
    let room = system.f_bavail * system.f_frsize >= 1 << 30;
    // Documentation's tests are built and run there.
    let runs = !system.f_flag.contains(StatVfsMountFlags::NOEXEC);
    let writes = rustix::fs::access(SHM, Access::WRITE_OK).is_ok();
    (room && runs && writes).then_some(SHM)
}

/// Cargo's setting that starts each test binary through `cargo xtask as-old-kernel`.
fn runner() -> Result<OsString, Error> {
    let own = workspace::own()?;
    let own = own.to_str().ok_or_else(|| {
        Error::new(format!(
            "cannot name xtask itself to cargo: {} is not UTF-8",
            own.display()
        ))
    })?;
    // Rust's escapes are TOML's, as far as a path needs any.
    Ok(format!("target.'cfg(unix)'.runner = [{own:?}, \"as-old-kernel\"]").into())
}

/// How the tests ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Counts {
    /// Adds what `line` says, if it is a test binary's closing line, as libtest and libtest-mimic print it.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let mut number = None;
        for word in result.split([' ', ';']) {
            match word {
                "passed" => self.passed += number.unwrap_or(0),
                "failed" => self.failed += number.unwrap_or(0),
                "ignored" => self.skipped += number.unwrap_or(0),
                _ => {}
            }
            number = word.parse().ok();
        }
    }
}

/// Copies `output` to `shown` piece by piece, since libtest writes a test's name when it starts, and counts its lines.
fn follow(mut output: impl Read, mut shown: impl Write) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let piece = match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        shown.write_all(piece)?;
        shown.flush()?;
        for &byte in piece {
            if byte == b'\n' {
                counts.add(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
    counts.add(&String::from_utf8_lossy(&line));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_closing_lines_only() -> io::Result<()> {
        let output = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s
a test that says: 5 passed; 5 failed; 5 ignored
test result: FAILED. 10 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out; finished in 1.2s";
        let mut shown = Vec::new();
        let counts = follow(output.as_bytes(), &mut shown)?;
        assert_eq!(
            counts,
            Counts {
                passed: 13,
                failed: 2,
                skipped: 5
            }
        );
        assert_eq!(shown, output.as_bytes());
        Ok(())
    }

    #[test]
    fn says_nothing_of_what_it_cannot_read() {
        let mut counts = Counts::default();
        counts.add("test result: passed failed; many ignored");
        counts.add("");
        assert_eq!(counts.to_string(), "0 passed, 0 failed, 0 skipped");
    }
}
