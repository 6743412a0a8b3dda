//! What removed memcgs left to live ones: their object cgroups, and what is charged to these still.
//!
//! Since 5.9 kernel objects pin no memcg: each is charged to an object cgroup, which goes to the parent when its memcg is
//! removed (`memcg_reparent_objcgs`). A program that runs on demand walks the list of one memcg, a bounded number of steps
//! at a time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aya::Ebpf;
use kmemtrace_common::{
    lists::{ListCursor, phase},
    objcgs::{Objcg, Objcgs},
};

use super::{
    called,
    demand::{OnDemand, Trigger, ValueMap},
    walk::{Memcg, Tree},
};
use crate::error::Error;

/// The program.
const PROGRAM: OnDemand = OnDemand {
    test_run: "raw_tp_objcgs",
    uprobe: "uprobe_objcgs",
    function: called::objcgs,
};

/// What removed memcgs left to one that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftBelow {
    /// Its `cgroup_subsys_state.serial_nr`.
    pub serial: u64,
    /// Object cgroups that are not its own: from 7.1 on a memcg has one for each NUMA node.
    pub object_cgroups: u64,
    /// Slab objects and pages charged to those; from 7.1 on also pages on LRU lists.
    pub references: u64,
}

/// What removed memcgs left to all that are alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Those that something was left to: most first.
    pub below: Vec<LeftBelow>,
    /// All lists were walked to their ends.
    pub complete: bool,
    /// The CPU time that took.
    pub took: Duration,
}

/// The maps of the program.
pub(super) struct ObjcgWalker {
    cursor: ValueMap<ListCursor>,
    objcgs: ValueMap<Objcgs>,
    trigger: Trigger,
}

impl ObjcgWalker {
    /// Loads the program and takes its maps.
    pub(super) fn load(ebpf: &mut Ebpf, trigger: Trigger) -> Result<Self, Error> {
        PROGRAM.load(ebpf, trigger).map_err(Error::new)?;
        Ok(Self {
            cursor: ValueMap::take(ebpf, "OBJCG_CURSOR")?,
            objcgs: ValueMap::take(ebpf, "OBJCGS")?,
            trigger,
        })
    }

    /// Looks at the lists of all live memcgs of a tree until `until`.
    ///
    /// # Errors
    ///
    /// The program cannot be run, or a map cannot be read or written.
    pub(super) fn left_over(
        &mut self,
        ebpf: &Ebpf,
        tree: &Tree,
        until: Instant,
    ) -> Result<LeftOver, Error> {
        let mut left = LeftOver {
            complete: true,
            ..LeftOver::default()
        };
        for memcg in tree.iter().filter(|memcg| !memcg.is_dead()) {
            let mut found = HashMap::new();
            left.complete &= self.walk(ebpf, memcg, until, &mut found, &mut left.took)?;
            if !found.is_empty() {
                left.below.push(LeftBelow {
                    serial: memcg.serial,
                    object_cgroups: found.len() as u64,
                    references: found.values().sum(),
                });
            }
        }
        left.below
            .sort_by_key(|below| std::cmp::Reverse((below.references, below.object_cgroups)));
        Ok(left)
    }

    /// Adds a memcg's to those that were found, each by its address; whether its lists were walked to their ends.
    fn walk(
        &mut self,
        ebpf: &Ebpf,
        memcg: &Memcg,
        until: Instant,
        found: &mut HashMap<u64, u64>,
        took: &mut Duration,
    ) -> Result<bool, Error> {
        let program = PROGRAM.runner(ebpf, self.trigger)?;
        self.cursor.set(ListCursor::of(memcg.css, memcg.serial))?;
        loop {
            if Instant::now() >= until {
                return Ok(false);
            }
            program.run(took)?;
            let cursor = self.cursor.get()?;
            if cursor.found > 0 {
                let batch = self.objcgs.get()?;
                let batch = batch.iter().take(cursor.found as usize);
                found.extend(batch.map(|objcg| (objcg.address, references(objcg))));
            }
            if cursor.phase != phase::GOING {
                return Ok(cursor.lost == 0);
            }
        }
    }
}

/// For a moment after its memcg was removed the count is biased, and below 0 (`percpu_ref_switch_to_atomic_rcu`).
fn references(objcg: &Objcg) -> u64 {
    u64::try_from(objcg.references).unwrap_or(0)
}
