//! `--trace`: what recorded traces of this node say.

use std::path::{Path, PathBuf};

use crate::{
    cli::trace_report::{self, TraceReport},
    diagnose::facts::{Reading, Reason, Traced, Unread},
    error::Error,
    event::json::Item,
    text::escape::Name,
    trace::Trace,
};

/// Reads the traces: once for what they come to, once for the lines of the failures.
///
/// # Errors
///
/// One cannot be opened, or is no trace. That it is of another node, or broken, makes it unknown.
pub(super) fn read(
    files: &[PathBuf],
    hostname: Option<&str>,
) -> Result<Reading<Traced>, crate::cli::Failure> {
    if files.iter().any(|file| file == Path::new("-")) {
        let error = Error::new("a trace from stdin cannot be read twice");
        return Err(error.help("give its file").into());
    }
    let TraceReport {
        report, is_broken, ..
    } = trace_report::read(files, None)?;
    let name = |file: &Path| Name::whole(file.as_os_str().as_encoded_bytes()).to_string();
    let first = files.first().map_or_else(String::new, |file| name(file));
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
    let mut traced = Traced {
        files: files.iter().map(|file| name(file)).collect(),
        watched_ns: report.watched_ns(),
        // A float beyond u64 becomes its end.
        ids_a_day: report
            .forecast()
            .map(|forecast| (forecast.per_hour * 24.0) as u64)
            .filter(|&a_day| a_day > 0),
        ..Traced::default()
    };
    for file in files {
        let mut trace = Trace::open(file).map_err(Error::of)?;
        let name = trace.name().to_owned();
        while let Some(item) = trace.next() {
            // What could not be read, the first reading has told.
            if let Ok(Item::Event(event)) = item {
                traced.take(&name, trace.tally().lines, &event);
            }
        }
    }
    traced.sort();
    Ok(Ok(traced))
}
