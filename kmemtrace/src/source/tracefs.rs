//! The tracefs source: the kernel's own tracing instead of eBPF, in an instance of its own that leaves everybody else's
//! tracing alone.
//!
//! Cgroups' lives come from the tracepoints `cgroup_mkdir`, `cgroup_rmdir`, `cgroup_release` and `cgroup_rename` (4.11 and
//! later), or, on kernels without, from probes on functions through `kprobe_events` (3.10). It serves kernels without
//! eBPF, and those whose eBPF has no ring buffer (before 5.8). What it does not see, a walk every minute finds.
//!
//! Where probes' events do not come into an instance (up to 3.10), the buffer that the whole machine shares is read
//! instead, if nobody else uses it.

mod buffer;
mod directories;
mod files;
mod leftovers;
mod line;
mod pipe;
mod probes;
mod slabs;
mod start;
mod tasks;
mod times;
mod trace;
mod tracepoints;

use std::time::Duration;

use tokio::time::Interval;

use self::trace::TraceReader;
pub use self::{leftovers::Leftover, start::hooks_without_source};
use super::{
    outcome::HookOutcome,
    upkeep::{TICK, Upkeep},
};
use crate::{
    error::Error,
    event::{Event, Stamp, Wanted, header::HookReport},
    host::HostFacts,
    plan::{HookId, Options, SHARED_LOST},
};

/// What the source is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The trace buffer's size for each CPU, in KiB.
    pub buffer_kib: u32,
    /// How often the kernel's counts are told; every second at least.
    pub interval: Duration,
    /// How often the directories are walked though nothing was lost.
    pub walk_every: Duration,
    /// Use the buffer that all share even where an instance would do: to try that out.
    pub shared: bool,
    /// Use the clock and the marks of kernels before 3.17 even where the trace can be on `CLOCK_MONOTONIC`: to try that out.
    pub marks: bool,
    /// Which ways may be used.
    pub options: Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buffer_kib: 4096,
            interval: TICK,
            walk_every: Duration::from_mins(1),
            shared: false,
            marks: false,
            options: Options::default(),
        }
    }
}

/// Removes from tracefs what killed runs left there; returns what that was. Nothing where tracefs is not mounted or cannot
/// be looked into.
pub fn clean(facts: &HostFacts) -> Vec<Leftover> {
    facts
        .tracefs
        .as_deref()
        .map_or_else(Vec::new, leftovers::clean)
}

/// A buffer of the kernel's tracing and what it reports. When it drops, nothing of it is left in the kernel.
#[derive(Debug)]
pub struct Source {
    outcomes: Vec<HookOutcome>,
    trace: TraceReader,
    upkeep: Upkeep,
    timer: Interval,
}

impl Source {
    /// How each hook is seen.
    pub fn hooks(&self) -> Vec<HookReport> {
        let version = self.upkeep.hierarchy().version;
        self.outcomes
            .iter()
            .map(|outcome| {
                let mut report = outcome.report(version);
                if self.trace.is_shared() && outcome.hook.id == HookId::LIFECYCLE {
                    let lost = report.lost.into_iter();
                    let lost: Vec<_> = lost.chain([SHARED_LOST.to_owned()]).collect();
                    report.lost = Some(lost.join("; "));
                }
                report
            })
            .collect()
    }

    /// This moment, on the clock that the events' times are on.
    pub fn now(&self) -> Stamp {
        self.upkeep.now()
    }

    /// What is wanted from now on, beside what is told anyway.
    pub fn want(&mut self, wanted: Wanted) {
        self.upkeep.want(wanted);
    }

    /// Waits for the next events and appends them. Cancel-safe: what was not appended is not lost.
    ///
    /// # Errors
    ///
    /// The trace or, the first time, the directories cannot be read.
    pub async fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.upkeep.is_new() {
            return self.upkeep.walk(&mut self.trace, events);
        }
        self.timer.tick().await;
        if self.upkeep.turn(&mut self.trace, events)? {
            self.timer.reset_immediately();
        }
        Ok(())
    }

    /// Whatever is left in the trace, at the end of a run.
    ///
    /// # Errors
    ///
    /// The trace cannot be read.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        self.trace.hurry();
        self.upkeep.finish(&mut self.trace, events)
    }
}
