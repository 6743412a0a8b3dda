//! A table for spreadsheets and data frames: a row a change, a column a field of [`Line`].

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde_json::Value;

use super::{
    Sink,
    line::Lines,
    runs::{Runs, SharedOut},
};
use crate::{
    event::{
        Stamp,
        header::Header,
        json::{FieldValue, Line},
    },
    tracker::{Change, Status},
};

/// For `export`: one table of all runs.
pub(super) fn export(out: SharedOut, _several: bool) -> Box<dyn Runs> {
    Box::new(move |run: usize, _: &Header| {
        let sink: Box<dyn Sink> = Box::new(Csv::new(out.clone(), run == 0)?);
        Ok(sink)
    })
}

/// Writes rows. The header and the summary, which have other fields, are left out.
struct Csv<W: Write> {
    lines: Lines,
    out: csv::Writer<WholeRows<W>>,
}

/// A row reaches what is below at once and whole, so that the rows of several runs can lie between each other; but no further.
struct WholeRows<W>(W);

impl<W: Write> Write for WholeRows<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Csv<W> {
    /// Writes to `out`; with `titles` the first row has the columns' names.
    fn new(out: W, titles: bool) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(WholeRows(out));
        if titles {
            out.write_record(Line::COLUMNS.iter().map(|column| column.name))?;
            out.flush()?;
        }
        Ok(Self {
            lines: Lines::default(),
            out,
        })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn header(&mut self, _: Stamp, header: &Header) -> io::Result<()> {
        self.lines = Lines::of(header, true);
        Ok(())
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        let Self { lines, out } = self;
        let written = lines.line(change, |line| -> io::Result<()> {
            for cell in line.cells() {
                let text = cell.map_or(Ok(Cow::Borrowed("")), text)?;
                out.write_field(text.as_bytes())?;
            }
            // The end of the row.
            out.write_record(None::<&[u8]>)?;
            out.flush()
        });
        written.unwrap_or(Ok(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A cell that is known; others are empty. A text that a spreadsheet would take for a formula gets the quote before it that says it is none:
/// names come from outside.
fn text(cell: FieldValue<'_>) -> io::Result<Cow<'_, str>> {
    Ok(match cell {
        FieldValue::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}").into()
        }
        FieldValue::Text(text) => text,
        FieldValue::Time(time) => match serde_json::to_value(time)? {
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        },
        FieldValue::Unsigned(number) => number.to_string().into(),
        FieldValue::Signed(number) => number.to_string().into(),
        FieldValue::Flag(is) => is.to_string().into(),
        FieldValue::List(json) => json.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_none() {
        let text = |cell: FieldValue<'static>| text(cell).unwrap();
        assert_eq!(text(FieldValue::Text("=1+1".into())), "'=1+1");
        assert_eq!(text(FieldValue::Text("/a=b".into())), "/a=b");
        assert_eq!(text(FieldValue::Signed(-1)), "-1");
        assert_eq!(text(FieldValue::Unsigned(u64::MAX)), "18446744073709551615");
    }
}
