//! What a file of the kernel's that cannot be understood looks like as an error.

use std::{fmt::Display, io};

/// A line that is not what the kernel writes there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Malformed {
    /// The file, on the machine itself.
    pub file: &'static str,
    /// Counted from 1.
    pub line: usize,
    /// What is missing or wrong.
    pub problem: &'static str,
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// An error with the file or directory that it is about.
pub(super) fn about(what: impl Display, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{what}: {error}"))
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
