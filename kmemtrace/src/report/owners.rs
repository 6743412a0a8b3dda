//! Who leaks: counters by pod, container, unit or directory, in bounded memory.

use std::collections::HashMap;

use crate::{
    attribution,
    event::Path,
    tracker::{Subject, owner},
};

/// How many are told apart; all others are one.
const MAX: usize = 100_000;

/// What one owner's memcgs did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerSums {
    /// `pod`, `container`, a runtime's name, `unit` or `path` (the parent directory); `unknown` without a path; `others`.
    pub kind: &'static str,
    /// Its name: bytes that are not UTF-8 replaced.
    pub name: String,
    /// A pod's class, where the path tells.
    pub qos: Option<&'static str>,
    /// Memcgs that were removed.
    pub removed: u64,
    /// Those called leaked by name.
    pub leaks: u64,
    /// Those that may be among the leaked of which the kernel's count alone tells: they are not among [`OwnerSums::leaks`].
    pub suspects: u64,
    /// Those of them that were freed after all.
    pub recovered: u64,
    /// Those of which nothing is seen any more.
    pub unseen: u64,
    /// Bytes that were charged to those called leaked, at their removal.
    pub usage_bytes: Option<u64>,
    /// The first and the last time one was called leaked, in nanoseconds since the Unix epoch.
    pub leaked_ns: Option<(i64, i64)>,
}

impl OwnerSums {
    /// Called leaked, and not known to be gone.
    pub fn left(&self) -> u64 {
        let gone = self.recovered + self.unseen;
        self.leaks.saturating_sub(gone)
    }

    pub(super) fn leaked(&mut self, subject: &Subject, wall_ns: i64) {
        if subject.by_count.is_some() {
            self.suspects += 1;
            return;
        }
        self.leaks += 1;
        if let Some(bytes) = subject.cgroup.usage_bytes {
            self.usage_bytes = Some(self.usage_bytes.unwrap_or(0).saturating_add(bytes));
        }
        let first = self.leaked_ns.map_or(wall_ns, |(first, _)| first);
        self.leaked_ns = Some((first, wall_ns));
    }

    pub(super) fn recovered(&mut self, subject: &Subject) {
        if subject.by_count.is_some() {
            self.suspects = self.suspects.saturating_sub(1);
        } else {
            self.recovered += 1;
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct OwnerTable {
    max: usize,
    all: Vec<OwnerSums>,
    index: HashMap<(&'static str, String), usize>,
}

impl Default for OwnerTable {
    fn default() -> Self {
        Self::new(MAX)
    }
}

impl OwnerTable {
    /// Tells so many apart.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            all: Vec::new(),
            index: HashMap::new(),
        }
    }

    /// Whose a path is.
    pub(super) fn of(&mut self, path: Option<&Path>) -> usize {
        let (mut kind, mut name) = match path {
            Some(path) => owner(&path.bytes),
            None => ("unknown", String::new()),
        };
        if self.all.len() >= self.max && !self.index.contains_key(&(kind, name.clone())) {
            (kind, name) = ("others", String::new());
        }
        let next = self.all.len();
        let entry = self.index.entry((kind, name));
        *entry.or_insert_with_key(|(kind, name)| {
            let qos = path.and_then(|path| attribution::owner(&path.bytes).qos);
            self.all.push(OwnerSums {
                kind,
                name: name.clone(),
                qos: qos.filter(|_| *kind == "pod").map(attribution::Qos::as_str),
                ..OwnerSums::default()
            });
            next
        })
    }

    pub(super) fn get(&mut self, at: usize) -> Option<&mut OwnerSums> {
        self.all.get_mut(at)
    }

    pub(super) fn finish(self) -> Vec<OwnerSums> {
        self.all
    }
}
