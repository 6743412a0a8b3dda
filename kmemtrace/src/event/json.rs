//! JSON Lines: the format of traces and of `--format json`. `docs/trace-format.md` describes it field by field.
//!
//! [`Line`] has all the fields and their order; [`Line::of`] makes one of a fact and [`parse()`] gives the fact back.
//! A line's derived fields (whose the cgroup was, totals, verdicts) are for its readers: nothing is parsed back from them.

mod line;
mod parse;
mod reader;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod time;

use std::borrow::Cow;

pub use line::{Column, ColumnType, FieldValue, Line};
pub use parse::{Content, Fault, LineError, Parsed, parse};
pub use reader::{Item, ReadError, Reader, Tally};
use rustix::io::Errno;
use serde::Serialize;
pub use text::{Hex, Text};
pub use time::WallTime;

use super::{
    Carried, Cgroup, Counts, Event, Fact, Gap, MkdirFailure, Path, Proof, Scope, SlabFailure,
    Stamp, Task, Walked, header::Header,
};

/// The longest line that is read, in bytes: a path of 4 KiB makes one of about 40 KiB at worst.
pub const LINE_MAX: usize = 1 << 20;

/// The kinds of line.
pub mod kind {
    #![expect(
        missing_docs,
        reason = "each is its own word; docs/trace-format.md has them all"
    )]

    pub const HEADER: &str = "header";
    pub const CREATED: &str = "created";
    pub const OFFLINED: &str = "offlined";
    pub const FREED: &str = "freed";
    pub const RENAMED: &str = "renamed";
    pub const PRESENT: &str = "present";
    pub const ZOMBIE: &str = "zombie";
    pub const WALKED: &str = "walked";
    pub const LEAKED: &str = "leaked";
    pub const RECOVERED: &str = "recovered";
    pub const SLAB_FAILURE: &str = "slab_failure";
    pub const MKDIR_FAILURE: &str = "mkdir_failure";
    pub const GAP: &str = "gap";
    pub const TICK: &str = "tick";
    pub const SUMMARY: &str = "summary";
    pub const CARRIED: &str = "carried";
}

/// Where a carried memcg stands.
mod state {
    pub(super) const LIVE: &str = "live";
    pub(super) const ZOMBIE: &str = "zombie";
    pub(super) const LEAKED: &str = "leaked";
}

/// What would tell a carried zombie's end.
mod proof {
    pub(super) const COUNTED: &str = "counted";
    pub(super) const NOTHING: &str = "nothing";
}

impl<'a> Line<'a> {
    /// A line of a kind, with nothing but its time.
    pub fn new(time: Stamp, kind: &'static str) -> Self {
        let mut line = Self::default();
        line.begin(time, kind);
        line
    }

    /// Sets the fields that every line has.
    pub fn begin(&mut self, time: Stamp, kind: &'static str) {
        self.time = Some(WallTime(time.wall_ns));
        self.mono_ns = Some(time.mono_ns);
        self.kind = Some(kind.into());
    }

    /// A fact's line.
    pub fn of(event: &'a Event) -> Self {
        let kind = match &event.fact {
            Fact::Created(_) => kind::CREATED,
            Fact::Offlined(_) => kind::OFFLINED,
            Fact::Freed(_) => kind::FREED,
            Fact::Renamed(_) => kind::RENAMED,
            Fact::Present(_) => kind::PRESENT,
            Fact::Zombie(_) => kind::ZOMBIE,
            Fact::Walked(_) => kind::WALKED,
            Fact::SlabFailure(_) => kind::SLAB_FAILURE,
            Fact::MkdirFailure(_) => kind::MKDIR_FAILURE,
            Fact::Gap(_) => kind::GAP,
            Fact::Tick(_) => kind::TICK,
            Fact::Carried(_) => kind::CARRIED,
        };
        let mut line = Self::new(event.time, kind);
        match &event.fact {
            Fact::Created(cgroup)
            | Fact::Offlined(cgroup)
            | Fact::Freed(cgroup)
            | Fact::Renamed(cgroup)
            | Fact::Present(cgroup)
            | Fact::Zombie(cgroup) => line.set_cgroup(cgroup),
            Fact::Walked(walked) => line.set_walked(walked),
            Fact::SlabFailure(failure) => line.set_slab_failure(failure),
            Fact::MkdirFailure(failure) => line.set_mkdir_failure(failure),
            Fact::Gap(gap) => line.set_gap(gap),
            Fact::Tick(counts) => line.set_counts(counts),
            Fact::Carried(carried) => line.set_carried(carried),
        }
        line
    }

