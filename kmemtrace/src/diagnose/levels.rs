//! Who switched kernel-memory accounting on: told by the levels of the hierarchy at which it is on.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Evidence, Facts,
    facts::{AccountedDirectory, Level, Unread},
};
use crate::{
    attribution::{Runtime, maker, owner},
    catalogue::{Arg, Message, say},
};

/// The directories of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LevelRow {
    /// The level: the root, `kubepods`, a `QoS` class, a pod, a container.
    pub level: Level,
    /// How many directories.
    pub directories: u64,
    /// With accounting on: `memory.kmem.slabinfo` has a header, with or without rows, or something else shows it.
    pub on: u64,
    /// Of those, with slab caches.
    pub with_caches: u64,
    /// With accounting off: reading it gives EIO.
    pub off: u64,
    /// Where nothing tells.
    pub untold: u64,
    /// With a limit of kernel memory.
    pub limited: u64,
    /// One of them: with accounting on, if there is such a one.
    pub example: String,
}

/// The levels that there are, from the root down.
pub(super) fn rows(facts: &Facts) -> Vec<LevelRow> {
    let mut rows: Vec<LevelRow> = Vec::new();
    for directory in facts.levels.iter().flatten() {
        let level = Level::of(&directory.path);
        let at = rows.iter().position(|row| row.level == level);
        let at = at.unwrap_or_else(|| {
            rows.push(LevelRow {
                level,
                directories: 0,
                on: 0,
                with_caches: 0,
                off: 0,
                untold: 0,
                limited: 0,
                example: directory.place.clone(),
            });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.directories += 1;
        row.limited += u64::from(directory.limit.is_some());
        row.with_caches += u64::from(directory.caches == Some(true));
        match directory.accounted() {
            Some(true) => {
                if row.on == 0 {
                    row.example.clone_from(&directory.place);
                }
                row.on += 1;
            }
            Some(false) => row.off += 1,
            None => row.untold += 1,
        }
    }
    rows.sort_by_key(|row| row.level);
    rows
}

/// Who is known to have switched it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    /// A directory that kubelet makes and that has it on.
    pub(super) kubelet: Option<Evidence>,
    /// A container that has it on while its parent has it off: runc did that. Without a container, what removed ones left.
    pub(super) runc: Option<Evidence>,
    /// What removed memory cgroups left, where no live one tells: they had it on, and who switched it on is not known.
    pub(super) removed: Option<Evidence>,
    /// A container that has it on below a parent that has it on: it was inherited (`memcg_propagate_kmem`), and says
    /// nothing of runc.
    pub(super) inherited: Option<Evidence>,
    /// A container that has it off: its runc does not switch it on.
    pub(super) runc_off: Option<Evidence>,
    /// A pod's directory, or one above, that has it off.
    pub(super) kubelet_off: Option<Evidence>,
    /// Other directories that have it on while their parents have it off, one for each that makes such.
    pub(super) others: Vec<(MadeBy, Evidence)>,
}

/// Who makes a directory that is neither kubelet's nor a container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeBy {
    /// This runtime.
    Runtime(Runtime),
    /// systemd, for a unit.
    Unit,
    /// Nothing tells: somebody by hand, or a script.
    Unknown,
}

impl MadeBy {
    /// Of the directory of this path.
    pub(super) fn of(path: &[u8]) -> Self {
        if Level::of(path).is_kubelet_s() {
            return Self::Runtime(Runtime::Kubelet);
        }
        match maker(path) {
            Some(runtime) => Self::Runtime(runtime),
            None if owner(path).unit.is_some() => Self::Unit,
            None => Self::Unknown,
        }
    }

    /// Its name.
    pub(super) fn message(self) -> Message {
        match self {
            Self::Runtime(runtime) => Message::new(say::EXACTLY).arg("number", runtime.row().title),
            Self::Unit => Message::new(say::MAKER_UNIT),
            Self::Unknown => Message::new(say::MAKER_UNKNOWN),
        }
    }
}

impl Who {
    /// The runtimes among the others.
    pub(super) fn runtimes(&self) -> impl Iterator<Item = Runtime> {
        self.others.iter().filter_map(|(maker, _)| match maker {
            MadeBy::Runtime(runtime) => Some(*runtime),
            MadeBy::Unit | MadeBy::Unknown => None,
        })
    }

    /// Whether anybody has.
    pub(super) fn anybody(&self) -> bool {
        self.kubelet.is_some()
            || self.runc.is_some()
            || self.removed.is_some()
            || !self.others.is_empty()
    }
}

/// Who switched it on. On kernels where nobody has to ([`super::Era::KeepsIds`] and later), nobody.
pub(super) fn who(facts: &Facts) -> Result<Who, Unread> {
    let levels = facts.levels.as_ref().map_err(Clone::clone)?;
    let by_path: HashMap<&[u8], &AccountedDirectory> =
        levels.iter().map(|one| (&one.path[..], one)).collect();
    let parent = |path: &[u8]| {
        let end = path.iter().rposition(|&byte| byte == b'/')?;
        let above = if end == 0 { &b"/"[..] } else { &path[..end] };
        by_path.get(above).copied()
    };
    let mut who = Who::default();
    for directory in levels {
        let level = Level::of(&directory.path);
        let inherits = parent(&directory.path).is_some_and(|one| one.accounted() == Some(true));
        let place = match directory.accounted() {
            Some(true) if level.is_kubelet_s() => &mut who.kubelet,
            Some(true) if level.is_runc_s() && inherits => &mut who.inherited,
            Some(true) if level.is_runc_s() => &mut who.runc,
            Some(true) if !inherits => {
                let maker = MadeBy::of(&directory.path);
                if who.others.iter().all(|(known, _)| *known != maker) {
                    who.others.push((maker, directory.evidence()));
                }
                continue;
            }
            Some(false) if level.is_kubelet_s() => &mut who.kubelet_off,
            Some(false) if level.is_runc_s() => &mut who.runc_off,
            _ => continue,
        };
        place.get_or_insert_with(|| directory.evidence());
    }
    if !who.anybody() && who.kubelet_off.is_some() && who.runc_off.is_none() {
        who.runc = removed(facts);
    } else if !who.anybody()
        && facts
            .count
            .as_ref()
            .is_ok_and(|count| count.with_caches > 0)
    {
        who.removed = removed(facts);
    }
    Ok(who)
}

/// What removed containers left: slab caches with their names, or kernel memory that is charged below the live ones. They
/// had accounting on then.
fn removed(facts: &Facts) -> Option<Evidence> {
    let count = facts.count.as_ref().ok()?;
    if count.with_caches > 0 {
        let says = Message::new(say::SLAB_NAMES).arg("removed", count.with_caches);
        return Some(Evidence::of_counters("/sys/kernel/slab", says));
    }
    let held = count.held_bytes.filter(|&held| held > 0)?;
    let mount = facts.hierarchy.as_ref().ok()?.mount.display();
    Some(Evidence::of_file(
        format!("{mount}/**/memory.kmem.usage_in_bytes"),
        Message::new(say::KMEM_HELD).arg("held", Arg::Bytes(held)),
    ))
}
