//! What the verbs that print a report share: colours, and the two formats.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use super::{Color, Format, colored};
use crate::text::{
    escape::Name,
    style::{ALARM, GOOD, Styled, WARNING},
};

/// How words that judge look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    color: bool,
}

impl Palette {
    pub(super) fn new(color: bool) -> Self {
        Self { color }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint(GOOD, text)
    }

    pub(super) fn warn(self, text: &str) -> String {
        self.paint(WARNING, text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint(ALARM, text)
    }

    fn paint(self, style: Style, text: &str) -> String {
        Styled::new(self.color, style, text).to_string()
    }
}

/// What a verb found: text for people, one JSON object for programs.
pub(super) trait Printed: Serialize {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()>;
}

/// Writes a report to stdout.
pub(super) fn print(report: &impl Printed, format: Format, color: Color) -> io::Result<()> {
    print_as(report, format, color, |out, palette| {
        report.text(out, palette)
    })
}

/// Writes a report to stdout, as text in words that `text` has.
pub(super) fn print_as(
    report: &impl Serialize,
    format: Format,
    color: Color,
    text: impl FnOnce(&mut dyn Write, Palette) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => text(&mut out, Palette::new(colored(color)))?,
        Format::Json => {
            serde_json::to_writer(&mut out, report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

/// Tells stderr, with what comes from outside made harmless.
pub(super) fn tell(what: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "kmemtrace: {}", Name::whole(what.as_bytes()));
}
