//! Births, deaths and ends, one fact at a time: in any order, twice, or from the middle on.

use super::{
    Change, Tracker, What,
    entry::{Birth, MemcgEntry, Subject},
    key::{Id, Key},
    path,
};
use crate::event::{Carried, Cgroup, Proof, Scope, Stamp};

impl Tracker {
    pub(super) fn created(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        if self.ended(time, cgroup) {
            return;
        }
        let id = Id::of(cgroup);
        let known = match self.table.find(id, cgroup.serial) {
            None if cgroup.serial.is_some() => self.table.newest(id),
            known => known,
        };
        let key = match known.map(|(key, entry)| (key, entry.birth(time, cgroup), entry.found)) {
            None => self.table.insert_newest(MemcgEntry::born(time, cgroup)),
            Some((key, Birth::Known, _)) => {
                self.table.update(key, |entry| entry.bear(time, cgroup));
                return;
            }
            Some((key, Birth::Own, found)) => {
                self.tally.found = self.tally.found.saturating_sub(u64::from(found));
                self.table.update(key, |entry| entry.bear(time, cgroup));
                key
            }
            Some((key, Birth::Another, _)) => {
                self.supersede(time, key, cgroup.scope, changes);
                let mut entry = MemcgEntry::born(time, cgroup);
                entry.generation = key.generation + 1;
                self.table.insert(entry)
            }
        };
        if self.table.get(key).is_some_and(MemcgEntry::is_memcg) {
            self.tally.created += 1;
            self.report_life(time, key, What::Created, changes);
        }
    }

    /// Another memcg is there in place of this one.
    fn supersede(&mut self, time: Stamp, key: Key, scope: Scope, changes: &mut Vec<Change>) {
        let Some(entry) = self.table.get(key) else {
            return;
        };
        if scope == Scope::Cgroup || entry.is_removed() {
            // An id is given out again only after the cgroup that had it is gone.
            self.end_unseen(time, key, changes);
        } else if entry.is_live() {
            self.vanish(time, key, Scope::Memcg, changes);
        }
    }

    pub(super) fn offlined(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        if self.ended(time, cgroup) {
            return;
        }
        let proof = if cgroup.after_ns.is_some() {
            self.proof_of_missing(cgroup.scope)
        } else if self.gap_ns.is_none_or(|gap_ns| time.mono_ns > gap_ns) {
            Proof::Followed
        } else {
            // In a gap its end may have been lost as well.
            Proof::Counted
        };
        let Some((key, entry)) = self.table.find(Id::of(cgroup), cgroup.serial) else {
            if let Some((other, _)) = self.table.newest(Id::of(cgroup)) {
                self.supersede(time, other, Scope::Memcg, changes);
            }
            let key = self.table.insert(MemcgEntry::dead(time, cgroup, proof));
            self.removed(time, key, changes);
            return;
        };
        let was_live = entry.is_live();
        self.table
            .update(key, |entry| entry.die(time, cgroup, proof));
        if was_live {
            self.removed(time, key, changes);
            if cgroup.scope == Scope::Memcg {
                self.leave_directory(key);
            }
        }
    }

    /// What will tell the end of one that was found missing.
    pub(super) fn proof_of_missing(&self, scope: Scope) -> Proof {
        match (self.counting, scope) {
            _ if self.polled.is_none() => Proof::Counted,
            (None, _) | (Some(Scope::Cgroup), Scope::Memcg) => Proof::Nothing,
            (Some(_), _) => Proof::Counted,
        }
    }

    pub(super) fn removed(&mut self, time: Stamp, key: Key, changes: &mut Vec<Change>) {
        if self.table.get(key).is_some_and(MemcgEntry::is_memcg) {
            self.tally.offlined += 1;
            self.report_life(time, key, What::Offlined, changes);
        }
    }

    /// A memcg went alone: its directory may get another one.
    fn leave_directory(&mut self, key: Key) {
        if let Some(directory) = self.table.get(key).map(MemcgEntry::directory) {
            self.table.insert(directory);
        }
    }

