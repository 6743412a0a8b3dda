//! Where live memory cgroups crowd.

use serde::Serialize;

use super::Census;
use crate::{
    diagnose::facts,
    host::{Hierarchy, Root},
    judge::State,
};

/// The directory with the most children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CrowdedParent {
    /// The whole path on the machine.
    pub(crate) path: String,
    /// Its children.
    pub(crate) children: u64,
    /// Of those, without children of their own.
    pub(crate) without_children: u64,
    /// Of those, without tasks; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) empty: Option<u64>,
}

/// Looks for it where live ones use up the ids.
pub(crate) fn look(root: &Root, hierarchy: &Hierarchy, census: &Census) -> Option<CrowdedParent> {
    if census.state != State::Crowded {
        return None;
    }
    let found = facts::crowd(root, hierarchy, census.live)?;
    Some(CrowdedParent {
        path: found.place,
        children: found.children,
        without_children: found.leaves,
        empty: found.empty,
    })
}
