//! What removed memory cgroups left to live ones, in object cgroups.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    error::Error,
    event::nanos,
    source::bpf::{LeftOver, Tree},
};

/// Object cgroups of removed memory cgroups, and what is charged to them still. They pin no zombie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ObjectCgroups {
    /// How many: one for each removed memory cgroup, from 7.1 on and with more NUMA nodes up to one for each of these.
    pub(crate) count: u64,
    /// Slab objects and pages that are charged to them; from 7.1 on also pages on LRU lists.
    pub(crate) references: u64,
    /// Which live memory cgroups have them now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) below: Vec<Heir>,
    /// All were looked at.
    pub(crate) complete: bool,
    /// The CPU time that took, in nanoseconds.
    pub(crate) took_ns: u64,
    /// Why they could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// A live memory cgroup that has some of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Heir {
    pub(crate) path: String,
    pub(crate) count: u64,
    pub(crate) references: u64,
}

/// Takes what was found in a tree.
pub(crate) fn object_cgroups(found: Result<LeftOver, Error>, tree: &Tree) -> ObjectCgroups {
    let (found, refused) = match found {
        Ok(found) => (found, None),
        Err(error) => (LeftOver::default(), Some(error.reason())),
    };
    let live: HashMap<_, _> = tree.iter().map(|memcg| (memcg.serial, memcg)).collect();
    let below = found.below.iter().map(|left| {
        let path = live.get(&left.serial).map(|memcg| tree.path(memcg).bytes);
        Heir {
            path: String::from_utf8_lossy(&path.unwrap_or_default()).into_owned(),
            count: left.object_cgroups,
            references: left.references,
        }
    });
    ObjectCgroups {
        below: below.collect(),
        count: found.below.iter().map(|left| left.object_cgroups).sum(),
        references: found.below.iter().map(|left| left.references).sum(),
        complete: found.complete,
        took_ns: nanos(found.took),
        refused,
    }
}
