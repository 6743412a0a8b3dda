//! What is read of a node for its diagnosis, with the file and the line that each fact comes from.
//!
//! A file that is not there or cannot be read makes that fact unknown, with the reason, and no other.

mod configuration;
mod crowd;
mod kernel;
mod level;
mod log;
mod meminfo;
mod pins;
mod programs;
mod reason;
mod reparents;
mod runtime;
#[cfg(test)]
mod tests;
mod traces;
mod trial;

use std::{collections::HashMap, io, path::Path};

pub use configuration::Configuration;
pub(super) use configuration::words as configured_words;
pub use crowd::{Crowd, read as crowd};
pub use kernel::{BuiltIn, Distribution, KernelConfig};
pub use level::Level;
pub use log::{Filled, KernelLog, Killed, OomCounter, SlabFailures, Usage};
pub use meminfo::Meminfo;
pub use pins::{Below, Kinds, ZombieHoldings, place, read as held};
pub use programs::{HostProgram, Mark, copied as programs};
pub use reason::Reason;
pub use runtime::{RuntimeLines, RuntimeLog, journal};
pub use traces::{MkdirRefusal, Traced, TracedFailures};
pub use trial::Trial;

use super::{Evidence, Provenance};
use crate::{
    catalogue::{Message, say},
    host::{
        self, Ask, Hierarchy, KmemDirectory, NoMemory, PageFact, Root, SlabLayout, SlabMemcgs,
        Slabinfo, Version,
    },
    judge::{self, Kept},
};

/// A fact, or why it is not known.
pub type Reading<T> = Result<T, Unread>;

/// Why a fact is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The file or directory.
    pub file: String,
    /// Why it could not be read, or what was wrong with it.
    pub reason: Reason,
}

impl Unread {
    /// What could not be read, and why.
    pub fn new(file: impl Into<String>, reason: impl Into<Reason>) -> Self {
        Self {
            file: file.into(),
            reason: reason.into(),
        }
    }
}

/// A line of a file, or what a line of a trace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLine {
    /// Where it was read.
    pub at: Provenance,
    /// Without the newline; what is not UTF-8 is replaced.
    pub text: String,
}

impl FileLine {
    /// As evidence.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            at: self.at.clone(),
            says: self.text.clone().into(),
        }
    }
}

/// What to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Whether programs may be asked for their versions, and `journalctl` for the journal. Never done with a copy.
    pub exec: bool,
}

/// How many memory cgroups there are, dead and alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemcgCount {
    /// With a directory, the root included.
    pub live: u64,
    /// Zombies, at least.
    pub zombies_min: u64,
    /// Zombies, at most; `None` where the kernel does not count them, or not all.
    pub zombies_max: Option<u64>,
    /// Zombies that are not just being freed, at least.
    pub staying: u64,
    /// That there are none is known.
    pub none: bool,
    /// Whether zombies keep their ids.
    pub kept: Kept,
    /// memcg ids in use, at least.
    pub ids_min: u64,
    /// memcg ids in use, at most; `None` if that cannot be told.
    pub ids_max: Option<u64>,
    /// memcg ids that there are.
    pub capacity: u64,
    /// So many memcgs had kernel memory at one time, at least: up to 4.4.
    pub peak: Option<u64>,
    /// memcg ids in use at one time: those, and the live ones without kernel memory.
    pub ids_peak: Option<u64>,
    /// Zombies that are known by their slab caches.
    pub with_caches: u64,
    /// Kernel memory that zombies hold, in bytes, at least.
    pub held_bytes: Option<u64>,
}

impl MemcgCount {
    /// Whether all ids are taken, or were at one time.
    pub fn all_taken(&self) -> bool {
        judge::all_taken(self.ids_min, self.ids_peak)
    }
}

/// A directory of the memory hierarchy and its accounting of kernel memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountedDirectory {
    /// From the hierarchy's root, which is `/`.
    pub path: Vec<u8>,
    /// The whole path on the machine.
    pub place: String,
    /// `memory.kmem.slabinfo`.
    pub slabinfo: Slabinfo,
    /// A header in `memory.kmem.slabinfo` says that accounting is on: only where others, the root's first, are an I/O error. From
    /// 3.19 to 4.10 every directory has it ([`crate::history::SLABINFO_HEADER`]).
    pub header_tells: bool,
    /// `memory.kmem.limit_in_bytes`, if it is a limit.
    pub limit: Option<u64>,
    /// Whether it has slab caches of its own, by their names in `/sys/kernel/slab`.
    pub caches: Option<bool>,
    /// `memory.kmem.usage_in_bytes` of a directory with tasks and without others below it: some of that is its own.
    pub own_usage: Option<u64>,
}

