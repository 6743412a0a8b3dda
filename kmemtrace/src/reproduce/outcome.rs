//! What a reproduction came to.

use serde::Serialize;

use super::{
    Workload,
    counts::{Agreement, WaysCounted},
};
use crate::{census::PinTotal, judge::Answer};

/// What came of it; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reproduction {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel: Option<String>,
    /// `v1` or `v2`.
    pub(crate) hierarchy: &'static str,
    pub(crate) workload: Workload,
    /// How many memory cgroups were made.
    pub(crate) made: u64,
    /// How many of them the kernel did not let go, and why; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_removed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why_not_removed: Option<String>,
    /// Whether kernel-memory accounting was on in them: switched on as runc does, or by default.
    pub(crate) accounting: AccountedBy,
    /// Whether kernel memory was accounted to them: slab caches were named after them, or kernel memory was charged (v1);
    /// absent where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounted: Option<bool>,
    /// What was seen, in order: after the removal, and after each thing that was done to free them.
    pub(crate) steps: Vec<Observation>,
    /// The kernel counts zombies of the whole machine: others' may have come or gone meanwhile.
    pub(crate) whole_machine: bool,
    /// Why nothing tells what keeps each zombie; absent where something does, or where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) walk_refused: Option<String>,
    /// Ctrl-C was pressed: not all was made.
    pub(crate) interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccountedBy {
    /// By `memory.kmem.limit_in_bytes`, where that matters.
    SwitchedOn,
    /// The kernel does it by itself, or not at all.
    Default,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
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
pub(crate) struct Observation {
    pub(crate) done: Action,
    /// Zombies that were left; absent where no two counts agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zombies: Option<u64>,
    /// There may be more: this kernel does not count them.
    pub(crate) at_least: bool,
    /// What was counted, in each way there is.
    pub(crate) counts: WaysCounted,
    /// How long it took until the number did not fall any more, in milliseconds.
    pub(crate) after_ms: u64,
    /// What keeps them, as the kernel's own tree tells it; absent where that could not be walked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pins: Vec<PinTotal>,
    /// What they hold by kind, in bytes; absent where that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) anon: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slab: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sock: Option<u64>,
    /// Kernel memory, where v1 tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_memory: Option<u64>,
}

impl Observation {
    pub(crate) fn told(&self) -> Agreement {
        match self.zombies {
            None => Agreement::Unknown,
            Some(zombies) if self.at_least => Agreement::AtLeast(zombies),
            Some(zombies) => Agreement::Exactly(zombies),
        }
    }
}

impl Reproduction {
    /// Zombies after the removal, when they had time to go; `None` if that is not known.
    pub(crate) fn stayed(&self) -> Option<u64> {
        self.steps.first()?.zombies
    }

    pub(crate) fn left(&self) -> Option<u64> {
        self.steps.last()?.zombies
    }

    /// Whether caches were dropped.
    pub(crate) fn dropped(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.done == Action::DropCaches)
    }

    pub(crate) fn answer(&self) -> Answer {
        match self.stayed() {
            Some(stayed) if stayed > 0 && self.made > 0 => Answer::Leak,
            Some(0) if self.made > 0 && self.not_removed.is_none() => Answer::Clean,
            _ => Answer::Unknown,
        }
    }
}
