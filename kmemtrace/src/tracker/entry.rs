//! One memcg: what is known of it, and its state.

use bytes::Bytes;

use crate::event::{Cgroup, Path, Stamp, Task};

/// Where a memcg is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Online.
    Live,
    /// A directory whose memcg is gone.
    Bare,
    /// Offline, not freed.
    Zombie {
        /// When it went offline.
        since: Stamp,
        /// If that was not seen but found out later: the last moment at which it was alive.
        after: Option<u64>,
        /// It has outlived the grace time.
        leaked: bool,
        /// Its end would have been seen.
        certain: bool,
    },
}

/// What totals depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) state: State,
    pub(super) memory: Option<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What is known of it, put together from all its events.
    pub(super) cgroup: Cgroup,
    pub(super) generation: u32,
    /// When it was made; `None` if it was there before.
    pub(super) created: Option<Stamp>,
    /// Who made it, if that was seen.
    creator: Option<Task>,
    pub(super) state: State,
    /// Whether its directory is known to exist.
    directory: bool,
    /// The number of the last walk that saw its directory, and the last moment it was known to be alive.
    pub(super) seen: u32,
    pub(super) alive_ns: u64,
}

/// A memcg as a change shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is known of it, the latest of each.
    pub cgroup: Cgroup,
    /// How many memcgs with this cgroup id came before it.
    pub generation: u32,
    /// When it was made, if that was seen.
    pub created: Option<Stamp>,
    /// Who made it, if that was seen.
    pub creator: Option<Task>,
    /// When it went offline.
    pub offlined: Option<Stamp>,
    /// If that was not seen: it was still alive at this `CLOCK_MONOTONIC` time, in nanoseconds.
    pub offlined_after_ns: Option<u64>,
    /// Nanoseconds as a zombie until the change.
    pub zombie_ns: Option<u64>,
    /// A gap lies between its removal and the change: it may have been freed unseen.
    pub across_gap: bool,
}

impl Subject {
    /// A cgroup of which only this event is known.
    pub(super) fn unknown(cgroup: &Cgroup) -> Self {
        Self {
            cgroup: cgroup.clone(),
            generation: 0,
            created: None,
            creator: None,
            offlined: None,
            offlined_after_ns: None,
            zombie_ns: None,
            across_gap: false,
        }
    }
}

impl Entry {
    fn new(cgroup: &Cgroup, state: State, alive_ns: u64) -> Self {
        let mut cgroup = cgroup.clone();
        cgroup.path = cgroup.path.map(own);
        Self {
            cgroup,
            generation: 0,
            created: None,
            creator: None,
            state,
            directory: true,
            seen: 0,
            alive_ns,
        }
    }

    pub(super) fn live(time: Stamp, cgroup: &Cgroup) -> Self {
        let created = Some(time);
        let creator = cgroup.task;
        Self { created, creator, ..Self::new(cgroup, State::Live, time.mono_ns) }
    }

    /// One that was there when a walk came by.
    pub(super) fn found(time: Stamp, cgroup: &Cgroup) -> Self {
        Self::new(cgroup, State::Live, time.mono_ns)
    }

    /// One first seen at its removal.
    pub(super) fn zombie(time: Stamp, cgroup: &Cgroup) -> Self {
        let mut entry = Self::new(cgroup, State::Live, time.mono_ns);
        entry.die(time, cgroup);
        entry
    }

    /// The birth of something already known: a walk or its death was faster than the news of it.
    pub(super) fn born(&mut self, time: Stamp, cgroup: &Cgroup) {
        self.created = Some(time);
        self.creator = cgroup.task;
        if matches!(self.state, State::Bare) {
            self.state = State::Live;
        }
        self.learn(cgroup);
    }

    pub(super) fn die(&mut self, time: Stamp, cgroup: &Cgroup) {
        self.learn(cgroup);
        self.directory = cgroup.scope == crate::event::Scope::Memcg && self.directory;
        if matches!(self.state, State::Bare) && cgroup.memory != Some(true) {
            self.cgroup.memory = Some(false);
        }
        self.state = State::Zombie { since: time, after: None, leaked: false, certain: true };
    }

