//! Which paths are those of memory cgroups.

use std::path::{Component, Path, PathBuf};

use crate::host::{CgroupMount, HostFacts, Version};

/// The names that v1 controllers' hierarchies are mounted under, but memory's: what is below them is no memory cgroup.
const OTHERS: [&str; 21] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "debug",
    "devices",
    "dmem",
    "elogind",
    "freezer",
    "hugetlb",
    "misc",
    "name=systemd",
    "net_cls",
    "net_prio",
    "ns",
    "openrc",
    "perf_event",
    "pids",
    "rdma",
    "systemd",
    "unified",
];

/// Where this machine has memory cgroups, and other cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPaths {
    /// Mounts, and whether the memory controller is in them.
    mounts: Vec<(PathBuf, bool)>,
}

impl MemoryPaths {
    /// By what is mounted.
    pub fn new(facts: &HostFacts) -> Self {
        let memory = facts.memory.as_ref().ok();
        let memory_at = |mount: &CgroupMount| match mount.version {
            Version::V1 => Some(mount.options.iter().any(|option| option == "memory")),
            Version::V2 => memory.map(|memory| memory.version == Version::V2),
        };
        let mounts = facts.cgroup_mounts.iter();
        Self {
            mounts: mounts
                .filter_map(|mount| Some((mount.mount.clone(), memory_at(mount)?)))
                .collect(),
        }
    }

    /// Whether this is the path of a memory cgroup. Where the log names a mount that the machine does not have now, which was
    /// before a reboot or in a namespace of the runtime's, the names that everybody uses tell.
    pub fn has(&self, path: &str) -> bool {
        let path = Path::new(path);
        if !path.is_absolute() {
            return false;
        }
        let at = self
            .mounts
            .iter()
            .filter(|(mount, _)| path.starts_with(mount) && path != mount)
            .max_by_key(|(mount, _)| mount.as_os_str().len());
        match at {
            Some((mount, true)) => !other(path, mount),
            Some((_, false)) => false,
            None => by_names(path, self.v1()),
        }
    }
}

impl MemoryPaths {
    /// Whether the memory controller is in a hierarchy of its own here: then v2 has none.
    fn v1(&self) -> bool {
        let mut memory = self.mounts.iter().filter(|(_, memory)| *memory);
        memory.any(|(mount, _)| mount.ends_with("memory"))
    }
}

/// v2 is mounted where v1's controllers have been before: what is below a controller's name is of that time.
fn other(path: &Path, mount: &Path) -> bool {
    mount == Path::new("/sys/fs/cgroup")
        && path.strip_prefix(mount).is_ok_and(|below| {
            let mut names = names(below);
            names.next().is_some_and(controller)
        })
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

/// `pids`, or `cpu,cpuacct`.
fn controller(name: &str) -> bool {
    name.split(',').any(|name| OTHERS.contains(&name))
}

/// `/sys/fs/cgroup/memory/...`, `/cgroup/memory/...`, `/var/vcap/data/garden/cgroup/memory/...`, or v2's `/sys/fs/cgroup/...`.
fn by_names(path: &Path, v1: bool) -> bool {
    let names: Vec<_> = names(path).collect();
    let of_v2 = names.starts_with(&["sys", "fs", "cgroup"]);
    let Some(at) = names.iter().position(|name| *name == "cgroup") else {
        return false;
    };
    let (before, below) = (&names[..at], &names[at + 1..]);
    // A container's own: a directory of its image, where a mount is to be.
    let image = |name: &&str| matches!(*name, "merged" | "rootfs" | "overlay2" | "sys");
    if !of_v2 && before.iter().any(image) {
        return false;
    }
    match below {
        [first, _, ..] if first.split(',').any(|name| name == "memory") => true,
        [first, ..] => of_v2 && !v1 && *first != "memory" && !controller(first),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_where_no_mount_does() {
        let none = MemoryPaths::default();
        for (path, memory) in [
            ("/sys/fs/cgroup/memory/x", true),
            ("/sys/fs/cgroup/memory//lxc/x", true),
            ("/sys/fs/cgroup/memory,hugetlb/x", true),
            ("/sys/fs/cgroup/kubepods.slice/x", true),
            ("/cgroup/memory/lxc/1", true),
            ("/dev/cgroup/memory/x", true),
            ("/var/vcap/data/garden/cgroup/memory/g/1", true),
            ("/sys/fs/cgroup", false),
            ("/sys/fs/cgroup/memory", false),
            ("/sys/fs/cgroup/pids/x", false),
            ("/sys/fs/cgroup/cpu,cpuacct/x", false),
            ("/sys/fs/cgroup/unified/x", false),
            ("/cgroup/x", false),
            ("/cgroup/cpu/memory", false),
            ("/var/lib/docker/overlay2/1/merged/sys/fs/cgroup", false),
            (
                "/var/lib/docker/overlay2/1/merged/sys/fs/cgroup/memory/x",
                false,
            ),
            ("/home/memory/x", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(none.has(path), memory, "{path}");
        }
    }

    /// Where memory has a hierarchy of its own, v2 has none.
    #[test]
    fn of_v1_no_name_below_v2_s_mount_tells() {
        let paths = MemoryPaths {
            mounts: vec![("/sys/fs/cgroup/memory".into(), true)],
        };
        for (path, memory) in [
            ("/sys/fs/cgroup/memory/x", true),
            ("/sys/fs/cgroup/memory_backup/x", false),
            ("/sys/fs/cgroup/kubepods.slice/x", false),
            ("/cgroup/memory/x", true),
        ] {
            assert_eq!(paths.has(path), memory, "{path}");
        }
    }

    #[test]
    fn mounts_tell_before_names_do() {
        let mounts = [
            ("/mnt/mem", true),
            ("/sys/fs/cgroup", true),
            ("/sys/fs/cgroup/memory", false),
        ];
        let paths = MemoryPaths {
            mounts: mounts.map(|(at, memory)| (at.into(), memory)).to_vec(),
        };
        for (path, memory) in [
            ("/mnt/mem/x", true),
            ("/mnt/mem//x", true),
            ("/mnt/mem", false),
            ("/mnt/memory/x", false),
            ("/sys/fs/cgroup/memory/x", false),
            ("/sys/fs/cgroup/user.slice/x", true),
            ("/sys/fs/cgroup/pids/x", false),
            ("/cgroup/memory/x", true),
        ] {
            assert_eq!(paths.has(path), memory, "{path}");
        }
    }
}