impl AccountedDirectory {
    /// Whether kernel memory is accounted to it, on kernels where somebody has to switch that on; `None` where nothing tells.
    /// `memory.kmem.slabinfo` is not read everywhere ([`host::Ask`]), but what is charged, limited or named is accounted.
    pub fn accounted(&self) -> Option<bool> {
        match self.slabinfo {
            Slabinfo::Active { .. } => Some(true),
            Slabinfo::HeaderOnly if self.header_tells => Some(true),
            Slabinfo::Inactive => Some(false),
            _ => self.sign().map(|_| true),
        }
    }

    /// What shows that it is accounted, besides `memory.kmem.slabinfo`.
    fn sign(&self) -> Option<Evidence> {
        let leaf = || {
            let leaf = self.path.rsplit(|&byte| byte == b'/').next();
            String::from_utf8_lossy(leaf.unwrap_or_default()).into_owned()
        };
        let file = |name: &str| format!("{}/memory.kmem.{name}_in_bytes", self.place);
        if self.caches == Some(true) {
            let says = Message::new(say::SLAB_NAMED).arg("cgroup", leaf());
            return Some(Evidence::of_counters("/sys/kernel/slab", says));
        }
        if let Some(limit) = self.limit {
            return Some(Evidence::of_file(file("limit"), limit.to_string()));
        }
        let usage = self.own_usage.filter(|&usage| usage > 0)?;
        Some(Evidence::of_file(file("usage"), usage.to_string()))
    }

    /// What its `memory.kmem.slabinfo` says, or what else tells.
    pub(super) fn evidence(&self) -> Evidence {
        let says = match self.slabinfo {
            Slabinfo::Active { caches, .. } => {
                Message::new(say::SLABINFO_CACHES).arg("caches", caches)
            }
            Slabinfo::HeaderOnly => Message::new(say::SLABINFO_HEADER),
            Slabinfo::Inactive => Message::new(say::SLABINFO_INACTIVE),
            Slabinfo::Empty => Message::new(say::SLABINFO_EMPTY),
            Slabinfo::Absent => Message::new(say::SLABINFO_ABSENT),
            Slabinfo::Unknown => Message::new(say::SLABINFO_UNREAD),
            Slabinfo::Young => Message::new(say::SLABINFO_YOUNG),
            Slabinfo::Unasked => Message::new(say::SLABINFO_UNASKED),
        };
        let told = match self.slabinfo {
            Slabinfo::Active { .. } | Slabinfo::Inactive => true,
            Slabinfo::HeaderOnly => self.header_tells,
            _ => false,
        };
        let sign = if told { None } else { self.sign() };
        sign.unwrap_or_else(|| {
            Evidence::of_file(format!("{}/memory.kmem.slabinfo", self.place), says)
        })
    }
}

/// What keeps the zombies, as the kernel's own tree of memory cgroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPins {
    /// Memory cgroups that the walk found, dead or alive, the root included.
    pub memcgs: u64,
    /// How many there are.
    pub zombies: u64,
    /// Bytes of page cache that they hold.
    pub file: u64,
    /// So many are kept by this, so many by that.
    pub says: Message,
}

