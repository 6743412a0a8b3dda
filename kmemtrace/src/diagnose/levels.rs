//! Who switched kernel-memory accounting on: told by the levels of the hierarchy at which it is on.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    Evidence, Facts,
    facts::{Directory, Unread},
};
use crate::{
    attribution::{Runtime, is_container_id, maker, owner},
    catalogue::{Arg, Message, Sentence, say},
};

/// A level of the memory hierarchy: who makes its directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The hierarchy's root: the kernel.
    Root,
    /// `kubepods`: kubelet.
    Kubepods,
    /// `burstable`, `besteffort`: kubelet.
    Qos,
    /// A pod's: kubelet.
    Pod,
    /// A container's in a pod, and what is below it: runc.
    Container,
    /// A container's that is in no pod: runc, for docker or another.
    OtherContainer,
    /// Anything else: systemd, an administrator.
    Other,
}

impl Level {
    /// The level of a directory, by the names on its path.
    pub fn of(path: &[u8]) -> Self {
        if path == b"/" {
            return Self::Root;
        }
        let mut below = path
            .split(|&byte| byte == b'/')
            .skip_while(|name| !(*name == b"kubepods" || name.ends_with(b"kubepods.slice")));
        if below.next().is_none() {
            // Whatever is above it: runtimes give ids of 64 digits.
            let leaf = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let is_id = str::from_utf8(leaf).is_ok_and(is_container_id);
            return match owner(path).container_id {
                None if !is_id => Self::Other,
                _ => Self::OtherContainer,
            };
        }
        let mut level = Self::Kubepods;
        for name in below {
            let contains = |what: &[u8]| name.windows(what.len()).any(|part| part == what);
            level = match level {
                Self::Kubepods if is_qos(name) => Self::Qos,
                Self::Kubepods | Self::Qos
                    if name.starts_with(b"pod")
                        || (contains(b"-pod") && name.ends_with(b".slice")) =>
                {
                    Self::Pod
                }
                Self::Pod | Self::Container => Self::Container,
                _ => Self::Other,
            };
        }
        level
    }

    /// Its name in the catalogue.
    pub const fn message(self) -> Sentence {
        match self {
            Self::Root => say::LEVEL_ROOT,
            Self::Kubepods => say::LEVEL_KUBEPODS,
            Self::Qos => say::LEVEL_QOS,
            Self::Pod => say::LEVEL_POD,
            Self::Container => say::LEVEL_CONTAINER,
            Self::OtherContainer => say::LEVEL_OTHER_CONTAINER,
            Self::Other => say::LEVEL_OTHER,
        }
    }

    /// Whether kubelet makes it.
    pub(super) const fn is_kubelet_s(self) -> bool {
        matches!(self, Self::Kubepods | Self::Qos | Self::Pod)
    }

    /// Whether runc makes it.
    const fn is_runc_s(self) -> bool {
        matches!(self, Self::Container | Self::OtherContainer)
    }
}

fn is_qos(name: &[u8]) -> bool {
    matches!(name, b"burstable" | b"besteffort")
        || name.ends_with(b"kubepods-burstable.slice")
        || name.ends_with(b"kubepods-besteffort.slice")
}

/// The directories of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LevelRow {
    /// Which.
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
    let by_path: HashMap<&[u8], &Directory> =
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
        return Some(Evidence::of_file("/sys/kernel/slab", says));
    }
    let held = count.held_bytes.filter(|&held| held > 0)?;
    let mount = facts.hierarchy.as_ref().ok()?.mount.display();
    Some(Evidence::of_file(
        format!("{mount}/**/memory.kmem.usage_in_bytes"),
        Message::new(say::KMEM_HELD).arg("held", Arg::Bytes(held)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_level() {
        let id = "ab".repeat(32);
        for (path, level) in [
            ("/", Level::Root),
            ("/kubepods", Level::Kubepods),
            ("/kubepods/burstable", Level::Qos),
            ("/kubepods/podabc", Level::Pod),
            ("/kubepods/besteffort/pod1", Level::Pod),
            ("/kubepods/besteffort/pod1/c1", Level::Container),
            ("/kubepods/besteffort/pod1/c1/init.scope", Level::Container),
            ("/kubepods.slice", Level::Kubepods),
            ("/kubelet.slice/kubelet-kubepods.slice", Level::Kubepods),
            ("/kubepods.slice/kubepods-burstable.slice", Level::Qos),
            ("/kubepods.slice/kubepods-pod1.slice", Level::Pod),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice",
                Level::Pod,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/docker-1.scope",
                Level::Container,
            ),
            ("/kubepods/odd", Level::Other),
            ("/system.slice/docker.service", Level::Other),
            ("/docker", Level::Other),
        ] {
            assert_eq!(Level::of(path.as_bytes()), level, "{path}");
        }
        for above in ["/docker", "/hadoop-yarn/container_e01_1_0001_01_000002"] {
            assert_eq!(
                Level::of(format!("{above}/{id}").as_bytes()),
                Level::OtherContainer
            );
        }
    }
}