    /// Gone without an event: removed at some time since it was last known to be alive.
    pub(super) fn vanish(&mut self, time: Stamp) {
        self.directory = false;
        if matches!(self.state, State::Bare) {
            self.cgroup.memory = Some(false);
        }
        self.state = State::Zombie {
            since: time,
            after: Some(self.alive_ns),
            leaked: false,
            certain: false,
        };
    }

    /// A gap: whether it still lives is not certain any more.
    pub(super) fn doubt(&mut self) {
        if let State::Zombie { certain, .. } = &mut self.state {
            *certain = false;
        }
    }

    /// Takes over what an event knows and this entry does not, and what changes: path, usage, memcg id.
    pub(super) fn learn(&mut self, cgroup: &Cgroup) {
        let mine = &mut self.cgroup;
        if let Some(path) = &cgroup.path
            && mine.path.as_ref() != Some(path)
            && (!path.cut || mine.path.is_none())
        {
            mine.path = Some(own(path.clone()));
        }
        mine.parent_id = mine.parent_id.or(cgroup.parent_id);
        mine.serial = mine.serial.or(cgroup.serial);
        mine.memcg_id = cgroup.memcg_id.filter(|id| *id != 0).or(mine.memcg_id);
        mine.memory = cgroup.memory.or(mine.memory);
        mine.usage_bytes = cgroup.usage_bytes.or(mine.usage_bytes);
        mine.task = cgroup.task.or(mine.task);
        if self.creator.is_none() && self.created.is_some() && matches!(self.state, State::Live) {
            self.creator = cgroup.task;
        }
    }

    /// At the end nothing is left to read but the path: a memcg that is gone is not one that never was.
    pub(super) fn learn_end(&mut self, cgroup: &Cgroup) {
        if self.cgroup.path.is_none() {
            self.cgroup.path = cgroup.path.clone().map(own);
        }
    }

    pub(super) fn clone_state(&self) -> Counted {
        Counted { state: self.state, memory: self.cgroup.memory }
    }

    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, State::Zombie { .. }) && self.cgroup.memory != Some(false)
    }

    pub(super) fn is_bare_zombie(&self) -> bool {
        matches!(self.state, State::Zombie { .. }) && self.cgroup.memory == Some(false)
    }

    pub(super) fn certain(&self) -> bool {
        !matches!(self.state, State::Zombie { certain: false, .. })
    }

    pub(super) fn leaked(&self) -> bool {
        matches!(self.state, State::Zombie { leaked: true, .. })
    }

    pub(super) fn has_directory(&self) -> bool {
        self.directory
    }

    pub(super) fn dies_before(&self, time: Stamp) -> bool {
        matches!(self.state, State::Zombie { since, .. } if since.mono_ns < time.mono_ns)
    }

    pub(super) fn born_after(&self, time: Stamp) -> bool {
        self.created.is_some_and(|created| created.mono_ns > time.mono_ns)
    }

    pub(super) fn subject(&self, now: Option<Stamp>) -> Subject {
        let (offlined, offlined_after_ns) = match self.state {
            State::Zombie { since, after, .. } => (Some(since), after),
            State::Live | State::Bare => (None, None),
        };
        Subject {
            cgroup: self.cgroup.clone(),
            generation: self.generation,
            created: self.created,
            creator: self.creator,
            offlined,
            offlined_after_ns,
            zombie_ns: offlined.zip(now).map(|(since, now)| now.mono_ns.saturating_sub(since.mono_ns)),
            across_gap: !self.certain(),
        }
    }
}

/// A path of its own, not a slice that keeps a whole batch of records alive.
fn own(path: Path) -> Path {
    Path { bytes: Bytes::copy_from_slice(&path.bytes), cut: path.cut }
}
