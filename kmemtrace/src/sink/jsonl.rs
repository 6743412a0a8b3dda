//! JSON lines: traces and `--format json`. The fields are [`Line`]'s; this adds what a change knows beyond its fact.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::{
    Sink,
    line::Lines,
    runs::{Runs, SharedOut},
};
use crate::{
    event::{
        Event, Stamp,
        header::Header,
        json::{HeaderLine, Line, WallTime, kind},
    },
    text::escape::{is_hidden, is_plain},
    tracker::{Change, Status, Summary, What},
};

/// For `export`: all changes, with the node's name where there are several.
pub(super) fn export(out: SharedOut, several: bool) -> Box<dyn Runs> {
    Box::new(move |_: usize, header: &Header| {
        let lines = JsonLines::new(out.clone());
        let sink: Box<dyn Sink> = if several && header.hostname.is_some() {
            Box::new(lines.with_hostname())
        } else {
            Box::new(lines)
        };
        Ok(sink)
    })
}

/// Writes one line a change, each with one `write`.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    lines: Lines,
    names_host: bool,
    buffer: Vec<u8>,
}

/// The end of a run, which holds no fact.
#[derive(Serialize)]
struct SummaryLine<'a> {
    time: WallTime,
    mono_ns: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl<W: Write> JsonLines<W> {
    /// A sink that writes to `out`, unbuffered.
    pub fn new(out: W) -> Self {
        Self {
            out,
            lines: Lines::default(),
            names_host: false,
            buffer: Vec::new(),
        }
    }

    /// Lines name the node, for where those of several nodes come together.
    #[must_use]
    pub fn with_hostname(mut self) -> Self {
        self.names_host = true;
        self
    }

    /// What it writes to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes to something else from now on; gives back what it wrote to.
    pub fn replace(&mut self, out: W) -> W {
        std::mem::replace(&mut self.out, out)
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// A fact as it came: without what the tracker makes of it, nor what follows from its path and from the header.
    ///
    /// # Errors
    ///
    /// If the line cannot be written.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        write(&mut self.out, &mut self.buffer, &Line::of(event))
    }

    /// The end of a run.
    ///
    /// # Errors
    ///
    /// If the line cannot be written.
    pub fn summary(&mut self, time: Stamp, summary: &Summary) -> io::Result<()> {
        let line = SummaryLine {
            time: WallTime(time.wall_ns),
            mono_ns: time.mono_ns,
            kind: kind::SUMMARY,
            hostname: self.lines.hostname(),
            summary,
        };
        write(&mut self.out, &mut self.buffer, &line)
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.lines = Lines::of(header, self.names_host);
        write(
            &mut self.out,
            &mut self.buffer,
            &HeaderLine::new(time, header),
        )
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        if let What::Summary(summary) = &change.what {
            return self.summary(change.time, summary);
        }
        let Self {
            lines, out, buffer, ..
        } = self;
        let written = lines.line(change, |line| write(out, buffer, line));
        written.unwrap_or(Ok(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// In one `write`, so that a crash tears as few lines as can be.
fn write(out: &mut impl Write, buffer: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    buffer.clear();
    line.serialize(&mut Serializer::with_formatter(&mut *buffer, Safe))?;
    buffer.push(b'\n');
    out.write_all(buffer)
}

/// Compact JSON that a terminal can be shown: `serde_json` escapes C0 controls alone.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        if !is_plain(rest.as_bytes()) {
            while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
                let (before, after) = rest.split_at(at);
                writer.write_all(before.as_bytes())?;
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
                rest = after.get(hidden.len_utf8()..).unwrap_or_default();
            }
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
