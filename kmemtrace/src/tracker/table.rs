//! All entries, with what must keep in step with them: the totals, the pool and the deadlines.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Totals,
    entry::{MemcgEntry, Stage},
    key::{Id, Key},
    leaked::{Leaked, LeakedEntry},
};
use crate::event::{Counts, Path, Proof, Scope};

/// What the totals depend on.
type Standing = (bool, Stage);

#[derive(Debug)]
pub(super) struct Table {
    grace_ns: u64,
    /// Events come from polls: what is only counted is judged by the counts, and not by time alone.
    polled: bool,
    /// Boxed, as the tree moves its values about when it changes.
    entries: BTreeMap<Key, Box<MemcgEntry>>,
    /// When each zombie that is not leaked yet will be, in order.
    deadlines: BTreeSet<(u64, Key)>,
    live: u64,
    certain: u64,
    certain_leaked: u64,
    uncertain: u64,
    uncertain_leaked: u64,
    /// Removed directories, with a memcg or without, whose end would be seen.
    removed: u64,
    /// Zombies that are not certain: named ones that may still be there, and those that have no name here.
    pool: u64,
    /// Polled: how many of the pool are called leaked.
    judged: u64,
    leaked: Leaked,
    /// Zombies whose held bytes are known, and the sum of these bytes.
    held: u64,
    held_bytes: u128,
}

impl Table {
    pub(super) fn new(grace_ns: u64, polled: bool) -> Self {
        Self {
            grace_ns,
            polled,
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            live: 0,
            certain: 0,
            certain_leaked: 0,
            uncertain: 0,
            uncertain_leaked: 0,
            removed: 0,
            pool: 0,
            judged: 0,
            leaked: Leaked::default(),
            held: 0,
            held_bytes: 0,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            live: self.live,
            zombies: self.certain + self.pool,
            leaked: self.certain_leaked + self.leaked_by_count(),
        }
    }

    /// Of the uncertain names more may be gone than stayed.
    fn leaked_by_count(&self) -> u64 {
        let leaked = if self.polled {
            self.judged
        } else {
            self.uncertain_leaked
        };
        leaked.min(self.pool)
    }

    /// So many of the pool are called leaked.
    pub(super) fn judge(&mut self, leaked: u64) {
        self.judged = leaked;
    }

    /// Zombies whose end will be told.
    pub(super) fn certain(&self) -> u64 {
        self.certain
    }

    /// Those of them that are called leaked.
    pub(super) fn certain_leaked(&self) -> u64 {
        self.certain_leaked
    }

    pub(super) fn grace_ns(&self) -> u64 {
        self.grace_ns
    }

    pub(super) fn pool(&self) -> u64 {
        self.pool
    }

    pub(super) fn set_pool(&mut self, pool: u64) {
        self.pool = pool;
    }

    pub(super) fn uncertain(&self) -> u64 {
        self.uncertain
    }

    /// What the pool would have to be for the totals to be the kernel's; `None` if it did not count.
    pub(super) fn pool_by(&self, counts: &Counts) -> Option<i64> {
        let certain = if counts.dying_memory.is_some() {
            self.certain
        } else if counts.num_cgroups.is_some() {
            self.live + self.certain
        } else {
            // counts cgroups: also those without a memcg, but not a memcg whose directory is still there
            self.removed
        };
        let counted = counts
            .dying_memory
            .or(counts.num_cgroups)
            .or(counts.dying)?;
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Some(signed(counted).saturating_sub(signed(certain)))
    }

    pub(super) fn get(&self, key: Key) -> Option<&MemcgEntry> {
        self.entries.get(&key).map(|entry| &**entry)
    }

    /// All entries of a cgroup id from a generation on, oldest first.
    fn of(&self, id: Id, from: u32) -> impl DoubleEndedIterator<Item = (Key, &MemcgEntry)> {
        self.entries
            .range(Key::new(id, from)..=Key::new(id, u32::MAX))
            .map(|(key, entry)| (*key, &**entry))
    }

    pub(super) fn next(&self, id: Id, from: u32) -> Option<(Key, &MemcgEntry)> {
        self.of(id, from).next()
    }

    pub(super) fn newest(&self, id: Id) -> Option<(Key, &MemcgEntry)> {
        // From one side only: half the search.
        let (key, entry) = self.entries.range(..=Key::new(id, u32::MAX)).next_back()?;
        (key.id == id).then_some((*key, &**entry))
    }

    /// The memcg with this serial number, or else the newest that may have it.
    pub(super) fn find(&self, id: Id, serial: Option<u64>) -> Option<(Key, &MemcgEntry)> {
        if serial.is_none() {
            return self.newest(id);
        }
        self.of(id, 0)
            .filter(|(_, entry)| entry.cgroup.serial.is_none() || entry.cgroup.serial == serial)
            .min_by_key(|(key, entry)| (entry.cgroup.serial != serial, Reverse(key.generation)))
    }

