//! `kmemtrace reclaim`: frees what zombies hold, as far as that goes without a reboot; gently first.

mod act;
mod plan;
mod shrink;
mod text;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    Color, Format, Outcome, Verdict,
    catalogue::{Catalogue, Lang},
    duration,
    interrupt::Interrupt,
    report,
    scan::{counted, with_caches},
};
use crate::{
    diagnose::facts,
    error::Error,
    host::{self, Hierarchy, Root},
};
use plan::{Kind, Plan};

/// Arguments of `kmemtrace reclaim`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Steps, in this order: 1 is written to the `shrink` file of each slab cache whose memory cgroup is gone (kernels up to 5.2); \
the page cache that zombies hold is reclaimed through the nearest live cgroup above them, by memory.reclaim, or by \
memory.force_empty where no task is below it; with --drop-caches, the whole machine's caches are dropped. Live cgroups' slab \
caches are never written to.

Exit status: 0 no zombie is left; 1 some are; 2 could not tell or an error.")]
pub(super) struct Args {
    /// Do it; without this it says what it would do
    #[arg(long)]
    apply: bool,
    /// At the end drop the page cache, dentries and inodes of the whole machine as well
    #[arg(long)]
    drop_caches: bool,
    /// Write to the caches of so many zombies, and to so many cgroups, at most
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max: usize,
    /// Stop after this time
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
    /// Why it ended before all was done: time was up, or Ctrl-C.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
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
    let report = reclaim(&Root::live(), args, &interrupt, &catalogue)?;
    report::print_as(&report, args.format, color, |out, palette| {
        text::write(out, &report, palette, &catalogue)
    })?;
    Ok(report.verdict())
}

fn reclaim(
    root: &Root,
    args: &Args,
    interrupt: &Interrupt,
    catalogue: &Catalogue,
) -> Result<Report, Error> {
    let hierarchy = host::facts(root).memory.map_err(|none| {
        Error::new(format!("cannot count memory cgroups: {none}")).help(none.help())
    })?;
    let until = Instant::now() + args.time;
    let mut report = Report {
        applied: args.apply,
        before: counts(root, &hierarchy)?,
        steps: Vec::new(),
        ended: None,
    };
    let plans = [
        shrink_plan(root, &hierarchy, args.max)?,
        plan::reclaim(root, &hierarchy, args.max),
        args.drop_caches.then(Plan::drop_caches),
    ];
    for plan in plans.into_iter().flatten() {
        let mut step = plan.step();
        if args.apply && report.ended.is_none() {
            report.ended = act::act(root, &plan, &mut step, until, interrupt, catalogue);
            step.after = Some(settled(root, &hierarchy, interrupt)?);
        }
        report.steps.push(step);
    }
    Ok(report)
}

impl Report {
    /// What the kernel counted last.
    fn last(&self) -> Counts {
        let after = self.steps.iter().rev().find_map(|step| step.after);
        after.unwrap_or(self.before)
    }

    fn verdict(&self) -> Verdict {
        let last = self.last();
        match last.zombies {
            0 if last.none => Verdict::Clean,
            0 => Verdict::Unknown,
            _ => Verdict::Leak,
        }
    }
}

/// Slab caches whose memory cgroup is gone. Where the kernel counts fewer zombies than have caches, these are their
/// parents' (5.3 and later).
fn shrink_plan(root: &Root, hierarchy: &Hierarchy, max: usize) -> Result<Option<Plan>, Error> {
    let count = counted(root, hierarchy, None)?;
    if count.with_caches == 0 {
        return Ok(None);
    }
    Ok(plan::shrink(&with_caches(root, hierarchy)?, max))
}

fn counts(root: &Root, hierarchy: &Hierarchy) -> Result<Counts, Error> {
    let count = counted(root, hierarchy, None)?;
    let held = facts::held(root, hierarchy).ok();
    Ok(Counts {
        zombies: count.zombies_min,
        at_least: count.zombies_max.is_none(),
        kernel_memory: count.held_bytes,
        memory: held.map(|held| held.sum.total()),
        none: count.none,
    })
}

/// The counts once they do not fall any more: zombies go through RCU and kworkers.
fn settled(root: &Root, hierarchy: &Hierarchy, interrupt: &Interrupt) -> Result<Counts, Error> {
    let mut last = counts(root, hierarchy)?;
    let mut same = 0;
    while same < 5 && last.zombies > 0 && !interrupt.pressed() {
        std::thread::sleep(Duration::from_millis(200));
        let now = counts(root, hierarchy)?;
        same = if now.zombies < last.zombies {
            0
        } else {
            same + 1
        };
        last = now;
    }
    Ok(last)
}

#[cfg(test)]
mod tests;
