//! What two polls tell: pure. The first tells what is there; from then on each tells what changed since the one before.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::poll::{Poll, PolledDirectory, leaf, unmeasured};
use crate::{
    event::{Cgroup, Fact, Path, Scope, SlabPin, Walked},
    host::{SlabLayout, SlabMemcgs},
};

/// A memcg with slab caches of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    leaf: Vec<u8>,
    /// Its cgroup's id and path, if its directory was seen.
    cgroup: Option<(u64, Bytes)>,
    /// What was told of it as a zombie.
    told: Option<SlabPin>,
}

/// What the polls so far have seen.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<Poll>,
    /// By the number in the caches' names.
    kmem: BTreeMap<u32, Known>,
    /// Whether memory cgroups have come or gone since the caches' names were listed.
    moved: bool,
}

impl History {
    /// No poll has been taken in yet.
    pub(super) fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Whether memory cgroups have come or gone since the caches' names were listed, as far as polls saw.
    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    /// When the last poll began, on `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) fn last_ns(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.began_ns)
    }

    /// The zombies that slab caches show, by the number in their names, and those of them that have not been measured yet.
    pub(super) fn zombies(&self, seen: &Poll) -> Vec<u32> {
        let mut live: HashMap<&[u8], Vec<u64>> = HashMap::new();
        if seen.slab.layout.is_some() {
            for (id, directory) in &seen.directories {
                live.entry(directory.leaf()).or_default().push(*id);
            }
        }
        let mut of_leaf: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for (id, memcg) in seen.slab.with_cache() {
            // One that may have another name, of a directory that is there, may be alive.
            if !memcg.or.iter().any(|leaf| live.contains_key(&**leaf)) {
                of_leaf.entry(&memcg.leaf).or_default().push(id);
            }
        }
        let mut zombies = Vec::new();
        for (leaf, mut ids) in of_leaf {
            let here = live.get(leaf).map_or(&[][..], Vec::as_slice);
            // Where a name is used again, not all of its memcgs are zombies. Those whose directory was seen to go are the
            // first to be; of the others the kernel gave the lower number to the older.
            ids.sort_by_key(|id| match self.cgroup(*id, leaf) {
                Some(cgroup) if here.contains(cgroup) => (2, *id),
                Some(_) => (0, *id),
                None => (1, *id),
            });
            ids.truncate(ids.len().saturating_sub(here.len()));
            zombies.extend(ids);
        }
        zombies.sort_unstable();
        zombies
    }

    /// Of these zombies, those whose slab is still to be measured.
    pub(super) fn unmeasured<'a>(&'a self, zombies: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        let measured = |id: u32| {
            let told = self.kmem.get(&id).and_then(|known| known.told);
            told.is_some_and(|pin| pin.bytes.is_some())
        };
        zombies.iter().copied().filter(move |id| !measured(*id))
    }

    /// Whether some zombies that were seen before are none of these.
    pub(super) fn loses(&self, zombies: &[u32]) -> bool {
        self.kmem
            .iter()
            .any(|(id, known)| known.told.is_some() && zombies.binary_search(id).is_err())
    }

    /// The cgroup that a number was seen to belong to, under this name.
    fn cgroup(&self, id: u32, leaf: &[u8]) -> Option<&u64> {
        let known = self.kmem.get(&id).filter(|known| known.leaf == leaf)?;
        known.cgroup.as_ref().map(|(id, _)| id)
    }

    /// Takes a poll in and tells what it says; each fact with its `CLOCK_MONOTONIC` time in nanoseconds.
    pub(super) fn take(&mut self, seen: Poll, zombies: &[u32]) -> Vec<(u64, Fact)> {
        let mut told = PollFacts {
            time: seen.ended_ns,
            facts: Vec::new(),
        };
        match self.last.take() {
            None => {
                for (id, directory) in by_path(seen.directories.iter()) {
                    let fact = Fact::Present(cgroup(*id, directory, None));
                    told.facts.push((seen.began_ns, fact));
                }
                self.caches(&seen, zombies, &mut told);
                told.say(Fact::Walked(Walked {
                    began_mono_ns: seen.began_ns,
                    directories: seen.directories.len() as u64,
                    zombies: None,
                    counts: seen.counts,
                }));
            }
            Some(last) => {
                directories(&last, &seen, &mut told);
                // Counts tell of those that came and went between two polls.
                let moved = !told.facts.is_empty() || last.counts != seen.counts;
                if seen.slab.listed {
                    self.caches(&seen, zombies, &mut told);
                }
                self.moved = moved || self.moved && !seen.slab.listed;
                told.say(Fact::Tick(seen.counts));
            }
        }
        self.last = Some(seen);
        told.facts
    }

    /// What the slab caches say: zombies seen, seen no more, and gone.
    fn caches(&mut self, seen: &Poll, zombies: &[u32], told: &mut PollFacts) {
        let before = std::mem::take(&mut self.kmem);
        let zombies: HashSet<u32> = zombies.iter().copied().collect();
        let live = live_by_leaf(&seen.directories, &seen.slab);
        for (id, memcg) in seen.slab.with_cache() {
            let same = before
                .get(&id)
                .filter(|known| known.leaf == memcg.leaf)
                .cloned();
            let mut known = same.unwrap_or_else(|| Known {
                leaf: memcg.leaf.clone(),
                cgroup: None,
                told: None,
            });
            if zombies.contains(&id) {
                let pin = seen.pins.get(&id).copied();
                let pin = pin.unwrap_or_else(|| {
                    let unmeasured = unmeasured(memcg);
                    let earlier = known.told.filter(|pin| pin.caches == unmeasured.caches);
                    earlier.unwrap_or(unmeasured)
                });
                if known.told != Some(pin) {
                    known.told = Some(pin);
                    told.say(Fact::Zombie(known.subject(id, pin)));
                }
            } else if let Some(&(cgroup, path)) = live.get(&*memcg.leaf) {
                known.cgroup = Some((cgroup, path.clone()));
                known.told = None;
            }
            self.kmem.insert(id, known);
        }
        for (id, known) in before {
            if known.told.is_none() || self.kmem.get(&id).is_some_and(|now| now.told.is_some()) {
                continue;
            }
            let none = SlabPin::default();
            // A number is given out again only after its memcg is freed, and what holds no kernel memory is freed.
            let freed = self.kmem.contains_key(&id) || seen.counts.held_bytes == Some(0);
            told.say(if freed && seen.slab.layout != Some(SlabLayout::Nested) {
                Fact::Freed(known.subject(id, none))
            } else {
                Fact::Zombie(known.subject(id, none))
            });
        }
    }
}