/// All that is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release.
    pub kernel: Reading<FileLine>,
    /// The trace that these are of, if they were not read on a node.
    pub trace: Option<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// How large its pages are.
    pub page: PageFact,
    /// How long it has been up, in nanoseconds.
    pub uptime_ns: Option<u64>,
    /// What `/proc/version` says: who built it.
    pub built: Option<String>,
    /// The kernel's command line.
    pub cmdline: Reading<FileLine>,
    /// Whether accounting of kernel memory is built into the kernel.
    pub config: Reading<KernelConfig>,
    /// The distribution.
    pub distribution: Reading<Distribution>,
    /// Whether it was started by EFI; `None` of a copy, which does not tell.
    pub efi: Option<bool>,
    /// Where memory cgroups are.
    pub hierarchy: Result<Hierarchy, NoMemory>,
    /// How many there are.
    pub count: Reading<MemcgCount>,
    /// Where the kernel's own count stands.
    pub counted: Option<FileLine>,
    /// v1: kernel-memory accounting of each directory, parents before children, the root first.
    pub levels: Reading<Vec<AccountedDirectory>>,
    /// Where live memory cgroups crowd, if they use up the ids.
    pub crowd: Option<Crowd>,
    /// What is configured for the kernel's command line and for programs that make cgroups.
    pub configured: Configuration,
    /// Whether the kernel's own reaper of zombies is switched on (`reap_background`), on kernels that have it.
    pub reaper: Option<FileLine>,
    /// Where slab caches of memcgs stand.
    pub layout: Option<SlabLayout>,
    /// What shows that the slab of a removed memory cgroup is its parent's, if anything does.
    pub reparents: Option<Evidence>,
    /// What removed memory cgroups hold, by kind.
    pub held: Reading<ZombieHoldings>,
    /// What keeps removed memory cgroups, where the kernel's own tree of them was walked.
    pub pinned: Option<KernelPins>,
    /// What recorded traces say, if some were given.
    pub traced: Option<Reading<Traced>>,
    /// Free memory.
    pub meminfo: Reading<Meminfo>,
    /// What the kernel log says.
    pub log: Reading<KernelLog>,
    /// What the container runtimes and kubelet say.
    pub runtime: Reading<RuntimeLog>,
    /// Their programs.
    pub programs: Vec<HostProgram>,
    /// Whether a memory cgroup could be made, if that was tried: what the kernel said.
    pub probe: Option<Result<(), Unread>>,
    /// Whether memory cgroups that are made now leak, if that was tried.
    pub trial: Option<Reading<Trial>>,
}

impl Facts {
    /// Whether they were read of a copy, on which nothing can be tried.
    pub fn is_copy(&self) -> bool {
        self.efi.is_none()
    }

    /// Reads them. `count` is how many memory cgroups there are.
    pub fn read(root: &Root, options: ReadOptions, count: Reading<MemcgCount>) -> Self {
        let facts = host::facts(root);
        let kernel = line(root, "/proc/sys/kernel/osrelease", |_| true);
        let release = kernel.as_ref().ok().map(|line| line.text.clone());
        let slab = host::slab_memcgs(root);
        let paths = host::MemoryPaths::new(&facts);
        let mut logs = host::logs(root);
        if options.exec && root.is_live() {
            logs.files.extend(journal());
        }
        let hierarchy = facts.memory;
        let unread = |none: &NoMemory| match none {
            NoMemory::Unread => Unread::new("/proc/self/mountinfo", Reason::Unreadable),
            none => Unread::new("/proc/self/mountinfo", *none),
        };
        let hierarchy_or = hierarchy.as_ref().map_err(unread);
        let levels = hierarchy_or.clone().and_then(|at| levels(root, at, &slab));
        let counted = hierarchy.as_ref().ok().and_then(|at| counted(root, at));
        let reparents = hierarchy.as_ref().ok();
        let reparents = reparents.and_then(|at| reparents::read(root, at));
        let held = hierarchy_or.and_then(|at| held(root, at));
        let live = count.as_ref().map_or(0, |count| count.live);
        let crowd = hierarchy.as_ref().ok();
        let crowd = crowd.and_then(|at| self::crowd(root, at, live));
        Self {
            trace: None,
            hostname: facts.hostname,
            page: facts.page,
            uptime_ns: host::uptime_ns(root),
            built: line(root, "/proc/version", |_| true)
                .ok()
                .map(|line| line.text),
            cmdline: line(root, "/proc/cmdline", |_| true),
            config: kernel::config(root, release.as_deref()),
            distribution: kernel::distribution(root),
            efi: root
                .is_live()
                .then(|| root.has(Path::new("/sys/firmware/efi"))),
            count,
            counted,
            levels,
            crowd,
            configured: configuration::read(root),
            reaper: line(root, "/sys/kernel/mm/memcg_reaper/reap_background", |_| {
                true
            })
            .ok(),
            layout: slab.layout,
            reparents,
            held,
            meminfo: meminfo::read(root),
            log: log::read(root, &logs.files),
            runtime: runtime::read(&logs, &paths),
            programs: programs::read(root, options.exec && root.is_live()),
            pinned: None,
            traced: None,
            probe: None,
            trial: None,
            kernel,
            hierarchy,
        }
    }
}

/// Reads a file; of a copy in which it is an error, that.
fn read(root: &Root, path: &str) -> Reading<Vec<u8>> {
    root.read(path).map_err(|error| unread(root, path, error))
}

