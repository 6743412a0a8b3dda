//! Polled facts: what is seen of zombies, and what the kernel's count says of the others.
//!
//! A poll sees that a directory is gone, not when its memcg is freed. Where something of the memcg is seen (its slab caches),
//! that tells. For the others there is the kernel's count: those that it has beyond the ones already accounted for (its
//! *excess*) are among the removed (its *candidates*), or came and went between two polls. So
//!
//! * an excess of 0 says that all candidates have been freed;
//! * what the younger candidates cannot make up, the older ones do: "k of these m";
//! * an excess beyond all candidates that stays is known by count alone.

use super::{
    ByCount, Change, Tracker, What,
    entry::MemcgEntry,
    key::{Id, Key},
    surplus::settle_ns,
};
use crate::event::{Cgroup, Counts, Proof, Scope, Stamp};

/// A candidate about which the counts have not decided after so many times the grace time is given up.
const GIVE_UP: u64 = 3;

/// What the counts say so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Polled {
    /// Zombies that were there at the start, as far as they may be there still. `None` before the first count.
    inherited: Option<u64>,
    /// Those that have been called leaked since, and are there still.
    leaked: u64,
    /// Since when the count has been above all candidates, and the least by which it was.
    unseen: Option<(u64, u64)>,
}

impl Tracker {
    /// A removed memcg is seen by what it holds, or not any more.
    pub(super) fn zombie(&mut self, time: Stamp, cgroup: &Cgroup, changes: &mut Vec<Change>) {
        let seen = cgroup.slab.as_ref().is_none_or(|slab| slab.caches > 0);
        let proof = if seen {
            Proof::Followed
        } else {
            self.proof_of_missing(cgroup.scope)
        };
        let key = match self.table.newest(Id::of(cgroup)) {
            None if !seen => return,
            None => {
                let since_boot = Cgroup {
                    after_ns: Some(0),
                    ..cgroup.clone()
                };
                self.table
                    .insert(MemcgEntry::dead(time, &since_boot, proof))
            }
            Some((key, entry)) => {
                if entry.is_live() {
                    self.vanish(time, key, Scope::Cgroup, changes);
                }
                key
            }
        };
        self.table.update(key, |entry| {
            entry.learn(time, cgroup);
            entry.prove(proof);
        });
        self.report_life(time, key, What::Zombie, changes);
        if proof == Proof::Nothing && self.table.get(key).is_some_and(MemcgEntry::is_leaked) {
            // Its verdict rested on what is not there any more, and nothing will ever tell.
            self.table.remove(key);
            self.tally.unproven += 1;
        }
    }

    /// Takes in a count that was read together with the poll whose changes have been told.
    pub(super) fn count_polled(&mut self, time: Stamp, counts: &Counts, changes: &mut Vec<Change>) {
        self.tally.held_bytes = counts.held_bytes.or(self.tally.held_bytes);
        self.tally.kmemcg_peak = counts.kmemcg_peak.max(self.tally.kmemcg_peak);
        self.tally.ids_peak = counts.ids_peak.max(self.tally.ids_peak);
        let first = self.polled.is_some_and(|polled| polled.inherited.is_none());
        let Some(mut counted) = self.compare(time, counts) else {
            if first {
                // Nothing counts them: those that are seen are all that is known.
                let certain = self.table.certain();
                self.inherited.get_or_insert(certain);
            }
            return;
        };
        if let Some(found) = self.surplus.unanswered(time.mono_ns) {
            self.gap(time, &found.gap(), changes);
            counted = self.table.pool_by(counts).unwrap_or(counted);
        }
        let pool = u64::try_from(counted).unwrap_or(0);
        self.table.set_pool(pool);
        let Some(polled) = &mut self.polled else {
            return;
        };
        let Some(inherited) = polled.inherited else {
            polled.inherited = Some(pool);
            let inherited = pool + self.table.certain();
            self.inherited.get_or_insert(inherited);
            return;
        };
        // Fewer than were accounted for: some have been freed. Which, nothing tells; what has leaked in this run is what
        // those that were there before cannot make up.
        let inherited = inherited.min(pool);
        let leaked = polled.leaked.min(pool - inherited);
        let recovered = polled.leaked - leaked;
        let excess = pool - inherited - leaked;
        *polled = Polled {
            inherited: Some(inherited),
            leaked,
            ..*polled
        };
        self.table.judge(leaked);
        self.tally.recovered += recovered;
        if leaked == 0 {
            self.end_counted(time, MemcgEntry::is_leaked, changes);
        }
        let settle_ns = settle_ns(counts);
        if excess == 0 {
            let told = time.mono_ns.saturating_sub(settle_ns);
            let settled = |entry: &MemcgEntry| {
                !entry.is_leaked() && entry.since().is_some_and(|since| since.mono_ns <= told)
            };
            self.end_counted(time, settled, changes);
        }
        let judged = self.judge_candidates(time, excess, settle_ns, changes);
        self.judge_unseen(time, excess - judged, changes);
    }

