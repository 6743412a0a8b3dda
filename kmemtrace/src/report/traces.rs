//! The report of recorded traces of one node: what `report` shows, and `diagnose` takes as evidence.

use std::{path::PathBuf, time::Duration};

use super::{Fold, Report};
use crate::{
    diagnose::{Provenance, facts::Traced},
    error::Error,
    sink::Sink,
    text::escape::Name,
    trace::{Faults, Play, PlayStep, TraceNote},
    tracker::{Change, What},
};

/// What was read.
pub struct TraceReport {
    /// What the runs come to.
    pub report: Report,
    /// The failures, with the lines that tell of them.
    pub traced: Traced,
    /// Where the last run's header stands.
    pub header: Option<Provenance>,
    /// What could not be read.
    pub notes: Vec<TraceNote>,
    /// Whether a file could not be read to its end.
    pub is_broken: bool,
}

/// Plays traces of one node, and tells `say` what could not be read, when that turns out.
///
/// # Errors
///
/// A file cannot be opened, or the traces have runs that went on at the same time.
pub fn read(
    files: &[PathBuf],
    grace: Option<Duration>,
    say: &mut dyn FnMut(&str),
) -> Result<TraceReport, Error> {
    let mut play = Play::open(files, grace).map_err(Error::of)?;
    let mut fold = Fold::new();
    let mut open = None;
    let mut changes = Vec::new();
    let mut faults = Faults::default();
    let mut notes = Vec::new();
    let shown = |file: &PathBuf| Name::whole(file.as_os_str().as_encoded_bytes()).to_string();
    let mut traced = Traced {
        files: files.iter().map(shown).collect(),
        ..Traced::default()
    };
    let mut header_at = None;
    while let Some(step) = play.step(&mut changes) {
        match step {
            Ok(PlayStep::Began { run, time, header }) => {
                if open.replace(run).is_some() {
                    let error = Error::new("the traces have runs that went on at the same time");
                    return Err(error.help("give those of one recorder"));
                }
                header_at = at(&play);
                fold.header(time, &header).map_err(Error::of)?;
            }
            Ok(PlayStep::Fact { run, .. }) => {
                if let Some(state) = play.state(run) {
                    for change in &changes {
                        failed(&mut traced, change, &play);
                        fold.change(change, state).map_err(Error::of)?;
                    }
                }
                changes.clear();
            }
            Ok(PlayStep::Ended { time, tracker, .. }) => {
                open = None;
                fold.end(time, tracker.state()).map_err(Error::of)?;
            }
            Err(error) => note(&mut notes, say, faults.take(&error)),
        }
    }
    note(&mut notes, say, faults.rest(play.done()));
    let report = fold.finish();
    traced.watched_ns = report.watched_ns();
    let forecast = report.forecast();
    // A float beyond u64 becomes its end.
    let a_day = forecast.map(|forecast| (forecast.per_hour * 24.0) as u64);
    traced.ids_a_day = a_day.filter(|&a_day| a_day > 0);
    traced.sort();
    Ok(TraceReport {
        report,
        traced,
        header: header_at,
        notes,
        is_broken: faults.is_broken(),
    })
}

/// Where the latest step stands.
fn at(play: &Play) -> Option<Provenance> {
    let (file, line) = play.at()?;
    Some(Provenance::Trace(file.to_owned(), Some(line)))
}

/// Keeps a failure, with its line.
fn failed(traced: &mut Traced, change: &Change, play: &Play) {
    if !matches!(change.what, What::MkdirFailure(_) | What::SlabFailure(_)) {
        return;
    }
    let Some(at) = at(play) else { return };
    let wall_ns = change.time.wall_ns;
    match &change.what {
        What::MkdirFailure(failure) => traced.mkdir(&at, wall_ns, failure),
        What::SlabFailure(failure) => traced.slab(&at, wall_ns, failure),
        _ => {}
    }
}

/// Tells it, and keeps it.
fn note(
    notes: &mut Vec<TraceNote>,
    say: &mut dyn FnMut(&str),
    said: impl IntoIterator<Item = TraceNote>,
) {
    for said in said {
        say(&said.to_string());
        notes.push(said);
    }
}
