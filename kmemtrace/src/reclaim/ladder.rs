//! The steps in turn, gentle ones first, each for as long as the kernel's count falls.

use std::time::{Duration, Instant};

use super::{
    Ended, Options, Plan, ReclaimStep, Reclamation, StepKind, Untried, Why, WriteError, act::act,
    counts as counts_now,
};
use crate::{
    catalogue::Catalogue,
    error::Error,
    host::{self, Acts, Hierarchy, Root},
    interrupt::Interrupt,
};

/// A step is repeated at most so often.
const ROUNDS: usize = 10;

/// After a step, the count is looked at until it has not fallen for so long: zombies go through RCU and kworkers, and the
/// count of what is dying may come seconds late.
const QUIET: Duration = Duration::from_secs(5);

/// How long to wait between looks: at first, and at most.
const LOOK_AFTER: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// One run.
pub(crate) struct Ladder<'a> {
    pub(crate) root: &'a Root,
    pub(crate) acts: &'a dyn Acts,
    pub(crate) hierarchy: &'a Hierarchy,
    pub(crate) options: Options,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) until: Instant,
    pub(crate) report: Reclamation,
}

impl Ladder<'_> {
    /// Tries all, or says what would be tried.
    pub(crate) fn climb(mut self) -> Result<Reclamation, Error> {
        if self.report.before.none {
            return Ok(self.report);
        }
        let gentle = [StepKind::Shrink, StepKind::reclaims(self.hierarchy.version)];
        let mut rungs = gentle.map(|kind| (kind, false)).to_vec();
        if self.options.drop_caches {
            rungs.push((StepKind::DropCaches, false));
            // What was in use is unused now: dropping dentries leaves slabs that only `shrink` gives back on 3.10.
            rungs.extend(gentle.map(|kind| (kind, true)));
        }
        for (kind, again) in rungs {
            if self.report.last().none {
                break;
            }
            if let Some(ended) = self.report.ended {
                self.untried(kind, ended.into(), None);
            } else {
                self.step(kind, again)?;
            }
        }
        if !self.options.drop_caches {
            self.untried(StepKind::DropCaches, Why::NotAsked, None);
        }
        Ok(self.report)
    }

    fn step(&mut self, kind: StepKind, mut again: bool) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let plan = match Plan::of(kind, self.root, self.hierarchy, self.options.max)? {
                Ok(plan) => plan,
                Err(why) => {
                    self.untried(kind, why, None);
                    break;
                }
            };
            let mut step = plan.step(again);
            if !self.options.apply {
                self.report.steps.push(step);
                break;
            }
            let before = self.report.last();
            let began = self.quick(&plan)?;
            let Self {
                acts,
                until,
                interrupt,
                catalogue,
                ..
            } = *self;
            self.report.ended = act(acts, &plan, &mut step, until, interrupt, catalogue);
            if step.writes == 0 && self.report.ended.is_some() {
                if let Some(ended) = self.report.ended {
                    self.untried(kind, ended.into(), None);
                }
                break;
            }
            let refused = step.failed == Some(step.writes);
            if refused {
                self.untried(kind, Why::Refused, step.reason.clone());
            } else {
                let without = if host::count_leaves_zombies_out(self.root, self.hierarchy) {
                    0
                } else {
                    began.saturating_sub(before.zombies)
                };
                self.settle(&plan, without)?;
            }
            let after = counts_now(self.root, self.hierarchy)?;
            step.after = Some(after);
            self.report.steps.push(step);
            let falls = after.zombies < before.zombies;
            let once = kind == StepKind::DropCaches;
            if refused || once || !falls || after.none || self.report.ended.is_some() {
                break;
            }
            again = true;
        }
        Ok(())
    }

    /// Notes once why there was no such step.
    fn untried(&mut self, kind: StepKind, why: Why, error: Option<WriteError>) {
        let known = self.report.not_tried.iter().any(|one| one.kind == kind);
        if !known && !self.report.tried().contains(&kind) {
            self.report.not_tried.push(Untried { kind, why, error });
        }
    }

    /// Waits until the number does not fall any more, or is down to what it is without zombies.
    fn settle(&self, plan: &Plan, without: u64) -> Result<(), Error> {
        let mut last = self.quick(plan)?;
        let mut fell = self.acts.now();
        let [mut pause, most] = LOOK_AFTER;
        let quiet = |fell: Instant| self.acts.now().saturating_duration_since(fell) >= QUIET;
        while last > without && !quiet(fell) && !self.interrupt.pressed() {
            self.acts.pause(pause);
            pause = most.min(pause * 2);
            let now = self.quick(plan)?;
            if now < last {
                fell = self.acts.now();
            }
            last = now;
        }
        Ok(())
    }

    /// A number that falls with the zombies and costs little to read: the kernel's count, or on 3.10, which does not count
    /// them, how many caches of the step are there.
    fn quick(&self, plan: &Plan) -> Result<u64, Error> {
        if host::count_leaves_zombies_out(self.root, self.hierarchy) {
            let caches = plan.writes.iter().filter_map(|(file, _)| file.parent());
            return Ok(caches
                .filter(|cache| self.root.path(cache).exists())
                .count() as u64);
        }
        let counts = host::counts(self.root, self.hierarchy)
            .map_err(|error| Error::caused("cannot count memory cgroups", error))?;
        let number = counts.dying_memory.or(counts.dying).or(counts.num_cgroups);
        Ok(number.unwrap_or(0))
    }
}

impl Reclamation {
    /// What the kernel counted last.
    pub(crate) fn last(&self) -> super::ReclaimCounts {
        let after = self.steps.iter().rev().find_map(|step| step.after);
        after.unwrap_or(self.before)
    }

    /// The kinds of steps of which something was written, each once.
    pub(crate) fn tried(&self) -> Vec<StepKind> {
        let wrote = |step: &&ReclaimStep| step.failed.is_none_or(|failed| failed < step.writes);
        let mut kinds = Vec::new();
        for step in self.steps.iter().filter(wrote) {
            if !kinds.contains(&step.kind) {
                kinds.push(step.kind);
            }
        }
        kinds
    }
}

impl From<Ended> for Why {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Interrupted => Self::Interrupted,
            Ended::TimeIsUp => Self::TimeIsUp,
        }
    }
}
