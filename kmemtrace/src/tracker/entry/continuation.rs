//! What the next file of a trace begins with.

use super::{MemcgEntry, Stage};
use crate::event::{Carried, CarriedZombie, Stamp};

impl MemcgEntry {
    /// One that a trace's earlier files told of; `walk` is the one that would see it next.
    pub(in crate::tracker) fn carried(time: Stamp, carried: &Carried, walk: u32) -> Self {
        let at = |mono_ns: u64| time.at(mono_ns);
        let scope = carried.cgroup.scope;
        Self {
            generation: carried.generation,
            created: carried.created_ns.map(at),
            creator: carried.creator,
            stage: carried.zombie.map_or(Stage::Live, |zombie| Stage::Zombie {
                since: at(zombie.since_ns),
                after: zombie.after_ns,
                scope,
                proof: zombie.proof,
                leaked: zombie.leaked,
            }),
            found: carried.created_ns.is_none() && carried.cgroup.memory != Some(false),
            seen: walk,
            ..Self::new(time, &carried.cgroup)
        }
    }

    /// For the beginning of a trace's next file.
    pub(in crate::tracker) fn carry(&self) -> Carried {
        let mut cgroup = self.cgroup.clone();
        let zombie = match self.stage {
            Stage::Live => None,
            Stage::Zombie {
                since,
                after,
                scope,
                proof,
                leaked,
            } => {
                cgroup.scope = scope;
                Some(CarriedZombie {
                    since_ns: since.mono_ns,
                    after_ns: after,
                    proof,
                    leaked,
                })
            }
        };
        Carried {
            cgroup,
            generation: self.generation,
            created_ns: self.created.map(|at| at.mono_ns),
            creator: self.creator,
            zombie,
        }
    }
}
