//! Makes memory cgroups, charges something to each, removes them, and says how many stay.

mod cgroups;
mod charge;
pub(crate) mod counts;
mod course;
mod limits;
mod observer;
mod outcome;
#[cfg(test)]
mod tests;
mod trial;
mod workload;

use std::{path::PathBuf, time::Duration};

use crate::{
    catalogue::Catalogue,
    diagnose::Level,
    error::Error,
    host::{self, Acts, Hierarchy, Root},
    interrupt::Interrupt,
};
pub(crate) use counts::Agreement;
pub(crate) use limits::check;
pub(crate) use outcome::{AccountedBy, Action, Observation, Reproduction};
pub(crate) use trial::trial;
pub(crate) use workload::{Workload, run as charge};

/// What is to be done.
pub(crate) struct Course<'a> {
    pub(crate) root: &'a Root,
    pub(crate) acts: &'a dyn Acts,
    pub(crate) hierarchy: &'a Hierarchy,
    /// Where they are made: a directory of the hierarchy.
    pub(crate) parent: PathBuf,
    /// Whether to switch kernel-memory accounting on, as runc does.
    pub(crate) switch_on: bool,
    pub(crate) count: u64,
    pub(crate) workload: Workload,
    pub(crate) wait: Duration,
    pub(crate) reclaim: bool,
    pub(crate) directory: PathBuf,
    pub(crate) interrupt: &'a Interrupt,
    /// The words beside the progress bars.
    pub(crate) catalogue: &'a Catalogue,
}

/// Where memory cgroups are.
///
/// # Errors
///
/// There is no memory hierarchy.
pub(crate) fn hierarchy(root: &Root) -> Result<Hierarchy, Error> {
    host::facts(root)
        .memory
        .map_err(|none| Error::new(format!("cannot make memory cgroups: {none}")).help(none.help()))
}

/// Whether pods run here: kubelet's own directories tell.
pub(crate) fn has_kubelet(root: &Root, hierarchy: &Hierarchy) -> bool {
    let names = std::fs::read_dir(root.path(&hierarchy.mount))
        .into_iter()
        .flatten();
    names.filter_map(Result::ok).any(|entry| {
        let path = [b"/", entry.file_name().as_encoded_bytes()].concat();
        Level::of(&path) == Level::Kubepods
    })
}
