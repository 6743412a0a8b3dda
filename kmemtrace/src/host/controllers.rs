//! Which hierarchy the memory controller is in.

use std::path::{Component, Path, PathBuf};

use super::{
    CgroupMount, Version,
    parse::{Malformed, lines, number},
};

/// The hierarchy that memory cgroups are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// v1 or v2.
    pub version: Version,
    /// The kernel's `cgroup_root.hierarchy_id`: 0 on v2, else the second column of `/proc/cgroups`.
    pub id: u32,
    /// Where it is mounted, on the machine itself.
    pub mount: PathBuf,
}

/// Why there is no hierarchy with memory cgroups to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMemory {
    /// What is mounted cannot be read.
    #[error("/proc/self/mountinfo cannot be read")]
    Unread,
    /// Switched off on the kernel's command line.
    #[error("the memory controller is disabled (cgroup_disable=memory)")]
    Disabled,
    /// On v1, and that hierarchy is not mounted where this process can see it.
    #[error("the memory controller is in v1 hierarchy {0}, which is not mounted here")]
    V1NotMounted(u32),
    /// It is mounted, but only from some cgroup on downwards: in a container, with or without a cgroup namespace. The
    /// kernel's ids and counts are the whole's.
    #[error("only a part of the memory controller's hierarchy can be seen here, as in a container")]
    Part,
    /// v2 is mounted whole, and has no memory controller.
    #[error("the v2 hierarchy that is mounted here has no memory controller")]
    NotOnV2,
    /// Not on v1, and v2 is not mounted where this process can see it.
    #[error("no cgroup file system with the memory controller is mounted here")]
    NotMounted,
}

impl NoMemory {
    /// What to do about it.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Unread => {
                "mount -t proc proc /proc; a copy of a machine's files needs this one too"
            }
            Self::Disabled => "boot without cgroup_disable=memory",
            Self::V1NotMounted(_) => {
                "mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory, or run it in the host's mount namespace"
            }
            Self::Part => {
                "run it on the host, or in a container with the host's cgroup namespace and /sys/fs/cgroup"
            }
            Self::NotOnV2 => "run a kernel that is built with CONFIG_MEMCG",
            Self::NotMounted => {
                "mount -t cgroup2 none /sys/fs/cgroup, or run it in the host's mount namespace"
            }
        }
    }
}

/// The words of a kernel's command line that matter to memory cgroups.
pub fn memory_words(cmdline: &str) -> impl Iterator<Item = &str> {
    const KEYS: [&str; 4] = [
        "cgroup.memory=",
        "swapaccount=",
        "cgroup_disable=",
        "systemd.unified_cgroup_hierarchy=",
    ];
    let matter = |word: &&str| KEYS.iter().any(|key| word.starts_with(key));
    cmdline.split_whitespace().filter(matter)
}

/// The memory controller's row in `/proc/cgroups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryRow {
    pub(super) hierarchy: u32,
    pub(super) num_cgroups: u64,
    pub(super) enabled: bool,
}

/// Finds and parses that row, `memory HIERARCHY NUM_CGROUPS ENABLED`; kernels without v1 (`CONFIG_MEMCG_V1`) have none.
pub(super) fn memory_row(cgroups: &[u8]) -> Result<Option<MemoryRow>, Malformed> {
    for (line, text) in lines(cgroups) {
        let mut fields = text
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        if fields.next() != Some(b"memory") {
            continue;
        }
        let wrong = |problem| Malformed {
            file: "/proc/cgroups".into(),
            line,
            problem,
        };
        return Ok(Some(MemoryRow {
            hierarchy: fields
                .next()
                .and_then(number)
                .ok_or(wrong("no hierarchy id"))?,
            num_cgroups: fields
                .next()
                .and_then(number)
                .ok_or(wrong("no number of cgroups"))?,
            enabled: fields
                .next()
                .ok_or(wrong("no word on whether it is enabled"))?
                != b"0",
        }));
    }
    Ok(None)
}

/// Whether `cgroup_disable=` on the kernel's command line names the memory controller.
pub(super) fn disabled(cmdline: &[u8]) -> bool {
    cmdline.split(u8::is_ascii_whitespace).any(|word| {
        word.strip_prefix(b"cgroup_disable=").is_some_and(|list| {
            list.split(|&byte| byte == b',')
                .any(|name| name == b"memory")
        })
    })
}

/// Finds the memory controller's hierarchy: where `/proc/cgroups` says, or, without such a row, on v2.
/// `has` says whether there is a file, `on_v2` whether the v2 hierarchy mounted at a place has the controller.
pub(super) fn memory(
    row: Option<MemoryRow>,
    disabled: bool,
    mounts: &[CgroupMount],
    has: impl Fn(&Path) -> bool,
    on_v2: impl Fn(&Path) -> bool,
) -> Result<Hierarchy, NoMemory> {
    if disabled || row.is_some_and(|row| !row.enabled) {
        return Err(NoMemory::Disabled);
    }
    let id = row.map_or(0, |row| row.hierarchy);
    let version = if id == 0 { Version::V2 } else { Version::V1 };
    let whole = |mount: &CgroupMount| {
        let file = |name| has(&mount.mount.join(name));
        // A cgroup namespace shows its own root as `/`, and what was mounted outside of it as `/../..`, which may be any
        // cgroup above: the files that only the true root has, or has not, tell (CFTYPE_ONLY_ON_ROOT, CFTYPE_NOT_ON_ROOT).
        let (root, part) = match version {
            Version::V1 => {
                let root = file("release_agent");
                (root, !root && file("notify_on_release"))
            }
            Version::V2 => {
                let part = file("cgroup.events");
                (!part && file("cgroup.controllers"), part)
            }
        };
        let mut names = mount.root.components().skip(1);
        match names.next() {
            // In a copy that leaves such files out, `/` is believed.
            None => !part,
            Some(Component::ParentDir) => root && names.all(|name| name == Component::ParentDir),
            Some(_) => false,
        }
    };
    let candidates = || {
        mounts.iter().filter(|mount| {
            mount.version == version
                && (version == Version::V2 || mount.options.iter().any(|option| option == "memory"))
        })
    };
    let good = |mount: &&CgroupMount| whole(mount) && (id != 0 || on_v2(&mount.mount));
    if let Some(found) = candidates().find(good) {
        return Ok(Hierarchy {
            version,
            id,
            mount: found.mount.clone(),
        });
    }
    Err(match (candidates().next(), id) {
        (None, 0) => NoMemory::NotMounted,
        (None, id) => NoMemory::V1NotMounted(id),
        (Some(_), 0) if candidates().any(whole) => NoMemory::NotOnV2,
        (Some(_), _) => NoMemory::Part,
    })
}
