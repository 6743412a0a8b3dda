//! The state machine: facts in, changes out. It reads no clock, no file, no map, and awaits nothing, so a replayed trace
//! gives what the live run gave.
//!
//! A memcg is known by its cgroup's id and a *generation*: on v2 one cgroup can lose its memcg and get another while the
//! first still dies, and before 5.5 the kernel gives ids out again. Within a generation
//!
//! ```text
//!   created --> live --offlined--> zombie --freed--> gone
//!                                    | grace            ^
//!                                    +--> leaked -------+ recovered
//! ```
//!
//! What the events do not cover, counts do. Zombies whose end the tracker would have seen are *certain*; the others (there
//! before it started, or with their end possibly lost in a gap) are only counted, in a *pool* that the kernel's own counts
//! set and that every free outside the certain ones takes one from. So the sum is the kernel's, always; a name is
//! claimed only where it is known.

mod counts;
mod entry;
mod summary;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

pub use entry::Subject;
use entry::{Entry, State};
use summary::Tally;
pub use summary::{Delays, OwnerCount, Summary};

use crate::event::{
    Cgroup, Counts, Event, Fact, Gap, MkdirFailure, Path, Scope, SlabFailure, Stamp, Walked,
};

/// What became of a fact, and where things stand after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub time: Stamp,
    /// What.
    pub what: What,
    /// The totals after it.
    pub totals: Totals,
}

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A memcg came to life.
    Created(Subject),
    /// It was removed: a zombie from now on.
    Offlined(Subject),
    /// It is gone for good.
    Freed(Subject),
    /// Its directory has another name.
    Renamed(Subject),
    /// It has been a zombie for longer than the grace time.
    Leaked(Subject),
    /// It was called leaked, and has been freed after all.
    Recovered(Subject),
    /// A directory that was there already.
    Present(Subject),
    /// A walk of the directories ended.
    Walked(Walked),
    /// The slab allocator failed.
    SlabFailure(SlabFailure),
    /// A cgroup could not be made.
    MkdirFailure(MkdirFailure),
    /// Events may have been lost.
    Gap(Gap),
    /// Time went by; what the kernel counts, where it was asked.
    Tick(Counts),
    /// The end of the run.
    Summary(Box<Summary>),
}

/// Where things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Memcgs whose directory exists, the root's included.
    pub live: u64,
    /// Memcgs without directory, not freed.
    pub zombies: u64,
    /// Those of them that are called leaked.
    pub leaked: u64,
}

/// How a tracker judges.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a zombie may last before it is called leaked.
    pub grace: Duration,
}

/// A memcg's key: its cgroup's id, and how many memcgs with that id came before it.
type Key = (u64, u32);

/// The state of all memory cgroups, as far as the facts so far tell.
#[derive(Debug)]
pub struct Tracker {
    grace_ns: u64,
    now: Stamp,
    entries: BTreeMap<Key, Entry>,
    /// When each certain or possible zombie becomes a leak, in order.
    deadlines: BTreeSet<(u64, Key)>,
    /// Ids freed a short while ago, so that a late event does not bring them back.
    freed_lately: HashMap<u64, u64>,
    freed_order: VecDeque<(u64, u64)>,
    live: u64,
    certain: u64,
    uncertain: u64,
    leaked: u64,
    pool: counts::Pool,
    walk: u32,
    tally: Tally,
}

/// How long an id that was freed is remembered, by the events' own time.
const REMEMBER_FREED_NS: u64 = 10_000_000_000;

