//! What a run comes to: the counters, the time from offline to free, and whose the leaked ones are.

use serde::Serialize;

use super::{Forecast, Pin, Totals};
use crate::{
    event::Counted,
    judge::{Answer, State},
};

/// The run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Nanoseconds from the first event to the last.
    pub duration_ns: u64,
    /// Where things stand at its end.
    #[serde(flatten)]
    pub totals: Totals,
    /// Zombies by the events and by the kernel, when it last counted them; absent if it does not.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// Memcgs seen coming to life.
    pub created: u64,
    /// Memcgs that a walk found, and that were not seen coming to life.
    pub found: u64,
    /// Memcgs seen going offline, or found gone.
    pub offlined: u64,
    /// Memcgs freed, recovered ones included.
    pub freed: u64,
    /// Verdicts "leaked" in this run: recovered ones included.
    pub leaks: u64,
    /// Leaked ones that were freed after all.
    pub recovered: u64,
    /// Zombies that were there before the run, by the kernel's count; absent if it does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited: Option<u64>,
    /// Memcgs that were removed and of which nothing shows whether they were freed.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub unproven: u64,
    /// Bytes of kernel memory that zombies hold, where the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_bytes: Option<u64>,
    /// So many memcgs had kernel memory at one time, at least, as slab caches' names tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kmemcg_peak: Option<u64>,
    /// memcg ids in use, at least.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub ids_min: u64,
    /// memcg ids in use, at most; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_max: Option<u64>,
    /// memcg ids in use at one time, at least, as they tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_peak: Option<u64>,
    /// The node's state at its end.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub state: State,
    /// Slab allocations that failed.
    pub slab_failures: u64,
    /// More of them that the kernel log's rate limit held back, as the log says.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub slab_failures_suppressed: u64,
    /// Cgroups that could not be made.
    pub mkdir_failures: u64,
    /// Of those, with `ENOSPC`: in the memory hierarchy that says that no id is left.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub mkdir_no_space: u64,
    /// Stretches of time in which events may have been lost.
    pub gaps: u64,
    /// Records known to be lost.
    pub lost: u64,
    /// The time from offline to free of the memcgs whose both ends were seen; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays: Option<Delays>,
    /// Leaked memcgs of which the kernel's count alone tells: whose they are is not known.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub by_count: u64,
    /// Whose removed memcgs may be among those, most first, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub suspects: Vec<SuspectCount>,
    /// Who has most leaked memcgs now, most first, at most ten: those that are known by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub owners: Vec<OwnerCount>,
    /// Whose tasks made those, as far as that was seen, most first, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub creators: Vec<CreatorCount>,
    /// What keeps those that are leaked now, as far as walks of the kernel's own memcgs found it, most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(default))]
    pub pins: Vec<PinCount>,
    /// What is ahead at the pace of this run; absent where there are no zombies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
}

impl Summary {
    /// Whether the run found a leak. Zombies younger than the grace time, or there before the run, are no leak of its own.
    pub fn answer(&self) -> Answer {
        if matches!(
            self.state,
            State::Leaking | State::Exhausted | State::Crowded | State::Failing
        ) {
            return Answer::Leak;
        }
        match self.totals {
            Totals { leaked: 1.., .. } => Answer::Leak,
            Totals { zombies: 1.., .. } => Answer::Unknown,
            _ => Answer::Clean,
        }
    }
}

/// How long memcgs took from offline to free, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delays {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// Half of them took at most this.
    pub p50_ns: u64,
    /// 90 of 100.
    pub p90_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// How many leaked memcgs somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnerCount {
    /// What kind of owner: `pod`, `container`, `unit` or `path` (the parent directory).
    pub kind: &'static str,
    /// Its name: the pod's uid, the container's id, the unit, the path; bytes that are not UTF-8 replaced.
    pub name: String,
    /// A pod's namespace and name, as `NAMESPACE/NAME`, if the node told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// How many.
    pub leaked: u64,
}

/// How many removed memcgs of somebody may be among those that the kernel's count alone tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SuspectCount {
    /// What kind of owner, as in [`OwnerCount`].
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// A pod's namespace and name, as `NAMESPACE/NAME`, if the node told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// How many leaked, at most.
    pub at_most: u64,
}

/// How many leaked memcgs tasks of one name made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatorCount {
    /// The tasks' name; bytes that are not UTF-8 replaced.
    pub comm: String,
    /// How many.
    pub leaked: u64,
}

/// How many leaked memcgs one kind of thing keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PinCount {
    /// What keeps them.
    pub pin: Pin,
    /// How many.
    pub leaked: u64,
    /// What they hold, of whatever kind; absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// So many of them reclaim would free, as far as is seen.
    pub reclaimable: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
