//! What went wrong, as the person at the terminal reads it: what, why, and what to do.

use std::{error, fmt, io, path::Path};

/// A failure: what could not be done, its causes, and lines that say what can be done about it.
#[derive(Debug)]
pub struct Error {
    what: String,
    cause: Option<Box<dyn error::Error + Send + Sync>>,
    help: Vec<String>,
}

impl Error {
    /// A failure in lower case that names the object and the operation.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cause: None,
            help: Vec::new(),
        }
    }

    /// A failure that says itself what could not be done.
    pub fn of(cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::caused("", cause)
    }

    /// A failure with what lies behind it.
    pub fn caused(
        what: impl fmt::Display,
        cause: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.to_string(),
            cause: Some(cause.into()),
            help: Vec::new(),
        }
    }

    /// A file operation that failed: `operation` is a verb, as in "cannot read".
    pub fn file(operation: &str, path: &Path, cause: io::Error) -> Self {
        Self::caused(format!("cannot {operation} {}", path.display()), cause)
    }

    /// What could not be done and why, without what can be done about it.
    pub fn reason(&self) -> String {
        match &self.cause {
            Some(cause) if self.what.is_empty() => causes(&**cause),
            Some(cause) => format!("{}: {}", self.what, causes(&**cause)),
            None => self.what.clone(),
        }
    }

    /// [`Error::reason`] in two: all that stands before what the system said, and that.
    pub fn parts(&self) -> (String, Said) {
        parts(self.reason(), self)
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
        f.write_str(&self.reason())?;
        self.help
            .iter()
            .try_for_each(|line| write!(f, "\nhelp: {line}"))
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let cause = self.cause.as_ref()?;
        Some(&**cause)
    }
}

/// What the system said of an operation: kept where the error itself cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// One of its errors, by number (`errno.h`).
    Number(i32),
    /// In words that have no number.
    Text(String),
}

impl Said {
    /// What the system said at the root of an error, and all that stands before it.
    pub fn of(error: &(dyn error::Error + 'static)) -> (String, Self) {
        parts(causes(error), error)
    }

    /// Its words, as they were written down.
    pub fn told(text: &str) -> Self {
        let number = text
            .strip_suffix(')')
            .and_then(|text| text.rsplit_once(" (os error "))
            .and_then(|(_, number)| number.parse().ok())
            .map(Self::Number);
        let same = number.filter(|number| number.to_string() == text);
        same.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// The error's number.
    pub fn number(&self) -> Option<i32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

impl From<&io::Error> for Said {
    fn from(error: &io::Error) -> Self {
        let number = error.raw_os_error().map(Self::Number);
        number.unwrap_or_else(|| Self::Text(error.to_string()))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => io::Error::from_raw_os_error(*number).fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// An error of the system's, with what it is about. As an [`io::Error`] it keeps the system's as its source.
#[derive(Debug)]
pub struct About {
    what: String,
    error: io::Error,
}

impl About {
    /// Puts what an error is about before it.
    pub fn wrap(what: impl fmt::Display, error: io::Error) -> io::Error {
        let what = what.to_string();
        io::Error::new(error.kind(), Self { what, error })
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl error::Error for About {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Divides what an error comes to before what the system said, if that is at its root.
fn parts(text: String, error: &(dyn error::Error + 'static)) -> (String, Said) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    let said = root.downcast_ref::<io::Error>().map(Said::from);
    let said = said.filter(|said| said.number().is_some());
    match said.and_then(|said| Some((text.strip_suffix(&said.to_string())?.to_owned(), said))) {
        Some((before, said)) => (before.trim_end_matches(": ").to_owned(), said),
        None => (String::new(), Said::Text(text)),
    }
}

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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_cause_stays_an_error() {
        let denied = || io::Error::from_raw_os_error(13);
        let error = Error::caused("cannot read x", denied()).help("be root");
        assert_eq!(error.source().unwrap().to_string(), denied().to_string());
        assert_eq!(
            error.parts(),
            ("cannot read x".to_owned(), Said::Number(13))
        );
        assert_eq!(
            error.to_string(),
            format!("cannot read x: {}\nhelp: be root", denied())
        );
        let outer = Error::caused("cannot start", About::wrap("x", denied()));
        let before = "cannot start: x".to_owned();
        assert_eq!(outer.parts(), (before, Said::Number(13)));
        let inner = outer.source().unwrap().source();
        assert_eq!(inner.unwrap().to_string(), denied().to_string());
    }

    #[test]
    fn what_was_written_down_is_known_by_its_number_if_it_is_the_same() {
        let denied = Said::Number(13);
        assert_eq!(Said::told(&denied.to_string()), denied);
        for other in ["denied (os error 13)", "os error 13", "", "it said nothing"] {
            assert_eq!(Said::told(other), Said::Text(other.to_owned()));
        }
    }
}
