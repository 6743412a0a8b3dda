//! Runs, wherever their parts lie.

use super::PlayStep;
use crate::{
    event::{Stamp, header::Header},
    tracker::Tracker,
};

/// What tells runs apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunId {
    hostname: Option<String>,
    boot_id: Option<String>,
    source: String,
    began_ns: u64,
}

impl RunId {
    pub(super) fn of(time: Stamp, header: &Header) -> Self {
        Self {
            hostname: header.hostname.clone(),
            boot_id: header.boot_id.clone(),
            source: header.source.clone(),
            began_ns: header.began_mono_ns.unwrap_or(time.mono_ns),
        }
    }
}

/// A run, and which part of it.
pub(super) type PartId = (RunId, u32);

/// Whether a part is the one after another.
pub(super) fn goes_on((id, part): &PartId, next: &PartId) -> bool {
    *id == next.0 && part + 1 == next.1
}

#[derive(Debug)]
pub(super) struct PlayedRun {
    pub(super) part: PartId,
    pub(super) tracker: Tracker,
    pub(super) began: Stamp,
}

impl PlayedRun {
    /// The newest moment that is known of it.
    pub(super) fn now(&self) -> Stamp {
        let now = self.tracker.now();
        if now.mono_ns < self.began.mono_ns {
            self.began
        } else {
            now
        }
    }

    pub(super) fn end(self, run: usize, time: Stamp) -> PlayStep {
        PlayStep::Ended {
            run,
            time,
            tracker: Box::new(self.tracker),
        }
    }
}
