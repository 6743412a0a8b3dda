//! The model: what sources say happened, before anyone judges it.
//!
//! An [`Event`] is a fact with its time. Facts are all that a trace needs to hold: verdicts follow from them
//! ([`crate::tracker`]). [`wire`] makes events of the eBPF programs' records, [`json`] writes and reads them as lines.

pub mod header;
mod holds;
pub mod json;
pub mod klog;
pub mod sense;
mod slab;
pub mod wire;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use holds::Holds;
pub use slab::{NodeSlabs, OwnedCache, SlabFailure};

/// How many memcg ids there are: 1 to `MEM_CGROUP_ID_MAX`, which is `USHRT_MAX`. Once all are taken, mkdir fails. The root
/// has one of them as well (`mem_cgroup_alloc` gives it the first).
pub const MEMCG_IDS: u64 = 65_535;

/// A length of time in nanoseconds, as traces have it; after 584 years it is `u64::MAX`.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of `CLOCK_MONOTONIC`: the ordering key.
    pub mono_ns: u64,
    /// Nanoseconds since the Unix epoch, UTC: for people.
    pub wall_ns: i64,
}

impl Stamp {
    /// Another moment of `CLOCK_MONOTONIC`, put on the wall clock as this one is.
    #[must_use]
    pub fn at(self, mono_ns: u64) -> Self {
        let by = i128::from(mono_ns) - i128::from(self.mono_ns);
        let wall_ns = i128::from(self.wall_ns) + by;
        Self {
            mono_ns,
            wall_ns: wall_ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
        }
    }
}

/// A fact and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub time: Stamp,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A memcg came online: its directory was made, or on v2 `+memory` was written above it.
    Created(Cgroup),
    /// A memcg went offline: its directory was removed, or on v2 `-memory` was written above it.
    Offlined(Cgroup),
    /// A memcg was freed for good.
    Freed(Cgroup),
    /// A cgroup's directory was renamed (v1 only); the path is the new one.
    Renamed(Cgroup),
    /// A directory that a walk of the hierarchy saw.
    Present(Cgroup),
    /// A removed memcg that is seen to be there still: in the kernel's own tree, or by what it holds; with [`SlabPin::caches`]
    /// 0, one of which nothing is seen any more.
    Zombie(Cgroup),
    /// A walk of the hierarchy ended: what no [`Fact::Present`] named since the last one is gone.
    Walked(Walked),
    /// The slab allocator could not serve an allocation.
    SlabFailure(SlabFailure),
    /// A cgroup could not be made.
    MkdirFailure(MkdirFailure),
    /// Events may have been lost.
    Gap(Gap),
    /// Time went by.
    Tick(Counts),
    /// What the files before this one of a trace told of a memcg.
    Carried(Box<Carried>),
}

impl Fact {
    /// The cgroup of a fact that shows one as it is, or was until now.
    pub fn cgroup_mut(&mut self) -> Option<&mut Cgroup> {
        match self {
            Self::Created(cgroup)
            | Self::Offlined(cgroup)
            | Self::Present(cgroup)
            | Self::Zombie(cgroup) => Some(cgroup),
            _ => None,
        }
    }
}

/// Which of a cgroup's two lives a fact is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The cgroup: its directory made or removed, all its memcgs freed.
    #[default]
    Cgroup,
    /// One memcg of it alone: seen in `mem_cgroup_css_*`.
    Memcg,
}

/// A cgroup as one event shows it; what the event did not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// `kernfs_node.id`, the directory's inode number: unique per boot and hierarchy on 5.5 and later. Not known of a zombie
    /// that is seen by its slab caches alone.
    pub id: Option<u64>,
    /// The parent directory's id.
    pub parent_id: Option<u64>,
    /// `cgroup_subsys_state.serial_nr` of the memory css.
    pub serial: Option<u64>,
    /// The memcg id, 1 to 65,535; 0 once the kernel has taken it back.
    pub memcg_id: Option<u32>,
    /// 3.10 to 5.8: the number that its slab caches' names have (`memcg_cache_id`); held until the memcg is freed.
    pub kmemcg_id: Option<u32>,
    /// The slab caches of its own that it still has.
    pub slab: Option<Box<SlabPin>>,
    /// What it holds, by a walk of the kernel's own memcgs; of dead ones only.
    pub holds: Option<Box<Holds>>,
    /// The path from the hierarchy's root, in the kernel's bytes.
    pub path: Option<Path>,
    /// The name of the pod that its path is of, if the node told.
    pub pod: Option<Arc<Pod>>,
    /// Whether the cgroup has a memcg of its own.
    pub memory: Option<bool>,
    /// What was charged to the memcg, in bytes. At removal the per-CPU stock is still in it (up to 64 pages a CPU).
    pub usage_bytes: Option<u64>,
    /// Who did it.
    pub task: Option<Task>,
    /// Cgroup or memcg.
    pub scope: Scope,
    /// Polling found it out: it happened between this `CLOCK_MONOTONIC` moment, in nanoseconds, and the event's time.
    pub after_ns: Option<u64>,
}

