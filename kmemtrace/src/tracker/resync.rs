//! What events do not tell: walks, gaps, and the kernel's own counts.

use super::{
    Change, Tracker, What,
    counts::CountReading,
    entry::MemcgEntry,
    key::{Id, Key},
    surplus::settle_ns,
};
use crate::event::{Cgroup, Counted, Counts, Gap, GapReason, Proof, Scope, Stamp, Walked};

impl Tracker {
    pub(super) fn present(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let generation = match self.table.newest(Id::of(cgroup)) {
            // Removed after the walk came by. One freed before a gap, though, can have been made again in it.
            None if self.freed.at_ns(Id::of(cgroup)) > self.gap_ns => return,
            Some((key, entry)) if entry.is_live() => {
                self.present_live(time, key, cgroup, changes);
                return;
            }
            Some((key, entry)) if entry.is_removed() => {
                if entry.is_certain() {
                    return; // after the walk came by
                }
                // freed in a gap, and its id given out again
                self.end_unseen(time, key, changes);
                key.generation + 1
            }
            _ => 0,
        };
        let mut entry = MemcgEntry::found(time, cgroup, self.walk);
        entry.generation = generation;
        let key = self.table.insert(entry);
        self.found(time, key, changes);
    }

    fn present_live(&mut self, time: Stamp, key: Key, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let walk = self.walk;
        let Some(entry) = self.table.get(key) else {
            return;
        };
        let was_memcg = entry.is_memcg();
        let newer = time.mono_ns >= entry.alive_ns;
        if newer && entry.cgroup.memory == Some(true) && cgroup.memory == Some(false) {
            // -memory, not seen
            self.vanish(time, key, Scope::Memcg, changes);
            self.table.insert(MemcgEntry::found(time, cgroup, walk));
            return;
        }
        self.table.update(key, |entry| {
            entry.seen = walk;
            if newer {
                // if events were lost, it may be another memcg by now
                entry.cgroup.serial = None;
            }
            entry.learn(time, cgroup);
            entry.found |= !was_memcg && entry.is_memcg();
        });
        if was_memcg {
            // Known, and told all the same: a trace must hold all that a walk saw.
            self.report_life(time, key, What::Present, changes);
        } else {
            // +memory, not seen
            self.found(time, key, changes);
        }
    }

    fn found(&mut self, time: Stamp, key: Key, changes: &mut Vec<Change>) {
        if self.table.get(key).is_some_and(MemcgEntry::is_memcg) {
            self.tally.found += 1;
            self.report_life(time, key, What::Present, changes);
        }
    }

    /// The kernel has this removed memcg: by a walk of its own tree, whose news is as old as `time`.
    pub(super) fn dead(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let id = Id::of(cgroup);
        if self.freed.ended(cgroup, time) {
            return; // after the walk came by
        }
        let alone = cgroup.scope == Scope::Memcg;
        let known = self.table.find(id, cgroup.serial).filter(|(_, entry)| {
            let this = entry.cgroup.serial.is_some() && entry.cgroup.serial == cgroup.serial;
            // A live one without a serial number in a directory that is there may be the next one.
            entry.is_memcg() && (this || entry.is_zombie() || !alone)
        });
        let key = match known.map(|(key, entry)| (key, entry.is_live())) {
            Some((key, false)) => key,
            Some((key, true)) => {
                // Its removal is news, or was lost.
                self.vanish(time, key, cgroup.scope, changes);
                key
            }
            None => self.inherit(time, cgroup),
        };
        self.table.update(key, |entry| {
            let at_removal = entry.cgroup.usage_bytes;
            entry.learn(time, cgroup);
            if let Some(holds) = &cgroup.holds {
                entry.weigh(time, holds);
                // What it holds now is told apart from what was charged then.
                entry.cgroup.usage_bytes = at_removal.or(entry.cgroup.usage_bytes);
            }
            entry.prove(Proof::Followed);
            entry.named_ns = time.mono_ns;
            if !alone {
                entry.lose_directory();
            }
        });
        self.report_life(time, key, What::Zombie, changes);
    }