impl Known {
    fn subject(&self, id: u32, pin: SlabPin) -> Cgroup {
        let path = match &self.cgroup {
            Some((_, path)) => Path::whole(path.clone()),
            None => Path {
                bytes: [b".../", &*self.leaf].concat().into(),
                cut: true,
            },
        };
        Cgroup {
            id: self.cgroup.as_ref().map(|(id, _)| *id),
            kmemcg_id: Some(id),
            slab: Some(Box::new(pin)),
            path: Some(path),
            ..Cgroup::default()
        }
    }
}

/// Facts of one poll.
struct PollFacts {
    time: u64,
    facts: Vec<(u64, Fact)>,
}

impl PollFacts {
    fn say(&mut self, fact: Fact) {
        self.facts.push((self.time, fact));
    }
}

/// Directories that came, went, or got another name or a memcg, between two polls.
fn directories(last: &Poll, seen: &Poll, told: &mut PollFacts) {
    // What the last poll began to look at was there then, or was made during it.
    let after = Some(last.began_ns);
    let gone = last.directories.iter();
    let gone = by_path(gone.filter(|(id, _)| !seen.directories.contains_key(id)));
    // Children before their parents, as they are removed.
    for (id, directory) in gone.into_iter().rev() {
        told.say(Fact::Offlined(cgroup(*id, directory, after)));
    }
    let changed = seen.directories.iter();
    let changed = by_path(changed.filter(|(id, directory)| {
        last.directories
            .get(id)
            .is_none_or(|before| before.memory != directory.memory || before.path != directory.path)
    }));
    for (id, directory) in changed {
        let Some(before) = last.directories.get(id) else {
            told.say(Fact::Created(cgroup(*id, directory, after)));
            continue;
        };
        if leaf(&before.path) != directory.leaf() {
            told.say(Fact::Renamed(cgroup(*id, directory, after)));
        }
        if before.memory != directory.memory {
            let memcg = Cgroup {
                scope: Scope::Memcg,
                memory: Some(true),
                ..cgroup(*id, directory, after)
            };
            told.say(if directory.memory {
                Fact::Created(memcg)
            } else {
                Fact::Offlined(memcg)
            });
        }
    }
}

/// Parents before their children.
fn by_path<'a>(
    directories: impl Iterator<Item = (&'a u64, &'a PolledDirectory)>,
) -> Vec<(&'a u64, &'a PolledDirectory)> {
    let mut sorted: Vec<_> = directories.collect();
    sorted.sort_unstable_by(|a, b| a.1.path.cmp(&b.1.path));
    sorted
}

fn cgroup(id: u64, directory: &PolledDirectory, after_ns: Option<u64>) -> Cgroup {
    Cgroup {
        id: Some(id),
        parent_id: directory.parent_id,
        path: Some(Path::whole(directory.path.clone())),
        memory: Some(directory.memory),
        after_ns,
        ..Cgroup::default()
    }
}

/// The directories whose name no other has.
fn live_by_leaf<'a>(
    directories: &'a HashMap<u64, PolledDirectory>,
    slab: &SlabMemcgs,
) -> HashMap<&'a [u8], (u64, &'a Bytes)> {
    let mut live = HashMap::new();
    let mut twice = HashSet::new();
    if slab.layout.is_some() {
        for (id, directory) in directories {
            let leaf = directory.leaf();
            if live.insert(leaf, (*id, &directory.path)).is_some() {
                twice.insert(leaf);
            }
        }
    }
    for leaf in twice {
        live.remove(leaf);
    }
    live
}

#[cfg(test)]
mod tests;
