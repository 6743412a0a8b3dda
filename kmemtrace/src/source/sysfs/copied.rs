//! The time of a copy of a machine's files: when they were copied, on that machine's clocks.

use std::{fs, time::UNIX_EPOCH};

use crate::{
    host::{self, Root},
    source::clock::{self, Clock},
};

/// The clocks: this moment's, or, for a copy, those at the time of its `/proc/uptime`, as that file's own time tells.
pub(super) fn clock(root: &Root) -> Clock {
    let copied = || {
        let mono_ns = host::uptime_ns(root)?;
        let modified = fs::metadata(root.path(host::UPTIME))
            .ok()?
            .modified()
            .ok()?;
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
        host::uptime_ns(root)
    };
    copied.unwrap_or_else(clock::mono_ns)
}
