//! The time of a copy of a machine's files: when they were copied, on that machine's clocks.

use std::{
    fs::{self, File},
    io::BufReader,
    time::UNIX_EPOCH,
};

use crate::{
    event::{SlabFailure, klog::LogReader},
    host::{self, Root},
    source::clock::{self, ClockOffset},
};

/// The clocks: this moment's, or, for a copy, those at the time of its `/proc/uptime`, as that file's own time tells.
pub(super) fn clock(root: &Root) -> ClockOffset {
    let copied = || {
        let mono_ns = host::uptime_ns(root)?;
        let modified = fs::metadata(root.path(host::UPTIME))
            .ok()?
            .modified()
            .ok()?;
        let wall = modified.duration_since(UNIX_EPOCH).ok()?;
        let wall_ns = i64::try_from(wall.as_nanos()).ok()?;
        Some(ClockOffset::at(mono_ns, wall_ns))
    };
    let clock = if root.is_live() { None } else { copied() };
    clock.unwrap_or_else(ClockOffset::now)
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

/// The slab failures in a copy's kernel log that are newer than `after_ns`, the time of the copy before, with their times on
/// the log's clock; or why there is no log. A line that is no record is passed over.
pub(super) fn slab_failures(
    root: &Root,
    after_ns: Option<u64>,
) -> Result<Vec<(u64, SlabFailure)>, String> {
    let path = root.path(host::KMSG);
    let file =
        File::open(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut log = LogReader::new(BufReader::new(file), &path);
    let mut failures = Vec::new();
    for failure in &mut log {
        match failure {
            Ok((mono_ns, failure)) if after_ns.is_none_or(|after| mono_ns > after) => {
                failures.push((mono_ns, failure));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!("{error}"),
        }
    }
    let skipped = log.tally().skipped;
    if skipped > 0 {
        tracing::warn!(
            "{}: {skipped} lines are no records of a kernel log",
            path.display()
        );
    }
    Ok(failures)
}
