//! The two clocks of a [`Stamp`].

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::event::Stamp;

/// Puts moments of `CLOCK_MONOTONIC` on the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockOffset {
    /// Wall clock minus `CLOCK_MONOTONIC`, in nanoseconds.
    offset_ns: i64,
}

impl ClockOffset {
    /// Reads both clocks now. A clock that is set, or a machine that slept, makes another offset: ask again at times.
    pub(super) fn now() -> Self {
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        Self {
            offset_ns: wall.saturating_sub(nanoseconds(clock_gettime(ClockId::Monotonic))),
        }
    }

    /// Clocks that showed these times at one moment.
    pub(super) fn at(mono_ns: u64, wall_ns: i64) -> Self {
        let mono_ns = i64::try_from(mono_ns).unwrap_or(i64::MAX);
        Self {
            offset_ns: wall_ns.saturating_sub(mono_ns),
        }
    }

    /// The moment `mono_ns` on both clocks.
    pub(super) fn stamp(self, mono_ns: u64) -> Stamp {
        let wall_ns = i64::try_from(mono_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.offset_ns);
        Stamp { mono_ns, wall_ns }
    }
}

/// `CLOCK_MONOTONIC` now, in nanoseconds: the clock of `bpf_ktime_get_ns`.
pub(super) fn mono_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic)).cast_unsigned()
}

/// The CPU time that this thread has taken.
pub(super) fn thread_cpu() -> Duration {
    let taken = nanoseconds(clock_gettime(ClockId::ThreadCPUTime));
    Duration::from_nanos(taken.cast_unsigned())
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}