    /// Says which candidates that are older than the grace time have leaked; returns how many zombies that accounts for.
    fn judge_candidates(
        &mut self,
        time: Stamp,
        excess: u64,
        settle_ns: u64,
        changes: &mut Vec<Change>,
    ) -> u64 {
        let older = |entry: &MemcgEntry, than: u64| {
            entry
                .since()
                .is_some_and(|since| since.mono_ns.saturating_add(than) <= time.mono_ns)
        };
        let grace = self.table.grace_ns();
        let due = self
            .table
            .keys(|entry| is_candidate(entry) && older(entry, grace));
        let candidates = due.len() as u64;
        let younger = self.candidates() - candidates;
        let zombies = excess.saturating_sub(younger).min(candidates);
        if zombies == 0 {
            let patience = settle_ns.saturating_add(grace.saturating_mul(GIVE_UP));
            let given_up: Vec<Key> = self
                .table
                .keys(|entry| is_candidate(entry) && older(entry, patience));
            self.leave_pool(given_up.len());
            self.tally.unproven += given_up.len() as u64;
            for key in given_up {
                self.table.remove(key);
            }
            return 0;
        }
        self.account_for(zombies);
        for key in due {
            self.table.update(key, |entry| {
                entry.leak();
                entry.by_count = Some(ByCount {
                    zombies,
                    candidates,
                });
            });
            self.report(time, key, What::Leaked, changes);
        }
        zombies
    }

    /// What no candidate can make up, for as long as the grace time, came and went between two polls.
    fn judge_unseen(&mut self, time: Stamp, excess: u64, changes: &mut Vec<Change>) {
        let beyond = excess.saturating_sub(self.candidates());
        let grace = self.table.grace_ns();
        let Some(polled) = &mut self.polled else {
            return;
        };
        if beyond == 0 {
            polled.unseen = None;
            return;
        }
        let (since, least) = polled.unseen.unwrap_or((time.mono_ns, beyond));
        let least = least.min(beyond);
        polled.unseen = Some((since, least));
        if since.saturating_add(grace) <= time.mono_ns {
            polled.unseen = None;
            self.account_for(least);
            self.emit(time, What::LeakedUnseen { zombies: least }, changes);
        }
    }

    /// Polled: those that the count alone tells of, leaked in this run and there still.
    pub(super) fn leaked_by_count(&self) -> Option<u64> {
        self.polled.map(|polled| polled.leaked)
    }

    fn account_for(&mut self, zombies: u64) {
        self.tally.leaks += zombies;
        if let Some(polled) = &mut self.polled {
            polled.leaked += zombies;
            self.table.judge(polled.leaked);
        }
    }

    /// Those that are leaked and certain are about to be known by the count alone.
    pub(super) fn count_doubted(&mut self) {
        let leaked = self.table.certain_leaked();
        if let Some(polled) = &mut self.polled {
            polled.leaked += leaked;
            self.table.judge(polled.leaked);
        }
    }

    fn candidates(&self) -> u64 {
        self.table
            .values()
            .filter(|entry| is_candidate(entry))
            .count() as u64
    }

    /// They are gone, as the count shows.
    fn end_counted(
        &mut self,
        time: Stamp,
        which: impl Fn(&MemcgEntry) -> bool,
        changes: &mut Vec<Change>,
    ) {
        let gone: Vec<Key> = self
            .table
            .keys(|entry| entry.proof() == Some(Proof::Counted) && which(entry));
        self.leave_pool(gone.len());
        for key in gone {
            self.end_unseen(time, key, changes);
            self.freed.remember(key.id, None, time, false);
        }
    }

    /// So many entries are about to go that the count, and so the pool, has left out already.
    fn leave_pool(&mut self, entries: usize) {
        let pool = self.table.pool() + entries as u64;
        self.table.set_pool(pool);
    }
}

fn is_candidate(entry: &MemcgEntry) -> bool {
    entry.is_memcg() && entry.proof() == Some(Proof::Counted) && !entry.is_leaked()
}
