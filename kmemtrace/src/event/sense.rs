//! What no kernel tells. Every fact passes here before it is believed, whatever it comes from: a record read through a wrong
//! pointer, registers of another architecture, a line of a trace that was damaged.
//!
//! What does not pass counts as not understood, and is a gap ([`super::GapReason::BadRecord`]). Nonsense that looks like sense
//! passes: the kernel's counts contradict it later ([`super::GapReason::Contradicted`]).

use std::fmt;

use super::{Carried, Cgroup, Counts, Fact, MEMCG_IDS, MkdirFailure, Path, SlabFailure, Task};

/// Addresses from here on are the kernel's: with five levels of page tables on x86-64, and with 52 bits on arm64, too.
pub const KERNEL_ADDRESSES: u64 = 0xff00_0000_0000_0000;

/// Serial numbers of a css are below this: they count up from 1 (`css_serial_nr_next`), and a css each microsecond takes nine
/// years to get here.
const SERIALS: u64 = 1 << 48;

/// More bytes than a memcg can have charged: processors address 52 bits of memory at most.
const MEMORY_BYTES: u64 = 1 << 52;

/// The greatest number of a process or thread: `PID_MAX_LIMIT`.
pub const PIDS: u32 = 1 << 22;

/// `MAX_ERRNO`
const ERRNOS: i32 = 4095;

/// `MAX_NUMNODES` is 1,024 at most, in every configuration of the kernel.
const NODES: i32 = 1024;

/// Bits of a gfp mask (`__GFP_BITS_SHIFT` is 28 at most up to 7.0), generously.
const GFP_BITS: u32 = 30;

/// The largest object of a slab cache, generously: `KMALLOC_MAX_SIZE` is 4 MiB, on some machines more.
const OBJECT_BYTES: u32 = 1 << 28;

/// Nanoseconds since the machine was booted that no machine has been up for: 36 years.
const UPTIME_NS: u64 = 1 << 60;

/// What is wrong with a fact: a value that nothing in a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// Cgroups count from 1 (`cgroup_idr`, `kernfs_root.ino_idr`), and an id is no address.
    CgroupId(u64),
    /// A cgroup is not its own parent, and the parent's id is one, too.
    ParentId(u64),
    /// Beyond `MEM_CGROUP_ID_MAX`.
    MemcgId(u32),
    /// 0, or more than there can be.
    Serial(u64),
    /// An address that is not the kernel's.
    Pointer(u64),
    /// No path where every cgroup has one.
    NoPath,
    /// Empty, not from the root on, or with a NUL in it.
    Path,
    /// More than there is memory.
    Bytes(u64),
    /// Beyond `PID_MAX_LIMIT`.
    Pid(u32),
    /// No error number of the kernel's.
    Errno(i32),
    /// No NUMA node.
    Node(i32),
    /// No gfp mask has these bits.
    Gfp(u32),
    /// No object of a slab is so large.
    ObjectSize(u32),
    /// More than the kernel can count.
    Count(u64),
    /// Before the machine was booted, in the future, or after what came of it.
    Time(u64),
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CgroupId(id) => write!(f, "no cgroup has the id {id}"),
            Self::ParentId(id) => write!(f, "no parent has the id {id}"),
            Self::MemcgId(id) => write!(f, "no memcg has the id {id}"),
            Self::Serial(serial) => write!(f, "no css has the serial number {serial}"),
            Self::Pointer(address) => write!(f, "{address:#x} is no kernel address"),
            Self::NoPath => f.write_str("no path"),
            Self::Path => f.write_str("no cgroup has this path"),
            Self::Bytes(bytes) => write!(f, "no memcg has {bytes} bytes"),
            Self::Pid(pid) => write!(f, "no process has the id {pid}"),
            Self::Errno(errno) => write!(f, "no error has the number {errno}"),
            Self::Node(node) => write!(f, "no NUMA node has the number {node}"),
            Self::Gfp(gfp) => write!(f, "no allocation has the gfp mask {gfp:#x}"),
            Self::ObjectSize(bytes) => write!(f, "no slab object has {bytes} bytes"),
            Self::Count(count) => write!(f, "no kernel counts {count} memory cgroups"),
            Self::Time(ns) => write!(f, "nothing happened at {ns} ns"),
        }
    }
}

/// Whether a fact of this moment of `CLOCK_MONOTONIC` can be true, as far as it tells by itself.
///
/// # Errors
///
/// The first value that no kernel has.
pub fn fact(now_ns: u64, fact: &Fact) -> Result<(), Nonsense> {
    time(now_ns, UPTIME_NS)?;
    match fact {
        Fact::Created(of)
        | Fact::Offlined(of)
        | Fact::Freed(of)
        | Fact::Renamed(of)
        | Fact::Present(of)
        | Fact::Zombie(of) => {
            cgroup(of)?;
            each(of.after_ns, |after| time(after, now_ns))
        }
        Fact::Carried(of) => carried(of, now_ns),
        Fact::MkdirFailure(of) => mkdir_failure(of),
        Fact::SlabFailure(of) => slab_failure(of),
        Fact::Walked(of) => {
            time(of.began_mono_ns, now_ns)?;
            counts(&of.counts)
        }
        Fact::Gap(of) => time(of.from_mono_ns, now_ns),
        Fact::Tick(of) => counts(of),
    }
}

