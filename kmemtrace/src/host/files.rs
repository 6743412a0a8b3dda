//! The files that kmemtrace reads, and so what a snapshot holds: for nothing else than making one. `docs/snapshot.md`
//! tells people, and a test compares.

/// The machine's files: the path, and how long it may be, in bytes. Read as they are; a link is followed.
pub(super) const FILES: [(&str, u64); 20] = [
    ("/proc/cgroups", SMALL),
    ("/proc/cmdline", SMALL),
    ("/proc/meminfo", SMALL),
    ("/proc/mounts", LARGE),
    ("/proc/uptime", SMALL),
    ("/proc/version", SMALL),
    ("/proc/config.gz", SMALL),
    ("/proc/self/cgroup", SMALL),
    ("/proc/self/mountinfo", LARGE),
    ("/proc/self/status", SMALL),
    ("/proc/sys/kernel/hostname", SMALL),
    ("/proc/sys/kernel/osrelease", SMALL),
    ("/proc/sys/kernel/random/boot_id", SMALL),
    ("/proc/sys/kernel/tainted", SMALL),
    ("/proc/sys/kernel/unprivileged_bpf_disabled", SMALL),
    ("/sys/kernel/mm/memcg_reaper/reap_background", SMALL),
    ("/sys/kernel/security/lockdown", SMALL),
    ("/etc/os-release", SMALL),
    ("/etc/redhat-release", SMALL),
    ("/usr/lib/os-release", SMALL),
];

/// At the root of each cgroup file system that has, or may have, the memory controller: whether it is the whole of it.
pub(super) const MOUNT: [&str; 5] = [
    "cgroup.controllers",
    "cgroup.events",
    "cgroup.subtree_control",
    "notify_on_release",
    "release_agent",
];

/// In each directory of a v1 memory hierarchy.
pub(super) const V1: [&str; 10] = [
    "cgroup.procs",
    "memory.failcnt",
    "memory.kmem.failcnt",
    "memory.kmem.limit_in_bytes",
    "memory.kmem.slabinfo",
    "memory.kmem.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.stat",
    "memory.usage_in_bytes",
    "memory.use_hierarchy",
];

/// In each directory of a v2 hierarchy.
pub(super) const V2: [&str; 8] = [
    "cgroup.controllers",
    "cgroup.procs",
    "cgroup.stat",
    "cgroup.subtree_control",
    "memory.current",
    "memory.max",
    "memory.stat",
    "memory.swap.current",
];

/// In each slab cache of a memcg.
pub(super) const CACHE: [&str; 3] = ["objects", "order", "slabs"];

/// The kernel log, as `/dev/kmsg` gives it.
pub const KMSG: &str = "kmsg-raw.txt";

/// Kubelet, the runtimes and runc: `PATH<tab>MARK<tab>VERSION` for each that is there.
pub const PROGRAMS: &str = "programs.txt";

/// What was done, and what was left out.
pub(super) const NOTE: &str = "snapshot.txt";

/// Most files of the kernel's are a page; `cgroup.procs` of a busy cgroup is more.
pub(super) const SMALL: u64 = 1 << 20;

/// Lists of mounts, and the kernel log.
pub(super) const LARGE: u64 = 16 << 20;

/// How many caches of memcgs have their files in a snapshot; all have their names.
pub(super) const SIZED_CACHES: usize = 100_000;

/// How many files, directories and links there may be.
pub(super) const ENTRIES: u64 = 1_500_000;

/// How many bytes all files may have.
pub(super) const BYTES: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_of_every_file() {
        let told = include_str!("../../../docs/snapshot.md");
        let configured = super::super::config_files::CONFIG_FILES;
        let machine = FILES.iter().map(|(path, _)| *path).chain(configured);
        let machine = machine.map(|path| path.trim_start_matches('/'));
        let others = [MOUNT.iter(), V1.iter(), V2.iter(), CACHE.iter()];
        let all = machine.chain(others.into_iter().flatten().copied());
        let made = [
            KMSG,
            NOTE,
            PROGRAMS,
            super::super::inodes::INODES,
            super::super::logs::COPIED,
        ];
        for file in all.chain(made) {
            assert!(
                told.contains(&format!("`{file}`")),
                "docs/snapshot.md: {file}"
            );
        }
    }
}
