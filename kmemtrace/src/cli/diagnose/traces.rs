//! `--trace`: what recorded traces of this node say.

use std::path::PathBuf;

use crate::{
    cli::output::tell,
    diagnose::facts::{Reading, Reason, Traced, Unread},
    error::Error,
    report::traces::{self, TraceReport},
};

/// Reads the traces.
///
/// # Errors
///
/// One cannot be opened, or is no trace. That it is of another node, or broken, makes it unknown.
pub(super) fn read(files: &[PathBuf], hostname: Option<&str>) -> Result<Reading<Traced>, Error> {
    let TraceReport {
        report,
        traced,
        is_broken,
        ..
    } = traces::read(files, None, &mut tell)?;
    let first = traced.files.first().cloned().unwrap_or_default();
    if report.runs.is_empty() {
        return Ok(Err(Unread::new(first, Reason::NoRun)));
    }
    let other = report.runs.iter().find_map(|run| {
        let host = run.header.hostname.as_deref()?;
        (hostname? != host).then_some(host)
    });
    if let Some(other) = other {
        let reason = Reason::OtherNode(other.to_owned());
        return Ok(Err(Unread::new(first, reason)));
    }
    if is_broken {
        return Ok(Err(Unread::new(first, Reason::CutShort)));
    }
    Ok(Ok(traced))
}
