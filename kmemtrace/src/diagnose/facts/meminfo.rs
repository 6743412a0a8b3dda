//! How much memory is free.

use super::{FileLine, Reading, Reason, Root, Unread, find};

/// Of `/proc/meminfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meminfo {
    /// All memory, in bytes.
    pub total: u64,
    /// What could be had without swapping, in bytes; on kernels before 3.14 that do not tell, what is free.
    pub available: u64,
    /// The line of that.
    pub line: FileLine,
}

impl Meminfo {
    /// Whether so little is available that failures may be just that.
    pub fn is_scarce(&self) -> bool {
        self.available < self.total / 20
    }
}

fn value(line: &FileLine) -> Option<u64> {
    // `MemTotal:        2055212 kB`
    let kib: u64 = line.text.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

fn parse(file: &str, bytes: &[u8]) -> Option<Meminfo> {
    let of = |key: &str| find(file, bytes, |line| line.starts_with(key));
    let line = of("MemAvailable:").or_else(|| of("MemFree:"))?;
    Some(Meminfo {
        total: value(&of("MemTotal:")?)?,
        available: value(&line)?,
        line,
    })
}

pub(super) fn read(root: &Root) -> Reading<Meminfo> {
    let file = "/proc/meminfo";
    let bytes = super::read(root, file)?;
    parse(file, &bytes).ok_or_else(|| Unread::new(file, Reason::NoMeminfo))
}
