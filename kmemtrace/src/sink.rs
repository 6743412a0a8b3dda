//! How changes are shown. A sink renders one change and remembers nothing; it escapes what came from outside for its
//! medium.

pub mod csv;
pub mod jsonl;
pub mod label;
pub mod otlp;
pub mod parquet;
pub mod perfetto;
pub mod tail;
#[cfg(test)]
mod tests;

use std::io;

use crate::{
    event::{Stamp, header::Header},
    tracker::Change,
};

/// One way of showing changes. Each method fails if what it shows cannot be written.
#[expect(clippy::missing_errors_doc, reason = "it is the same for all of them")]
pub trait Sink {
    /// What the run is, and its beginning, before its first change.
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()>;
    /// One change.
    fn change(&mut self, change: &Change) -> io::Result<()>;
    /// All that was shown so far reaches the reader.
    fn flush(&mut self) -> io::Result<()>;
}
