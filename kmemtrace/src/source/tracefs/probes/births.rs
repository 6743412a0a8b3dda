//! Which directory a birth that probes saw belongs to: one of its path, or of as much of that as is known.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::PointerEvent;
use crate::event::Path;

/// A directory that a look at the hierarchy found.
#[derive(Clone, Debug)]
pub(in super::super) struct FoundDirectory {
    pub(in super::super) id: u64,
    pub(in super::super) parent_id: Option<u64>,
    pub(in super::super) path: Bytes,
    /// When it was first seen, by `CLOCK_MONOTONIC`: it was made before.
    pub(in super::super) seen_ns: u64,
}

impl FoundDirectory {
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
pub(super) enum BirthDirectory {
    /// Among those found.
    One(usize),
    /// Nowhere any more.
    Gone,
    /// That cannot be told.
    OneOfSeveral,
}

/// For every birth among the steps, by its place among them, its directory. `claimed` are those that others have.
pub(super) fn directories(
    steps: &[(u64, PointerEvent)],
    found: &[FoundDirectory],
    claimed: &HashSet<u64>,
) -> HashMap<usize, BirthDirectory> {
    let mut births: HashMap<&[u8], Vec<(usize, u64, Path)>> = HashMap::new();
    let mut result = HashMap::new();
    for (at, (_, step)) in steps.iter().enumerate() {
        let PointerEvent::Made { memcg, call } = step else {
            continue;
        };
        let rest = steps.iter().skip(at);
        let ends = |(_, step): &(u64, PointerEvent)| match step {
            PointerEvent::Removed { memcg: other, .. } | PointerEvent::Freed { memcg: other } => {
                other == memcg
            }
            _ => false,
        };
        match (call.name(), call.path()) {
            // Not looked for: it would be found only if there is another of its name.
            (Some(_), _) if rest.clone().any(ends) => {
                result.insert(at, BirthDirectory::Gone);
            }
            (Some(name), Some(path)) => {
                let births = births.entry(name).or_default();
                births.push((at, call.since_ns, path));
            }
            _ => {
                result.insert(at, BirthDirectory::OneOfSeveral);
            }
        }
    }
    for (name, births) in births {
        let since_ns = births.iter().map(|(_, since_ns, _)| *since_ns).min();
        let named: Vec<_> = found
            .iter()
            .enumerate()
            .filter(|(_, directory)| {
                directory.name() == name
                    && Some(directory.seen_ns) >= since_ns
                    && !claimed.contains(&directory.id)
            })
            .collect();
        for (at, _, path) in &births {
            let mut candidates = named
                .iter()
                .filter(|(_, directory)| fits(path, &directory.path));
            let directory = match (candidates.next(), candidates.next()) {
                (None, _) => BirthDirectory::Gone,
                (Some((n, directory)), None) if only(&births, &directory.path) => {
                    BirthDirectory::One(*n)
                }
                (Some(_), _) => BirthDirectory::OneOfSeveral,
            };
            result.insert(*at, directory);
        }
    }
    result
}

/// Whether a directory is at this path, as far as that is known.
fn fits(path: &Path, directory: &[u8]) -> bool {
    match path.bytes.strip_prefix(b"...") {
        Some(end) if path.cut => directory.ends_with(end),
        _ => directory == &path.bytes[..],
    }
}

/// Whether one of these births only can be of the directory.
fn only(births: &[(usize, u64, Path)], directory: &[u8]) -> bool {
    let mut fitting = births.iter().filter(|(_, _, path)| fits(path, directory));
    fitting.next().is_some() && fitting.next().is_none()
}
