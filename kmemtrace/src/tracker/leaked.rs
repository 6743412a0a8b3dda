//! The leaked memcgs together: whose they are, what pins them, when they were removed. The table keeps this in step with its
//! entries, so that to show it is cheap however many there are.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use foldhash::fast::RandomState;

use super::{Pin, PinCount, entry::MemcgEntry, key::Key, ranking::Ranking, summary::OwnerCount};
use crate::{
    attribution,
    event::{Path, Pod, Task},
};

/// Sums over the leaked memcgs. Those known by the kernel's count alone are suspects, and in nothing else.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Leaked {
    pub(super) owners: OwnerRanking,
    pub(super) suspects: OwnerRanking,
    /// The names of the tasks that made them; bytes that are not UTF-8 replaced.
    pub(super) creators: Ranking<Arc<str>>,
    pins: BTreeMap<Pin, PinSum>,
    /// By the time of their removal.
    removed: BTreeMap<(u64, Key), Removed>,
}

/// What of a leaked memcg is summed up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LeakedEntry {
    path: Option<Path>,
    pod: Option<Arc<Pod>>,
    /// The kernel's count alone tells.
    by_count: bool,
    creator: Option<Task>,
    pin: Option<(Pin, Option<u64>, bool)>,
    removed_ns: Option<(u64, Option<u64>)>,
    held_bytes: Option<u64>,
}

impl LeakedEntry {
    /// Of an entry, if it is leaked.
    pub(super) fn of(entry: &MemcgEntry) -> Option<Self> {
        entry.is_leaked().then(|| Self {
            path: entry.cgroup.path.clone(),
            pod: entry.cgroup.pod.clone(),
            by_count: entry.by_count.is_some(),
            creator: entry.creator(),
            pin: entry.pin(),
            removed_ns: entry.removed_ns(),
            held_bytes: entry.held_bytes(),
        })
    }
}

/// What is known of a removal, and of what is held since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Removed {
    /// If it was found out later: the last moment at which it was alive.
    pub(super) after_ns: Option<u64>,
    pub(super) held_bytes: Option<u64>,
}

#[derive(Debug, Default, PartialEq)]
struct PinSum {
    leaked: u64,
    /// Those whose held bytes are unknown.
    unknown: u64,
    bytes: u128,
    reclaimable: u64,
}

impl Leaked {
    /// Follows an entry from what it was to what it is; `None` where it is not leaked.
    pub(super) fn change(
        &mut self,
        key: Key,
        before: Option<&LeakedEntry>,
        after: Option<&LeakedEntry>,
    ) {
        // Whose it is takes longer to find out than to compare: most changes are none here.
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.count(key, before, false);
        }
        if let Some(after) = after {
            self.count(key, after, true);
        }
    }

    fn count(&mut self, key: Key, entry: &LeakedEntry, more: bool) {
        if entry.by_count {
            // A count names nobody: even where it is as high as there are candidates, zombies that no poll saw alive may
            // make it up.
            return self.suspects.count(entry, more);
        }
        self.owners.count(entry, more);
        if let Some(task) = &entry.creator {
            let name = String::from_utf8_lossy(task.comm());
            self.creators.count(name.into(), more);
        }
        if let Some((pin, held, reclaimable)) = entry.pin {
            let sum = self.pins.entry(pin).or_default();
            sum.count(held, reclaimable, more);
            if sum.leaked == 0 {
                self.pins.remove(&pin);
            }
        }
        if let Some((since_ns, after_ns)) = entry.removed_ns {
            let at = (since_ns, key);
            if more {
                let removed = Removed {
                    after_ns,
                    held_bytes: entry.held_bytes,
                };
                self.removed.insert(at, removed);
            } else {
                self.removed.remove(&at);
            }
        }
    }

    /// What pins them, most first.
    pub(super) fn pins(&self) -> Vec<PinCount> {
        let pins = self.pins.iter().map(|(pin, sum)| PinCount {
            pin: *pin,
            leaked: sum.leaked,
            bytes: (sum.unknown == 0)
                .then(|| u64::try_from(sum.bytes).ok())
                .flatten(),
            reclaimable: sum.reclaimable,
        });
        let mut pins: Vec<_> = pins.collect();
        pins.sort_by_key(|count| (Reverse(count.leaked), count.pin));
        pins
    }

    /// Those removed from one moment to another, both on `CLOCK_MONOTONIC`, with the moment of each.
    pub(super) fn removed(
        &self,
        from_ns: u64,
        until_ns: u64,
    ) -> impl Iterator<Item = (u64, Removed)> {
        let from = self.removed.range((from_ns, Key::MIN)..);
        from.map(|((since_ns, _), removed)| (*since_ns, *removed))
            .take_while(move |(since_ns, _)| *since_ns <= until_ns)
    }
}

