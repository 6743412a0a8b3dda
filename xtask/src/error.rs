//! What went wrong, as the person at the terminal reads it.

use std::{fmt, io, path::Path};

/// A failure: what could not be done and why, and what the person can do about it.
#[derive(Debug)]
pub(crate) struct Error {
    message: String,
    help: Vec<String>,
}

impl Error {
    /// A failure that names the object, the operation and the cause.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// A file operation that failed: `operation` is a verb, as in "cannot read".
    pub(crate) fn file(operation: &str, path: &Path, cause: &io::Error) -> Self {
        Self::new(format!("cannot {operation} {}: {cause}", path.display()))
    }

    /// Adds a line that says what to do.
    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// Both this failure and `other`, each piece of advice once.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.message = format!("{}\n{}", self.message, other.message);
        for line in other.help {
            if !self.help.contains(&line) {
                self.help.push(line);
            }
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help
            .iter()
            .try_for_each(|line| write!(f, "\nhelp: {line}"))
    }
}
