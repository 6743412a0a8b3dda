//! What kubelet and the container runtimes say when they cannot make a memory cgroup: in files under `/var/log`, and in the
//! journal.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    process::{Command, Stdio},
    time::Duration,
};

use memchr::memmem::Finder;

use super::{Fact, Line, Root, Unread, programs::run};

/// Files that syslogs and runtimes write on the usual distributions.
const FILES: [&str; 9] = [
    "/var/log/messages",
    "/var/log/syslog",
    "/var/log/daemon.log",
    "/var/log/kubelet.log",
    "/var/log/kubelet/kubelet.log",
    "/var/log/docker.log",
    "/var/log/docker",
    "/var/log/containerd.log",
    "/var/log/crio.log",
];

/// Of a longer file, so much of the end is read: some days of a busy node.
const TAIL: u64 = 16 << 20;

/// The journal of these units, and so many lines of it.
const JOURNAL: [&str; 15] = [
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

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeError {
    /// "cannot allocate memory": ENOMEM.
    NoMemory,
    /// "no space left on device": ENOSPC.
    NoSpace,
}

/// Lines of one file that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLines {
    /// What they say.
    pub error: RuntimeError,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Line,
    /// The last.
    pub last: Line,
    /// Whether the file was read from its beginning: else the lines' numbers count from where reading began.
    pub whole: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeLog {
    /// Files that were read; `journalctl` is the journal.
    pub read: Vec<String>,
    /// Files that could not be read.
    pub unread: Vec<Unread>,
    /// Lines, by file and error.
    pub lines: Vec<RuntimeLines>,
}

/// Reads the files there are, and the journal if programs may be run.
pub(super) fn read(root: &Root, exec: bool) -> Fact<RuntimeLog> {
    let mut log = RuntimeLog::default();
    for file in FILES {
        match tail(root, file) {
            Ok((bytes, whole)) => {
                log.read.push(file.to_owned());
                log.lines.extend(parse(file, &bytes, whole));
            }
            // Several of these names are a directory on some machines.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => log.unread.push(Unread::new(file, &error)),
        }
    }
    if exec {
        match journal() {
            Ok(Some(bytes)) => {
                log.read.push("journalctl".to_owned());
                log.lines.extend(parse("journalctl", &bytes, true));
            }
            Ok(None) => {}
            Err(error) => log.unread.push(Unread::new("journalctl", &error)),
        }
    }
    match log.unread.first() {
        Some(unread) if log.read.is_empty() => Err(unread.clone()),
        None if log.read.is_empty() => Err(Unread::new(
            "/var/log",
            "no log of a runtime or of a syslog",
        )),
        _ => Ok(log),
    }
}

/// The end of a file, and whether it is all of it.
fn tail(root: &Root, path: &str) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(root.path(path))?;
    let length = file.metadata()?.len();
    let whole = length <= TAIL;
    if !whole {
        file.seek(SeekFrom::Start(length - TAIL))?;
    }
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok((bytes, whole))
}

fn journal() -> io::Result<Option<Vec<u8>>> {
    let mut command = Command::new("journalctl");
    command.args(JOURNAL).stdin(Stdio::null());
    match run(command, Duration::from_secs(5), 4 * TAIL) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn parse(file: &str, bytes: &[u8], whole: bool) -> Vec<RuntimeLines> {
    let errors = [
        (
            RuntimeError::NoMemory,
            Finder::new("cannot allocate memory"),
        ),
        (
            RuntimeError::NoSpace,
            Finder::new("no space left on device"),
        ),
    ];
    let (mkdir, cgroup) = (Finder::new("mkdir "), Finder::new("/cgroup"));
    let mut found: Vec<RuntimeLines> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        // Of runc: `mkdir /sys/fs/cgroup/memory/kubepods/...: cannot allocate memory`.
        let Some(at) = mkdir
            .find(line)
            .filter(|&at| cgroup.find(&line[at..]).is_some())
        else {
            continue;
        };
        let error = errors
            .iter()
            .find(|(_, text)| text.find(&line[at..]).is_some());
        let Some((error, _)) = error else { continue };
        let line = Line {
            file: file.to_owned(),
            number,
            text: String::from_utf8_lossy(line).trim_end().to_owned(),
        };
        match found.iter_mut().find(|lines| lines.error == *error) {
            Some(lines) => {
                lines.count += 1;
                lines.last = line;
            }
            None => found.push(RuntimeLines {
                error: *error,
                count: 1,
                first: line.clone(),
                last: line,
                whole,
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_runtimes_are_found() {
        let log = b"\
Nov 24 01:00:00 n1 kubelet: I1124 fine
Nov 24 01:02:03 n1 kubelet: E1124 CreatePodSandbox: mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod1: cannot allocate memory
Nov 24 01:02:04 n1 dockerd: mkdir /var/lib/docker/x: no space left on device
Nov 24 01:02:05 n1 kubelet: mkdir /sys/fs/cgroup/memory/kubepods/pod2: no space left on device\xff
Nov 24 01:02:06 n1 dockerd: \"mkdir /sys/fs/cgroup/memory/docker/1: cannot allocate memory\"
Nov 24 01:02:07 n1 kubelet: no space left on device: mkdir /sys/fs/cgroup/x
";
        let found = parse("/var/log/messages", log, true);
        let told: Vec<_> = found
            .iter()
            .map(|lines| {
                (
                    lines.error,
                    lines.count,
                    lines.first.number,
                    lines.last.number,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (RuntimeError::NoMemory, 2, 2, 5),
                (RuntimeError::NoSpace, 1, 4, 4)
            ]
        );
    }
}