    pub(super) fn freed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        match cgroup.scope {
            Scope::Memcg => self.memcg_freed(time, cgroup, changes),
            Scope::Cgroup => self.cgroup_freed(time, cgroup, changes),
        }
    }

    fn memcg_freed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        if self.freed.ended(cgroup, time) {
            return;
        }
        let Some((key, entry)) = self.table.find_ended(Id::of(cgroup), cgroup.serial) else {
            // Never online (a mkdir rolled back), or of a cgroup that was removed before the start: then
            // cgroup_release follows and counts.
            return;
        };
        let was_removed = entry.is_removed();
        if entry.is_live() {
            let named = cgroup.serial.is_none() || entry.cgroup.serial == cgroup.serial;
            if !entry.is_memcg() || !named {
                // -memory was written above its directory before the start
                return self.unknown_freed(time, cgroup, changes);
            }
            self.leave_directory(key);
        }
        self.end(time, key, true, changes);
        if was_removed && let Some((other, _)) = self.table.next(Id::of(cgroup), 0) {
            // The removed directory lives on in what its cgroup had before: the kernel counts it once, till the last is gone.
            self.table.update(other, MemcgEntry::lose_directory);
        }
        self.freed
            .remember(Id::of(cgroup), cgroup.serial, time, false);
    }

    fn cgroup_freed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let mut known = false;
        let mut from = 0;
        while let Some((key, entry)) = self.table.next(Id::of(cgroup), from) {
            from = key.generation.saturating_add(1);
            known = true;
            // else an old cgroup's end, told after its id was given out again
            if !entry.is_born_after(time) {
                if entry.cgroup.path.is_none() || cgroup.slab.is_some() {
                    self.table.update(key, |entry| entry.learn(time, cgroup));
                }
                self.end(time, key, true, changes);
            }
        }
        if known {
            self.freed.remember(Id::of(cgroup), None, time, false);
        } else if self.freed.at_ns(Id::of(cgroup)).is_none() && cgroup.memory != Some(false) {
            self.unknown_freed(time, cgroup, changes);
        }
    }

    /// The end of one that was there before, or whose removal was lost.
    fn unknown_freed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        // Without the kernel's count the pool holds named ones only, and this is none of them.
        let from_pool = self.inherited.is_some() && self.table.pool() > 0;
        self.table
            .set_pool(self.table.pool() - u64::from(from_pool));
        self.freed
            .remember(Id::of(cgroup), cgroup.serial, time, from_pool);
        self.tally.freed += 1;
        if self.lives {
            self.emit(time, What::Freed(Subject::unknown(cgroup)), changes);
        }
    }

    /// Whether a fact is late news of what is gone. If that was taken for one of the pool's, it was none.
    fn ended(&mut self, time: Stamp, cgroup: &Cgroup) -> bool {
        let ended = self.freed.ended(cgroup, time);
        if ended && self.freed.reclaim(Id::of(cgroup)) {
            self.table.set_pool(self.table.pool() + 1);
        }
        ended
    }

    /// Takes an entry out for good and says so.
    fn end(&mut self, time: Stamp, key: Key, seen: bool, changes: &mut Vec<Change>) {
        let Some(entry) = self.table.remove(key) else {
            return;
        };
        if let Some(since) = entry.since().filter(|_| entry.is_certain()) {
            self.surplus.ended(since.mono_ns, time.mono_ns);
        }
        if !entry.is_memcg() {
            return;
        }
        if seen
            && entry.is_certain()
            && let Some(ns) = entry.exact_zombie_ns(time)
        {
            self.tally.delays.record(ns);
        }
        self.tally.freed += 1;
        if entry.is_leaked() {
            // Of those that the count told of, it tells how many.
            self.tally.recovered += u64::from(entry.by_count.is_none());
        } else if !self.lives {
            return;
        }
        let mut subject = entry.subject(time);
        if !seen {
            subject.across_gap = true;
            subject.cgroup.after_ns = None;
        }
        let what = if entry.is_leaked() {
            What::Recovered(subject)
        } else {
            What::Freed(subject)
        };
        self.emit(time, what, changes);
    }

    /// It must be gone, though its end was not seen.
    pub(super) fn end_unseen(&mut self, time: Stamp, key: Key, changes: &mut Vec<Change>) {
        self.end(time, key, false, changes);
    }

    pub(super) fn renamed(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let Some((key, entry)) = self.table.newest(Id::of(cgroup)) else {
            return;
        };
        let from = entry.cgroup.path.clone();
        self.table.update(key, |entry| entry.learn(time, cgroup));
        if let (Some(from), Some(to)) = (from, &cgroup.path) {
            self.table.move_paths(|path| path::moved(path, &from, to));
        }
        self.report_life(time, key, What::Renamed, changes);
    }

    /// A memcg that earlier files of the trace told of.
    pub(super) fn carried(&mut self, time: Stamp, carried: &Carried, changes: &mut Vec<Change>) {
        let id = Id::of(&carried.cgroup);
        if self
            .table
            .newest(id)
            .is_some_and(|(newest, _)| newest.generation >= carried.generation)
        {
            return;
        }
        self.tally.began(time);
        if time.mono_ns > self.now.mono_ns {
            self.now = time;
        }
        // It stands for a walk: the live ones are known with it.
        self.check.walked(time.mono_ns);
        let key = self
            .table
            .insert(MemcgEntry::carried(time, carried, self.walk));
        if carried.cgroup.memory == Some(false) {
            return;
        }
        self.tally.found += 1;
        match carried.zombie {
            None => self.report_life(time, key, What::Present, changes),
            Some(zombie) if zombie.leaked => {
                self.tally.leaks += 1;
                self.report(time, key, What::Leaked, changes);
            }
            Some(_) => self.report_life(time, key, What::Zombie, changes),
        }
    }

    /// A cgroup that was rolled back: its memcg may have been seen coming online.
    pub(super) fn never_made(&mut self, id: Id) {
        while let Some((key, entry)) = self.table.next(id, 0) {
            let count = if entry.found {
                &mut self.tally.found
            } else {
                &mut self.tally.created
            };
            let counted = entry.is_memcg() && (entry.found || entry.created.is_some());
            *count = count.saturating_sub(u64::from(counted));
            self.table.remove(key);
        }
    }
}
