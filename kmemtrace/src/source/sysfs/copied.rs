//! The time of a copy of a machine's files: when they were copied, on that machine's clocks.

use std::{fs, time::UNIX_EPOCH};

use crate::{
    host::Root,
    source::clock::{self, Clock},
};

const UPTIME: &str = "/proc/uptime";

/// The clocks: this moment's, or, for a copy, those at the time of its `/proc/uptime`, as that file's own time tells.
pub(super) fn clock(root: &Root) -> Clock {
    let copied = || {
        let mono_ns = uptime_ns(root)?;
        let modified = fs::metadata(root.path(UPTIME)).ok()?.modified().ok()?;
        let wall = modified.duration_since(UNIX_EPOCH).ok()?;
        let wall_ns = i64::try_from(wall.as_nanos()).ok()?;
        Some(Clock::at(mono_ns, wall_ns))
    };
    let clock = if root.is_live() { None } else { copied() };
    clock.unwrap_or_else(Clock::now)
}

/// `CLOCK_MONOTONIC` now, or at the time at which the copy was made, in nanoseconds.
pub(super) fn mono_ns(root: &Root) -> u64 {
    let copied = if root.is_live() {
        None
    } else {
        uptime_ns(root)
    };
    copied.unwrap_or_else(clock::mono_ns)
}

/// `SECONDS.HUNDREDTHS IDLE`: on the clock that goes on while the machine sleeps, which servers do not do.
fn uptime_ns(root: &Root) -> Option<u64> {
    let text = fs::read_to_string(root.path(UPTIME)).ok()?;
    let (seconds, hundredths) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok().filter(|part| *part < 100)?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(hundredths * 10_000_000)
}
