//! A table for spreadsheets and data frames: a row a change, a column a field of [`Line`].

use std::io::{self, Write};

use serde_json::Value;

use super::{Sink, jsonl::JsonLines};
use crate::{
    event::{Stamp, header::Header, json::Line},
    tracker::{Change, State, What},
};

/// Writes rows. The header and the summary, which have other fields, are left out.
pub struct Csv<W: Write> {
    lines: JsonLines<Vec<u8>>,
    out: csv::Writer<Rows<W>>,
}

/// A row reaches what is below at once and whole, so that the rows of several runs can lie between each other; but no further.
struct Rows<W>(W);

impl<W: Write> Write for Rows<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Csv<W> {
    /// Writes to `out`; with `titles` the first row has the columns' names.
    ///
    /// # Errors
    ///
    /// The titles cannot be written.
    pub fn new(out: W, titles: bool) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(Rows(out));
        if titles {
            out.write_record(Line::FIELDS)?;
            out.flush()?;
        }
        Ok(Self {
            lines: JsonLines::new(Vec::new()).with_hostname(),
            out,
        })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.lines.header(time, header)?;
        self.lines.get_mut().clear();
        Ok(())
    }

    fn change(&mut self, change: &Change, state: State<'_>) -> io::Result<()> {
        if matches!(change.what, What::Summary(_)) {
            return Ok(());
        }
        self.lines.get_mut().clear();
        self.lines.change(change, state)?;
        let line: Value = serde_json::from_slice(self.lines.get_ref())?;
        self.out
            .write_record(Line::FIELDS.iter().map(|field| cell(&line[field])))?;
        self.out.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What is not known is empty. A text that a spreadsheet would take for a formula gets the quote before it that says it is none:
/// names come from outside.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_none() {
        assert_eq!(cell(&Value::from("=1+1")), "'=1+1");
        assert_eq!(cell(&Value::from("/a=b")), "/a=b");
        assert_eq!(cell(&Value::from(-1)), "-1");
        assert_eq!(cell(&Value::from(u64::MAX)), "18446744073709551615");
        assert_eq!(cell(&Value::Null), "");
    }
}
