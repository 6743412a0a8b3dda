//! Where logs are. `deploy/kmemtrace-snapshot.sh` has the same places.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::{LOG_TAIL, Logs, log_file};
use crate::{
    host::{Root, glob, open},
    runtimes,
};

/// Files that syslogs write on the usual distributions, and what was in the kernel log after boot.
const SYSLOGS: [&str; 5] = [
    "/var/log/dmesg",
    "/var/log/kern.log",
    "/var/log/messages",
    "/var/log/syslog",
    "/var/log/daemon.log",
];

/// What containers write, where docker keeps it: of Rancher's RKE1 kubelet is one.
const CONTAINERS: &str = "/var/lib/docker/containers/*/*-json.log";

/// So many files are read for a name with a `*`: a node with 250 pods has as many containers, twice over.
const MATCHES: usize = 512;

/// And of each of them so much of the end.
const MATCH_TAIL: u64 = 1 << 20;

/// So many rotated files are read for each log.
const ROTATED: usize = 4;

/// All patterns, in the order in which files are read.
pub(super) fn patterns() -> impl Iterator<Item = &'static str> {
    SYSLOGS
        .into_iter()
        .chain(runtimes::logs())
        .chain([CONTAINERS])
}

/// Reads all there are.
pub(super) fn read(root: &Root) -> Logs {
    let mut logs = Logs::default();
    for pattern in patterns() {
        let most = if pattern.contains('*') {
            MATCH_TAIL
        } else {
            LOG_TAIL
        };
        for log in glob::matches(root, pattern, MATCHES) {
            for name in files(root, &log, &mut logs.skipped) {
                match content(root, &name, most) {
                    Ok((bytes, whole)) => logs.files.push(log_file(&name, &log, &bytes, whole)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => logs.unread.push((name, error)),
                }
            }
        }
    }
    logs.skipped.sort_unstable();
    logs
}

/// The runtime that writes a log, if it is one's own.
pub(super) fn writer(log: &str) -> Option<&'static str> {
    let own = |row: &&runtimes::Row| row.logs.iter().any(|pattern| glob::wildcard(pattern, log));
    runtimes::RUNTIMES.iter().find(own).map(|row| row.name)
}

/// A log's files: those that were rotated, oldest first, and the log itself.
fn files(root: &Root, log: &str, skipped: &mut Vec<String>) -> Vec<String> {
    let (directory, name) = log.rsplit_once('/').unwrap_or_default();
    let entries = fs::read_dir(root.path(directory)).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut dated = Vec::new();
    let mut numbered = Vec::new();
    for entry in names {
        let Some(rest) = entry.strip_prefix(name) else {
            continue;
        };
        let (stem, packed) = rest.rsplit_once('.').map_or((rest, ""), |(stem, end)| {
            if ["gz", "xz", "bz2", "zst"].contains(&end) {
                (stem, end)
            } else {
                (rest, "")
            }
        });
        let to = match stem.as_bytes() {
            [b'-', date @ ..] if date.len() == 8 && date.iter().all(u8::is_ascii_digit) => {
                &mut dated
            }
            [b'.', b'0'..=b'9'] => &mut numbered,
            _ => continue,
        };
        let path = format!("{directory}/{entry}");
        if !root.path(&path).is_file() {
            continue;
        }
        match packed {
            "" | "gz" => to.push(path),
            _ => skipped.push(path),
        }
    }
    // The newest first: by date, then by number.
    dated.sort_unstable_by(|a, b| b.cmp(a));
    numbered.sort_unstable();
    let mut files: Vec<_> = dated.into_iter().chain(numbered).take(ROTATED).collect();
    files.reverse();
    files.push(log.to_owned());
    files
}

/// So many bytes of a file's end, or of the begin of one that is packed; and whether its lines can be counted.
fn content(root: &Root, path: &str, most: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = open::file(&root.path(path))?;
    let mut bytes = Vec::new();
    if Path::new(path).extension().is_some_and(|end| end == "gz") {
        MultiGzDecoder::new(file)
            .take(most)
            .read_to_end(&mut bytes)?;
        return Ok((bytes, true));
    }
    let length = file.metadata()?.len();
    let whole = length <= most;
    if !whole {
        file.seek(SeekFrom::Start(length - most))?;
    }
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, whole))
}
