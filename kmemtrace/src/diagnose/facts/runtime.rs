//! What kubelet and the container runtimes say when they cannot make a memory cgroup: in files under `/var/log`, and in the
//! journal.

use std::{
    io,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Fact, Root, Unread, programs::run};
use crate::{
    diagnose::Evidence,
    host::{
        FailedMkdir, JOURNAL, LOG_TAIL, MemoryPaths, MkdirError, RuntimeLine, failed_mkdir,
        runtime_lines, runtime_log,
    },
};

/// The journal of this boot of these units, and so many lines of it.
const OPTIONS: [&str; 15] = [
    "--quiet",
    "--no-pager",
    "--output=short-iso",
    "--boot",
    "--lines=200000",
    "--unit=kubelet",
    "--unit=containerd",
    "--unit=docker",
    "--unit=crio",
    "--unit=k3s",
    "--unit=k3s-agent",
    "--unit=rke2-agent",
    "--unit=rke2-server",
    "--unit=snap.microk8s.daemon-containerd",
    "--unit=snap.microk8s.daemon-kubelite",
];

/// Memory cgroups that could not be made: lines of one file, by one program, with one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLines {
    /// The error.
    pub error: MkdirError,
    /// Who made them; empty if that is not known.
    pub program: String,
    /// The directory that the first could not make.
    pub path: String,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Evidence,
    /// The last.
    pub last: Evidence,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeLog {
    /// Files that were read; `journalctl` is the journal.
    pub read: Vec<String>,
    /// Lines, by file, program and error.
    pub lines: Vec<RuntimeLines>,
}

/// Reads the files there are, and the journal if programs may be run.
pub(super) fn read(root: &Root, exec: bool, paths: &MemoryPaths) -> Fact<RuntimeLog> {
    let mut all = runtime_log(root);
    if exec {
        match journal() {
            Ok(Some(bytes)) => {
                all.lines.extend(runtime_lines(JOURNAL, &bytes, true));
                all.read.push(JOURNAL.to_owned());
            }
            Ok(None) => {}
            Err(error) => all.unread.push((JOURNAL.to_owned(), error)),
        }
    }
    match all.unread.first() {
        Some((file, error)) if all.read.is_empty() => Err(Unread::new(&file[..], error)),
        None if all.read.is_empty() => Err(Unread::new(
            "/var/log",
            "no log of a runtime or of a syslog",
        )),
        _ => Ok(RuntimeLog {
            read: all.read,
            lines: grouped(all.lines, paths),
        }),
    }
}

/// The lines of the journal that matter; `None` where there is none, or it cannot be read.
pub fn journal_lines() -> Option<Vec<RuntimeLine>> {
    let bytes = journal().ok().flatten()?;
    Some(runtime_lines(JOURNAL, &bytes, true))
}

fn journal() -> io::Result<Option<Vec<u8>>> {
    let mut command = Command::new(JOURNAL);
    command.args(OPTIONS).stdin(Stdio::null());
    match run(command, Duration::from_secs(5), 4 * LOG_TAIL) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// So many groups are told apart: the programs' names come from outside.
const GROUPS: usize = 1000;

fn grouped(lines: Vec<RuntimeLine>, paths: &MemoryPaths) -> Vec<RuntimeLines> {
    let mut groups: Vec<RuntimeLines> = Vec::new();
    for line in lines {
        let Some(FailedMkdir {
            error,
            program,
            path,
        }) = failed_mkdir(&line.text, paths)
        else {
            continue;
        };
        let program = program.unwrap_or_default();
        let says = String::from_utf8_lossy(&line.text).trim_end().to_owned();
        let line = Evidence {
            file: line.file,
            line: line.number,
            says: says.into(),
        };
        let same = |group: &&mut RuntimeLines| {
            group.error == error && group.program == program && group.first.file == line.file
        };
        if let Some(group) = groups.iter_mut().find(same) {
            group.count += 1;
            group.last = line;
        } else if groups.len() < GROUPS {
            groups.push(RuntimeLines {
                error,
                program,
                path,
                count: 1,
                first: line.clone(),
                last: line,
            });
        }
    }
    groups
}
