//! What a run has seen: counters, the time from offline to free, and whose the leaked ones are.

use std::{cmp::Reverse, collections::HashMap, hash::Hash, sync::Arc};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Forecast, Pin, Pinned, Totals, entry::Entry};
use crate::{
    attribution,
    event::{Gap, Stamp, Task},
    judge::{Answer, State},
};

/// How many owners a summary names.
const OWNERS: usize = 10;

/// The run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Nanoseconds from the first event to the last.
    pub duration_ns: u64,
    /// Where things stand at its end.
    #[serde(flatten)]
    pub totals: Totals,
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

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Tally {
    began: Option<Stamp>,
    pub(super) created: u64,
    pub(super) found: u64,
    pub(super) offlined: u64,
    pub(super) freed: u64,
    pub(super) leaks: u64,
    pub(super) recovered: u64,
    pub(super) unproven: u64,
    pub(super) held_bytes: Option<u64>,
    pub(super) kmemcg_peak: Option<u64>,
    pub(super) ids_peak: Option<u64>,
    pub(super) slab_failures: u64,
    pub(super) slab_failures_suppressed: u64,
    pub(super) mkdir_failures: u64,
    pub(super) mkdir_no_space: u64,
    /// Failed mkdirs with `ENOMEM`, or by the release of what was never made, which has the same cause.
    pub(super) mkdir_no_memory: u64,
    gaps: u64,
    lost: u64,
    pub(super) delays: Recorder,
}

impl Tally {
    pub(super) fn began(&mut self, time: Stamp) {
        self.began.get_or_insert(time);
    }

    /// When the first fact was, on `CLOCK_MONOTONIC`.
    pub(super) fn began_ns(&self) -> Option<u64> {
        self.began.map(|began| began.mono_ns)
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        self.gaps += 1;
        self.lost += gap.lost.unwrap_or(0);
    }

    /// The run until `now`; `leaked` are those that are leaked then, `suspects` those that may be.
    pub(super) fn summary(&self, now: Stamp, leaked: &[&Entry], suspects: &[&Entry]) -> Summary {
        let began = self.began.unwrap_or(now);
        Summary {
            duration_ns: now.mono_ns.saturating_sub(began.mono_ns),
            totals: Totals::default(),
            created: self.created,
            found: self.found,
            offlined: self.offlined,
            freed: self.freed,
            leaks: self.leaks,
            recovered: self.recovered,
            inherited: None,
            unproven: self.unproven,
            held_bytes: self.held_bytes,
            kmemcg_peak: self.kmemcg_peak,
            ids_min: 0,
            ids_max: None,
            ids_peak: self.ids_peak,
            state: State::Unknown,
            slab_failures: self.slab_failures,
            slab_failures_suppressed: self.slab_failures_suppressed,
            mkdir_failures: self.mkdir_failures,
            mkdir_no_space: self.mkdir_no_space,
            gaps: self.gaps,
            lost: self.lost,
            delays: self.delays.figures(),
            by_count: 0,
            suspects: owners(suspects)
                .into_iter()
                .map(|owner| SuspectCount {
                    kind: owner.kind,
                    name: owner.name,
                    pod: owner.pod,
                    at_most: owner.leaked,
                })
                .collect(),
            owners: owners(leaked),
            creators: creators(leaked.iter().filter_map(|entry| entry.creator())),
            pins: pins(leaked.iter().filter_map(|entry| entry.pinned(now))),
            forecast: None,
        }
    }
}

/// Times from offline to free; its size depends on the longest only.
#[derive(Debug, Default)]
pub struct Recorder(Option<Histogram<u64>>);

