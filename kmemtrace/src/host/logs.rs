//! The logs of syslogs, kubelet and the runtimes: of each the lines that tell of memory cgroups, and nothing else. Each log is read
//! once, for those of the kernel and those of the programs.

mod mkdir;
mod paths;
mod places;
mod select;
mod snapshot;

use std::io;

use super::Root;

pub use mkdir::{FailedMkdir, MkdirError, failed_mkdir};
pub use paths::MemoryPaths;
pub use select::log_file;
pub(super) use snapshot::COPIED;
pub(super) use snapshot::to_copy;

/// Of a longer file so much of the end is read: some days of a busy node.
pub const LOG_TAIL: u64 = 16 << 20;

/// The names that the journal has among the files: of this boot and the one before, of units and of the kernel.
pub const JOURNALS: [&str; 4] = [
    "journalctl --boot=-1",
    "journalctl",
    "journalctl --dmesg --boot=-1",
    "journalctl --dmesg",
];

/// What the logs say.
#[derive(Debug, Default)]
pub struct Logs {
    /// The logs that were read; of a rotated one the oldest file first.
    pub files: Vec<LogFile>,
    /// Files that could not be read, and why.
    pub unread: Vec<(String, io::Error)>,
    /// Files that are there and are not read, as they are compressed in another way than by gzip.
    pub skipped: Vec<String>,
}

/// A file of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFile {
    /// The file, on the machine itself.
    pub name: String,
    /// The name of the log, which is that of the file that is written to now.
    pub log: String,
    /// Whether any line begins as those of logs do: with a time.
    pub stamped: bool,
    /// The lines that matter.
    pub lines: Vec<LogText>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogText {
    /// Counted from 1; `None` if only the file's end was read.
    pub number: Option<u64>,
    /// Without the newline.
    pub text: Vec<u8>,
}

impl LogFile {
    /// The runtime that writes it, if it is one's own; `None` of a syslog, a container's log and the journal.
    pub fn writer(&self) -> Option<&'static str> {
        places::writer(&self.log)
    }

    /// Whether all of it is of boots before this one.
    pub fn is_before_boot(&self) -> bool {
        self.name.ends_with("--boot=-1")
    }
}

/// Reads the files there are: of a copy, what it has of them.
pub fn logs(root: &Root) -> Logs {
    snapshot::read(root).unwrap_or_else(|| places::read(root))
}

#[cfg(test)]
mod tests;
