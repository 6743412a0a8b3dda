//! What of traces could not be read, told in the same words by whoever plays them.

use super::{PlayTally, TraceError};
use crate::text::units::Count;

/// How many faults are told one by one.
const SHOWN: u64 = 10;

/// The faults of the traces that are played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    count: u64,
    broken: bool,
}

impl Faults {
    /// Takes in one; gives back what there is to say of it at once. After ten of them, that is nothing.
    pub fn take(&mut self, error: &TraceError) -> Option<String> {
        self.count += 1;
        self.broken |= error.is_final();
        (self.count <= SHOWN).then(|| error.to_string())
    }

    /// What is left to say once the traces have been played, sentence by sentence.
    pub fn rest(&self, played: &PlayTally) -> Vec<String> {
        let mut said = Vec::new();
        if let more @ 1.. = self.count.saturating_sub(SHOWN) {
            said.push(format!("and {} more", Count(more, "line")));
        }
        said.extend(played.torn.iter().map(|file| {
            format!("{file} ends in the middle of a line, as when its writer was killed")
        }));
        let tally = &played.tally;
        if tally.unknown_kinds + tally.unknown_fields > 0 {
            said.push(format!(
                "ignored what a newer version wrote: {} and {}",
                Count(tally.unknown_kinds, "line"),
                Count(tally.unknown_fields, "field")
            ));
        }
        said
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a file could not be read to its end.
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}