    /// Sets a cgroup's fields.
    pub fn set_cgroup(&mut self, cgroup: &'a Cgroup) {
        self.cgroup_id = cgroup.id;
        self.parent_id = cgroup.parent_id;
        self.serial = cgroup.serial;
        self.memcg_id = cgroup.memcg_id;
        self.kmemcg_id = cgroup.kmemcg_id.map(u64::from);
        if let Some(slab) = &cgroup.slab {
            self.slab_caches = Some(slab.caches);
            self.slab_objects = slab.objects;
            self.slab_bytes = slab.bytes;
        }
        if let Some(holds) = &cgroup.holds {
            self.file_bytes = holds.file_bytes;
            self.anon_bytes = holds.anon_bytes;
            self.unevictable_bytes = holds.unevictable_bytes;
            self.shmem_bytes = holds.shmem_bytes;
            self.tcpmem_bytes = holds.tcpmem_bytes;
            self.swap_bytes = holds.swap_bytes;
            self.keeps_id = holds.keeps_id;
            self.refcount = holds.refcount;
            self.dead_children = Some(holds.dead_children);
        }
        self.after_mono_ns = cgroup.after_ns;
        self.scope = (cgroup.scope == Scope::Memcg).then_some("memcg".into());
        if let Some(pod) = &cgroup.pod {
            self.pod_namespace = Some(Text::from(&*pod.namespace));
            self.pod_name = Some(Text::from(&*pod.name));
        }
        self.memory = cgroup.memory;
        self.usage_bytes = cgroup.usage_bytes;
        self.set_path(cgroup.path.as_ref());
        self.set_task(cgroup.task.as_ref());
    }

    fn set_path(&mut self, path: Option<&'a Path>) {
        if let Some(path) = path {
            self.path = Some(Text::lossy(&path.bytes));
            self.path_hex = Hex::unless_text(&path.bytes);
            self.path_cut = path.cut.then_some(true);
        }
    }

    fn set_task(&mut self, task: Option<&'a Task>) {
        if let Some(task) = task {
            let comm = task.comm();
            self.pid = Some(task.pid);
            self.comm = (!comm.is_empty()).then(|| Text::lossy(comm));
            self.comm_hex = Hex::unless_text(comm);
        }
    }

    /// Sets who made the cgroup.
    pub fn set_creator(&mut self, creator: Option<&'a Task>) {
        if let Some(creator) = creator {
            let comm = creator.comm();
            self.creator_pid = Some(creator.pid);
            self.creator_comm = (!comm.is_empty()).then(|| Text::lossy(comm));
            self.creator_comm_hex = Hex::unless_text(comm);
        }
    }

    /// Sets the fields of what a file's beginning repeats.
    pub fn set_carried(&mut self, carried: &'a Carried) {
        self.set_cgroup(&carried.cgroup);
        self.set_creator(carried.creator.as_ref());
        self.generation = (carried.generation > 0).then_some(carried.generation);
        self.created_mono_ns = carried.created_ns;
        let Some(zombie) = carried.zombie else {
            self.state = Some(state::LIVE.into());
            return;
        };
        self.offlined_mono_ns = Some(zombie.since_ns);
        self.offlined_after_mono_ns = zombie.after_ns;
        self.state = Some(
            if zombie.leaked {
                state::LEAKED
            } else {
                state::ZOMBIE
            }
            .into(),
        );
        self.proof = match zombie.proof {
            Proof::Followed => None,
            Proof::Counted => Some(proof::COUNTED.into()),
            Proof::Nothing => Some(proof::NOTHING.into()),
        };
    }

