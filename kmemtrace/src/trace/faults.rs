//! What of traces could not be read, told in the same words by whoever plays them.

use std::fmt::{self, Display};

use super::{PlayTally, TraceError};
use crate::text::units::Count;

/// How many faults are told one by one.
const SHOWN: u64 = 10;

/// Something to say of what could not be read. As text it is English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceNote {
    /// A fault, in the reader's words, with file and line.
    Fault(String),
    /// There are this many faults more.
    More(u64),
    /// This file ends in the middle of a line.
    Torn(String),
    /// This many lines and fields, written by a newer version, were ignored.
    Newer(u64, u64),
}

impl Display for TraceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(error) => f.write_str(error),
            Self::More(more) => write!(f, "and {} more", Count(*more, "line")),
            Self::Torn(file) => write!(
                f,
                "{file} ends in the middle of a line, as when its writer was killed"
            ),
            Self::Newer(lines, fields) => write!(
                f,
                "ignored what a newer version wrote: {} and {}",
                Count(*lines, "line"),
                Count(*fields, "field")
            ),
        }
    }
}

/// The faults of the traces that are played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    count: u64,
    broken: bool,
}

impl Faults {
    /// Takes in one; gives back what there is to say of it at once. After ten of them, that is nothing.
    pub fn take(&mut self, error: &TraceError) -> Option<TraceNote> {
        self.count += 1;
        self.broken |= error.is_final();
        (self.count <= SHOWN).then(|| TraceNote::Fault(error.to_string()))
    }

    /// What is left to say once the traces have been played, sentence by sentence.
    pub fn rest(&self, played: &PlayTally) -> Vec<TraceNote> {
        let mut said = Vec::new();
        if let more @ 1.. = self.count.saturating_sub(SHOWN) {
            said.push(TraceNote::More(more));
        }
        said.extend(played.torn.iter().cloned().map(TraceNote::Torn));
        let tally = &played.tally;
        if tally.unknown_kinds + tally.unknown_fields > 0 {
            said.push(TraceNote::Newer(tally.unknown_kinds, tally.unknown_fields));
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
