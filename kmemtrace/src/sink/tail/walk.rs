//! What was there at the start.

use std::{fmt, fmt::Write as _, io};

use super::{Count, DIM, Tail};
use crate::{
    event::{Counts, Walked},
    text::units::Clock,
    tracker::{Change, Totals},
};

impl<W: io::Write> Tail<W> {
    /// The end of a run's first walk.
    pub(super) fn first_walk(&mut self, change: &Change, walked: &Walked) -> fmt::Result {
        let Totals { live, zombies, .. } = change.totals;
        let time = self.styled(DIM, Clock(change.time.wall_ns));
        let live = Count(live, "memory cgroup");
        write!(self.line, "{time}  watching {live}, ")?;
        if walked.counts == Counts::default() {
            self.line.push_str("zombies are not counted yet");
            return Ok(());
        }
        let were = if zombies == 1 { "was" } else { "were" };
        write!(
            self.line,
            "{} {were} there before",
            Count(zombies, "zombie")
        )?;
        match walked.zombies {
            Some(named) if named < zombies => write!(self.line, ", {named} of them with names"),
            None if zombies > 0 => write!(self.line, ", without names"),
            _ => Ok(()),
        }
    }
}
