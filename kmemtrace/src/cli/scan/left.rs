//! What removed memory cgroups left to live ones, as `scan` shows it.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use serde::Serialize;

use crate::{
    error::Error,
    source::bpf::{LeftOver, Tree},
    text::escape::Name,
};

/// So many of the live ones are listed.
const LISTED: usize = 3;

/// Object cgroups of removed memory cgroups, and what is charged to them still. They pin no zombie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Left {
    /// How many: one for each removed memory cgroup, from 7.1 on and with more NUMA nodes up to one for each of these.
    count: u64,
    /// Slab objects and pages that are charged to them; from 7.1 on also pages on LRU lists.
    references: u64,
    /// Which live memory cgroups have them now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    below: Vec<Below>,
    /// All were looked at.
    complete: bool,
    /// The CPU time that took, in nanoseconds.
    took_ns: u64,
    /// Why they could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// A live memory cgroup that has some of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Below {
    path: String,
    count: u64,
    references: u64,
}

/// Takes what was found in a tree.
pub(super) fn left(found: Result<LeftOver, Error>, tree: &Tree) -> Left {
    let (found, refused) = match found {
        Ok(found) => (found, None),
        Err(error) => (LeftOver::default(), Some(error.reason().to_owned())),
    };
    let live: HashMap<_, _> = tree.iter().map(|memcg| (memcg.serial, memcg)).collect();
    let below = found.below.iter().map(|left| {
        let path = live.get(&left.serial).map(|memcg| tree.path(memcg).bytes);
        Below {
            path: String::from_utf8_lossy(&path.unwrap_or_default()).into_owned(),
            count: left.object_cgroups,
            references: left.references,
        }
    });
    Left {
        below: below.collect(),
        count: found.below.iter().map(|left| left.object_cgroups).sum(),
        references: found.below.iter().map(|left| left.references).sum(),
        complete: found.complete,
        took_ns: u64::try_from(found.took.as_nanos()).unwrap_or(u64::MAX),
        refused,
    }
}

impl Left {
    /// A line among the sums, and one for each of those that have most.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let least = if self.complete { "" } else { "at least " };
        writeln!(
            out,
            "  left over  {least}{} slab objects and pages of removed ones, in {} object cgroups",
            self.references, self.count
        )?;
        for below in self.below.iter().take(LISTED) {
            let path = Name::short(below.path.as_bytes(), 90);
            writeln!(
                out,
                "             {} in {} went to {path}",
                below.references, below.count
            )?;
        }
        let more = self.below.len().saturating_sub(LISTED);
        if more > 0 {
            writeln!(out, "             and some to {more} more")?;
        }
        Ok(())
    }
}