/// What a pod is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name in there.
    pub name: String,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The slab caches that one memcg alone has, on kernels that give memcgs their own (3.10 to 5.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlabPin {
    /// How many caches there are.
    pub caches: u32,
    /// Objects in them that are allocated.
    pub objects: Option<u64>,
    /// Bytes of the pages that their slabs take.
    pub bytes: Option<u64>,
}

/// A memcg as it stood when a trace's file was begun: for those who do not have the files before it. To others it is no news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// What is known of it. The scope is a zombie's own.
    pub cgroup: Cgroup,
    /// How many memcgs with this cgroup id came before it.
    pub generation: u32,
    /// When it was made, in nanoseconds of `CLOCK_MONOTONIC`, if that was seen.
    pub created_ns: Option<u64>,
    /// Who made it.
    pub creator: Option<Task>,
    /// It has been removed.
    pub zombie: Option<CarriedZombie>,
}

/// A removed memcg as it stood when a trace's file was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedZombie {
    /// When it was removed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// If that was not seen but found out: when it was still alive.
    pub after_ns: Option<u64>,
    /// What would tell its end.
    pub proof: Proof,
    /// It has been called leaked.
    pub leaked: bool,
}

/// What would tell that a zombie has been freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A fact of its own: it is there until that comes.
    Followed,
    /// The kernel's count alone: it is one of a pool, as far as the pool goes.
    Counted,
    /// Nothing: it was removed, and that is all. It does not count as a zombie.
    Nothing,
}

/// A path from the hierarchy's root in the kernel's bytes: any but NUL, and a newline as well as an escape sequence.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    /// The bytes.
    pub bytes: Bytes,
    /// There was more of it than could be read: of a path over 4 KiB the leaf's end is kept.
    pub cut: bool,
}

impl Path {
    /// A whole path.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            cut: false,
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = if self.cut { ".." } else { "" };
        write!(f, "\"{}{cut}\"", self.bytes.escape_ascii())
    }
}

/// The task that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its thread group id in the initial pid namespace.
    pub pid: u32,
    /// Its name, padded with NULs; any bytes.
    pub comm: [u8; 16],
}

impl Task {
    /// The name without its padding.
    pub fn comm(&self) -> &[u8] {
        self.comm.split(|&b| b == 0).next().unwrap_or_default()
    }
}

/// The end of a walk of the hierarchy's directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// `CLOCK_MONOTONIC` when it began: what was made later may be missing from it.
    pub began_mono_ns: u64,
    /// Directories it saw, the root included.
    pub directories: u64,
    /// Removed memcgs that the kernel has; each was in a [`Fact::Zombie`] since the last walk. `None` if it was not asked, or
    /// did not name all.
    pub zombies: Option<u64>,
    /// What the kernel counted meanwhile.
    pub counts: Counts,
}

/// What the kernel counts, read at a moment at which every event before it had been delivered; `None` where it does not
/// count, or where events came in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// v1: `num_cgroups` of the memory row in `/proc/cgroups`: directories and zombies, the root included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_cgroups: Option<u64>,
    /// v2: `nr_dying_descendants` in the root's `cgroup.stat`: zombie cgroups with or without memcg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dying: Option<u64>,
    /// v2, 6.12 and later: `nr_dying_subsys_memory` there: zombie memcgs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dying_memory: Option<u64>,
    /// v1: bytes of kernel memory that are charged below the directories and to none of them: what zombies hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_bytes: Option<u64>,
    /// So many memcgs had kernel memory at one time, at least: one more than the highest kmemcg id that a slab cache names; 0
    /// where none has a name and the kernel's count would leave zombies out all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmemcg_peak: Option<u64>,
    /// memcg ids in use at one time, at least: those, and the live memcgs that no slab cache names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids_peak: Option<u64>,
}

