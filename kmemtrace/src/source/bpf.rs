//! The eBPF source: hooks in the kernel, a buffer of records, and after every loss a new look at the kernel's own state.
//!
//! The hooks attach before the first walk, so that nothing falls between them. What a run emits besides the hooks' reports,
//! `source::upkeep` says.

mod attach;
mod called;
mod carrier;
mod demand;
mod files;
mod layout;
mod losses;
mod objcgs;
mod refusal;
mod start;
mod walk;
mod walker;

use std::time::Duration;

use aya::Ebpf;
use bytes::Bytes;
pub use files::{Device, FileName, HeldFile, Holdings};
pub use objcgs::{LeftBelow, LeftOver};
pub use start::hooks_without_source;
use tokio::time::Interval;
pub use walk::{KernelWalk, Lru, Memcg, Stats, Tree};
pub use walker::KernelWalker;

use self::{carrier::Carrier, losses::Losses, walk::Walker};
use super::{
    account::Account,
    clock,
    outcome::HookOutcome,
    records::{BATCH, KernelZombies, Records},
    upkeep::{TICK, Upkeep},
};
use crate::{
    error::Error,
    event::{
        Cgroup, Event, GapReason, Scope, Stamp, Wanted,
        header::HookReport,
        wire::{self, Context, Decoded},
    },
    plan::Options,
};

/// What the source is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ring buffer's size in bytes; rounded up to what the kernel takes.
    pub ring_bytes: u32,
    /// How often the kernel's counts are told; every second at least.
    pub interval: Duration,
    /// Which ways may be used.
    pub options: Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ring_bytes: 8 << 20,
            interval: TICK,
            options: Options::default(),
        }
    }
}

/// Attached programs and what they report.
pub struct Source {
    outcomes: Vec<HookOutcome>,
    programs: Programs,
    upkeep: Upkeep,
    timer: Interval,
}

/// The programs' records and their losses.
struct Programs {
    // They stay attached as long as this lives; when the process dies, however it dies, the kernel detaches them.
    ebpf: Ebpf,
    /// Of the program that walks the kernel's memcgs, if it can be run.
    walker: Option<Walker>,
    /// The end of memcgs that go alone is seen (v2).
    memcgs_alone: bool,
    carrier: Carrier,
    losses: Losses,
    context: Context,
}

impl Source {
    /// How each hook is seen.
    pub fn hooks(&self) -> Vec<HookReport> {
        let version = self.upkeep.hierarchy().version;
        self.outcomes
            .iter()
            .map(|outcome| outcome.report(version))
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
    /// The ring, the counters of losses or, the first time, the directories cannot be read.
    pub async fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.upkeep.is_new() {
            return self.upkeep.walk(&mut self.programs, events);
        }
        tokio::select! {
            ready = self.programs.carrier.readable() => {
                ready.map_err(|error| Error::caused("cannot wait for the records", error))?;
            }
            _ = self.timer.tick() => {}
        }
        if self.upkeep.turn(&mut self.programs, events)? {
            // The ring does not call again for what was in it already.
            self.timer.reset_immediately();
        }
        Ok(())
    }

    /// Whatever is left in the ring, at the end of a run.
    ///
    /// # Errors
    ///
    /// The counters of losses cannot be read.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        self.upkeep.finish(&mut self.programs, events)
    }
}

impl Programs {
    fn push(&self, record: &Bytes, account: &mut Account, events: &mut Vec<Event>) {
        match wire::decode(record, &self.context) {
            Decoded::Fact(mono_ns, fact) => account.sensible(mono_ns, fact, events),
            Decoded::Nothing => {}
            Decoded::Unknown => account.not_understood(1),
        }
    }
}

/// A dead memcg as the tracker knows memcgs.
fn zombie(walk: &KernelWalk, memcg: &Memcg, dead_children: u64) -> Cgroup {
    Cgroup {
        holds: Some(Box::new(memcg.holds(dead_children))),
        id: memcg.cgroup_id,
        parent_id: memcg.parent_id,
        serial: Some(memcg.serial),
        memcg_id: memcg.memcg_id,
        path: Some(walk.tree.path(memcg)),
        memory: Some(true),
        usage_bytes: memcg.memory_bytes,
        scope: if memcg.directory == Some(true) {
            Scope::Memcg
        } else {
            Scope::Cgroup
        },
        ..Cgroup::default()
    }
}

impl Records for Programs {
    fn zombies(&mut self) -> Result<Option<KernelZombies>, Error> {
        let Some(walker) = &mut self.walker else {
            return Ok(None);
        };
        let walk = walker.walk(&self.ebpf)?;
        tracing::debug!(
            "walked {} memory cgroups, {} of them dead, in {} runs and {:?}",
            walk.tree.iter().count(),
            walk.tree.dead().count(),
            walk.runs,
            walk.took
        );
        let children = walk.tree.dead_children();
        // Where nothing would tell the end of one that went alone, it is not claimed.
        let dead = walk.tree.dead().filter(|memcg| {
            memcg.cgroup_id.is_some() && (self.memcgs_alone || memcg.directory != Some(true))
        });
        // One without an id is there and has no name.
        let has_ids = walk.tree.dead().all(|memcg| memcg.cgroup_id.is_some());
        Ok(Some(KernelZombies {
            found: dead
                .map(|memcg| {
                    let children = children.get(&memcg.serial).copied().unwrap_or(0);
                    (memcg.mono_ns, zombie(&walk, memcg, children))
                })
                .collect(),
            complete: walk.complete && has_ids,
            not_understood: walk.not_understood,
        }))
    }

    fn drain(&mut self, account: &mut Account, events: &mut Vec<Event>) -> usize {
        let mut taken = 0;
        self.carrier.collect();
        while taken < BATCH
            && let Some(record) = self.carrier.next()
        {
            taken += 1;
            self.push(&record, account, events);
        }
        taken
    }

    fn is_whole(&self) -> bool {
        self.carrier.is_whole()
    }

    fn look_for_losses(
        &mut self,
        account: &mut Account,
        events: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let now = clock::mono_ns();
        let found = self.losses.since_last()?;
        if found.dropped > 0 {
            account.gap(GapReason::RingFull, Some(found.dropped), events);
        }
        if found.skipped > 0 {
            account.gap(GapReason::Recursion, Some(found.skipped), events);
        }
        account.whole(now);
        Ok(())
    }
}
