//! What is counted of the zombies, in several ways, and what these come to together: pure.

use serde::Serialize;

use crate::host::{PageSize, SlabLayout};

/// What may be charged to a cgroup beyond what is in it: processors keep so many pages at hand (`CHARGE_BATCH`).
const AT_HAND: u64 = 64;

/// The counts at one moment. Each is absent where this kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WaysCounted {
    /// Dead cgroups of its own in the kernel's tree of memory cgroups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) walked: Option<u64>,
    /// v2: `nr_dying_descendants` of the cgroup above its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dying: Option<u64>,
    /// The kernel's count of the whole machine: what it has risen by, or fallen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<i64>,
    /// Removed cgroups of its own that slab caches are named after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named: Option<u64>,
    /// Kernel memory charged to the cgroup above its own, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_memory: Option<u64>,
    /// All memory charged there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
}

/// What was seen while the cgroups were alive, with something charged to each: it says what a count means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alive {
    /// Where slab caches of memcgs stand; `None` if there are none.
    pub(crate) layout: Option<SlabLayout>,
    /// The kernel's count leaves out zombies that kernel memory pins, as on 3.10.
    pub(crate) leaves_out: bool,
    /// Whether slab caches are listed at all.
    pub(crate) listed: bool,
    /// Cgroups of its own that had slab caches.
    pub(crate) named: u64,
    pub(crate) kernel_memory: Option<u64>,
}

impl Alive {
    /// Whether kernel memory was accounted to them; `None` if nothing tells.
    pub(crate) fn accounted(&self) -> Option<bool> {
        match self.kernel_memory {
            _ if self.named > 0 => Some(true),
            Some(0) if self.listed => Some(false),
            Some(0) | None => None,
            Some(_) => Some(true),
        }
    }
}

/// How many of its cgroups are zombies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Two counts agree.
    Exactly(u64),
    /// Two counts agree that there are so many, and there may be more.
    AtLeast(u64),
    /// Counts contradict each other, or only one tells.
    Unknown,
}

impl Agreement {
    pub(crate) const fn number(self) -> Option<u64> {
        match self {
            Self::Exactly(number) | Self::AtLeast(number) => Some(number),
            Self::Unknown => None,
        }
    }
}

/// What the moment before showed, beside the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Around {
    /// How many cgroups were removed.
    pub(crate) removed: u64,
    /// The kernel's count of the whole machine changes by itself.
    pub(crate) busy: bool,
    /// How large pages are.
    pub(crate) page: Option<PageSize>,
    /// More removed cgroups have slab caches named after them than there are zombies, on the whole machine: those caches are
    /// their parents' (`memcg_reparent_kmem_caches`, 5.3 and RHEL 8's 4.18).
    pub(crate) reparents: bool,
}

/// What two counts agree about.
pub(crate) fn told(counts: &WaysCounted, alive: &Alive, around: Around) -> Agreement {
    let holds = match (counts.memory, counts.kernel_memory) {
        (None, None) => None,
        (memory, kernel) => Some(memory.unwrap_or(0).max(kernel.unwrap_or(0)) > 0),
    };
    if let Some(own) = counts.walked.or(counts.dying) {
        let other = counts.dying.filter(|_| counts.walked.is_some());
        let machine = counts.counted.map(|counted| counted == own as i64);
        return match (other, machine) {
            (Some(other), _) if other != own => Agreement::Unknown,
            (Some(_), _) | (None, Some(true)) => Agreement::Exactly(own),
            _ if holds == Some(own > 0) => Agreement::Exactly(own),
            // Others' come and go: that is no contradiction, and the own ones are counted again and again.
            (None, Some(false)) if around.busy => Agreement::Exactly(own),
            (None, _) => Agreement::Unknown,
        };
    }
    // 3.10: the count leaves out what kernel memory pins, the names leave out what pages pin.
    if alive.leaves_out {
        return match (counts.named, counts.kernel_memory, alive.accounted()) {
            (_, _, None) => Agreement::Unknown,
            (Some(0), Some(0), _) => Agreement::Exactly(0),
            (Some(named), Some(held), _) if named > 0 && held > 0 => Agreement::AtLeast(named),
            _ => Agreement::Unknown,
        };
    }
    by_machine(counts, alive, around, holds)
}

/// By the kernel's count of the whole machine, and by what is held.
fn by_machine(
    counts: &WaysCounted,
    alive: &Alive,
    around: Around,
    holds: Option<bool>,
) -> Agreement {
    let (Some(counted), Some(page), true) = (counts.counted, around.page, alive.listed) else {
        return Agreement::Unknown;
    };
    let Ok(counted) = u64::try_from(counted) else {
        return Agreement::Unknown;
    };
    // Slab pins where its caches are the zombies' own.
    let slab_pins = alive.layout.is_some() && !around.reparents;
    let pages = counts.memory.zip(counts.kernel_memory);
    let pages = pages.map(|(memory, kernel)| memory.saturating_sub(kernel));
    let named = counts.named.filter(|_| slab_pins).unwrap_or(0);
    if counted == 0 {
        let none = match alive.accounted() {
            None => false,
            // It may be a kernel whose count leaves zombies out, and that accounts nothing here.
            Some(false) => counts.named == Some(0) && counts.kernel_memory == Some(0),
            Some(true) if slab_pins => named == 0 && (alive.named > 0 || holds == Some(false)),
            Some(true) => true,
        };
        let no_pages =
            holds == Some(false) || pages.is_some_and(|pages| pages <= page.times(AT_HAND));
        return if none && no_pages {
            Agreement::Exactly(0)
        } else {
            Agreement::Unknown
        };
    }
    // Names that slab left behind at its parent are as many as were removed, whatever others' zombies come to.
    let agree = named == counted || pages.is_some_and(|pages| pages >= page.times(counted));
    if agree && counted <= around.removed && !around.busy {
        Agreement::Exactly(counted)
    } else {
        Agreement::Unknown
    }
}
