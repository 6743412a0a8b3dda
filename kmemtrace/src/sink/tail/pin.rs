//! What keeps a zombie.

use std::{
    fmt::{self, Write as _},
    io::Write,
};

use super::{Count, Tail};
use crate::{
    event::SlabPin,
    text::{style::BOLD, units::Bytes},
    tracker::{Pinned, Trend},
};

impl<W: Write> Tail<W> {
    /// What of the slab it holds, if that is seen.
    pub(super) fn slab_pin(&mut self, slab: SlabPin) -> fmt::Result {
        let caches = Count(slab.caches.into(), "slab cache");
        write!(self.line, "  {caches}")?;
        if let Some(objects) = slab.objects {
            write!(self.line, ", {}", Count(objects, "object"))?;
        }
        if let Some(bytes) = slab.bytes {
            write!(self.line, ", {}", Bytes(bytes))?;
        }
        Ok(())
    }

    /// What keeps it, how much that is, and what would free it.
    pub(super) fn pinned(&mut self, pinned: Pinned) -> fmt::Result {
        let Some(pin) = pinned.pin else {
            return Ok(());
        };
        write!(self.line, "  by {}", self.styled(BOLD, pin.as_str()))?;
        if let Some(bytes @ 1..) = pinned.bytes {
            write!(self.line, " {}", Bytes(bytes))?;
        }
        let trend = pinned.trend.map(Trend::as_str);
        let reclaim = match pinned.reclaimable {
            Some(true) => Some("reclaimable"),
            Some(false) => Some("stuck"),
            None => None,
        };
        match (trend, reclaim) {
            (Some(one), Some(other)) => write!(self.line, " ({one}, {other})"),
            (Some(one), None) | (None, Some(one)) => write!(self.line, " ({one})"),
            (None, None) => Ok(()),
        }
    }
}
