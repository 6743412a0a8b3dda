//! Files before their time has come, and what they begin with; and those that are open.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use super::run::{PartId, RunId};
use crate::{
    event::{Stamp, json::Item},
    trace::{Trace, TraceError},
};

#[derive(Debug)]
pub(super) struct QueuedTrace {
    pub(super) file: File,
    /// When it begins, on the wall clock in nanoseconds.
    pub(super) from_ns: i64,
    pub(super) hostname: Option<String>,
    /// The part that it begins with, if it goes on with a run.
    pub(super) part: Option<PartId>,
}

#[derive(Debug)]
pub(super) enum File {
    Closed(PathBuf),
    /// What cannot be opened a second time, and what it begins with.
    Open(Box<(Trace, Option<Item>)>),
}

impl QueuedTrace {
    /// Sees what a file begins with.
    pub(super) fn look(path: &Path) -> Result<Self, TraceError> {
        let mut trace = Trace::open(path)?;
        let first = trace.next().transpose()?;
        let from_ns = first.as_ref().map_or(i64::MIN, |item| time(item).wall_ns);
        let hostname = match &first {
            Some(Item::Header(_, header)) => header.hostname.clone(),
            _ => None,
        };
        let part = match &first {
            Some(Item::Header(time, header)) => {
                let part = header.part.filter(|part| *part > 1);
                part.map(|part| (RunId::of(*time, header), part))
            }
            _ => None,
        };
        let file = if path == Path::new("-") {
            File::Open(Box::new((trace, first)))
        } else {
            File::Closed(path.to_owned())
        };
        Ok(Self {
            file,
            from_ns,
            hostname,
            part,
        })
    }
}

pub(super) fn time(item: &Item) -> Stamp {
    match item {
        Item::Header(time, _) | Item::End(time) => *time,
        Item::Event(event) => event.time,
    }
}

/// A file that is being played.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) trace: Trace,
    /// Nothing at the file's end.
    pub(super) next: Option<Item>,
    /// The line of that.
    pub(super) line: u64,
    /// Lines before it that could not be understood.
    pub(super) bad: u64,
    /// The newest time so far on the wall clock, in nanoseconds.
    pub(super) newest_ns: i64,
    pub(super) run: Option<usize>,
    /// The parts that go on where this one ends.
    pub(super) followers: VecDeque<QueuedTrace>,
}