    /// A zombie that was there before, or came to be in a gap.
    fn inherit(&mut self, time: Stamp, cgroup: &Cgroup) -> Key {
        self.inherited_by_name += u64::from(self.inherited.is_none());
        let since_boot = Cgroup {
            after_ns: Some(0),
            ..cgroup.clone()
        };
        // What its directory has now is newer.
        let newer = self.table.newest(Id::of(cgroup));
        let newer = newer
            .filter(|(_, entry)| entry.is_live())
            .map(|(key, _)| key);
        let newer = newer.and_then(|key| self.table.remove(key));
        let key = self
            .table
            .insert(MemcgEntry::dead(time, &since_boot, Proof::Followed));
        if let Some(newer) = newer {
            self.table.insert(*newer);
        }
        key
    }

    /// What the kernel did not name when it named all that it has is gone.
    fn end_unnamed(&mut self, time: Stamp, began_ns: u64, changes: &mut Vec<Change>) {
        let gone = self.table.keys(|entry| {
            let removed = entry.since().is_some_and(|since| since.mono_ns < began_ns);
            entry.is_memcg()
                && removed
                && entry.proof() == Some(Proof::Counted)
                && entry.named_ns < began_ns
        });
        for key in gone {
            let serial = self.table.get(key).and_then(|entry| entry.cgroup.serial);
            self.end_unseen(time, key, changes);
            self.freed.remember(key.id, serial, time, false);
        }
    }

    pub(super) fn walked(&mut self, time: Stamp, walked: &Walked, changes: &mut Vec<Change>) {
        let walk = self.walk;
        let gone = self.table.keys(|entry| {
            entry.is_live() && entry.seen != walk && entry.alive_ns < walked.began_mono_ns
        });
        for key in gone {
            if self.table.get(key).is_some_and(MemcgEntry::is_memcg) {
                self.vanish(time, key, Scope::Cgroup, changes);
            } else {
                self.drop_directory(time, key);
            }
        }
        if walked.zombies.is_some() && self.polled.is_none() {
            self.end_unnamed(time, walked.began_mono_ns, changes);
        }
        self.walk += 1;
        self.check.walked(time.mono_ns);
        self.surplus.forget(time.mono_ns);
        self.counting = walked.counts.zombies_of();
        self.reconcile(time, &walked.counts, changes);
        if walked.zombies.is_some() && self.polled.is_none() {
            // Where nothing counts them, those with names are all.
            self.inherited.get_or_insert(self.inherited_by_name);
        }
        let what = What::Walked {
            walked: *walked,
            number: walk,
        };
        self.emit(time, what, changes);
    }

    /// Its removal was not seen, so its end may not have been either.
    pub(super) fn vanish(
        &mut self,
        time: Stamp,
        key: Key,
        scope: Scope,
        changes: &mut Vec<Change>,
    ) {
        let proof = self.proof_of_missing(scope);
        self.table
            .update(key, |entry| entry.vanish(time, scope, proof));
        self.removed(time, key, changes);
    }

    /// Forgets a directory without a memcg.
    fn drop_directory(&mut self, time: Stamp, key: Key) {
        self.table.remove(key);
        self.freed.remember(key.id, None, time, false);
    }

    pub(super) fn gap(&mut self, time: Stamp, gap: &Gap, changes: &mut Vec<Change>) {
        self.tally.gap(time, gap);
        // The kernel log tells of slab failures only: nothing about a cgroup was lost with it.
        // A poll sees all there is, whatever came before it.
        match gap.reason {
            GapReason::KernelLog => {}
            GapReason::Contradicted => {
                self.surplus.corrected(time.mono_ns);
                self.lose(time);
            }
            _ if self.polled.is_some() => {}
            _ => {
                self.surplus.forget(time.mono_ns);
                self.lose(time);
            }
        }
        self.emit(time, What::Gap(gap.clone()), changes);
    }