    /// Sets a walk's fields.
    pub fn set_walked(&mut self, walked: &Walked) {
        self.began_mono_ns = Some(walked.began_mono_ns);
        self.directories = Some(walked.directories);
        self.zombies_named = walked.zombies;
        self.set_counts(&walked.counts);
    }

    /// Sets the kernel's counts.
    pub fn set_counts(&mut self, counts: &Counts) {
        self.num_cgroups = counts.num_cgroups;
        self.dying = counts.dying;
        self.dying_memory = counts.dying_memory;
        self.held_bytes = counts.held_bytes;
        self.kmemcg_peak = counts.kmemcg_peak;
        self.ids_peak = counts.ids_peak;
    }

    /// Sets a failed slab allocation's fields.
    pub fn set_slab_failure(&mut self, failure: &'a SlabFailure) {
        self.cache = failure.cache.as_deref().map(Text::lossy);
        self.cache_hex = failure.cache.as_deref().and_then(Hex::unless_text);
        if let Some(owned) = failure.owned_cache() {
            self.kmemcg_id = Some(owned.id);
            self.cache_cgroup = Some(Text::lossy(owned.leaf));
            self.cache_cgroup_hex = Hex::unless_text(owned.leaf);
        }
        self.object_size = failure.object_size;
        self.buffer_size = failure.buffer_size;
        self.order = failure.order;
        self.min_order = failure.min_order;
        self.gfp = failure.gfp;
        self.gfp_flags = failure.gfp_flags.as_deref().map(Text::from);
        self.node = failure.node;
        self.cpu = failure.cpu;
        self.suppressed = failure.suppressed;
        self.nodes = (!failure.nodes.is_empty()).then_some(Cow::Borrowed(&failure.nodes));
        self.set_task(failure.task.as_ref());
    }

    /// Sets a failed mkdir's fields.
    pub fn set_mkdir_failure(&mut self, failure: &'a MkdirFailure) {
        self.cgroup_id = failure.cgroup_id;
        self.parent_id = failure.parent_id;
        self.errno = failure.errno;
        self.errno_name = failure.errno.and_then(errno_name).map(Text::from);
        self.set_path(failure.path.as_ref());
        self.set_task(failure.task.as_ref());
    }

    /// Sets a gap's fields.
    pub fn set_gap(&mut self, gap: &Gap) {
        self.from_mono_ns = Some(gap.from_mono_ns);
        self.lost = gap.lost;
        self.reason = Some(gap.reason.name().into());
        self.tracked_zombies = gap.counted.map(|counted| counted.tracked);
        self.kernel_zombies = gap.counted.map(|counted| counted.kernel);
    }
}

/// The name of an error that mkdir may give.
pub fn errno_name(errno: i32) -> Option<&'static str> {
    [
        (Errno::NOMEM, "ENOMEM"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::ACCESS, "EACCES"),
        (Errno::PERM, "EPERM"),
        (Errno::EXIST, "EEXIST"),
        (Errno::NOENT, "ENOENT"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::BUSY, "EBUSY"),
        (Errno::ROFS, "EROFS"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::MLINK, "EMLINK"),
        (Errno::LOOP, "ELOOP"),
        (Errno::DQUOT, "EDQUOT"),
        (Errno::INTR, "EINTR"),
        (Errno::IO, "EIO"),
        (Errno::FAULT, "EFAULT"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
    ]
    .into_iter()
    .find_map(|(known, name)| (known.raw_os_error() == errno).then_some(name))
}

/// The header as a line. To be written with the same serializer as [`Line`].
#[derive(Debug, Serialize)]
pub struct HeaderLine<'a> {
    time: WallTime,
    mono_ns: u64,
    kind: &'static str,
    #[serde(flatten)]
    header: &'a Header,
}

impl<'a> HeaderLine<'a> {
    /// The header's line; `time` is the run's beginning on both clocks.
    pub fn new(time: Stamp, header: &'a Header) -> Self {
        let Stamp { mono_ns, wall_ns } = time;
        Self {
            time: WallTime(wall_ns),
            mono_ns,
            kind: kind::HEADER,
            header,
        }
    }
}
