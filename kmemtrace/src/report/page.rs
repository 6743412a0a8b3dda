//! The page: one HTML file that needs nothing else. It opens from disk, and its policy (`Content-Security-Policy`) lets no
//! script run but its own, whatever else went wrong.
//!
//! What came from outside is made visible first ([`Name`]), and then escaped for HTML by the template, or for a `script`
//! element by `data`. Only charts, which have no name in them, the style and the script are written as they are.

mod axis;
mod chart;
mod data;
mod ids;
mod lists;
mod owners;
pub(super) mod verdict;
mod view;
mod words;
mod zombies;

use std::io;

use askama::Template;

use super::Report;
use crate::{catalogue::Catalogue, text::escape::Name, trace::TraceNote};
use view::PageView;

/// How the page looks.
pub(super) const STYLE: &str = include_str!("../../templates/report.css");

/// What searches and sorts the table.
pub(super) const SCRIPT: &str = include_str!("../../templates/report.js");

/// The script's SHA-256 in base64, by which the page's policy knows it; a test says which it is.
pub(super) const SCRIPT_SHA256: &str = "mk//5XuWkRORLqEo2oEUewk8BXEbzrsFZfPWj2ORakE=";

/// What the node's diagnosis comes to, in words. Whoever writes the page has it, since the report makes no diagnosis.
#[derive(Clone, Debug, Default)]
pub struct Diagnosed {
    /// Findings: `alarm`, `warning` or nothing; its name; what was found; what that means.
    pub findings: Vec<[String; 4]>,
    /// Names of the findings for which the trace has no facts.
    pub untold: Vec<&'static str>,
    /// What can be done here, the most useful first.
    pub fixes: Vec<Fix>,
}

/// Something that can be done.
#[derive(Clone, Debug, Default)]
pub struct Fix {
    /// What it is.
    pub title: String,
    /// Why it applies here.
    pub why: String,
    /// The commands.
    pub commands: Vec<String>,
    /// What it takes, what may go wrong, and how to see that it worked.
    pub takes: [String; 3],
}

/// Writes the page in the language of this catalogue, which leaves what goes into sentences as it is. `notes` are what reading
/// the trace came to: lines that were skipped, a torn end.
///
/// # Errors
///
/// It cannot be written.
pub fn write(
    report: &Report,
    diagnosed: &Diagnosed,
    notes: &[TraceNote],
    catalogue: &Catalogue,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let view = PageView::new(report, diagnosed, notes, catalogue)?;
    view.write_into(out)
}

/// A text from outside, as people may see it.
fn name(text: impl AsRef<str>) -> String {
    Name::whole(text.as_ref().as_bytes()).to_string()
}
