//! What is left to say of files that have been read.

use crate::{event::json::Tally, trace::Trace};

/// What is known of the files that have been read to their ends.
#[derive(Clone, Debug, Default)]
pub struct PlayTally {
    /// Their bytes, packed as they are.
    pub bytes: u64,
    /// What was skipped and passed over in them, added up.
    pub tally: Tally,
    /// Those that were torn at their end.
    pub torn: Vec<String>,
}

impl PlayTally {
    pub(super) fn add(&mut self, trace: &Trace) {
        let tally = trace.tally();
        self.bytes += trace.position();
        self.tally.lines += tally.lines;
        self.tally.skipped += tally.skipped;
        self.tally.unknown_kinds += tally.unknown_kinds;
        self.tally.unknown_fields += tally.unknown_fields;
        self.tally.torn |= tally.torn;
        if tally.torn {
            self.torn.push(trace.name().to_owned());
        }
    }
}
