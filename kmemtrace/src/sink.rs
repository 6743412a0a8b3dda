//! How changes are shown. A sink keeps no verdicts of its own: what it shows of the state it takes from the snapshot that comes
//! with each change. It escapes what came from outside for its medium.

mod csv;
pub mod export;
pub mod filter;
pub mod jsonl;
pub mod label;
mod line;
mod otlp;
mod parquet;
mod perfetto;
pub mod runs;
pub mod tail;
#[cfg(test)]
mod tests;

use std::{fmt, io};

use crate::{
    event::{Stamp, header::Header},
    tracker::{Change, Status, What},
};

/// One way of showing changes. Each method fails if what it shows cannot be written: that ends the run. A sink without which
/// the run is to go on says itself that it failed, and takes in the rest without a word.
#[expect(clippy::missing_errors_doc, reason = "it is the same for all of them")]
pub trait Sink {
    /// What the run is, and its beginning, before its first change.
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()>;
    /// One change, and the state after the fact that made it (which may have made more than this one).
    fn change(&mut self, change: &Change, state: Status<'_>) -> io::Result<()>;
    /// All that was shown so far reaches the reader.
    fn flush(&mut self) -> io::Result<()>;
    /// The end of the run, when nothing more comes: its summary, which reaches the reader.
    fn end(&mut self, time: Stamp, state: Status<'_>) -> io::Result<()> {
        let summary = state.summary();
        let change = Change {
            time,
            totals: summary.totals,
            what: What::Summary(Box::new(summary)),
        };
        self.change(&change, state)?;
        self.flush()
    }
    /// Whether lives in good order are shown: if no sink does, they are not told ([`crate::tracker::Tracker::without_lives`]).
    fn shows_lives(&self) -> bool {
        true
    }
}

/// The sinks of one run. Each gets everything, whatever becomes of the others: one that fails gets nothing more, and the first
/// failure is kept until it is asked for.
#[derive(Default)]
pub struct Sinks {
    sinks: Vec<Box<dyn Sink>>,
    failed: Option<io::Error>,
}

impl Sinks {
    /// All of these.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self {
            sinks,
            failed: None,
        }
    }

    /// Whether one of them shows lives in good order.
    pub fn show_lives(&self) -> bool {
        self.sinks.iter().any(|sink| sink.shows_lives())
    }

    /// What the run is.
    pub fn header(&mut self, time: Stamp, header: &Header) {
        self.each(|sink| sink.header(time, header));
    }

    /// One change.
    pub fn change(&mut self, change: &Change, state: Status<'_>) {
        self.each(|sink| sink.change(change, state));
    }

    /// The end of the run.
    pub fn end(&mut self, time: Stamp, state: Status<'_>) {
        self.each(|sink| sink.end(time, state));
    }

    /// All that was shown so far reaches its readers.
    pub fn flush(&mut self) {
        self.each(|sink| sink.flush());
    }

    /// The first failure, if there was one since this was asked last.
    ///
    /// # Errors
    ///
    /// A sink failed.
    pub fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn each(&mut self, mut show: impl FnMut(&mut dyn Sink) -> io::Result<()>) {
        let failed = &mut self.failed;
        self.sinks.retain_mut(|sink| match show(&mut **sink) {
            Ok(()) => true,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sinks({}, {:?})", self.sinks.len(), self.failed)
    }
}
