//! Which directory a birth that probes saw belongs to.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::Step;

/// A directory that a look at the hierarchy found.
#[derive(Clone, Debug)]
pub(in super::super) struct Found {
    pub(in super::super) id: u64,
    pub(in super::super) parent_id: Option<u64>,
    pub(in super::super) path: Bytes,
    /// When it was first seen, by `CLOCK_MONOTONIC`: it was made before.
    pub(in super::super) seen_ns: u64,
}

impl Found {
    /// The last part of the path.
    fn name(&self) -> &[u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }
}

/// Where a birth's directory is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Directory {
    /// Among those found.
    One(usize),
    /// Nowhere any more.
    Gone,
    /// That cannot be told.
    OneOfSeveral,
}

/// For every birth among the steps, by its place among them, its directory. `claimed` are those that others have.
pub(super) fn directories(
    steps: &[(u64, Step)],
    found: &[Found],
    claimed: &HashSet<u64>,
) -> HashMap<usize, Directory> {
    let mut births: HashMap<&[u8], Vec<(usize, u64)>> = HashMap::new();
    let mut result = HashMap::new();
    for (at, (_, step)) in steps.iter().enumerate() {
        let Step::Made { memcg, call } = step else {
            continue;
        };
        let rest = steps.iter().skip(at);
        let ends = |(_, step): &(u64, Step)| match step {
            Step::Removed { memcg: other, .. } | Step::Freed { memcg: other } => other == memcg,
            _ => false,
        };
        match &call.name {
            // Not looked for: it would be found only if there is another of its name.
            Some(_) if rest.clone().any(ends) => {
                result.insert(at, Directory::Gone);
            }
            Some(name) => births.entry(name).or_default().push((at, call.since_ns)),
            None => {
                result.insert(at, Directory::OneOfSeveral);
            }
        }
    }
    for (name, births) in births {
        let since_ns = births.iter().map(|(_, since_ns)| *since_ns).min();
        let mut candidates = found.iter().enumerate().filter(|(_, directory)| {
            directory.name() == name
                && Some(directory.seen_ns) >= since_ns
                && !claimed.contains(&directory.id)
        });
        let first = candidates.next();
        let more = candidates.next().is_some();
        for (at, _) in &births {
            let directory = match first {
                None => Directory::Gone,
                Some((n, _)) if births.len() == 1 && !more => Directory::One(n),
                Some(_) => Directory::OneOfSeveral,
            };
            result.insert(*at, directory);
        }
    }
    result
}
