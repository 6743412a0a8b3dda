//! What a reproduction came to.

use serde::Serialize;

use super::{
    super::scan::PinTotal,
    Verdict, Workload,
    counts::{Counts, Told},
};

/// What came of it; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Report {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<String>,
    /// `v1` or `v2`.
    pub(super) hierarchy: &'static str,
    pub(super) workload: Workload,
    /// How many memory cgroups were made.
    pub(in crate::cli) made: u64,
    /// How many of them the kernel did not let go, and why; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_removed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why_not_removed: Option<String>,
    /// Whether kernel-memory accounting was on in them: switched on as runc does, or by default.
    pub(super) accounting: Accounting,
    /// Whether kernel memory was accounted to them: slab caches were named after them, or kernel memory was charged (v1);
    /// absent where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) accounted: Option<bool>,
    /// What was seen, in order: after the removal, and after each thing that was done to free them.
    pub(super) steps: Vec<Step>,
    /// The kernel counts zombies of the whole machine: others' may have come or gone meanwhile.
    pub(super) whole_machine: bool,
    /// Why nothing tells what keeps each zombie; absent where something does, or where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) walk_refused: Option<String>,
    /// Ctrl-C was pressed: not all was made.
    pub(super) interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Accounting {
    /// By `memory.kmem.limit_in_bytes`, where that matters.
    SwitchedOn,
    /// The kernel does it by itself, or not at all.
    Default,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Done {
    /// The cgroups were removed.
    Removed,
    /// `/proc/sys/vm/drop_caches`.
    DropCaches,
    /// The process with the open sockets ended.
    Closed,
    /// The files were removed.
    FilesRemoved,
    /// The zombies' slab caches were told to give back what they do not use.
    Shrink,
}

/// What was seen after something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Step {
    pub(in crate::cli) done: Done,
    /// Zombies that were left; absent where no two counts agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) zombies: Option<u64>,
    /// There may be more: this kernel does not count them.
    pub(super) at_least: bool,
    /// What was counted, in each way there is.
    pub(super) counts: Counts,
    /// How long it took until the number did not fall any more, in milliseconds.
    pub(super) after_ms: u64,
    /// What keeps them, as the kernel's own tree tells it; absent where that could not be walked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pins: Vec<PinTotal>,
    /// What they hold by kind, in bytes; absent where that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anon: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slab: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sock: Option<u64>,
    /// Kernel memory, where v1 tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel_memory: Option<u64>,
}

impl Step {
    pub(super) fn told(&self) -> Told {
        match self.zombies {
            None => Told::Unknown,
            Some(zombies) if self.at_least => Told::AtLeast(zombies),
            Some(zombies) => Told::Exactly(zombies),
        }
    }
}

impl Report {
    /// Zombies after the removal, when they had time to go; `None` if that is not known.
    pub(in crate::cli) fn stayed(&self) -> Option<u64> {
        self.steps.first()?.zombies
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.steps.last()?.zombies
    }

    /// Whether caches were dropped.
    pub(super) fn dropped(&self) -> bool {
        self.steps.iter().any(|step| step.done == Done::DropCaches)
    }

    pub(in crate::cli) fn verdict(&self) -> Verdict {
        match self.stayed() {
            Some(stayed) if stayed > 0 && self.made > 0 => Verdict::Leak,
            Some(0) if self.made > 0 && self.not_removed.is_none() => Verdict::Clean,
            _ => Verdict::Unknown,
        }
    }
}
