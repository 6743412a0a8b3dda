//! Ids freed a short while ago: several CPUs report, so news of a life can come after that of its end.

use std::{collections::HashMap, mem};

use foldhash::fast::RandomState;

use super::key::Id;
use crate::event::{Cgroup, Stamp};

/// How long an id is remembered, by the events' own time.
const REMEMBER_NS: u64 = 10_000_000_000;

#[derive(Debug)]
struct Freed {
    at_ns: u64,
    /// Of the one memcg that was freed; `None` for the whole cgroup.
    serial: Option<u64>,
    /// It was taken for one of the pool's.
    from_pool: bool,
}

/// Kept by the time of their ends in two halves, the older of which is dropped as a whole: nothing is searched to be forgotten.
#[derive(Debug, Default)]
pub(super) struct FreedIds {
    recent: HashMap<Id, Freed, RandomState>,
    /// Those of the [`REMEMBER_NS`] before `recent` began.
    older: HashMap<Id, Freed, RandomState>,
    began_ns: u64,
    now_ns: u64,
    /// The latest end.
    newest_ns: u64,
}

impl FreedIds {
    pub(super) fn remember(&mut self, id: Id, serial: Option<u64>, time: Stamp, from_pool: bool) {
        let at_ns = time.mono_ns;
        self.newest_ns = self.newest_ns.max(at_ns);
        let freed = Freed {
            at_ns,
            serial,
            from_pool,
        };
        self.recent.insert(id, freed);
    }

    fn is_remembered(freed: &Freed, now_ns: u64) -> bool {
        freed.at_ns.saturating_add(REMEMBER_NS) >= now_ns
    }

    fn get(&self, id: Id) -> Option<&Freed> {
        let freed = self.recent.get(&id).or_else(|| self.older.get(&id));
        freed.filter(|freed| Self::is_remembered(freed, self.now_ns))
    }

    /// When it was freed, in nanoseconds.
    pub(super) fn at_ns(&self, id: Id) -> Option<u64> {
        self.get(id).map(|freed| freed.at_ns)
    }

    /// Whether an event is about something whose end was told before it.
    pub(super) fn ended(&self, cgroup: &Cgroup, time: Stamp) -> bool {
        // Most events are newer than any end.
        if self.newest_ns < time.mono_ns {
            return false;
        }
        self.get(Id::of(cgroup)).is_some_and(|freed| {
            let same = freed
                .serial
                .zip(cgroup.serial)
                .is_none_or(|(freed, this)| freed == this);
            same && freed.at_ns >= time.mono_ns
        })
    }

    /// Whether it was taken for one of the pool's: answered with yes once.
    pub(super) fn reclaim(&mut self, id: Id) -> bool {
        let now_ns = self.now_ns;
        let freed = self.recent.get_mut(&id).or_else(|| self.older.get_mut(&id));
        freed
            .filter(|freed| Self::is_remembered(freed, now_ns))
            .is_some_and(|freed| mem::take(&mut freed.from_pool))
    }

    /// Forgets what ended long before now.
    pub(super) fn forget(&mut self, now: Stamp) {
        self.now_ns = now.mono_ns;
        if self.now_ns.saturating_sub(self.began_ns) > REMEMBER_NS {
            self.began_ns = self.now_ns;
            mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}
