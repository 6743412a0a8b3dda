//! What kubelet and the container runtimes say when they cannot make a cgroup: the lines of the logs that say so, and of those
//! nothing else.

mod mkdir;
mod paths;

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem::Finder;

pub use mkdir::{FailedMkdir, MkdirError, failed_mkdir};
pub use paths::MemoryPaths;

use super::{
    Root, open,
    parse::{lines, number},
};

/// Files that syslogs and runtimes write on the usual distributions. `deploy/kmemtrace-snapshot.sh` has the same.
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

/// Of a longer file so much of the end is read: some days of a busy node.
pub const LOG_TAIL: u64 = 16 << 20;

/// So many lines are taken of each file.
const LINES: usize = 10_000;

/// The lines in a snapshot: `read FILE` for each file that was read, and `FILE:NUMBER:TEXT` for each line.
pub(super) const COPIED: &str = "runtime-log.txt";

/// The name that the journal has among the files.
pub const JOURNAL: &str = "journalctl";

/// What the logs say.
#[derive(Debug, Default)]
pub struct RuntimeLog {
    /// Files that were read.
    pub read: Vec<String>,
    /// Files that could not be read, and why.
    pub unread: Vec<(String, io::Error)>,
    /// The lines that matter, file by file.
    pub lines: Vec<RuntimeLine>,
}

/// A line that says that a cgroup could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLine {
    /// The file, on the machine itself.
    pub file: String,
    /// Counted from 1; `None` if only the file's end was read.
    pub number: Option<u64>,
    /// Without the newline.
    pub text: Vec<u8>,
}

/// Reads the files there are: of a copy, what it has of them.
pub fn runtime_log(root: &Root) -> RuntimeLog {
    if let Ok(copied) = root.read(COPIED) {
        return parse_copied(&copied);
    }
    let mut log = RuntimeLog::default();
    for file in FILES {
        match tail(root, file) {
            Ok((bytes, whole)) => {
                log.read.push(file.to_owned());
                log.lines.extend(runtime_lines(file, &bytes, whole));
            }
            // Several of these names are a directory on some machines.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => log.unread.push((file.to_owned(), error)),
        }
    }
    log
}

/// The lines of one file, or of one part of it, that name a cgroup and one of the errors. [`failed_mkdir`] says what a line tells;
/// `deploy/kmemtrace-snapshot.sh` picks the same lines.
pub fn runtime_lines(file: &str, bytes: &[u8], whole: bool) -> Vec<RuntimeLine> {
    let cgroup = Finder::new("cgroup");
    // Without the first letter, which may be a capital.
    let errors = [
        "annot allocate memory",
        "o space left on device",
        "ut of memory",
    ]
    .map(Finder::new);
    let matters = |line: &[u8]| {
        cgroup.find(line).is_some() && errors.iter().any(|error| error.find(line).is_some())
    };
    lines(bytes)
        .filter(|(_, line)| matters(line))
        .take(LINES)
        .map(|(number, line)| RuntimeLine {
            file: file.to_owned(),
            number: whole.then_some(number as u64),
            text: line.to_vec(),
        })
        .collect()
}

/// The end of a file, and whether it is all of it.
fn tail(root: &Root, path: &str) -> io::Result<(Vec<u8>, bool)> {
    let mut file = open::file(&root.path(path))?;
    let length = file.metadata()?.len();
    let whole = length <= LOG_TAIL;
    if !whole {
        file.seek(SeekFrom::Start(length - LOG_TAIL))?;
    }
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok((bytes, whole))
}

/// What a snapshot has: `None` if there is no such log. `journal` is what was found in the journal, if that was read.
pub(super) fn to_copy(root: &Root, journal: Option<&[RuntimeLine]>) -> Option<Vec<u8>> {
    let mut log = runtime_log(root);
    if let Some(lines) = journal {
        log.read.push(JOURNAL.to_owned());
        log.lines.extend_from_slice(lines);
    }
    let mut text = Vec::new();
    for file in &log.read {
        text.extend_from_slice(format!("read {file}\n").as_bytes());
    }
    for line in &log.lines {
        let number = line
            .number
            .map_or_else(String::new, |number| number.to_string());
        text.extend_from_slice(format!("{}:{number}:", line.file).as_bytes());
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
    (!text.is_empty()).then_some(text)
}

fn parse_copied(text: &[u8]) -> RuntimeLog {
    let mut log = RuntimeLog::default();
    for (_, line) in lines(text) {
        if let Some(file) = line.strip_prefix(b"read ") {
            log.read.push(String::from_utf8_lossy(file).into_owned());
            continue;
        }
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (file, at, text) = (parts.next(), parts.next(), parts.next());
        if let (Some(file), Some(at), Some(text)) = (file, at, text) {
            log.lines.push(RuntimeLine {
                file: String::from_utf8_lossy(file).into_owned(),
                number: number(at),
                text: text.to_vec(),
            });
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::root;

    const LOG: &str = "\
Nov 24 01:00:00 n1 kubelet: I1124 fine
Nov 24 01:02:03 n1 kubelet: E1124 CreatePodSandbox: mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod1: cannot allocate memory
Nov 24 01:02:04 n1 dockerd: mkdir /var/lib/docker/x: no space left on device
Nov 24 01:02:05 n1 kubelet: mkdir /sys/fs/cgroup/memory/kubepods/pod2: no space left on device

Nov 24 01:02:06 n1 dockerd: \"mkdir /sys/fs/cgroup/memory/docker/1: cannot allocate memory\"
Nov 24 01:02:07 n1 kubelet: no space left on device: mkdir /sys/fs/cgroup/x
";

    #[test]
    fn lines_of_runtimes_are_found_and_copied() {
        let (_directory, machine) = root(&[("/var/log/messages", LOG), ("/var/log/docker/x", "")]);
        let log = runtime_log(&machine);
        let numbers: Vec<_> = log.lines.iter().filter_map(|line| line.number).collect();
        assert_eq!(numbers, [2, 4, 6, 7]);
        assert_eq!(
            (&log.read[..], log.unread.len()),
            (&["/var/log/messages".to_owned()][..], 0)
        );
        let copied = String::from_utf8(to_copy(&machine, None).unwrap()).unwrap();
        let (_other, copy) = root(&[("runtime-log.txt", &copied)]);
        let again = runtime_log(&copy);
        assert_eq!((again.read, again.lines), (log.read, log.lines));
        let (_none, empty) = root(&[]);
        assert!(to_copy(&empty, None).is_none());
        let journal = runtime_lines(JOURNAL, LOG.as_bytes(), true);
        let copied = to_copy(&empty, Some(&journal)).unwrap();
        let again = parse_copied(&copied);
        assert_eq!(
            (&again.read[..], again.lines),
            (&[JOURNAL.to_owned()][..], journal)
        );
    }

    #[test]
    fn of_an_end_the_numbers_are_not_known() {
        assert!(
            runtime_lines("x", LOG.as_bytes(), false)
                .iter()
                .all(|line| line.number.is_none())
        );
        assert!(parse_copied(b"x:\nread \n:::\n\xff:9:\xff\n").lines.len() == 2);
    }
}
