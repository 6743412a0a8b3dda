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

use crate::{
    diagnose::Level,
    error::Error,
    host::{self, Hierarchy, Root},
};
pub(crate) use counts::Told;
pub(crate) use course::Course;
pub(crate) use limits::check;
pub(crate) use outcome::{Accounting, Done, Report, Step};
pub(crate) use trial::trial;
pub(crate) use workload::{Workload, run as charge};

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