/// Whether a moment of `CLOCK_MONOTONIC` is one at which something can have happened that is known at another.
///
/// # Errors
///
/// It is later.
pub fn time(ns: u64, known_ns: u64) -> Result<(), Nonsense> {
    refuse_if(ns > known_ns, Nonsense::Time(ns))
}

/// Whether it is an address of the kernel's.
///
/// # Errors
///
/// It is not.
pub fn pointer(address: u64) -> Result<(), Nonsense> {
    refuse_if(address < KERNEL_ADDRESSES, Nonsense::Pointer(address))
}

fn refuse_if(nonsense: bool, what: Nonsense) -> Result<(), Nonsense> {
    if nonsense { Err(what) } else { Ok(()) }
}

/// Checks a value if it is known; one that is not passes.
fn each<T>(
    known: Option<T>,
    check: impl FnOnce(T) -> Result<(), Nonsense>,
) -> Result<(), Nonsense> {
    known.map_or(Ok(()), check)
}

fn is_id(id: u64) -> bool {
    (1..KERNEL_ADDRESSES).contains(&id)
}

/// Whether there can be such a cgroup.
///
/// # Errors
///
/// The first value that no cgroup has.
pub fn cgroup(cgroup: &Cgroup) -> Result<(), Nonsense> {
    each(cgroup.id, |id| {
        refuse_if(!is_id(id), Nonsense::CgroupId(id))
    })?;
    each(cgroup.parent_id, |id| {
        refuse_if(!is_id(id) || cgroup.id == Some(id), Nonsense::ParentId(id))
    })?;
    each(cgroup.memcg_id, memcg_id)?;
    each(cgroup.serial, serial)?;
    each(cgroup.path.as_ref(), path)?;
    each(cgroup.usage_bytes, bytes)?;
    let holds = cgroup.holds.as_deref().and_then(super::Holds::bytes);
    each(holds, bytes)?;
    each(cgroup.slab.as_ref().and_then(|slab| slab.bytes), bytes)?;
    each(cgroup.task.as_ref(), task)
}

/// Whether there can be such a memcg id; 0 is one that the kernel has taken back.
///
/// # Errors
///
/// There cannot.
pub fn memcg_id(id: u32) -> Result<(), Nonsense> {
    refuse_if(u64::from(id) > MEMCG_IDS, Nonsense::MemcgId(id))
}

/// Whether there can be such a serial number.
///
/// # Errors
///
/// There cannot.
pub fn serial(serial: u64) -> Result<(), Nonsense> {
    refuse_if(!(1..SERIALS).contains(&serial), Nonsense::Serial(serial))
}

fn path(path: &Path) -> Result<(), Nonsense> {
    let rooted = path.cut || path.bytes.starts_with(b"/");
    let nonsense = path.bytes.is_empty() || !rooted || path.bytes.contains(&0);
    refuse_if(nonsense, Nonsense::Path)
}

fn bytes(bytes: u64) -> Result<(), Nonsense> {
    refuse_if(bytes > MEMORY_BYTES, Nonsense::Bytes(bytes))
}

fn task(task: &Task) -> Result<(), Nonsense> {
    refuse_if(task.pid > PIDS, Nonsense::Pid(task.pid))
}

/// The kernel counts them in an `int`.
fn counts(counts: &Counts) -> Result<(), Nonsense> {
    let all = [counts.num_cgroups, counts.dying, counts.dying_memory];
    all.into_iter()
        .flatten()
        .try_for_each(|count| refuse_if(i32::try_from(count).is_err(), Nonsense::Count(count)))
}

fn carried(carried: &Carried, now_ns: u64) -> Result<(), Nonsense> {
    cgroup(&carried.cgroup)?;
    each(carried.created_ns, |ns| time(ns, now_ns))?;
    each(carried.creator.as_ref(), task)?;
    each(carried.zombie, |zombie| {
        time(zombie.since_ns, now_ns)?;
        each(zombie.after_ns, |ns| time(ns, now_ns))
    })
}

fn mkdir_failure(failure: &MkdirFailure) -> Result<(), Nonsense> {
    for (id, what) in [
        (failure.cgroup_id, Nonsense::CgroupId as fn(u64) -> Nonsense),
        (failure.parent_id, Nonsense::ParentId),
    ] {
        each(id, |id| refuse_if(!is_id(id), what(id)))?;
    }
    each(failure.path.as_ref(), path)?;
    each(failure.errno, |errno| {
        refuse_if(!(1..=ERRNOS).contains(&errno), Nonsense::Errno(errno))
    })?;
    each(failure.task.as_ref(), task)
}

fn slab_failure(failure: &SlabFailure) -> Result<(), Nonsense> {
    each(failure.node, |node| {
        refuse_if(!(-1..NODES).contains(&node), Nonsense::Node(node))
    })?;
    each(failure.gfp, |gfp| {
        refuse_if(gfp >> GFP_BITS != 0, Nonsense::Gfp(gfp))
    })?;
    each(failure.object_size, |bytes| {
        refuse_if(bytes > OBJECT_BYTES, Nonsense::ObjectSize(bytes))
    })?;
    each(failure.task.as_ref(), task)
}
