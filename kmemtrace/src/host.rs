//! Facts about this machine, read under a root directory that a test can point elsewhere. Nothing is judged here.

mod act;
pub mod archive;
mod config_files;
mod config_text;
mod controllers;
mod copy;
mod counts;
mod files;
mod glob;
mod inodes;
mod kmem;
mod logs;
mod mounts;
pub(crate) mod open;
mod page;
mod parse;
mod pods;
mod privileges;
mod slab;
mod symbols;
mod tracing;
mod walk;

use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use crate::event::MEMCG_IDS;
pub use act::{Acts, Live};
pub use config_files::config_files;
pub use config_text::{ConfigText, config_text};
pub use controllers::{Hierarchy, NoMemory, memory_words};
pub use copy::{Copied, ProgramTexts, copy, kernel_log};
pub use counts::counts;
pub use files::{KMSG, PROGRAMS};
pub use kmem::{
    Ask, Kmem, KmemDirectory, NOISE, Slabinfo, count_leaves_zombies_out, is_opt_in, kmem, slabinfo,
};
pub use logs::{
    FailedMkdir, JOURNALS, LOG_TAIL, LogFile, LogText, Logs, MemoryPaths, MkdirError, failed_mkdir,
    log_file, logs,
};
pub use mounts::{CgroupMount, Mounts, Version};
pub use page::{NoPageSize, NodePage, PageFact, PageSign, PageSize};
pub use parse::{FileProblem, Malformed};
pub use pods::{POD_LOGS, pod_logs};
pub use privileges::{Capability, Privileges};
pub use slab::{
    SlabCache, SlabHoldings, SlabLayout, SlabMemcg, SlabMemcgs, has_top_level_names, slab_cache,
    slab_links, slab_memcgs, slab_pin,
};
pub use symbols::{clones, symbol};
pub use tracing::{SharedBuffer, Tracing, shared_buffer, tracing};
pub use walk::{Directory, walk};

/// So long ago a cgroup has been made if everything in it is safe to read. Its makers (runc, kubelet) are done with it after
/// milliseconds.
const SETTLED: Duration = Duration::from_mins(1);

/// Where the kernel describes its types (BTF).
pub const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Where the kernel says how long it has been up.
pub const UPTIME: &str = "/proc/uptime";

/// The directory under which `/proc` and `/sys` are read: `/` on the machine itself.
#[derive(Clone, Debug)]
pub struct Root {
    directory: PathBuf,
    /// What a copy says about the machine's directories.
    inodes: Option<Arc<inodes::Inodes>>,
    /// What is there may just be being made, unless it is older than this: not so in a copy.
    settles: Option<Duration>,
    /// Where the kernel's types are, should it not tell them itself.
    types: Option<PathBuf>,
    /// The machine's page size, once it was asked for.
    page: Arc<OnceLock<PageFact>>,
}

impl Root {
    /// This machine.
    pub fn live() -> Self {
        Self {
            directory: PathBuf::from("/"),
            inodes: None,
            settles: Some(SETTLED),
            types: None,
            page: Arc::default(),
        }
    }

    /// The same, with the kernel's types in a file from outside (raw BTF), should it not tell them itself.
    #[must_use]
    pub fn with_types(self, file: Option<PathBuf>) -> Self {
        Self {
            types: file,
            ..self
        }
    }

    /// A copy of some machine's files under `directory`.
    ///
    /// A file `cgroup-dirs-inodes.txt` in there has the inode numbers that the machine's cgroup directories had, a line
    /// for each: `6159 ./kubepods`, the path from the memory hierarchy's root on. Where it says nothing, the copy's own
    /// inode numbers have to do.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let inodes = inodes::Inodes::read(&directory).map(Arc::new);
        Self {
            directory,
            inodes,
            settles: None,
            types: None,
            page: Arc::default(),
        }
    }

    /// A directory that is treated as the machine itself: nobody knows what is just being made in it.
    #[cfg(test)]
    pub(crate) fn settling(directory: impl Into<PathBuf>, after: Duration) -> Self {
        Self {
            settles: Some(after),
            ..Self::at(directory)
        }
    }

    /// The inode number that a copy has recorded for a directory of the memory hierarchy.
    fn recorded_id(&self, path: &[u8]) -> Option<u64> {
        self.inodes.as_ref()?.get(path)
    }

    /// The machine's page size, and what shows it: of a copy that of the machine that was copied.
    ///
    /// # Errors
    ///
    /// Nothing in the copy shows it, or what does differs.
    pub fn page(&self) -> PageFact {
        *self.page.get_or_init(|| page::read(self))
    }

    /// The machine's page size, if it is known.
    pub fn page_size(&self) -> Option<PageSize> {
        self.page().ok().map(|page| page.size)
    }

    /// The machine's page size; where it is not known, one that is hardly smaller: for how far counters may be off.
    pub fn page_size_at_most(&self) -> PageSize {
        self.page_size().unwrap_or(PageSize::LARGE)
    }

    /// Whether this is the machine itself, and not a copy of its files.
    pub fn is_live(&self) -> bool {
        self.directory == Path::new("/")
    }

    /// Where the file that the machine has at the absolute `path` is. A `..` counts for nothing: a copy may say that
    /// something is mounted at a path that leads out of it.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let names = path.as_ref().components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let mut whole = self.directory.clone();
        whole.extend(names);
        whole
    }

    /// A whole file of at most 16 MiB: some hundred thousand mounts.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        open::bounded(open::file(&self.path(path))?, 16 << 20)
    }

    pub(crate) fn has(&self, path: &Path) -> bool {
        self.path(path).exists()
    }

    /// A file's only line, if it can be read and is not empty.
    fn line(&self, path: &str) -> Option<String> {
        let bytes = self.read(path).ok()?;
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!line.is_empty()).then_some(line)
    }
}

