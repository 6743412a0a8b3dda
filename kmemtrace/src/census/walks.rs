//! Walks of the kernel's own tree of memory cgroups, one after each look.

use std::time::{Duration, Instant};

use super::{
    files,
    inventory::{self, Inventory, Listing, PodName},
    objcgs,
};
use crate::{
    host::{self, HostFacts, Root},
    source::bpf::{KernelWalk, KernelWalker},
};

/// So long at most object cgroups are looked for.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// The walks so far, or why there are none.
pub(crate) struct Walks {
    walker: Result<KernelWalker, String>,
    done: Vec<KernelWalk>,
}

impl Walks {
    /// Makes ready to walk.
    pub(crate) fn new(facts: &HostFacts) -> Self {
        let walker = KernelWalker::load(facts);
        Self {
            walker: walker.map_err(|error| error.reason()),
            done: Vec::new(),
        }
    }

    /// Walks, if that is possible.
    pub(crate) fn walk(&mut self) {
        if let Ok(walker) = &mut self.walker {
            match walker.walk() {
                Ok(walk) => self.done.push(walk),
                Err(error) => self.walker = Err(error.reason()),
            }
        }
    }

    /// Whether the last one found dead memory cgroups.
    pub(crate) fn any(&self) -> bool {
        self.done
            .last()
            .is_some_and(|walk| walk.tree.dead().next().is_some())
    }

    /// What the last one found, compared with the one before it.
    ///
    /// # Errors
    ///
    /// Why nothing could be walked.
    pub(crate) fn inventory(&self, pod: PodName<'_>, wanted: Listing) -> Result<Inventory, String> {
        let walker = self.walker.as_ref().map_err(String::clone)?;
        let (last, before) = self.done.split_last().ok_or("not tried")?;
        let known = inventory::Kernel {
            lacks: walker.lacks(),
            memcg_bytes: walker.memcg_bytes(),
        };
        Ok(inventory::inventory(
            last,
            before.last(),
            known,
            pod,
            wanted,
        ))
    }

    /// Adds what walks of other things find: what was left to live memory cgroups; and the files of page cache, if that is
    /// wanted, as far as they are found within so long.
    pub(crate) fn look_further(&mut self, inventory: &mut Inventory, files: Option<Duration>) {
        let (Ok(walker), Some(last)) = (&mut self.walker, self.done.last()) else {
            return;
        };
        let left = walker.left_over(last, Instant::now() + LEFT_WITHIN);
        inventory.object_cgroups = Some(objcgs::object_cgroups(left, &last.tree));
        if let Some(within) = files {
            let mut mounts = host::mounts(&Root::live());
            let listed = inventory.list.iter().map(|zombie| zombie.serial);
            let (look, mut found) = files::look(walker, last, listed, &mut mounts, within);
            for zombie in &mut inventory.list {
                zombie.files = found.remove(&zombie.serial);
            }
            inventory.files = Some(look);
        }
    }
}