impl PinSum {
    fn count(&mut self, held: Option<u64>, reclaimable: bool, more: bool) {
        let by = if more { 1 } else { -1 };
        let add = |number: &mut u64, if_so: bool| {
            *number = number.saturating_add_signed(if if_so { by } else { 0 });
        };
        add(&mut self.leaked, true);
        add(&mut self.unknown, held.is_none());
        add(&mut self.reclaimable, reclaimable);
        let held = u128::from(held.unwrap_or(0));
        self.bytes = if more {
            self.bytes.saturating_add(held)
        } else {
            self.bytes.saturating_sub(held)
        };
    }
}

/// Who has something: in the order of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct OwnerName {
    name: Arc<str>,
    kind: &'static str,
}

/// How many somebody has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct OwnerRanking {
    ranking: Ranking<OwnerName>,
    /// The pods' names by their uids, and how many entries have each: one name, unless somebody makes them up.
    pods: HashMap<Arc<str>, BTreeMap<String, u64>, RandomState>,
}

impl OwnerRanking {
    fn count(&mut self, entry: &LeakedEntry, more: bool) {
        let Some(path) = &entry.path else {
            return;
        };
        let (kind, name) = owner(&path.bytes);
        let name: Arc<str> = name.into();
        if kind == "pod"
            && let Some(pod) = &entry.pod
        {
            let names = self.pods.entry(Arc::clone(&name)).or_default();
            let pod = pod.to_string();
            let entries = names.entry(pod.clone()).or_default();
            *entries = entries.saturating_add_signed(if more { 1 } else { -1 });
            if *entries == 0 {
                names.remove(&pod);
            }
            if names.is_empty() {
                self.pods.remove(&name);
            }
        }
        self.ranking.count(OwnerName { name, kind }, more);
    }

    /// All of them, most first.
    pub(super) fn iter(&self) -> impl Iterator<Item = OwnerCount> {
        self.ranking
            .iter()
            .map(|(OwnerName { name, kind }, leaked)| {
                let names = self.pods.get(name).filter(|_| *kind == "pod");
                let pod = names.and_then(|names| names.last_key_value());
                OwnerCount {
                    kind,
                    name: name.to_string(),
                    pod: pod.map(|(pod, _)| pod.clone()),
                    leaked,
                }
            })
    }
}

/// The kind and name of whom a path belongs to.
pub(crate) fn owner(path: &[u8]) -> (&'static str, String) {
    let owner = attribution::owner(path);
    if let Some(uid) = owner.pod_uid {
        return ("pod", uid.to_string());
    }
    if let Some(id) = owner.container_id {
        return ("container", id.to_owned());
    }
    if let Some((runtime, name)) = owner.runtime.zip(owner.name) {
        return (runtime.as_str(), name.to_owned());
    }
    if let Some(unit) = owner.unit {
        return ("unit", unit.to_owned());
    }
    let parent = match path.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    };
    ("path", String::from_utf8_lossy(parent).into_owned())
}
