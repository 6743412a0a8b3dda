//! What the kernel could not tell: records that found no room in the ring, and programs that it skipped.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, RawFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData, PerCpuArray},
};
use kmemtrace_common::wire::kind;

use crate::{error::Error, source::outcome::HookOutcome};

/// The counters of losses, and what they were when last read.
pub(super) struct Losses {
    drops: PerCpuArray<MapData, u64>,
    programs: Vec<RawFd>,
    last: LossCount,
}

/// How much was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LossCount {
    /// Records that found no room.
    pub(super) dropped: u64,
    /// Runs of a program that the kernel skipped because it was running already on that CPU.
    pub(super) skipped: u64,
}

impl Losses {
    pub(super) fn new(drops: Map, ebpf: &Ebpf, outcomes: &[HookOutcome]) -> Result<Self, Error> {
        let drops = PerCpuArray::try_from(drops)
            .map_err(|error| Error::caused("cannot read the map DROPS", error))?;
        let rows = outcomes
            .iter()
            .filter_map(|outcome| outcome.way)
            .flat_map(|way| way.programs);
        let programs = rows
            .filter_map(|row| Some(ebpf.program(row.name)?.fd().ok()?.as_fd().as_raw_fd()))
            .collect();
        Ok(Self {
            drops,
            programs,
            last: LossCount::default(),
        })
    }

    /// What was lost since the last call.
    pub(super) fn since_last(&mut self) -> Result<LossCount, Error> {
        let mut dropped = 0;
        for kind in 0..kind::COUNT {
            let counts = self
                .drops
                .get(&kind, 0)
                .map_err(|error| Error::caused("cannot read the map DROPS", error))?;
            dropped += counts.iter().sum::<u64>();
        }
        let skipped = self
            .programs
            .iter()
            .filter_map(|fd| skipped(*fd).ok())
            .sum();
        let now = LossCount { dropped, skipped };
        let found = LossCount {
            dropped: now.dropped.saturating_sub(self.last.dropped),
            skipped: now.skipped.saturating_sub(self.last.skipped),
        };
        self.last = now;
        Ok(found)
    }
}

/// `recursion_misses` of a program, from its `fdinfo` (5.12 and later).
fn skipped(program: RawFd) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{program}"))?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"));
    Ok(count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0))
}
