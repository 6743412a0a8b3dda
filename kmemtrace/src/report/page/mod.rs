//! The page: one HTML file that needs nothing else. It opens from disk, and its policy (`Content-Security-Policy`) lets no
//! script run but its own, whatever else went wrong.
//!
//! What came from outside is made visible first ([`Name`]), and then escaped for HTML by the template, or for a `script`
//! element by [`data`]. Only charts, which have no name in them, the style and the script are written as they are.

mod axis;
mod chart;
mod data;
mod ids;
mod lists;
mod owners;
mod view;
mod zombies;

use std::io;

use askama::Template;

use super::Report;
use view::View;

/// How the page looks.
pub(super) const STYLE: &str = include_str!("../../../templates/report.css");

/// What searches and sorts the table.
pub(super) const SCRIPT: &str = include_str!("../../../templates/report.js");

/// The script's SHA-256 in base64, by which the page's policy knows it; a test says which it is.
pub(super) const SCRIPT_SHA256: &str = "egefhtqkZ7STwhLlqBgWWS0ug7qP1Wi6wF9CqMGZu0I=";

/// Writes the page. `notes` are what reading the trace came to: lines that were skipped, a torn end.
///
/// # Errors
///
/// It cannot be written.
pub fn write(report: &Report, notes: &[String], out: &mut impl io::Write) -> io::Result<()> {
    let view = View::new(report, notes)?;
    view.write_into(out)
}
