//! What a source has to do with its records, for `source::upkeep` to do the rest.

use super::account::Account;
use crate::{
    error::Error,
    event::{Cgroup, Event, sense},
    host::Directory,
};

/// Records taken before the caller gets its turn.
pub(super) const BATCH: usize = 8192;

/// The records of a source.
pub(super) trait Records {
    /// Takes records, [`BATCH`] or a little more at most, and appends what they tell; fewer mean that none is left.
    fn drain(&mut self, account: &mut Account, events: &mut Vec<Event>) -> usize;

    /// Tells [`Account::gap`] of what was lost since the last call, and [`Account::whole`] up to when nothing was.
    fn look_for_losses(
        &mut self,
        account: &mut Account,
        events: &mut Vec<Event>,
    ) -> Result<(), Error>;

    /// The removed memcgs that the kernel still has, if it can be asked.
    fn zombies(&mut self) -> Result<Option<KernelZombies>, Error> {
        Ok(None)
    }

    /// A walk came by this directory, the root first.
    fn present(&mut self, _directory: &Directory<'_>) {}

    /// Whether what was drained has been appended: until then the kernel's counts say nothing.
    fn is_whole(&self) -> bool {
        true
    }
}

/// What the kernel said of removed memcgs.
#[derive(Debug, Default)]
pub(super) struct KernelZombies {
    /// Each with the `CLOCK_MONOTONIC` time at which it was there, in nanoseconds.
    pub(super) found: Vec<(u64, Cgroup)>,
    /// What is not among them was not there.
    pub(super) complete: bool,
    /// Nodes of the kernel's tree that cannot be memcgs.
    pub(super) not_understood: u64,
}

impl KernelZombies {
    /// Takes out what cannot be; returns how many nodes were not understood in all.
    pub(super) fn refuse_nonsense(&mut self) -> u64 {
        let told = self.found.len();
        self.found
            .retain(|(_, cgroup)| sense::cgroup(cgroup).is_ok());
        self.not_understood + (told - self.found.len()) as u64
    }
}
