//! One memcg, or a directory without one: what is known of it, and its stage of life.

mod continuation;
mod subject;

use bytes::Bytes;

pub use self::subject::{ByCount, Subject};
use super::pin::Weighed;
use crate::event::{Cgroup, Holds, Path, Proof, Scope, Stamp, Task};

/// Where a memcg is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Online: its directory exists.
    Live,
    /// Offline, not freed.
    Zombie {
        /// When it went offline.
        since: Stamp,
        /// If that was not seen but found out later: the last moment at which it was alive.
        after: Option<u64>,
        /// Its directory was removed with it, or it went alone (v2, `-memory`).
        scope: Scope,
        /// What would tell its end.
        proof: Proof,
        /// It has outlived the grace time.
        leaked: bool,
    },
}

/// What a birth means to an entry with the same cgroup id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Birth {
    /// It is this one's, and news.
    Own,
    /// It is this one's, and known: two hooks see one birth.
    Known,
    /// Another memcg's.
    Another,
}

#[derive(Clone, Debug)]
pub(super) struct MemcgEntry {
    /// What is known of it, put together from all its events.
    pub(super) cgroup: Cgroup,
    pub(super) generation: u32,
    /// When it was made, and who made it; `None` if that was not seen.
    pub(super) created: Option<Stamp>,
    creator: Option<Task>,
    pub(super) stage: Stage,
    /// Known from a walk only.
    pub(super) found: bool,
    /// The last walk that saw its directory.
    pub(super) seen: u32,
    /// When the kernel's own tree last had it, dead.
    pub(super) named_ns: u64,
    /// The last moment it was known to be alive.
    pub(super) alive_ns: u64,
    /// Called leaked by the kernel's count.
    pub(super) by_count: Option<ByCount>,
    /// What walks found it to hold, since it is dead.
    weighed: Option<Weighed>,
}

impl MemcgEntry {
    fn new(time: Stamp, cgroup: &Cgroup) -> Self {
        let mut entry = Self {
            cgroup: Cgroup {
                id: cgroup.id,
                scope: cgroup.scope,
                ..Cgroup::default()
            },
            generation: 0,
            created: None,
            creator: None,
            stage: Stage::Live,
            found: false,
            seen: 0,
            named_ns: 0,
            alive_ns: time.mono_ns,
            by_count: None,
            weighed: None,
        };
        entry.learn(time, cgroup);
        entry
    }

    /// One seen coming to life.
    pub(super) fn born(time: Stamp, cgroup: &Cgroup) -> Self {
        Self {
            created: Some(time),
            creator: cgroup.task,
            ..Self::new(time, cgroup)
        }
    }

    /// One that was there when a walk came by.
    pub(super) fn found(time: Stamp, cgroup: &Cgroup, walk: u32) -> Self {
        Self {
            found: cgroup.memory != Some(false),
            seen: walk,
            ..Self::new(time, cgroup)
        }
    }

    /// One first seen at its removal.
    pub(super) fn dead(time: Stamp, cgroup: &Cgroup, proof: Proof) -> Self {
        let mut entry = Self::new(time, cgroup);
        entry.die(time, cgroup, proof);
        entry
    }

    /// The directory that this memcg leaves behind when it goes alone.
    pub(super) fn directory(&self) -> Self {
        Self {
            cgroup: Cgroup {
                id: self.cgroup.id,
                kmemcg_id: self.cgroup.kmemcg_id,
                parent_id: self.cgroup.parent_id,
                path: self.cgroup.path.clone(),
                pod: self.cgroup.pod.clone(),
                memory: Some(false),
                ..Cgroup::default()
            },
            generation: 0,
            created: None,
            creator: None,
            stage: Stage::Live,
            found: false,
            seen: self.seen,
            named_ns: 0,
            alive_ns: self.alive_ns,
            by_count: None,
            weighed: None,
        }
    }

