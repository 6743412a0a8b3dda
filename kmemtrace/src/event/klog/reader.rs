//! Slab failures from a file that holds the kernel log.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read},
    path::PathBuf,
};

use super::{Assembler, LogLine, line};
use crate::event::SlabFailure;

/// The longest line that is read: the kernel's records are shorter than `PRINTKRB_RECORD_MAX` and `CONSOLE_EXT_LOG_MAX`, both
/// 8 KiB or less, and a few of its times over if each byte is escaped.
const LINE_MAX: u64 = 64 << 10;

/// What was read and what was skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTally {
    /// Lines read, whatever was in them.
    pub lines: u64,
    /// Lines that are no record, or not a whole one.
    pub skipped: u64,
}

/// A line that was skipped, or the end of reading.
#[derive(Debug, thiserror::Error)]
#[error("{} line {number}: {fault}", file.display())]
pub struct LogError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub number: u64,
    /// What is wrong with it.
    #[source]
    pub fault: LogFault,
}

/// What is wrong with a line of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// It begins neither as `/dev/kmsg` writes records nor as `dmesg` and syslogs print them.
    #[error("not a record of the kernel log")]
    NoRecord,
    /// It has a date at most.
    #[error("no time since boot")]
    NoTime,
    /// The file ends within it.
    #[error("the end of the line is missing")]
    Torn,
    /// It is longer than any record.
    #[error("longer than {LINE_MAX} bytes")]
    TooLong,
    /// The file cannot be read any further.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
}

/// An iterator over the slab failures in a kernel log, with their times on its clock, in nanoseconds.
///
/// The log may be what `/dev/kmsg` gave or what `dmesg` printed with times since boot. A line that is neither is an error, and the next may be
/// fine; after [`LogFault::Io`] nothing follows.
#[derive(Debug)]
pub struct LogReader<R> {
    input: R,
    file: PathBuf,
    buffer: Vec<u8>,
    assembler: Assembler,
    ready: VecDeque<(u64, SlabFailure)>,
    tally: LogTally,
    ended: bool,
}

impl<R: BufRead> LogReader<R> {
    /// A reader from where `input` stands; `file` is for errors.
    pub fn new(input: R, file: impl Into<PathBuf>) -> Self {
        Self {
            input,
            file: file.into(),
            buffer: Vec::new(),
            assembler: Assembler::default(),
            ready: VecDeque::new(),
            tally: LogTally::default(),
            ended: false,
        }
    }

    /// What was read and skipped so far.
    pub fn tally(&self) -> LogTally {
        self.tally
    }

    /// Takes in a line; at the file's end, what is left.
    fn advance(&mut self) -> Result<(), LogFault> {
        self.buffer.clear();
        let mut limited = (&mut self.input).take(LINE_MAX + 1);
        limited.read_until(b'\n', &mut self.buffer)?;
        let ready = &mut self.ready;
        let mut each = |time, failure| ready.push_back((time, failure));
        if self.buffer.is_empty() {
            self.ended = true;
            self.assembler.finish(&mut each);
            return Ok(());
        }
        self.tally.lines += 1;
        if self.buffer.pop_if(|last| *last == b'\n').is_none() {
            if self.buffer.len() as u64 > LINE_MAX {
                self.input.skip_until(b'\n')?;
                return Err(LogFault::TooLong);
            }
            // Half a number would look like a whole one.
            return Err(LogFault::Torn);
        }
        self.buffer.pop_if(|last| *last == b'\r');
        match line(&self.buffer) {
            Some(LogLine::Record(record)) => {
                let time_ns = record.time_ns.ok_or(LogFault::NoTime)?;
                self.assembler.take(time_ns, time_ns, &record, &mut each);
                Ok(())
            }
            Some(LogLine::More) => Ok(()),
            Some(LogLine::Other) | None => Err(LogFault::NoRecord),
        }
    }
}

impl<R: BufRead> Iterator for LogReader<R> {
    type Item = Result<(u64, SlabFailure), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Some(Ok(found));
            }
            if self.ended {
                return None;
            }
            let number = self.tally.lines + 1;
            if let Err(fault) = self.advance() {
                if matches!(fault, LogFault::Io(_)) {
                    // What was pending is whole enough to be told, after the error.
                    self.ended = true;
                    let ready = &mut self.ready;
                    let each = &mut |time, failure| ready.push_back((time, failure));
                    self.assembler.finish(each);
                } else {
                    self.tally.skipped += 1;
                }
                let file = self.file.clone();
                return Some(Err(LogError {
                    file,
                    number,
                    fault,
                }));
            }
        }
    }
}
