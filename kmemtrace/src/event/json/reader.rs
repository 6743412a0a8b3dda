//! Traces read line by line.

use std::io::{self, BufRead, Read};

use super::{Content, Fault, LINE_MAX, LineError, Parsed, parse};
use crate::event::{Event, Stamp, header::Header};

/// What could not be given on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read, whatever was in them.
    pub lines: u64,
    /// Lines in which nothing could be understood, a torn last one not included.
    pub skipped: u64,
    /// Lines of a kind that this version does not know.
    pub unknown_kinds: u64,
    /// Fields that this version does not know.
    pub unknown_fields: u64,
    /// The last line ended before its end: the writer crashed, or its disk was full.
    pub torn: bool,
}

/// Why reading stopped, or what was skipped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The trace cannot be read any further.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line was skipped: the next one may be fine.
    #[error(transparent)]
    Line(#[from] LineError),
}

/// What a trace holds, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A header, and the run's beginning. One file may hold several runs.
    Header(Stamp, Box<Header>),
    /// A fact.
    Event(Event),
    /// A run ended in good order, at this time.
    End(Stamp),
}

/// An iterator over a trace that holds one line at a time.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    tally: Tally,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader from where `input` stands.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            tally: Tally::default(),
            ended: false,
        }
    }

    /// What it reads from.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// Counts the line that was read last as skipped, after all: it cannot stand where it does.
    pub fn refuse(&mut self, fault: Fault) -> ReadError {
        self.tally.skipped += 1;
        self.error(fault)
    }

    fn error(&self, fault: Fault) -> ReadError {
        let number = self.tally.lines;
        LineError { number, fault }.into()
    }

    /// What was skipped and passed over so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Reads a line into the buffer, without its end; `false` at the trace's end.
    fn line(&mut self) -> Result<bool, ReadError> {
        self.buffer.clear();
        let limit = LINE_MAX as u64 + 1;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)?;
        if self.buffer.is_empty() {
            self.ended = true;
            return Ok(false);
        }
        self.tally.lines += 1;
        if self.buffer.pop_if(|last| *last == b'\n').is_some() {
            return Ok(true);
        }
        if self.buffer.len() > LINE_MAX {
            self.input.skip_until(b'\n')?;
            return Err(self.error(Fault::TooLong));
        }
        self.ended = true;
        Ok(true)
    }

    /// Takes the next line apart where it lies, if all of it has been read: most have. `None` if not, or if it is empty.
    fn parse_in_place(&mut self) -> Result<Option<Result<Parsed, LineError>>, ReadError> {
        let read = match self.input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            read => read?,
        };
        let Some(end) = memchr::memchr(b'\n', read).filter(|end| *end <= LINE_MAX) else {
            return Ok(None);
        };
        let line = read.get(..end).unwrap_or_default();
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.tally.lines += 1;
        let parsed = parse(line, self.tally.lines);
        self.input.consume(end + 1);
        Ok(Some(parsed))
    }

    /// The same of a line that has to be put together first; `None` at the trace's end.
    fn parse_whole(&mut self) -> Result<Option<Result<Parsed, LineError>>, ReadError> {
        while !self.ended && self.line()? {
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(parse(&self.buffer, self.tally.lines)));
            }
        }
        Ok(None)
    }

    fn item(&mut self) -> Result<Option<Item>, ReadError> {
        while !self.ended {
            let parsed = match self.parse_in_place()? {
                Some(parsed) => parsed,
                None => match self.parse_whole()? {
                    Some(parsed) => parsed,
                    None => return Ok(None),
                },
            };
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(_) if self.ended => {
                    self.tally.torn = true;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            self.tally.unknown_fields += parsed.unknown_fields;
            match parsed.content {
                Content::Header(time, header) => return Ok(Some(Item::Header(time, header))),
                Content::Event(event) => return Ok(Some(Item::Event(event))),
                Content::End(time) => return Ok(Some(Item::End(time))),
                Content::Verdict => {}
                Content::Unknown => self.tally.unknown_kinds += 1,
            }
        }
        Ok(None)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let error = match self.item() {
            Ok(None) => return None,
            // Straight on: an item is big, and there are many.
            Ok(Some(item)) => return Some(Ok(item)),
            Err(error) => error,
        };
        match &error {
            ReadError::Line(_) => self.tally.skipped += 1,
            ReadError::Io(_) => self.ended = true,
        }
        Some(Err(error))
    }
}
