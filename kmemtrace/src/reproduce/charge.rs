//! Who charges something to the cgroups, and makes the files that takes.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::Workload;
use crate::error::Error;

/// What is to be charged to which cgroups.
pub(crate) struct ChargeOrder<'a> {
    /// The cgroup that all are in.
    pub(crate) base: &'a Path,
    /// How many.
    pub(crate) count: u64,
    pub(crate) workload: Workload,
    /// The directory of the files.
    pub(crate) files: &'a Path,
}

/// Charges something to cgroups.
pub(crate) trait Charges {
    /// Goes through the cgroups, and tells of each; ends when it is told `false`.
    fn charge(
        &mut self,
        wanted: &ChargeOrder<'_>,
        told: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error>;

    /// Closes what is open; whether anything may have been.
    fn close(&mut self) -> bool;

    /// Removes the files.
    fn remove_files(&mut self, files: &Path);
}

/// A process of its own.
#[derive(Debug, Default)]
pub(crate) struct Process {
    child: Option<Child>,
}

impl Charges for Process {
    fn charge(
        &mut self,
        wanted: &ChargeOrder<'_>,
        told: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let workload = wanted.workload.as_str();
        let started = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg("reproduce")
                .arg("--inside")
                .arg(wanted.base)
                .args(["--count", &wanted.count.to_string(), "--workload", workload])
                .arg("--directory")
                .arg(wanted.files)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C is for this process, which ends the other.
                .process_group(0)
                .spawn()
        });
        let mut child =
            started.map_err(|error| Error::caused("cannot start the workload", error))?;
        let stdout = child.stdout.take();
        self.child = Some(child);
        let stdout = stdout.ok_or_else(|| Error::new("cannot read from the workload"))?;
        let mut done = 0;
        for line in BufReader::new(stdout).lines() {
            let _ = line.map_err(|error| Error::caused("cannot read from the workload", error))?;
            done += 1;
            if !told() || done >= wanted.count {
                return Ok(());
            }
        }
        Err(Error::new(format!("the workload {workload} ended early"))
            .help("--directory DIR names a place where files can be made"))
    }

    fn close(&mut self) -> bool {
        let Some(mut child) = self.child.take() else {
            return false;
        };
        drop(child.stdin.take());
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if !matches!(child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
        true
    }

    fn remove_files(&mut self, files: &Path) {
        if let Err(error) = fs::remove_dir_all(files)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", files.display());
        }
    }
}
