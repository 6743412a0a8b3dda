//! `kmemtrace reclaim`: frees what zombies hold, as far as that goes without a reboot; gently first.

mod act;
mod ladder;
mod plan;
mod text;

use std::time::Duration;

use serde::Serialize;

use super::{
    Color, Format, Outcome, Verdict, duration,
    interrupt::Interrupt,
    output,
    scan::{counted, with_caches},
};
use crate::{
    catalogue::{Catalogue, Lang},
    diagnose::facts,
    error::Error,
    host::{self, Acts, Hierarchy, Live, Root},
};
use ladder::Ladder;
use plan::{Kind, Plan};

/// Arguments of `kmemtrace reclaim`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Steps, in this order; each is repeated as long as the kernel's count of zombies falls:
  shrink       write 1 to the `shrink` file of each slab cache of a removed memory cgroup (kernels up to 5.2)
  force_empty  v1: reclaim memory below each cgroup that is charged more than its children, if no task runs below it
  reclaim      v2: the same by memory.reclaim, below each cgroup with zombies
  drop_caches  with --drop-caches: drop the caches of the whole machine; then the steps above once more
Slab caches of live cgroups are never written to. A dry run names the steps that --apply would try.

Exit status: 0 no zombie is left; 1 some are; 2 could not tell or an error.")]
pub(super) struct Args {
    /// Write; without this, only say what would be written
    #[arg(long)]
    apply: bool,
    /// Also drop the page cache, dentries and inodes of the whole machine
    #[arg(long)]
    drop_caches: bool,
    /// In each step, write to the caches of at most N zombies, and to at most N cgroups
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max: usize,
    /// Stop after TIME
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = duration)]
    time: Duration,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// The language of text
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: Lang,
}

/// What the kernel counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Counts {
    /// Zombies.
    zombies: u64,
    /// There may be more: this kernel does not count them all.
    at_least: bool,
    /// Kernel memory that they hold, in bytes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_memory: Option<u64>,
    /// Other memory that they hold, in bytes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
    #[serde(skip)]
    none: bool,
}

/// One step and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Step {
    kind: Kind,
    /// It was there before: it is repeated as long as the count falls, and once caches have been dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    /// Files that it writes to.
    writes: u64,
    /// Zombies whose caches those are, or cgroups below which memory is held.
    targets: u64,
    /// So much can be freed at most, in bytes, where that can be told beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Left out, since --max was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
    /// Writes that failed, and the first one's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the kernel counted after it; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Counts>,
}

/// What was done; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Report {
    /// Whether anything was written.
    applied: bool,
    /// What the kernel counted before.
    before: Counts,
    steps: Vec<Step>,
    /// What was not tried, or of a dry run would not be, and why.
    not_tried: Vec<Untried>,
    /// Why it ended before all was done: time was up, or Ctrl-C.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
}

/// A kind of step that was not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Untried {
    kind: Kind,
    why: Why,
    /// What the kernel said.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Why a kind of step was not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Why {
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
enum Ended {
    /// Ctrl-C.
    Interrupted,
    /// `--for`.
    TimeIsUp,
}

/// Plans, and acts if told to: 0 no zombie is left, 1 some are.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let catalogue = Catalogue::shown(args.lang);
    let interrupt = Interrupt::watched()?;
    let report = reclaim(&Root::live(), &Live, args, &interrupt, &catalogue)?;
    output::print_as(&report, args.format, color, |out, palette| {
        text::write(out, &report, palette, &catalogue)
    })?;
    Ok(report.verdict())
}

fn reclaim(
    root: &Root,
    acts: &dyn Acts,
    args: &Args,
    interrupt: &Interrupt,
    catalogue: &Catalogue,
) -> Result<Report, Error> {
    let hierarchy = host::facts(root).memory.map_err(|none| {
        Error::new(format!("cannot count memory cgroups: {none}")).help(none.help())
    })?;
    let ladder = Ladder {
        root,
        acts,
        args,
        interrupt,
        catalogue,
        until: acts.now() + args.time,
        report: Report {
            applied: args.apply,
            before: counts(root, &hierarchy)?,
            steps: Vec::new(),
            not_tried: Vec::new(),
            ended: None,
        },
        hierarchy: &hierarchy,
    };
    ladder.climb()
}

impl Report {
    fn verdict(&self) -> Verdict {
        let last = self.last();
        match last.zombies {
            0 if last.none => Verdict::Clean,
            0 => Verdict::Unknown,
            _ => Verdict::Leak,
        }
    }
}

fn counts(root: &Root, hierarchy: &Hierarchy) -> Result<Counts, Error> {
    let count = counted(root, hierarchy, None)?;
    let held = facts::held(root, hierarchy).ok().map(|held| held.sum);
    let kernel = held.map(|held| held.kernel.saturating_add(held.slab));
    // Pages of removed cgroups are their parents' there (`mem_cgroup_reparent_charges`).
    let pages_pin = !host::count_leaves_zombies_out(root);
    Ok(Counts {
        zombies: count.zombies_min,
        at_least: count.zombies_max.is_none(),
        kernel_memory: count.held_bytes.or(kernel),
        memory: held
            .filter(|_| pages_pin)
            .map(|held| held.total().saturating_sub(kernel.unwrap_or(0))),
        none: count.none,
    })
}

#[cfg(test)]
mod tests;