    /// Whose birth this is.
    pub(super) fn birth(&self, time: Stamp, cgroup: &Cgroup) -> Birth {
        let before = |at: Stamp| at.mono_ns < time.mono_ns;
        let made = self.cgroup.scope == Scope::Cgroup && self.created.is_some_and(before);
        let another = match self.stage {
            Stage::Zombie { since, .. } => before(since),
            // a second mkdir: the id was given out again
            Stage::Live => made && cgroup.scope == Scope::Cgroup,
        };
        if another || self.has_other_serial(cgroup) {
            Birth::Another
        } else if self.created.is_none() || !self.is_memcg() {
            Birth::Own
        } else {
            Birth::Known
        }
    }

    /// The birth of something already known: a walk, its death or another hook was faster than the news of it.
    pub(super) fn bear(&mut self, time: Stamp, cgroup: &Cgroup) {
        if !self.is_memcg() && self.is_live() {
            // the directory is older than the memcg it now gets
            (self.created, self.creator) = (None, None);
        }
        let earlier = self.created.filter(|at| at.mono_ns <= time.mono_ns);
        self.created = earlier.or(Some(time));
        self.creator = self.creator.or(cgroup.task);
        self.found = false;
        self.learn(time, cgroup);
    }

    pub(super) fn die(&mut self, time: Stamp, cgroup: &Cgroup, proof: Proof) {
        self.learn(time, cgroup);
        match self.stage {
            // seen already: css_offline follows rmdir
            Stage::Zombie { after: None, .. } => {
                if cgroup.scope == Scope::Cgroup {
                    self.lose_directory();
                }
            }
            Stage::Zombie { scope, leaked, .. } => {
                self.stage = Stage::Zombie {
                    since: time,
                    after: cgroup.after_ns,
                    scope,
                    proof,
                    leaked,
                };
            }
            Stage::Live => {
                // who removed it, and not who made it
                self.cgroup.task = cgroup.task;
                let scope = cgroup.scope;
                self.stage = Stage::Zombie {
                    since: time,
                    after: cgroup.after_ns,
                    scope,
                    proof,
                    leaked: false,
                };
            }
        }
    }

    /// Gone without an event: at some time since it was last known to be alive.
    pub(super) fn vanish(&mut self, time: Stamp, scope: Scope, proof: Proof) {
        let after = Some(self.alive_ns);
        self.stage = Stage::Zombie {
            since: time,
            after,
            scope,
            proof,
            leaked: false,
        };
    }

    /// What would tell its end has changed: a gap, or evidence that came or went.
    pub(super) fn prove(&mut self, by: Proof) {
        if let Stage::Zombie { proof, .. } = &mut self.stage {
            *proof = by;
        }
    }

    /// Outlived the grace time.
    pub(super) fn leak(&mut self) {
        if let Stage::Zombie { leaked, .. } = &mut self.stage {
            *leaked = true;
        }
        self.cgroup.after_ns = None;
    }

    /// Takes over what an event knows; where both know, the later event wins.
    pub(super) fn learn(&mut self, time: Stamp, cgroup: &Cgroup) {
        let late = time.mono_ns < self.alive_ns;
        let mine = &mut self.cgroup;
        let better = match (&mine.path, &cgroup.path) {
            (Some(mine), Some(other)) => !late && mine != other && (mine.cut || !other.cut),
            (None, other) => other.is_some(),
            (Some(_), None) => false,
        };
        if better {
            mine.path = cgroup.path.as_ref().map(own);
        }
        if cgroup.pod.is_some() {
            mine.pod.clone_from(&cgroup.pod);
        }
        mine.id = mine.id.or(cgroup.id);
        mine.parent_id = mine.parent_id.or(cgroup.parent_id);
        mine.kmemcg_id = latest(late, mine.kmemcg_id, cgroup.kmemcg_id);
        mine.slab = latest(late, mine.slab.take(), cgroup.slab.clone());
        mine.holds = latest(late, mine.holds.take(), cgroup.holds.clone());
        mine.after_ns = cgroup.after_ns;
        mine.serial = mine.serial.or(cgroup.serial);
        let memcg_id = cgroup.memcg_id.filter(|id| *id != 0);
        mine.memcg_id = latest(late, mine.memcg_id, memcg_id);
        mine.usage_bytes = latest(late, mine.usage_bytes, cgroup.usage_bytes);
        mine.task = latest(late, mine.task, cgroup.task);
        if cgroup.scope == Scope::Cgroup {
            mine.scope = Scope::Cgroup;
        }
        let is_live = matches!(self.stage, Stage::Live);
        if cgroup.scope == Scope::Memcg {
            mine.memory = Some(true);
        } else if is_live {
            // what rmdir says of a zombie is about the memcg that its directory has now
            mine.memory = latest(late, mine.memory, cgroup.memory);
        }
        if !late {
            self.alive_ns = time.mono_ns;
        }
    }