    /// The memcg of this cgroup whose end this is: without a serial number, the zombie that waits longest for it.
    pub(super) fn find_ended(&self, id: Id, serial: Option<u64>) -> Option<(Key, &MemcgEntry)> {
        let mut zombies = self.of(id, 0).filter(|(_, entry)| entry.is_zombie());
        let zombie = if serial.is_none() {
            zombies.next()
        } else {
            None
        };
        zombie.or_else(|| self.find(id, serial))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &MemcgEntry> {
        self.entries.values().map(|entry| &**entry)
    }

    /// Goes through all of them.
    pub(super) fn keys(&self, which: impl Fn(&MemcgEntry) -> bool) -> Vec<Key> {
        let chosen = self.entries.iter().filter(|(_, entry)| which(entry));
        chosen.map(|(key, _)| *key).collect()
    }

    /// Gives memcgs other paths.
    pub(super) fn move_paths(&mut self, moved: impl Fn(&Path) -> Option<Path>) {
        for (key, entry) in &mut self.entries {
            let Some(path) = entry.cgroup.path.as_ref().and_then(&moved) else {
                continue;
            };
            let before = LeakedEntry::of(entry);
            entry.cgroup.path = Some(path);
            let after = LeakedEntry::of(entry);
            self.leaked.change(*key, before.as_ref(), after.as_ref());
        }
    }

    pub(super) fn insert(&mut self, mut entry: MemcgEntry) -> Key {
        if let Some((newest, _)) = self.newest(Id::of(&entry.cgroup)) {
            entry.generation = newest.generation + 1;
        }
        self.insert_newest(entry)
    }

    /// With the generation that it has: where it is known to be the newest of its id.
    pub(super) fn insert_newest(&mut self, entry: MemcgEntry) -> Key {
        let key = Key::new(Id::of(&entry.cgroup), entry.generation);
        self.account(key, None, Some(standing(&entry)));
        self.hold(None, entry.held_bytes());
        self.leaked
            .change(key, None, LeakedEntry::of(&entry).as_ref());
        self.entries.insert(key, Box::new(entry));
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Box<MemcgEntry>> {
        let entry = self.entries.remove(&key)?;
        self.account(key, Some(standing(&entry)), None);
        self.hold(entry.held_bytes(), None);
        self.leaked
            .change(key, LeakedEntry::of(&entry).as_ref(), None);
        Some(entry)
    }

    pub(super) fn update(&mut self, key: Key, change: impl FnOnce(&mut MemcgEntry)) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let before = standing(entry);
        let held = entry.held_bytes();
        let leaked = LeakedEntry::of(entry);
        change(entry);
        let now = LeakedEntry::of(entry);
        self.leaked.change(key, leaked.as_ref(), now.as_ref());
        let after = standing(entry);
        let holds = entry.held_bytes();
        self.account(key, Some(before), Some(after));
        self.hold(held, holds);
    }

    /// A zombie's bytes, as far as they are known, before and after a change.
    fn hold(&mut self, before: Option<u64>, after: Option<u64>) {
        if let Some(bytes) = before {
            self.held = self.held.saturating_sub(1);
            self.held_bytes = self.held_bytes.saturating_sub(bytes.into());
        }
        if let Some(bytes) = after {
            self.held += 1;
            self.held_bytes = self.held_bytes.saturating_add(bytes.into());
        }
    }

    /// What zombies hold; `None` if that is not known of any.
    pub(super) fn held_bytes(&self) -> Option<u64> {
        (self.held > 0).then(|| u64::try_from(self.held_bytes).unwrap_or(u64::MAX))
    }

    /// Asserts that what is kept of the zombies is what they come to.
    #[cfg(test)]
    pub(super) fn assert_in_step(&self) {
        let mut leaked = Leaked::default();
        for (key, entry) in &self.entries {
            leaked.change(*key, None, LeakedEntry::of(entry).as_ref());
        }
        assert_eq!(self.leaked, leaked);
        let held = self.values().filter_map(MemcgEntry::held_bytes);
        assert_eq!(self.held_bytes(), held.reduce(u64::saturating_add));
    }

    /// The leaked ones together.
    pub(super) fn leaked(&self) -> &Leaked {
        &self.leaked
    }

    /// Certain zombies that were removed after this moment of `CLOCK_MONOTONIC`. Goes through all of them.
    pub(super) fn removed_after(&self, ns: u64) -> u64 {
        let young = |entry: &&MemcgEntry| {
            let removed = entry.since().is_some_and(|since| since.mono_ns > ns);
            removed && entry.is_certain()
        };
        self.values().filter(young).count() as u64
    }

    /// The zombie whose grace time ended first, if it has by now.
    pub(super) fn due(&self, now_ns: u64) -> Option<Key> {
        let &(deadline, key) = self.deadlines.first()?;
        (deadline <= now_ns).then_some(key)
    }

    fn account(&mut self, key: Key, before: Option<Standing>, after: Option<Standing>) {
        if before == after {
            return;
        }
        let uncertain = self.uncertain;
        for (standing, by) in [(before, -1), (after, 1)] {
            if let Some(standing) = standing {
                self.count(key, standing, by);
            }
        }
        if self.uncertain > uncertain {
            self.pool += 1;
        } else if self.uncertain < uncertain {
            self.pool = self.pool.saturating_sub(1);
        }
    }

    fn count(&mut self, key: Key, (memcg, stage): Standing, by: i64) {
        let add = |number: &mut u64, if_so: bool| {
            *number = number.saturating_add_signed(if if_so { by } else { 0 });
        };
        let Stage::Zombie {
            since,
            scope,
            proof,
            leaked,
            ..
        } = stage
        else {
            return add(&mut self.live, memcg);
        };
        let (followed, counted) = (proof == Proof::Followed, proof == Proof::Counted);
        add(&mut self.certain, memcg && followed);
        add(&mut self.certain_leaked, memcg && followed && leaked);
        add(&mut self.uncertain, memcg && counted);
        add(&mut self.uncertain_leaked, memcg && counted && leaked);
        add(&mut self.removed, followed && scope == Scope::Cgroup);
        if memcg && !leaked && !(counted && self.polled) {
            let deadline = (since.mono_ns.saturating_add(self.grace_ns), key);
            if by > 0 {
                self.deadlines.insert(deadline);
            } else {
                self.deadlines.remove(&deadline);
            }
        }
    }
}

fn standing(entry: &MemcgEntry) -> Standing {
    (entry.is_memcg(), entry.stage)
}