impl Recorder {
    /// Takes in one, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(3).ok(); // three digits
        }
        if let Some(histogram) = &mut self.0 {
            // It grows with what it is given, so it refuses nothing.
            let _ = histogram.record(ns);
        }
    }

    /// How many are at least `min_ns` and less than `max_ns`, to three digits.
    pub fn between(&self, min_ns: u64, max_ns: u64) -> u64 {
        let recorded = self.0.iter().flat_map(Histogram::iter_recorded);
        recorded
            .filter(|value| (min_ns..max_ns).contains(&value.value_iterated_to()))
            .map(|value| value.count_at_value())
            .sum()
    }

    /// Their figures; `None` if there are none.
    pub fn figures(&self) -> Option<Delays> {
        let histogram = self.0.as_ref()?;
        Some(Delays {
            count: histogram.len(),
            min_ns: histogram.min(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            max_ns: histogram.max(),
        })
    }
}

fn owners(leaked: &[&Entry]) -> Vec<OwnerCount> {
    let mut pods = HashMap::new();
    let owners = leaked.iter().filter_map(|entry| {
        let owner = owner(&entry.cgroup.path.as_ref()?.bytes);
        if let ("pod", Some(pod)) = (owner.0, &entry.cgroup.pod) {
            pods.insert(owner.1.clone(), Arc::clone(pod));
        }
        Some(owner)
    });
    let ranked = ranked(owners, |(kind, name)| (name.clone(), *kind));
    let count = |((kind, name), leaked): ((_, String), _)| {
        let pod = pods.get(&name).filter(|_| kind == "pod");
        OwnerCount {
            kind,
            pod: pod.map(|pod| format!("{}/{}", pod.namespace, pod.name)),
            name,
            leaked,
        }
    };
    ranked.into_iter().map(count).collect()
}

fn creators(leaked: impl Iterator<Item = Task>) -> Vec<CreatorCount> {
    let names = leaked.map(|task| String::from_utf8_lossy(task.comm()).into_owned());
    let creators = ranked(names, Clone::clone).into_iter();
    creators
        .map(|(comm, leaked)| CreatorCount { comm, leaked })
        .collect()
}

fn pins(leaked: impl Iterator<Item = Pinned>) -> Vec<PinCount> {
    let mut pins: Vec<PinCount> = Vec::new();
    for pinned in leaked {
        let Some(pin) = pinned.pin else { continue };
        let at = pins.iter().position(|count| count.pin == pin);
        let at = at.unwrap_or_else(|| {
            pins.push(PinCount {
                pin,
                leaked: 0,
                bytes: Some(0),
                reclaimable: 0,
            });
            pins.len() - 1
        });
        let count = &mut pins[at];
        count.leaked += 1;
        count.bytes = count.bytes.and_then(|sum| sum.checked_add(pinned.bytes?));
        count.reclaimable += u64::from(pinned.reclaimable == Some(true));
    }
    pins.sort_by_key(|count| (Reverse(count.leaked), count.pin));
    pins
}

/// The first ten, those that come most often first, and then in the order of their names.
fn ranked<T: Eq + Hash, N: Ord>(
    all: impl Iterator<Item = T>,
    name: impl Fn(&T) -> N,
) -> Vec<(T, u64)> {
    let mut counts = HashMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_unstable_by_key(|(one, count)| (Reverse(*count), name(one)));
    ranked.truncate(OWNERS);
    ranked
}

/// The kind and name of whom a path belongs to.
pub(crate) fn owner(path: &[u8]) -> (&'static str, String) {
    let owner = attribution::owner(path);
    if let Some(uid) = owner.pod_uid {
        return ("pod", uid.to_string());
    }
    if let Some(id) = owner.container_id {
        return ("container", id.to_owned());
    }
    if let Some((runtime, name)) = owner.runtime.zip(owner.name) {
        return (runtime.as_str(), name.to_owned());
    }
    if let Some(unit) = owner.unit {
        return ("unit", unit.to_owned());
    }
    let parent = match path.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => b"/",
        Some(slash) => &path[..slash],
    };
    ("path", String::from_utf8_lossy(parent).into_owned())
}