/// How long the machine has been up, in nanoseconds: `CLOCK_BOOTTIME`, which is `CLOCK_MONOTONIC` on machines that do not
/// sleep. In a copy, when it was made.
pub fn uptime_ns(root: &Root) -> Option<u64> {
    // SECONDS.HUNDREDTHS IDLE
    let line = root.line(UPTIME)?;
    let (seconds, hundredths) = line.split_ascii_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok().filter(|part| *part < 100)?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(hundredths * 10_000_000)
}

/// How many NUMA nodes the machine may have, whether or not they have memory; 1 where the kernel knows of none.
pub fn numa_nodes(root: &Root) -> Option<u32> {
    const POSSIBLE: &str = "/sys/devices/system/node/possible";
    if root.has(Path::new(POSSIBLE)) {
        numbers(root, POSSIBLE)
    } else {
        Some(1)
    }
}

/// How many CPUs the machine may have: per-CPU memory is taken for each.
pub fn cpus(root: &Root) -> Option<u32> {
    numbers(root, "/sys/devices/system/cpu/possible")
}

/// One more than the highest number in a list as the kernel writes them: `0-3,8`.
fn numbers(root: &Root, file: &str) -> Option<u32> {
    let line = root.line(file)?;
    let highest: u32 = line.rsplit(['-', ',']).next()?.parse().ok()?;
    highest.checked_add(1)
}

/// The kernel's release: `/proc/sys/kernel/osrelease`.
pub fn release(root: &Root) -> Option<String> {
    root.line("/proc/sys/kernel/osrelease")
}

/// What there is to work with on a host. What cannot be read is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// `/proc/sys/kernel/osrelease`.
    pub kernel: Option<String>,
    /// `/proc/sys/kernel/hostname`.
    pub hostname: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// The words of `/proc/cmdline` that matter to memory cgroups.
    pub cmdline: Option<Vec<String>>,
    /// How large its pages are.
    pub page: PageFact,
    /// What this process may do.
    pub privileges: Privileges,
    /// `/sys/kernel/security/lockdown`: the mode in brackets; `None` if there is no such file.
    pub lockdown: Option<String>,
    /// `/proc/sys/kernel/unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// Whether the kernel describes its types in `/sys/kernel/btf/vmlinux`.
    pub btf: bool,
    /// A file from outside that has the kernel's types, where the kernel does not describe them itself.
    pub given_types: Option<PathBuf>,
    /// Where tracefs is mounted.
    pub tracefs: Option<PathBuf>,
    /// The hierarchy that memory cgroups are in, or why there is none.
    pub memory: Result<Hierarchy, NoMemory>,
    /// All cgroup file systems that are mounted and can be reached.
    pub cgroup_mounts: Vec<CgroupMount>,
}

/// Reads the facts. A file or a line that cannot be read or understood is passed over.
pub fn facts(root: &Root) -> HostFacts {
    let read = |path: &str| root.read(path).unwrap_or_default();
    let mountinfo = root.read("/proc/self/mountinfo");
    let mounts: Vec<_> = mounts::parse(mountinfo.as_deref().unwrap_or_default())
        .filter_map(Result::ok)
        .collect();
    let cgroup_mounts = mounts::cgroups(&mounts);
    let memory = controllers::memory(
        controllers::memory_row(&read("/proc/cgroups")).unwrap_or_default(),
        controllers::disabled(&read("/proc/cmdline")),
        &cgroup_mounts,
        |path| root.has(path),
        |mount| {
            let list = root
                .read(mount.join("cgroup.controllers"))
                .unwrap_or_default();
            list.split(u8::is_ascii_whitespace)
                .any(|name| name == b"memory")
        },
    );
    let memory = match mountinfo {
        Err(_) if memory == Err(NoMemory::NotMounted) => Err(NoMemory::Unread),
        _ => memory,
    };
    let lockdown = root.line("/sys/kernel/security/lockdown");
    let btf = root.has(Path::new(KERNEL_TYPES));
    HostFacts {
        kernel: release(root),
        hostname: root.line("/proc/sys/kernel/hostname"),
        boot_id: root.line("/proc/sys/kernel/random/boot_id"),
        cmdline: root
            .line("/proc/cmdline")
            .map(|line| memory_words(&line).map(str::to_owned).collect()),
        page: root.page(),
        privileges: privileges::parse(&read("/proc/self/status")).unwrap_or_default(),
        lockdown: lockdown.as_deref().and_then(chosen),
        unprivileged_bpf_disabled: root
            .line("/proc/sys/kernel/unprivileged_bpf_disabled")
            .and_then(|value| value.parse().ok()),
        btf,
        given_types: root.types.clone().filter(|_| !btf),
        tracefs: mounts::tracefs(&mounts, |path| root.has(path)),
        memory,
        cgroup_mounts,
    }
}

/// What is mounted, as far as it can be read.
pub fn mounts(root: &Root) -> Mounts {
    Mounts::new(&root.read("/proc/self/mountinfo").unwrap_or_default())
}

/// The choice in brackets: `none [integrity] confidentiality`.
fn chosen(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    let (chosen, _) = rest.split_once(']')?;
    Some(chosen.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
