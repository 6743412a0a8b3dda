//! The writes of a plan, one after the other.

use std::{io, time::Instant};

use rustix::io::Errno;

use super::{Ended, Plan, ReclaimStep, StepKind, WriteError};
use crate::{
    catalogue::{Catalogue, say},
    error::Said,
    host::Acts,
    interrupt::Interrupt,
    text::progress::bar,
};

/// Writes, and notes in the step what came of it; why it ended early, if it did.
pub(crate) fn act(
    acts: &dyn Acts,
    plan: &Plan,
    step: &mut ReclaimStep,
    until: Instant,
    interrupt: &Interrupt,
    catalogue: &Catalogue,
) -> Option<Ended> {
    let progress = bar(
        plan.writes.len() as u64,
        catalogue.word(match plan.kind {
            StepKind::Shrink => say::RECLAIM_SHRINKING,
            StepKind::Reclaim | StepKind::ForceEmpty => say::RECLAIM_RECLAIMING,
            StepKind::DropCaches => say::RECLAIM_DROPPING,
        }),
    );
    let mut ended = None;
    step.writes = 0;
    for (file, text) in &plan.writes {
        if interrupt.pressed() || acts.now() >= until {
            ended = Some(if interrupt.pressed() {
                Ended::Interrupted
            } else {
                Ended::TimeIsUp
            });
            break;
        }
        if plan.kind == StepKind::DropCaches {
            // Dirty pages cannot be dropped.
            acts.sync();
        }
        match acts.write(file, text) {
            Ok(()) => {}
            // A cache or a cgroup that has gone is what was wanted; memory.reclaim says EAGAIN if it got less than asked.
            Err(error) if error.kind() == io::ErrorKind::NotFound || is(&error, Errno::NODEV) => {}
            Err(error) if plan.kind == StepKind::Reclaim && is(&error, Errno::AGAIN) => {}
            Err(error) => {
                step.failed = Some(step.failed.unwrap_or(0) + 1);
                step.reason.get_or_insert_with(|| WriteError {
                    file: file.display().to_string(),
                    said: Said::from(&error),
                });
            }
        }
        step.writes += 1;
        progress.inc(1);
    }
    progress.finish_and_clear();
    ended
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
