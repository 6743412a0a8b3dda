//! Traces as files: written, and read however they were packed and however they ended.
//!
//! [`Trace`] is an iterator over one file that holds one line of it at a time; what it cannot understand is an error that
//! names file and line, after which it goes on.

mod faults;
mod input;
mod play;
pub mod record;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

pub use faults::{Faults, TraceNote};
pub use input::Input;
pub use play::{Play, PlayStep, PlayTally};

use crate::{
    event::{
        Stamp,
        json::{Fault, Item, LineError, ReadError, Reader, Tally},
        sense,
    },
    text::escape::Name,
};

/// How much older than the line before it a fact may be, in nanoseconds, unless the trace was put together wrongly. Sources
/// give facts in the order in which they learn of them, and that of a walk or of the kernel log may be late by seconds.
pub const DISORDER_NS: u64 = 60_000_000_000;

/// What of a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A line was skipped; the next one may be fine.
    #[error("{file}: {error}")]
    Line {
        /// The file.
        file: String,
        /// The line, and what is wrong with it.
        #[source]
        error: LineError,
    },
    /// The file cannot be read any further.
    #[error("{file}: cannot read beyond line {line}: {error}")]
    Io {
        /// The file.
        file: String,
        /// The last line that was read; 0 if there was none.
        line: u64,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl TraceError {
    /// Whether nothing more comes of the file.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}

/// One file's trace, record by record: an iterator over headers, facts and ends of runs.
pub struct Trace<R: Read = Box<dyn Read + Send>> {
    name: String,
    reader: Reader<Input<R>>,
    /// In a run, and the time of its newest line so far.
    run: Option<u64>,
}

impl Trace {
    /// Opens a file, plain or zstd; `-` is the standard input.
    ///
    /// # Errors
    ///
    /// It cannot be opened or read.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        if path == Path::new("-") {
            return Self::new("stdin", Box::new(io::stdin()));
        }
        let name = Name::whole(path.as_os_str().as_bytes()).to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, Box::new(file)),
            Err(error) => Err(TraceError::Io {
                file: name,
                line: 0,
                error,
            }),
        }
    }
}

impl<R: Read> Trace<R> {
    /// Reads a trace from `file`; `name` is for errors.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn new(name: impl Into<String>, file: R) -> Result<Self, TraceError> {
        let name = name.into();
        match Input::new(file) {
            Ok(input) => Ok(Self {
                name,
                reader: Reader::new(input),
                run: None,
            }),
            Err(error) => Err(TraceError::Io {
                file: name,
                line: 0,
                error,
            }),
        }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was skipped and passed over so far. At the end, [`Tally::torn`] says that the file ended within a line, or
    /// within a zstd frame.
    pub fn tally(&self) -> Tally {
        let tally = self.reader.tally();
        Tally {
            torn: tally.torn || self.reader.input().is_torn(),
            ..tally
        }
    }

    /// How many bytes of the file have been read, packed as they are.
    pub fn position(&self) -> u64 {
        self.reader.input().position()
    }

    /// Whether it is zstd.
    pub fn is_packed(&self) -> bool {
        self.reader.input().is_packed()
    }

    /// Whether an item may stand where it does.
    fn check(&mut self, item: &Item) -> Result<(), Fault> {
        let time = match item {
            Item::Header(time, _) => {
                self.run = Some(time.mono_ns);
                return Ok(());
            }
            Item::Event(event) => event.time,
            Item::End(time) => *time,
        };
        let Stamp { mono_ns, .. } = time;
        if let Item::Event(event) = item {
            sense::fact(mono_ns, &event.fact).map_err(Fault::Nonsense)?;
        }
        let newest = self.run.ok_or(Fault::NoHeader)?;
        if let Item::End(_) = item {
            // What comes after it is of no run.
            self.run = None;
            return Ok(());
        }
        let back = newest.saturating_sub(mono_ns);
        if back > DISORDER_NS {
            // From here on the order is this line's: one break of it is one error.
            self.run = Some(mono_ns);
            return Err(Fault::Disorder(back));
        }
        self.run = Some(newest.max(mono_ns));
        Ok(())
    }
}

impl<R: Read> fmt::Debug for Trace<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:?}, {:?})", self.name, self.reader)
    }
}

impl<R: Read> Iterator for Trace<R> {
    type Item = Result<Item, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let error = match self.reader.next()? {
            Ok(item) => match self.check(&item) {
                Ok(()) => return Some(Ok(item)),
                Err(fault) => self.reader.refuse(fault),
            },
            Err(error) => error,
        };
        let file = self.name.clone();
        Some(Err(match error {
            ReadError::Line(error) => TraceError::Line { file, error },
            ReadError::Io(error) => TraceError::Io {
                file,
                line: self.reader.tally().lines,
                error,
            },
        }))
    }
}
