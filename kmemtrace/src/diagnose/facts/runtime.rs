//! What kubelet and the container runtimes say when they cannot make a memory cgroup: in files under `/var/log`, and in the
//! journal.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{Reading, Reason, Unread, programs::run};
use crate::{
    diagnose::{Evidence, Provenance},
    event::klog::{LogLine, line},
    host::{
        FailedMkdir, JOURNALS, LOG_TAIL, LogFile, Logs, MemoryPaths, MkdirError, failed_mkdir,
        log_file,
    },
    runtimes,
};

/// So many lines of the journal are read.
const OPTIONS: [&str; 4] = [
    "--quiet",
    "--no-pager",
    "--output=short-iso",
    "--lines=200000",
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
    /// Whether they are of a boot before this one.
    pub before_boot: bool,
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
    /// Logs that were read; `journalctl` is the journal.
    pub read: Vec<String>,
    /// Files that were not read, as they are compressed in another way than by gzip.
    pub skipped: Vec<String>,
    /// Lines, by file, program, error and boot.
    pub lines: Vec<RuntimeLines>,
}

/// What the logs tell of memory cgroups that could not be made.
pub(super) fn read(logs: &Logs, paths: &MemoryPaths) -> Reading<RuntimeLog> {
    let lines = grouped(&logs.files, paths);
    // A line that is understood needs no time.
    let understood = |file: &LogFile| {
        file.stamped || lines.iter().any(|lines| lines.first.at.file() == file.name)
    };
    let mut read: Vec<String> = Vec::new();
    for file in logs.files.iter().filter(|file| understood(file)) {
        if !read.contains(&file.log) {
            read.push(file.log.clone());
        }
    }
    if !read.is_empty() {
        return Ok(RuntimeLog {
            read,
            skipped: logs.skipped.clone(),
            lines,
        });
    }
    Err(if let Some((file, error)) = logs.unread.first() {
        Unread::new(&file[..], error)
    } else if let Some(file) = logs.files.first() {
        Unread::new(&file.name[..], Reason::NoTime)
    } else {
        Unread::new("/var/log", Reason::NoLog)
    })
}

/// The lines of the journal that matter, of this boot and the one before; none where there is none, or it cannot be read.
pub fn journal() -> Vec<LogFile> {
    let journal = |name: &'static str| thread::spawn(move || journal_file(name));
    // They read the same files at a time.
    let threads = JOURNALS.map(journal);
    let read = threads.into_iter().filter_map(|thread| thread.join().ok()?);
    read.collect()
}

fn journal_file(name: &str) -> Option<LogFile> {
    let bytes = ask(name).ok().filter(|bytes| !bytes.is_empty())?;
    Some(log_file(name, name, &bytes, true))
}

/// Asks journalctl, with the options of the name and what else it takes.
fn ask(name: &str) -> Result<Vec<u8>, Reason> {
    let mut words = name.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(OPTIONS).stdin(Stdio::null());
    if !name.contains("--boot") {
        command.arg("--boot");
    }
    if !name.contains("--dmesg") {
        command.args(runtimes::units().map(|unit| format!("--unit={unit}")));
    }
    command.args(words);
    run(command, Duration::from_secs(5), 4 * LOG_TAIL)
}

/// Where the last boot begins in each log: what is before it is of a boot before this one.
fn boots(files: &[LogFile]) -> Vec<(&str, (usize, usize))> {
    let mut boots: Vec<(&str, (usize, usize))> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        for (number, text) in file.lines.iter().enumerate() {
            if matches!(line(&text.text), Some(LogLine::Record(record)) if record.is_boot()) {
                boots.retain(|(log, _)| *log != file.log);
                boots.push((&file.log, (at, number)));
            }
        }
    }
    boots
}

/// So many groups are told apart: the programs' names come from outside.
const GROUPS: usize = 1000;

fn grouped(files: &[LogFile], paths: &MemoryPaths) -> Vec<RuntimeLines> {
    let boots = boots(files);
    let mut groups: Vec<RuntimeLines> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let writer = file.writer();
        let boot = boots.iter().find(|(log, _)| *log == file.log);
        for (number, text) in file.lines.iter().enumerate() {
            let Some(failed) = failed_mkdir(&text.text, writer, paths) else {
                continue;
            };
            let before = boot.is_some_and(|(_, boot)| (at, number) < *boot);
            let line = Evidence {
                at: Provenance::in_file(&file.name, text.number),
                says: String::from_utf8_lossy(&text.text)
                    .trim_end()
                    .to_owned()
                    .into(),
            };
            add(&mut groups, failed, line, before || file.is_before_boot());
        }
    }
    // This boot's first.
    groups.sort_by_key(|group| group.before_boot);
    groups
}

fn add(groups: &mut Vec<RuntimeLines>, failed: FailedMkdir, line: Evidence, before_boot: bool) {
    let program = failed.program.unwrap_or_default();
    let same = |group: &&mut RuntimeLines| {
        group.error == failed.error
            && group.before_boot == before_boot
            && group.program == program
            && group.first.at.file() == line.at.file()
    };
    if let Some(group) = groups.iter_mut().find(same) {
        group.count += 1;
        group.last = line;
    } else if groups.len() < GROUPS {
        groups.push(RuntimeLines {
            error: failed.error,
            program,
            path: failed.path,
            before_boot,
            count: 1,
            first: line.clone(),
            last: line,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::{logs, tests::root};

    const FAILED: &str = "Oct 19 13:44:52 n slurmstepd[7]: error: unable to create cgroup '/sys/fs/cgroup/memory/slurm/1' : No space left on device\n";
    const BOOT: &str = "Oct 19 13:51:07 n kernel: Linux version 3.10.0\n";

    fn told(text: &str) -> Reading<RuntimeLog> {
        let (_directory, root) = root(&[("/var/log/messages", text)]);
        read(&logs(&root), &MemoryPaths::default())
    }

    #[test]
    fn a_reboot_divides_the_lines() {
        let log = told(&format!("{FAILED}{FAILED}{BOOT}{FAILED}")).unwrap();
        let groups: Vec<_> = log
            .lines
            .iter()
            .map(|lines| {
                let path = &lines.path[..];
                assert_eq!(
                    (&lines.program[..], path),
                    ("slurmstepd", "/sys/fs/cgroup/memory/slurm/1")
                );
                (lines.count, lines.before_boot, lines.first.at.line())
            })
            .collect();
        assert_eq!(groups, [(1, false, Some(4)), (2, true, Some(1))]);
    }

    #[test]
    fn a_log_without_a_time_is_unknown() {
        for text in [
            "",
            "\n",
            "hello\n",
            "mkdir /tmp/cgroup: no space left on device\n",
        ] {
            assert_eq!(told(text).unwrap_err().file, "/var/log/messages", "{text}");
        }
        // But one that is understood counts.
        let log = told("mkdir /sys/fs/cgroup/memory/x: cannot allocate memory\n").unwrap();
        assert_eq!(log.lines.len(), 1);
        let (_directory, none) = root(&[]);
        let unread = read(&logs(&none), &MemoryPaths::default()).unwrap_err();
        assert_eq!(unread.file, "/var/log");
    }

    proptest! {
        #[test]
        fn text_that_is_no_log_is_never_clean(text in "([a-z ]{0,30}\n){0,9}") {
            prop_assert!(told(&text).is_err());
        }
    }
}
