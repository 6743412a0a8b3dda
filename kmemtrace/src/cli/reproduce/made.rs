//! What a reproduction makes, and that it is removed however it ends.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Workload,
    workload::{leaf, together},
};
use crate::error::Error;

/// How long the kernel may take to free objects after their last use.
const SETTLE: Duration = Duration::from_millis(300);

/// What there is to be cleared away.
pub(super) struct Made {
    /// The cgroup that all are in.
    pub(super) base: PathBuf,
    /// The directory of the files.
    pub(super) files: PathBuf,
    /// How many cgroups.
    pub(super) count: u64,
    child: Option<Child>,
}

impl Made {
    /// Nothing yet.
    pub(super) fn new(base: PathBuf, files: PathBuf) -> Self {
        Self {
            base,
            files,
            count: 0,
            child: None,
        }
    }

    pub(super) fn start(&mut self, workload: Workload) -> Result<ChildStdout, Error> {
        let started = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg("reproduce")
                .arg("--inside")
                .arg(&self.base)
                .args([
                    "--count",
                    &self.count.to_string(),
                    "--workload",
                    workload.as_str(),
                ])
                .arg("--directory")
                .arg(&self.files)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C is for this process, which ends the other.
                .process_group(0)
                .spawn()
        });
        let cannot = |error| Error::caused("cannot start the workload", &error);
        let mut child = started.map_err(cannot)?;
        let stdout = child.stdout.take();
        self.child = Some(child);
        stdout.ok_or_else(|| Error::new("cannot read from the workload"))
    }

    /// Ends the process; whether there was one.
    pub(super) fn close(&mut self) -> bool {
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

    /// A process that has just left a cgroup makes rmdir fail for a moment.
    pub(super) fn remove_cgroups(&mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        for number in 0..self.count {
            remove(&leaf(&self.base, number), until);
        }
        self.count = 0;
        let all = together(&self.base);
        if all.exists() {
            // Objects are given back once RCU has freed them.
            thread::sleep(SETTLE);
            remove(&all, until);
        }
    }

    pub(super) fn remove_files(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.files)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.files.display());
        }
    }
}

fn remove(cgroup: &Path, until: Instant) {
    while let Err(error) = fs::remove_dir(cgroup) {
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        if Instant::now() >= until {
            tracing::warn!("cannot remove {}: {error}", cgroup.display());
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.close();
        self.remove_cgroups();
        self.remove_files();
        remove(&self.base, Instant::now() + Duration::from_secs(5));
    }
}
