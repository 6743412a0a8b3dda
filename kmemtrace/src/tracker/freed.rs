//! Ids freed a short while ago: several CPUs report, so news of a life can come after that of its end.

use std::collections::{HashMap, VecDeque};

use super::table::Id;
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

#[derive(Debug, Default)]
pub(super) struct FreedLately {
    by_id: HashMap<Id, Freed>,
    /// The latest end.
    newest_ns: u64,
    order: VecDeque<(u64, Id)>,
}

impl FreedLately {
    pub(super) fn remember(&mut self, id: Id, serial: Option<u64>, time: Stamp, from_pool: bool) {
        let at_ns = time.mono_ns;
        self.newest_ns = self.newest_ns.max(at_ns);
        self.by_id.insert(
            id,
            Freed {
                at_ns,
                serial,
                from_pool,
            },
        );
        self.order.push_back((at_ns, id));
    }

    /// When it was freed, in nanoseconds.
    pub(super) fn at_ns(&self, id: Id) -> Option<u64> {
        self.by_id.get(&id).map(|freed| freed.at_ns)
    }

    /// Whether an event is about something whose end was told before it.
    pub(super) fn ended(&self, cgroup: &Cgroup, time: Stamp) -> bool {
        // Most events are newer than any end.
        if self.newest_ns < time.mono_ns {
            return false;
        }
        self.by_id.get(&Id::of(cgroup)).is_some_and(|freed| {
            let same = freed
                .serial
                .zip(cgroup.serial)
                .is_none_or(|(freed, this)| freed == this);
            same && freed.at_ns >= time.mono_ns
        })
    }

    /// Whether it was taken for one of the pool's: answered with yes once.
    pub(super) fn reclaim(&mut self, id: Id) -> bool {
        self.by_id
            .get_mut(&id)
            .is_some_and(|freed| std::mem::take(&mut freed.from_pool))
    }

    pub(super) fn forget(&mut self, now: Stamp) {
        while let Some(&(at_ns, id)) = self.order.front()
            && at_ns.saturating_add(REMEMBER_NS) < now.mono_ns
        {
            self.order.pop_front();
            if self
                .by_id
                .get(&id)
                .is_some_and(|freed| freed.at_ns == at_ns)
            {
                self.by_id.remove(&id);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}
