//! What a file of the kernel's that cannot be understood looks like as an error.

use std::{borrow::Cow, fmt::Display, io, path::Path};

use super::open::{self, bounded};
use crate::error::About;

/// A line that is not what the kernel writes there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Malformed {
    /// The file, on the machine itself.
    pub file: Cow<'static, str>,
    /// Counted from 1.
    pub line: usize,
    /// What is missing or wrong.
    pub problem: &'static str,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file, on the machine itself; bytes that are not ASCII are escaped.
        file: String,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// It cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// An error with the file or directory that it is about.
pub(super) fn about(what: impl Display, error: impl Into<io::Error>) -> io::Error {
    About::wrap(what, error.into())
}

/// The lines of a file with their numbers.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = bytes.split(|&byte| byte == b'\n');
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}

/// A number in decimal digits.
pub(super) fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.trim_ascii().parse().ok()
}

/// How long a small file may be, in bytes: what is longer is not what the kernel writes there.
pub(super) const SMALL: u64 = 1 << 20;

/// Reads a small file. Its size is what can be read, whatever `stat` says: files of /proc and /sys have none.
pub(super) fn small(path: &Path) -> io::Result<Vec<u8>> {
    bounded(open::file(path)?, SMALL)
}