    /// What was seen up to now need not be so.
    fn lose(&mut self, time: Stamp) {
        if self.polled.is_none() {
            self.gap_ns = self.gap_ns.max(Some(time.mono_ns));
            self.check.gap();
        } else {
            self.count_doubted();
        }
        self.doubt(time);
    }

    /// Any zombie may have been freed unseen. Whether it was, counts and later events tell.
    fn doubt(&mut self, time: Stamp) {
        for key in self
            .table
            .keys(|entry| entry.is_zombie() && entry.is_certain())
        {
            if self.table.get(key).is_some_and(MemcgEntry::is_memcg) {
                self.table.update(key, |entry| entry.prove(Proof::Counted));
            } else {
                self.drop_directory(time, key);
            }
        }
    }

    /// Compares the totals with what the kernel counts, and puts them right.
    pub(super) fn reconcile(&mut self, time: Stamp, counts: &Counts, changes: &mut Vec<Change>) {
        if self.polled.is_some() {
            return self.count_polled(time, counts, changes);
        }
        let Some(mut counted) = self.compare(time, counts) else {
            return;
        };
        if let Some(found) = self.surplus.unanswered(time.mono_ns) {
            // Nobody walks: the count has to do.
            self.gap(time, &found.gap(), changes);
            self.check.walked(time.mono_ns);
            counted = self.table.pool_by(counts).unwrap_or(counted);
        }
        let pool = self.table.pool();
        let difference = counted.saturating_sub(pool as i64);
        match self.check.read(time.mono_ns, difference) {
            CountReading::Wait => return,
            CountReading::Agrees => self.inherited_is_final = true,
            CountReading::First => {
                let known = self.table.uncertain();
                self.adopt(counted);
                let unnamed = self.table.pool().saturating_sub(known);
                self.inherited
                    .get_or_insert(self.inherited_by_name + unnamed);
            }
            CountReading::Steady => {
                // Fewer than those that are certain: that is for the surplus.
                self.adopt(counted);
                if !self.inherited_is_final
                    && let Some(inherited) = &mut self.inherited
                {
                    // The first count was off by what was in flight.
                    let by = (self.table.pool() as i64).saturating_sub(pool as i64);
                    *inherited = inherited.saturating_add_signed(by);
                }
            }
        }
        if self.check.settled() && self.table.pool() == 0 && self.table.uncertain() > 0 {
            for key in self
                .table
                .keys(|entry| entry.is_zombie() && !entry.is_certain())
            {
                self.end_unseen(time, key, changes);
                self.freed.remember(key.id, None, time, false);
            }
        }
    }

    /// What the pool would have to be for the totals to be the kernel's, as [`super::table::Table::pool_by`] has it. Below 0 the
    /// kernel does not allow all that is certain.
    pub(super) fn compare(&mut self, time: Stamp, counts: &Counts) -> Option<i64> {
        let counted = self.table.pool_by(counts)?;
        let certain = self.table.certain();
        // After a poll the pool is what the count says.
        let pool = match self.polled {
            Some(_) => u64::try_from(counted).unwrap_or(0),
            None => self.table.pool(),
        };
        let now = Counted {
            tracked: certain + pool,
            kernel: certain.saturating_add_signed(counted),
        };
        self.counted = Some(now);
        if self.polled.is_none() && !self.check.knows_live() {
            return Some(counted);
        }
        let settle_ns = settle_ns(counts);
        let above = if counted < 0 {
            let settled_ns = time.mono_ns.saturating_sub(settle_ns);
            let young = self.table.removed_after(settled_ns);
            counted.unsigned_abs().saturating_sub(young)
        } else {
            0
        };
        self.surplus.read(time.mono_ns, settle_ns, above, now);
        Some(counted)
    }

    fn adopt(&mut self, counted: i64) {
        let pool = u64::try_from(counted).unwrap_or(0);
        self.table.set_pool(pool);
        self.check.corrected(counted.saturating_sub(pool as i64));
    }
}