    /// A walk of the kernel's own memcgs found out what it holds.
    pub(super) fn weigh(&mut self, time: Stamp, holds: &Holds) {
        if let Some(bytes) = holds.bytes() {
            self.weighed = Some(Weighed::again(self.weighed, time.mono_ns, bytes));
        }
    }

    /// Who made it, if that was seen.
    pub(super) fn creator(&self) -> Option<Task> {
        self.creator
    }

    pub(super) fn is_memcg(&self) -> bool {
        self.cgroup.memory != Some(false)
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    pub(super) fn is_zombie(&self) -> bool {
        !self.is_live()
    }

    /// A zombie's directory is removed, too.
    pub(super) fn lose_directory(&mut self) {
        if let Stage::Zombie { scope, .. } = &mut self.stage {
            *scope = Scope::Cgroup;
        }
    }

    /// Its directory is gone, too.
    pub(super) fn is_removed(&self) -> bool {
        matches!(
            self.stage,
            Stage::Zombie {
                scope: Scope::Cgroup,
                ..
            }
        )
    }

    pub(super) fn is_certain(&self) -> bool {
        self.proof().is_none_or(|proof| proof == Proof::Followed)
    }

    /// A zombie's.
    pub(super) fn proof(&self) -> Option<Proof> {
        match self.stage {
            Stage::Zombie { proof, .. } => Some(proof),
            Stage::Live => None,
        }
    }

    /// When it was removed, or found to be.
    pub(super) fn since(&self) -> Option<Stamp> {
        match self.stage {
            Stage::Zombie { since, .. } => Some(since),
            Stage::Live => None,
        }
    }

    /// A zombie's: when it was removed, and if that was found out later, when it was alive for the last time.
    pub(super) fn removed_ns(&self) -> Option<(u64, Option<u64>)> {
        match self.stage {
            Stage::Zombie { since, after, .. } => Some((since.mono_ns, after)),
            Stage::Live => None,
        }
    }

    /// What a zombie holds, or, if no walk came by, what was charged to it at its removal.
    pub(super) fn held_bytes(&self) -> Option<u64> {
        if self.is_live() {
            return None;
        }
        let holds = self.cgroup.holds.as_deref();
        holds.and_then(Holds::bytes).or(self.cgroup.usage_bytes)
    }

    pub(super) fn is_leaked(&self) -> bool {
        matches!(self.stage, Stage::Zombie { leaked: true, .. })
    }

    pub(super) fn is_born_after(&self, time: Stamp) -> bool {
        self.created.is_some_and(|at| at.mono_ns > time.mono_ns)
    }

    fn has_other_serial(&self, cgroup: &Cgroup) -> bool {
        self.cgroup
            .serial
            .zip(cgroup.serial)
            .is_some_and(|(mine, other)| mine != other)
    }
}

fn latest<T>(late: bool, mine: Option<T>, other: Option<T>) -> Option<T> {
    if late { mine.or(other) } else { other.or(mine) }
}

/// A path of its own, not a slice that keeps a whole batch of records alive.
fn own(path: &Path) -> Path {
    Path {
        bytes: Bytes::copy_from_slice(&path.bytes),
        cut: path.cut,
    }
}
