//! The report of recorded traces of one node: what `report` shows, and `diagnose` takes as evidence.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use super::Failure;
use crate::{
    error::Error,
    report::{Fold, Report},
    sink::Sink,
    text::escape::Name,
    trace::{Faults, Play, PlayStep},
};

/// What was read.
pub(super) struct TraceReport {
    pub(super) report: Report,
    /// What could not be read, in words.
    pub(super) notes: Vec<String>,
    /// Whether a file could not be read to its end.
    pub(super) is_broken: bool,
}

/// Plays traces of one node, and tells stderr what could not be read.
pub(super) fn read(files: &[PathBuf], grace: Option<Duration>) -> Result<TraceReport, Failure> {
    let mut play = Play::open(files, grace).map_err(Error::of)?;
    let mut fold = Fold::new();
    let mut open = None;
    let mut changes = Vec::new();
    let mut faults = Faults::default();
    let mut notes = Vec::new();
    while let Some(step) = play.step(&mut changes) {
        match step {
            Ok(PlayStep::Began { run, time, header }) => {
                if open.replace(run).is_some() {
                    let error = Error::new("the traces have runs that went on at the same time");
                    return Err(error.help("give those of one recorder").into());
                }
                fold.header(time, &header)?;
            }
            Ok(PlayStep::Fact { run, .. }) => {
                if let Some(state) = play.state(run) {
                    for change in &changes {
                        fold.change(change, state)?;
                    }
                }
                changes.clear();
            }
            Ok(PlayStep::Ended { time, tracker, .. }) => {
                open = None;
                fold.end(time, tracker.state())?;
            }
            Err(error) => note(&mut notes, faults.take(&error)),
        }
    }
    note(&mut notes, faults.rest(play.done()));
    Ok(TraceReport {
        report: fold.finish(),
        notes,
        is_broken: faults.is_broken(),
    })
}

/// Tells stderr, and keeps it.
fn note(notes: &mut Vec<String>, said: impl IntoIterator<Item = String>) {
    for said in said {
        // Without stderr there is nobody to tell; the page has it, too.
        let _ = writeln!(io::stderr(), "kmemtrace: {}", Name::whole(said.as_bytes()));
        notes.push(said);
    }
}
