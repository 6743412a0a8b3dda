//! Frees what zombies hold, as far as that goes without a reboot; gently first.

mod act;
mod ladder;
mod plan;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    census,
    diagnose::facts,
    error::{Error, Said},
    host::{self, Acts, Hierarchy, Root},
    interrupt::Interrupt,
    judge::Answer,
};
use ladder::Ladder;
use plan::Plan;
pub(crate) use plan::StepKind;

/// What may be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Write; else only plan.
    pub(crate) apply: bool,
    /// Drop the page cache, dentries and inodes of the whole machine, too.
    pub(crate) drop_caches: bool,
    /// In each step, write to the caches of at most this many zombies, and to at most this many cgroups.
    pub(crate) max: usize,
    /// Stop after this time.
    pub(crate) time: Duration,
}

/// Plans, and acts if told to; `catalogue` has the words beside the progress bar.
///
/// # Errors
///
/// There is no memory hierarchy, or zombies cannot be counted.
pub(crate) fn reclaim(
    root: &Root,
    acts: &dyn Acts,
    options: Options,
    interrupt: &Interrupt,
    catalogue: &Catalogue,
) -> Result<Reclamation, Error> {
    let hierarchy = host::facts(root).memory.map_err(|none| {
        Error::new(format!("cannot count memory cgroups: {none}")).help(none.help())
    })?;
    let ladder = Ladder {
        root,
        acts,
        options,
        interrupt,
        catalogue,
        until: acts.now() + options.time,
        report: Reclamation {
            applied: options.apply,
            before: counts(root, &hierarchy)?,
            steps: Vec::new(),
            not_tried: Vec::new(),
            ended: None,
        },
        hierarchy: &hierarchy,
    };
    ladder.climb()
}

/// What the kernel counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReclaimCounts {
    /// Zombies, at least.
    pub(crate) zombies: u64,
    /// There may be more: this kernel does not count them all.
    pub(crate) at_least: bool,
    /// Kernel memory that they hold, in bytes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_memory: Option<u64>,
    /// Other memory that they hold, in bytes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    #[serde(skip)]
    pub(crate) none: bool,
}

/// One step and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReclaimStep {
    pub(crate) kind: StepKind,
    /// It was there before: it is repeated as long as the count falls, and once caches have been dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) again: bool,
    /// Files that it writes to.
    pub(crate) writes: u64,
    /// Zombies whose caches those are, or cgroups below which memory is held.
    pub(crate) targets: u64,
    /// So much can be freed at most, in bytes, where that can be told beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// Left out, since --max was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<u64>,
    /// Writes that failed, and the first one's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<WriteError>,
    /// What the kernel counted after it; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<ReclaimCounts>,
}

/// What was done; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reclamation {
    /// Whether anything was written.
    pub(crate) applied: bool,
    /// What the kernel counted before.
    pub(crate) before: ReclaimCounts,
    pub(crate) steps: Vec<ReclaimStep>,
    /// What was not tried, or of a dry run would not be, and why.
    pub(crate) not_tried: Vec<Untried>,
    /// Why it ended before all was done: time was up, or Ctrl-C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<Ended>,
}

/// A kind of step that was not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Untried {
    pub(crate) kind: StepKind,
    pub(crate) why: Why,
    /// What the kernel said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<WriteError>,
}

/// What the kernel said to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteError {
    pub(crate) file: String,
    pub(crate) said: Said,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.said)
    }
}

impl Serialize for WriteError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<&WriteError> for Arg {
    fn from(refusal: &WriteError) -> Self {
        let says = Message::new(say::REASON_FAILED).arg("what", refusal.file.clone());
        says.arg("error", refusal.said.clone()).into()
    }
}

/// Why a kind of step was not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// No slab cache of a removed memory cgroup is visible.
    NoCaches,
    /// 3.10: pages go to the parent at rmdir.
    PagesDoNotPin,
    /// What zombies hold cannot be read.
    Unread,
    /// No live cgroup is charged more than its children.
    NothingHeld,
    /// Tasks run below all cgroups with zombies.
    Tasks,
    /// This kernel has no such file.
    NoFile,
    /// `--drop-caches` was not given.
    NotAsked,
    /// Every write failed.
    Refused,
    /// Ctrl-C came before.
    Interrupted,
    /// Time was up before.
    TimeIsUp,
}

/// Why it ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// Ctrl-C.
    Interrupted,
    /// `--for`.
    TimeIsUp,
}

impl Reclamation {
    /// Whether zombies are left.
    pub(crate) fn answer(&self) -> Answer {
        let last = self.last();
        match last.zombies {
            0 if last.none => Answer::Clean,
            0 => Answer::Unknown,
            _ => Answer::Leak,
        }
    }
}

fn counts(root: &Root, hierarchy: &Hierarchy) -> Result<ReclaimCounts, Error> {
    let count = census::count(root, hierarchy, None)?;
    let held = facts::held(root, hierarchy).ok().map(|held| held.sum);
    let kernel = held.map(|held| held.kernel.saturating_add(held.slab));
    // Pages of removed cgroups are their parents' there (`mem_cgroup_reparent_charges`).
    let pages_pin = !host::count_leaves_zombies_out(root, hierarchy);
    Ok(ReclaimCounts {
        zombies: count.zombies_min,
        at_least: count.zombies_max.is_none(),
        kernel_memory: count.held_bytes.or(kernel),
        memory: held
            .filter(|_| pages_pin)
            .map(|held| held.total().saturating_sub(kernel.unwrap_or(0))),
        none: count.none,
    })
}
