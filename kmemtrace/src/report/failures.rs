//! What went wrong: failed slab allocations and mkdirs by their cause, and the gaps.

use std::collections::HashMap;

use crate::{
    event::{Gap, GapReason, MkdirFailure, SlabFailure},
    text::escape::Name,
};

/// How many causes are told apart; all others are one.
const CAUSES: usize = 256;

/// How many gaps are listed.
const GAPS: usize = 1_000;

/// So much of a name.
const NAME_MAX: usize = 120;

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailedOn {
    /// A mkdir, with this error.
    Errno(i32),
    /// A mkdir, with an error that is not known.
    UnknownErrno,
    /// An allocation from this slab cache. Escaped for people, not for a medium.
    Cache(String),
    /// An allocation of an object of this many bytes, from a cache that is not known.
    Objects(u64),
    /// An allocation of which nothing is known.
    Unknown,
    /// Whatever is not told apart any more.
    Others,
}

/// Failures of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCause {
    /// A slab cache, or a mkdir's error.
    pub what: FailedOn,
    /// Where: the memcg whose cache it was, or the directory in which nothing could be made.
    pub place: String,
    /// Who ran into it last.
    pub task: String,
    /// How often.
    pub count: u64,
    /// The first and the last time, in nanoseconds since the Unix epoch.
    pub at_ns: (i64, i64),
}

/// A stretch of time in which events may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its beginning and end, in nanoseconds since the Unix epoch.
    pub at_ns: (i64, i64),
    /// How many records, where that is known.
    pub records: Option<u64>,
    /// What made the gap.
    pub reason: GapReason,
}

/// Failures by cause.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<(FailedOn, String), FailureCause>);

impl Failures {
    pub(super) fn slab(&mut self, failure: &SlabFailure, wall_ns: i64) {
        let owned = failure.owned_cache();
        let cache = owned.map(|owned| owned.cache).or(failure.cache.as_deref());
        let what = match (cache, failure.object_size) {
            (Some(cache), _) => FailedOn::Cache(short(cache)),
            (None, Some(size)) => FailedOn::Objects(size.into()),
            (None, None) => FailedOn::Unknown,
        };
        let place = owned.map(|owned| short(owned.leaf)).unwrap_or_default();
        let task = failure.task.map(|task| short(task.comm()));
        self.count(what, place, task, wall_ns);
    }

    pub(super) fn mkdir(&mut self, failure: &MkdirFailure, wall_ns: i64) {
        let what = failure
            .errno
            .map_or(FailedOn::UnknownErrno, FailedOn::Errno);
        let parent = failure.path.as_ref().map(|path| {
            let slash = path.bytes.iter().rposition(|&byte| byte == b'/');
            match slash {
                None | Some(0) => "/".to_owned(),
                Some(slash) => short(&path.bytes[..slash]),
            }
        });
        let task = failure.task.map(|task| short(task.comm()));
        self.count(what, parent.unwrap_or_default(), task, wall_ns);
    }

    fn count(&mut self, what: FailedOn, place: String, task: Option<String>, wall_ns: i64) {
        let mut key = (what, place);
        if self.0.len() >= CAUSES && !self.0.contains_key(&key) {
            key = (FailedOn::Others, String::new());
        }
        let failure = self
            .0
            .entry(key)
            .or_insert_with_key(|(what, place)| FailureCause {
                what: what.clone(),
                place: place.clone(),
                task: String::new(),
                count: 0,
                at_ns: (wall_ns, wall_ns),
            });
        failure.count += 1;
        failure.at_ns.1 = wall_ns;
        failure.task = task.unwrap_or_default();
    }

    /// The most frequent first.
    pub(super) fn finish(self) -> Vec<FailureCause> {
        let mut all: Vec<_> = self.0.into_values().collect();
        all.sort_unstable_by(|a, b| {
            (b.count, &a.what, &a.place).cmp(&(a.count, &b.what, &b.place))
        });
        all
    }
}

/// The first gaps; of the others only the summary's number is known.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Lost>);

impl Gaps {
    pub(super) fn gap(&mut self, gap: &Gap, from_ns: i64, wall_ns: i64) {
        let full = self.0.len() == GAPS;
        let goes_on = |last: &&mut Lost| {
            // Or there are so many that what lies between them is left out of the picture.
            last.reason == gap.reason && (from_ns <= last.at_ns.1 || full)
        };
        if let Some(last) = self.0.last_mut().filter(goes_on) {
            last.at_ns.1 = last.at_ns.1.max(wall_ns);
            last.records = match (last.records, gap.lost) {
                (Some(before), Some(lost)) => Some(before.saturating_add(lost)),
                _ => None,
            };
        } else if !full {
            self.0.push(Lost {
                at_ns: (from_ns, wall_ns),
                records: gap.lost,
                reason: gap.reason,
            });
        }
    }

    pub(super) fn finish(self) -> Vec<Lost> {
        self.0
    }
}

fn short(name: &[u8]) -> String {
    Name::short(name, NAME_MAX).to_string()
}
