//! Facts about this machine, read under a root directory that a test can point elsewhere. Nothing is judged here.

mod controllers;
mod counts;
mod mounts;
mod parse;
mod privileges;
mod slab;
mod tracing;
mod walk;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use controllers::{Hierarchy, NoMemory, Version};
pub use counts::{MEMCG_IDS, counts};
pub use mounts::CgroupMount;
pub use parse::Malformed;
pub use privileges::{Capability, Privileges};
pub use slab::{SlabMemcgs, slab_memcgs};
pub use tracing::{Tracing, tracing};
pub use walk::{Directory, walk};

/// The directory under which `/proc` and `/sys` are read: `/` on the machine itself.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// This machine.
    pub fn live() -> Self {
        Self(PathBuf::from("/"))
    }

    /// A copy of some machine's files under `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Where the file that the machine has at the absolute `path` is.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        fs::read(self.path(path))
    }

    fn has(&self, path: &Path) -> bool {
        self.path(path).exists()
    }

    /// A file's only line, if it can be read and is not empty.
    fn line(&self, path: &str) -> Option<String> {
        let bytes = self.read(path).ok()?;
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!line.is_empty()).then_some(line)
    }
}

/// What there is to work with on a host. What cannot be read is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `/proc/sys/kernel/osrelease`.
    pub kernel: Option<String>,
    /// `/proc/sys/kernel/hostname`.
    pub hostname: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// What this process may do.
    pub privileges: Privileges,
    /// `/sys/kernel/security/lockdown`: the mode in brackets; `None` if there is no such file.
    pub lockdown: Option<String>,
    /// `/proc/sys/kernel/unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// Whether the kernel describes its types in `/sys/kernel/btf/vmlinux`.
    pub btf: bool,
    /// Where tracefs is mounted.
    pub tracefs: Option<PathBuf>,
    /// The hierarchy that memory cgroups are in, or why there is none.
    pub memory: Result<Hierarchy, NoMemory>,
    /// All cgroup file systems that are mounted and can be reached.
    pub cgroup_mounts: Vec<CgroupMount>,
}

/// Reads the facts. A file or a line that cannot be read or understood is passed over.
pub fn facts(root: &Root) -> Facts {
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
    Facts {
        kernel: root.line("/proc/sys/kernel/osrelease"),
        hostname: root.line("/proc/sys/kernel/hostname"),
        boot_id: root.line("/proc/sys/kernel/random/boot_id"),
        privileges: privileges::parse(&read("/proc/self/status")).unwrap_or_default(),
        lockdown: lockdown.as_deref().and_then(chosen),
        unprivileged_bpf_disabled: root
            .line("/proc/sys/kernel/unprivileged_bpf_disabled")
            .and_then(|value| value.parse().ok()),
        btf: root.has(Path::new("/sys/kernel/btf/vmlinux")),
        tracefs: mounts::tracefs(&mounts, |path| root.has(path)),
        memory,
        cgroup_mounts,
    }
}

/// The choice in brackets: `none [integrity] confidentiality`.
fn chosen(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    let (chosen, _) = rest.split_once(']')?;
    Some(chosen.to_owned())
}

#[cfg(test)]
mod tests;