impl Counts {
    /// Whose zombies they count: all memcgs' ([`Scope::Memcg`]), those of removed cgroups alone (what v2 before 6.12 counts
    /// leaves out the memcgs that `-memory` ends), or none.
    pub fn zombies_of(&self) -> Option<Scope> {
        if self.num_cgroups.or(self.dying_memory).is_some() {
            return Some(Scope::Memcg);
        }
        self.dying.map(|_| Scope::Cgroup)
    }
}

/// A cgroup that could not be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MkdirFailure {
    /// The cgroup's path from the hierarchy's root, if the hook tells it.
    pub path: Option<Path>,
    /// The id the cgroup had before it was rolled back.
    pub cgroup_id: Option<u64>,
    /// The parent directory's id.
    pub parent_id: Option<u64>,
    /// The error number, positive (12 is `ENOMEM`).
    pub errno: Option<i32>,
    /// Who tried.
    pub task: Option<Task>,
}

/// A stretch of time in which events may have been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// `CLOCK_MONOTONIC` of the last moment up to which nothing was lost. The gap ends at the event's own time.
    pub from_mono_ns: u64,
    /// How many records were lost, where that is known.
    pub lost: Option<u64>,
    /// What made the gap.
    pub reason: GapReason,
    /// The counts that do not agree, if they are the reason.
    pub counted: Option<Counted>,
}

/// The zombies by the events and by the kernel, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counted {
    /// Zombies by the events.
    #[serde(rename = "tracked_zombies")]
    pub tracked: u64,
    /// Zombies by the kernel's count.
    #[serde(rename = "kernel_zombies")]
    pub kernel: u64,
}

/// The kernel has long counted fewer zombies than events told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// `CLOCK_MONOTONIC` when the kernel's count last allowed what was tracked, in nanoseconds.
    pub from_mono_ns: u64,
    /// What does not agree.
    pub counted: Counted,
}

impl Contradiction {
    /// What it is to whoever follows the events: any of them may be wrong since then, or may have been lost.
    pub fn gap(self) -> Gap {
        Gap {
            from_mono_ns: self.from_mono_ns,
            lost: None,
            reason: GapReason::Contradicted,
            counted: Some(self.counted),
        }
    }
}

/// What whoever follows the events may be in want of: a request to their source, beside what it tells anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing beside what the source tells anyway.
    #[default]
    Nothing,
    /// The kernel's counts, oftener than every second.
    Counts,
    /// All that is there, and the counts.
    Walk,
    /// This is to be said, as a gap, and then all that is there, and the counts.
    Correction(Contradiction),
}

/// Why events may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The ring buffer was full (`bpf_ringbuf_output` refused).
    RingFull,
    /// A program was skipped because it was running already on that CPU.
    Recursion,
    /// A record could not be understood.
    BadRecord,
    /// The kernel log was overwritten before it was read: slab failures may be missing, cgroups are not.
    KernelLog,
    /// A poll came late, or could not read: what came and went meanwhile may not have been seen.
    LatePoll,
    /// The kernel's trace buffer was overwritten before it was read, or a probe was skipped.
    TraceLost,
    /// The kernel counts fewer zombies than events told of: some of these were wrong, or the end of some was lost.
    Contradicted,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RingFull,
        Self::Recursion,
        Self::BadRecord,
        Self::KernelLog,
        Self::LatePoll,
        Self::TraceLost,
        Self::Contradicted,
    ];

    /// The name in traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Recursion => "recursion",
            Self::BadRecord => "bad_record",
            Self::KernelLog => "kernel_log",
            Self::LatePoll => "late_poll",
            Self::TraceLost => "trace_lost",
            Self::Contradicted => "contradicted",
        }
    }

    /// The one that has this name in traces.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "the ring buffer was full",
            Self::Recursion => "the kernel skipped a program that was already running",
            Self::BadRecord => "a record could not be understood",
            Self::KernelLog => "the kernel log was overwritten before it was read",
            Self::LatePoll => "a poll came late, or could not read what is there",
            Self::TraceLost => "the kernel's trace lost events",
            Self::Contradicted => "the kernel counts fewer zombies",
        }
    }
}