/// Why a file could not be read; of a copy in which it is an error, that.
fn unread(root: &Root, path: &str, error: io::Error) -> Unread {
    let told = (error.kind() == io::ErrorKind::NotFound)
        .then(|| root.read(format!("{path}.error")).ok())
        .flatten();
    let told = told.map(|text| Reason::told(String::from_utf8_lossy(&text).trim()));
    Unread::new(path, told.unwrap_or_else(|| error.into()))
}

/// The first line that is meant.
fn line(root: &Root, path: &str, is: impl Fn(&str) -> bool) -> Reading<FileLine> {
    let bytes = read(root, path)?;
    find(path, &bytes, is).ok_or_else(|| Unread::new(path, Reason::Untold))
}

fn find(path: &str, bytes: &[u8], is: impl Fn(&str) -> bool) -> Option<FileLine> {
    let mut lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    lines.find_map(|(number, text)| {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        (!text.is_empty() && is(text)).then(|| FileLine {
            at: Provenance::Line(path.to_owned(), number),
            text: text.to_owned(),
        })
    })
}

/// The row or the line with the kernel's own count.
fn counted(root: &Root, hierarchy: &Hierarchy) -> Option<FileLine> {
    match hierarchy.version {
        Version::V1 => line(root, "/proc/cgroups", |text| {
            text.split_whitespace().next() == Some("memory")
        })
        .ok(),
        Version::V2 => {
            let file = hierarchy.mount.join("cgroup.stat");
            let bytes = root.read(&file).ok()?;
            let file = file.display().to_string();
            let starts = |key: &str| find(&file, &bytes, |text| text.starts_with(key));
            starts("nr_dying_subsys_memory ").or_else(|| starts("nr_dying_descendants "))
        }
    }
}

/// Of so many directories the limits are read.
const LIMITS: usize = 20_000;

/// Of so many directories of each level `memory.kmem.slabinfo` is read, on a running machine: enough to tell the level.
const ASKED: usize = 64;

fn levels(root: &Root, at: &Hierarchy, slab: &SlabMemcgs) -> Reading<Vec<AccountedDirectory>> {
    let mount = at.mount.display().to_string();
    let mut asked: HashMap<Level, usize> = HashMap::new();
    let mut picks = |path: &[u8]| {
        let asked = asked.entry(Level::of(path)).or_default();
        *asked += 1;
        !root.is_live() || *asked <= ASKED
    };
    let kmem = host::kmem(root, at, slab, Ask::Settled(&mut picks))
        .map_err(|error| Unread::new(mount.clone(), error))?;
    let root_slabinfo = kmem.directories.first().map(|root| root.slabinfo);
    let has_header = matches!(
        root_slabinfo,
        Some(Slabinfo::HeaderOnly | Slabinfo::Active { .. })
    );
    let any_inactive = kmem
        .directories
        .iter()
        .any(|one| one.slabinfo == Slabinfo::Inactive);
    let header_tells = any_inactive && !has_header;
    let one = |(number, one): (usize, KmemDirectory)| {
        let path = one.path.strip_suffix(b"/").unwrap_or(&one.path);
        let place = format!("{mount}{}", String::from_utf8_lossy(path));
        let file = format!("{place}/memory.kmem.limit_in_bytes");
        let limit = (number < LIMITS).then(|| root.read(file).ok()).flatten();
        let limit = limit.and_then(|text| str::from_utf8(&text).ok()?.trim().parse().ok());
        AccountedDirectory {
            place,
            slabinfo: one.slabinfo,
            header_tells,
            // No limit is the largest number of whole pages (RESOURCE_MAX, PAGE_COUNTER_MAX), which differs.
            limit: limit.filter(|&limit: &u64| limit < i64::MAX as u64 - (1 << 20)),
            caches: one.caches,
            // What was removed below it may have left the rest.
            own_usage: one.usage.filter(|_| !one.parent && one.tasks == Some(true)),
            path: one.path,
        }
    };
    Ok(kmem.directories.into_iter().enumerate().map(one).collect())
}

/// Makes a memory cgroup at the root of the hierarchy and removes it: whether that works. It tells the same as anywhere
/// else in the hierarchy, since ids are shared by all of it.
///
/// # Errors
///
/// What the kernel said to mkdir, or to rmdir.
pub fn probe(hierarchy: &Hierarchy) -> Result<(), Unread> {
    let name = format!("kmemtrace-probe-{}", std::process::id());
    let path = hierarchy.mount.join(name);
    let made = std::fs::create_dir(&path).and_then(|()| std::fs::remove_dir(&path));
    made.map_err(|error| Unread::new(path.display().to_string(), error))
}