impl Tracker {
    /// A tracker that knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            grace_ns: u64::try_from(config.grace.as_nanos()).unwrap_or(u64::MAX),
            now: Stamp::default(),
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            freed_lately: HashMap::new(),
            freed_order: VecDeque::new(),
            live: 0,
            certain: 0,
            uncertain: 0,
            leaked: 0,
            pool: counts::Pool::default(),
            walk: 0,
            tally: Tally::default(),
        }
    }

    /// Where things stand.
    pub fn totals(&self) -> Totals {
        Totals { live: self.live, zombies: self.certain + self.pool.count(), leaked: self.leaked }
    }

    /// The run so far.
    pub fn summary(&self) -> Summary {
        let leaked = self.entries.values().filter(|entry| entry.leaked());
        self.tally.summary(self.totals(), self.now, leaked)
    }

    /// Takes in one fact and appends what changed.
    pub fn apply(&mut self, event: &Event, changes: &mut Vec<Change>) {
        if event.time.mono_ns > self.now.mono_ns {
            self.now = event.time;
        }
        self.tally.began(event.time);
        let time = event.time;
        match &event.fact {
            Fact::Created(cgroup) => self.created(time, cgroup, changes),
            Fact::Offlined(cgroup) => self.offlined(time, cgroup, changes),
            Fact::Freed(cgroup) => self.freed(time, cgroup, changes),
            Fact::Renamed(cgroup) => self.renamed(time, cgroup, changes),
            Fact::Present(cgroup) => self.present(time, cgroup, changes),
            Fact::Walked(walked) => self.walked(time, walked, changes),
            Fact::SlabFailure(failure) => {
                self.tally.slab_failures += 1;
                self.emit(time, What::SlabFailure(failure.clone()), changes);
            }
            Fact::MkdirFailure(failure) => {
                self.tally.mkdir_failures += 1;
                if let Some(id) = failure.cgroup_id {
                    self.never_made(id);
                }
                self.emit(time, What::MkdirFailure(failure.clone()), changes);
            }
            Fact::Gap(gap) => self.gap(time, gap, changes),
            Fact::Tick(counts) => {
                self.reconcile_tick(time, counts, changes);
                self.emit(time, What::Tick(*counts), changes);
            }
        }
        self.expire(changes);
        self.forget_freed();
    }

    fn emit(&self, time: Stamp, what: What, changes: &mut Vec<Change>) {
        changes.push(Change { time, what, totals: self.totals() });
    }

    /// The newest memcg of a cgroup; with a serial number, the one that has it or may have it.
    fn find(&self, id: u64, serial: Option<u64>) -> Option<Key> {
        let mut generations = self.entries.range((id, 0)..=(id, u32::MAX)).rev();
        let key = match serial {
            None => generations.next(),
            Some(_) => generations.find(|(_, e)| e.cgroup.serial.is_none_or(|s| Some(s) == serial)),
        };
        key.map(|(key, _)| *key)
    }

    fn next_key(&self, id: u64) -> Key {
        let newest = self.entries.range((id, 0)..=(id, u32::MAX)).next_back();
        (id, newest.map_or(0, |((_, generation), _)| generation + 1))
    }

    /// Puts in an entry and counts it.
    fn insert(&mut self, entry: Entry) -> Key {
        let key = self.next_key(entry.cgroup.id);
        let entry = Entry { generation: key.1, ..entry };
        self.count(&entry, 1);
        if let State::Zombie { since, .. } = entry.state {
            self.deadlines.insert((since.mono_ns.saturating_add(self.grace_ns), key));
        }
        self.entries.insert(key, entry);
        key
    }

    fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.count(&entry, -1);
        if let State::Zombie { since, .. } = entry.state {
            self.deadlines.remove(&(since.mono_ns.saturating_add(self.grace_ns), key));
        }
        Some(entry)
    }

    /// Changes an entry, keeping counts and deadlines in step with it.
    fn update(&mut self, key: Key, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let before = entry.clone_state();
        change(entry);
        let after = entry.clone_state();
        if before != after {
            self.count_state(before, -1);
            self.count_state(after, 1);
            let grace = self.grace_ns;
            let deadline = |since: Stamp| (since.mono_ns.saturating_add(grace), key);
            if let State::Zombie { since, .. } = before.state {
                self.deadlines.remove(&deadline(since));
            }
            if let State::Zombie { since, leaked: false, .. } = after.state {
                self.deadlines.insert(deadline(since));
            }
        }
    }

    fn count(&mut self, entry: &Entry, by: i64) {
        self.count_state(entry.clone_state(), by);
    }

    fn count_state(&mut self, counted: entry::Counted, by: i64) {
        if counted.memory == Some(false) {
            return;
        }
        let add = |total: &mut u64| *total = total.saturating_add_signed(by);
        match counted.state {
            State::Live => add(&mut self.live),
            State::Bare => {}
            State::Zombie { leaked, certain, .. } => {
                add(if certain { &mut self.certain } else { &mut self.uncertain });
                if leaked {
                    add(&mut self.leaked);
                }
            }
        }
    }

    fn created(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        if self.was_freed_after(cgroup.id, time) {
            return;
        }
        let key = match self.find(cgroup.id, cgroup.serial) {
            Some(key) => {
                let entry = &self.entries[&key];
                if entry.created.is_some_and(|at| at.mono_ns <= time.mono_ns)
                    && matches!(entry.state, State::Live | State::Bare)
                    && entry.cgroup.memory != Some(false)
                {
                    // the same birth, seen by another hook
                    self.update(key, |entry| entry.learn(cgroup));
                    return;
                }
                if entry.dies_before(time) {
                    // an id given out again, or a second memcg for the same directory
                    self.insert(Entry::live(time, cgroup))
                } else {
                    self.update(key, |entry| entry.born(time, cgroup));
                    key
                }
            }
            None => {
                if let Some(key) = self.find(cgroup.id, None)
                    && matches!(self.entries[&key].state, State::Live)
                {
                    // another serial: the memcg that was there must have gone unseen
                    self.update(key, |entry| entry.vanish(time));
                }
                self.insert(Entry::live(time, cgroup))
            }
        };
        if self.entries[&key].cgroup.memory != Some(false) {
            self.tally.created += 1;
            self.report(time, key, What::Created, changes);
        }
    }

    fn offlined(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        if self.was_freed_after(cgroup.id, time) {
            return;
        }
        let key = match self.find(cgroup.id, cgroup.serial) {
            Some(key) if matches!(self.entries[&key].state, State::Zombie { .. }) => {
                self.update(key, |entry| entry.learn(cgroup));
                return;
            }
            Some(key) => {
                self.update(key, |entry| entry.die(time, cgroup));
                key
            }
            None => self.insert(Entry::zombie(time, cgroup)),
        };
        if self.entries[&key].is_zombie() {
            self.tally.offlined += 1;
            self.report(time, key, What::Offlined, changes);
        }
    }

    fn freed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let keys: Vec<Key> = match cgroup.scope {
            Scope::Memcg => self.find(cgroup.id, cgroup.serial).into_iter().collect(),
            Scope::Cgroup => {
                self.entries.range((cgroup.id, 0)..=(cgroup.id, u32::MAX)).map(|(k, _)| *k).collect()
            }
        };
        let known = !keys.is_empty();
        for key in keys {
            if self.entries.get(&key).is_some_and(|e| e.born_after(time)) {
                continue; // an old cgroup's end, told late, after its id was given out again
            }
            if cgroup.scope == Scope::Memcg && self.entries[&key].has_directory() {
                self.bare(time, key, changes);
                continue;
            }
            self.end(time, key, Some(cgroup), changes);
        }
        if !known && cgroup.scope == Scope::Cgroup && !self.was_freed_after(cgroup.id, Stamp::default()) {
            // one of those that were there before, or whose removal was lost
            let certain = self.certain;
            self.pool.take_one(certain);
            self.tally.freed += 1;
            let subject = Subject::unknown(cgroup);
            self.emit(time, What::Freed(subject), changes);
        }
        if cgroup.scope == Scope::Cgroup || known {
            self.remember_freed(cgroup.id, time);
        }
    }

    /// A memcg is freed while its directory stays: on v2, `-memory` was written above it.
    fn bare(&mut self, time: Stamp, key: Key, changes: &mut Vec<Change>) {
        let Some(mut entry) = self.remove(key) else { return };
        self.report_end(time, &entry, changes);
        entry.state = State::Bare;
        entry.cgroup.serial = None;
        self.entries.insert(key, entry);
    }

    /// Takes an entry out for good and says so.
    fn end(&mut self, time: Stamp, key: Key, last: Option<&Cgroup>, changes: &mut Vec<Change>) {
        let Some(mut entry) = self.remove(key) else { return };
        if let Some(cgroup) = last {
            entry.learn_end(cgroup);
        }
        if entry.is_zombie() && !entry.certain() {
            let certain = self.certain;
            self.pool.take_one(certain);
        }
        if entry.cgroup.memory != Some(false) && !matches!(entry.state, State::Bare) {
            self.report_end(time, &entry, changes);
        }
    }

    fn report_end(&mut self, time: Stamp, entry: &Entry, changes: &mut Vec<Change>) {
        self.tally.freed += 1;
        let subject = entry.subject(Some(time));
        if entry.certain()
            && let Some(ns) = subject.zombie_ns
        {
            self.tally.delays.record(ns);
        }
        let recovered = entry.leaked();
        if recovered {
            self.tally.recovered += 1;
        }
        let what = if recovered { What::Recovered } else { What::Freed };
        self.emit(time, what(subject), changes);
    }

    fn renamed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let Some(key) = self.find(cgroup.id, None) else { return };
        let from = self.entries[&key].cgroup.path.clone();
        self.update(key, |entry| entry.learn(cgroup));
        if let (Some(from), Some(to)) = (from, cgroup.path.as_ref()) {
            self.rename_below(&from, to);
        }
        self.report(time, key, What::Renamed, changes);
    }

    /// Everything below a renamed directory has another path too.
    fn rename_below(&mut self, from: &Path, to: &Path) {
        for entry in self.entries.values_mut() {
            if let Some(path) = &entry.cgroup.path
                && let Some(rest) = path.bytes.strip_prefix(&from.bytes[..])
                && rest.starts_with(b"/")
                && !from.cut
            {
                let bytes = [&to.bytes[..], rest].concat().into();
                entry.cgroup.path = Some(Path { bytes, cut: path.cut || to.cut });
            }
        }
    }

    fn gap(&mut self, time: Stamp, gap: &Gap, changes: &mut Vec<Change>) {
        self.tally.gap(gap);
        // Any zombie may have been freed meanwhile. Whether it was, counts and later events tell.
        let zombies: Vec<Key> =
            self.entries.iter().filter(|(_, e)| e.is_zombie()).map(|(k, _)| *k).collect();
        for key in &zombies {
            self.update(*key, Entry::doubt);
        }
        let doubted = self.uncertain;
        self.pool.reopen(doubted);
        self.emit(time, What::Gap(gap.clone()), changes);
    }

    /// Calls leaked what has been a zombie for longer than the grace time.
    fn expire(&mut self, changes: &mut Vec<Change>) {
        while let Some(&(deadline, key)) = self.deadlines.first()
            && deadline <= self.now.mono_ns
        {
            self.deadlines.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let State::Zombie { leaked, .. } = &mut entry.state else { continue };
            if *leaked || entry.cgroup.memory == Some(false) {
                continue;
            }
            *leaked = true;
            self.leaked += 1;
            self.tally.leaked += 1;
            let now = self.now;
            self.report(now, key, What::Leaked, changes);
        }
    }

    fn report(
        &self,
        time: Stamp,
        key: Key,
        what: impl FnOnce(Subject) -> What,
        changes: &mut Vec<Change>,
    ) {
        if let Some(entry) = self.entries.get(&key) {
            self.emit(time, what(entry.subject(Some(time))), changes);
        }
    }

    /// A cgroup that was rolled back: its memcg may have been seen coming online.
    fn never_made(&mut self, id: u64) {
        let keys: Vec<Key> = self.entries.range((id, 0)..=(id, u32::MAX)).map(|(k, _)| *k).collect();
        for key in keys {
            self.remove(key);
        }
    }

    fn remember_freed(&mut self, id: u64, time: Stamp) {
        self.freed_lately.insert(id, time.mono_ns);
        self.freed_order.push_back((time.mono_ns, id));
    }

    fn was_freed_after(&self, id: u64, time: Stamp) -> bool {
        self.freed_lately.get(&id).is_some_and(|at| *at >= time.mono_ns)
    }

    fn forget_freed(&mut self) {
        while let Some(&(at, id)) = self.freed_order.front()
            && at.saturating_add(REMEMBER_FREED_NS) < self.now.mono_ns
        {
            self.freed_order.pop_front();
            if self.freed_lately.get(&id) == Some(&at) {
                self.freed_lately.remove(&id);
            }
        }
    }
}
