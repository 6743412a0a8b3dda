//! What went wrong, as the person at the terminal reads it: what, why, and what to do.

use std::{error, fmt};

/// A failure: what could not be done, its causes, and lines that say what can be done about it.
#[derive(Debug)]
pub struct Error {
    message: String,
    help: Vec<String>,
}

impl Error {
    /// A failure in lower case that names the object and the operation.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// A failure with everything that lies behind it.
    pub fn caused(message: impl fmt::Display, cause: &(dyn error::Error + 'static)) -> Self {
        Self::new(format!("{message}: {}", causes(cause)))
    }

    /// What could not be done and why, without what can be done about it.
    pub fn reason(&self) -> &str {
        &self.message
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
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

impl error::Error for Error {}

/// An error and all its sources in one line, none of them twice (many errors print their source themselves).
pub fn causes(error: &(dyn error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
