//! A failed slab allocation's line.

use std::{
    fmt::{self, Write as _},
    io::Write,
};

use super::{Tail, UNIT_MAX};
use crate::{
    event::{NodeSlabs, SlabFailure},
    text::{
        escape::Name,
        style::{ALARM, BOLD},
        units::Bytes,
    },
    tracker::Change,
};

/// The longest name of a cgroup that is shown whole: a container's id, with what systemd puts around it.
const LEAF_MAX: usize = 90;

impl<W: Write> Tail<W> {
    pub(super) fn slab_failure(&mut self, change: &Change, failure: &SlabFailure) -> fmt::Result {
        self.begin(change, (ALARM, "slab failure"), "", None)?;
        self.line.push(' ');
        match (failure.owned_cache(), &failure.cache) {
            (Some(owned), _) => {
                let cache = Name::short(owned.cache, UNIT_MAX);
                // a container's id at its shortest is no use here: there may be nothing else to find it by
                let leaf = self.styled(BOLD, Name::short(owned.leaf, LEAF_MAX));
                write!(self.line, " cache {cache} of cgroup {leaf}")?;
            }
            (None, Some(cache)) => {
                let cache = Name::short(cache, UNIT_MAX);
                write!(self.line, " cache {}", self.styled(BOLD, cache))?;
            }
            (None, None) => self.line.push_str(" cache not told"),
        }
        if let Some(size) = failure.object_size {
            write!(self.line, ", objects of {}", Bytes(size.into()))?;
        }
        if !failure.nodes.is_empty() {
            let sum = |figure: fn(&NodeSlabs) -> u64| {
                let figures = failure.nodes.iter().map(figure);
                figures.fold(0, u64::saturating_add)
            };
            let (free, objects) = (sum(|node| node.free), sum(|node| node.objects));
            write!(self.line, ", {free} of {objects} free")?;
        }
        if let Some(order) = failure.order {
            write!(self.line, ", order {order}")?;
        }
        match failure.node {
            Some(-1) => self.line.push_str(", any node"),
            Some(node) => write!(self.line, ", node {node}")?,
            None => {}
        }
        if let Some(gfp) = failure.gfp {
            write!(self.line, ", gfp {gfp:#x}")?;
        }
        if let Some(flags) = &failure.gfp_flags {
            write!(self.line, " {}", Name::whole(flags.as_bytes()))?;
        }
        if let Some(more) = failure.suppressed {
            write!(self.line, ", {more} more before it not logged (rate limit)")?;
        }
        self.by(failure.task.as_ref())
    }
}
