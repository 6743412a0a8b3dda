//! Where live memory cgroups crowd.

use std::{io, io::Write};

use serde::Serialize;

use super::Scan;
use crate::{
    diagnose::facts,
    host::{Hierarchy, Root},
    judge::State,
    text::escape::Name,
};

/// The directory with the most children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Crowd {
    /// The whole path on the machine.
    pub(super) path: String,
    /// Its children.
    pub(super) children: u64,
    /// Of those, without children of their own.
    pub(super) without_children: u64,
    /// Of those, without tasks; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) empty: Option<u64>,
}

/// Looks for it where live ones use up the ids.
pub(super) fn look(root: &Root, hierarchy: &Hierarchy, scan: &Scan) -> Option<Crowd> {
    if scan.state != State::Crowded {
        return None;
    }
    let found = facts::crowd(root, hierarchy, scan.live)?;
    Some(Crowd {
        path: found.place,
        children: found.children,
        without_children: found.leaves,
        empty: found.empty,
    })
}

impl Crowd {
    /// One line of a scan.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = Name::short(self.path.as_bytes(), 90);
        write!(out, "  most in    {path}: {}", self.children)?;
        match self.empty {
            Some(empty) => writeln!(out, ", {empty} of them without tasks and children"),
            None => writeln!(
                out,
                ", {} of them without children (unknown: whether they have tasks)",
                self.without_children
            ),
        }
    }
}
