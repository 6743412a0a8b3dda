//! How large the pages of a node are.
//!
//! Where the kernel counts in pages (`slabs` and `order` of a slab cache, the rows of `memory.kmem.slabinfo`, page counters), bytes
//! take the page size of the machine that counted: 4 KiB, and on arm64, ppc64 and others also 16 or 64 KiB. Of a copy that is the
//! copied machine's, whatever machine reads it. [`decide`] is pure.

mod read;
mod signs;

use std::fmt::{self, Display};

pub(super) use read::read;
pub(super) use signs::RECORDED;

/// The size of a page: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u64);

impl PageSize {
    /// No Linux has smaller pages.
    pub const LEAST: Self = Self(4 << 10);

    /// The largest pages that kernels of machines with containers are built with.
    pub const LARGE: Self = Self(64 << 10);

    /// Larger ones no kernel can be built with (`HAVE_PAGE_SIZE_256KB`).
    const MOST: u64 = 256 << 10;

    /// What sizes of pages can be.
    pub const fn of(bytes: u64) -> Option<Self> {
        let possible = bytes >= Self::LEAST.0 && bytes <= Self::MOST && bytes.is_power_of_two();
        if possible { Some(Self(bytes)) } else { None }
    }

    /// Of the kernel that runs this program: `AT_PAGESZ`.
    pub fn running() -> Self {
        Self(rustix::param::page_size() as u64)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The bytes of so many pages, or the most that there can be.
    pub const fn times(self, pages: u64) -> u64 {
        self.0.saturating_mul(pages)
    }
}

impl Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB", self.0 >> 10)
    }
}

/// What shows a node's page size, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSign {
    /// The node is this machine: the running kernel tells.
    Running,
    /// Who made the trace wrote it into the header.
    Header,
    /// Who made the copy wrote it down.
    Recorded,
    /// `AT_PAGESZ` in the copy of a process's auxiliary vector.
    Auxv,
    /// `KernelPageSize` of a process's memory.
    Smaps,
    /// v1: a memory cgroup without a limit shows as many whole pages as fit into 2^63 (`PAGE_COUNTER_MAX`).
    Limit,
    /// What `/proc/vmstat` has in pages, `/proc/meminfo` has in KiB.
    Vmstat,
    /// The kernel's configuration.
    Config,
    /// The kernel's architecture has only this one (`/proc/sys/kernel/arch`, from 6.1 on).
    Architecture,
    /// All that `/proc/meminfo` counts in pages is a multiple of it.
    Meminfo,
}

impl PageSign {
    /// Where that was read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "the running kernel",
            Self::Header => "the trace's header",
            Self::Recorded => "snapshot.txt",
            Self::Auxv => "/proc/self/auxv",
            Self::Smaps => "/proc/self/smaps",
            Self::Limit => "memory.limit_in_bytes",
            Self::Vmstat => "/proc/vmstat",
            Self::Config => "the kernel's configuration",
            Self::Architecture => "/proc/sys/kernel/arch",
            Self::Meminfo => "/proc/meminfo",
        }
    }
}

/// A node's page size, and what shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePage {
    /// How large.
    pub size: PageSize,
    /// What shows that.
    pub by: PageSign,
}

impl Display for NodePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.size, self.by.as_str())
    }
}

/// Why a node's page size is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPageSize {
    /// Nothing shows it. The kernel's release may suggest one: names prove nothing.
    Untold(Option<PageSize>),
    /// Two signs contradict each other.
    Contradiction(NodePage, NodePage),
}

impl Display for NoPageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untold(None) => f.write_str("no file shows it"),
            Self::Untold(Some(size)) => {
                write!(f, "no file shows it; the kernel's release suggests {size}")
            }
            Self::Contradiction(one, other) => write!(f, "contradiction: {one}, {other}"),
        }
    }
}

/// A node's page size, or why it is not known.
pub type PageFact = Result<NodePage, NoPageSize>;

/// What signs come to: the surest, if no other one contradicts it. `suggested` is what the kernel's release suggests.
pub(super) fn decide(signs: &[NodePage], suggested: Option<PageSize>) -> PageFact {
    let Some(surest) = signs.iter().min_by_key(|sign| sign.by) else {
        return Err(NoPageSize::Untold(suggested));
    };
    match signs.iter().find(|sign| sign.size != surest.size) {
        Some(other) => Err(NoPageSize::Contradiction(*surest, *other)),
        None => Ok(*surest),
    }
}

#[cfg(test)]
mod tests;
