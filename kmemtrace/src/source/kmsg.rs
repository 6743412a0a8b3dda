//! Slab failures from the kernel log, where no program can see them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::clock::{self, ClockOffset};
use crate::event::{
    Event, Fact, SlabFailure,
    klog::{self, Assembler},
};

/// The kernel log from now on.
#[derive(Debug)]
pub(super) struct Kmsg {
    log: File,
    assembler: Assembler,
}

impl Kmsg {
    /// This machine's log, or why it cannot be read.
    pub(super) fn here() -> Result<Self, String> {
        Self::open(Path::new("/dev/kmsg"))
            .map_err(|error| format!("cannot read /dev/kmsg: {error}"))
    }

    /// Opens the log at its end.
    fn open(path: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let mut log = OpenOptions::new()
            .read(true)
            .custom_flags(flags.cast_signed())
            .open(path)?;
        log.seek(SeekFrom::End(0))?;
        Ok(Self {
            log,
            assembler: Assembler::default(),
        })
    }

    /// Hands over the failures that were logged since the last call, with their `CLOCK_MONOTONIC` time in nanoseconds, as
    /// soon as their messages are complete; returns how often records were overwritten before they were read.
    pub(super) fn poll(&mut self, mut each: impl FnMut(u64, SlabFailure)) -> io::Result<u64> {
        let mut overwritten = 0;
        let mut buffer = [0; 8192];
        loop {
            match self.log.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    let Some(record) = klog::record(&buffer[..length]) else {
                        continue;
                    };
                    // The log's own clock drifts from the one that the lines are waited for on.
                    let Some(time_ns) = record.time_ns else {
                        continue;
                    };
                    let now_ns = clock::mono_ns();
                    self.assembler.take(now_ns, time_ns, &record, &mut each);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) =>
                {
                    overwritten += 1;
                }
                Err(error) => return Err(error),
            }
        }
        self.assembler.expire(clock::mono_ns(), &mut each);
        Ok(overwritten)
    }

    /// Hands over what is still waiting for its last lines, at the end of a run.
    pub(super) fn finish(&mut self, mut each: impl FnMut(u64, SlabFailure)) {
        self.assembler.finish(&mut each);
    }
}

/// Appends the slab failures that the kernel log tells of; returns whether some may be missing. What cannot be read any more
/// is given up.
pub(super) fn read_kernel_log(
    kmsg: &mut Option<Kmsg>,
    clock: ClockOffset,
    events: &mut Vec<Event>,
) -> bool {
    let Some(log) = kmsg else {
        return false;
    };
    match log.poll(|mono_ns, failure| events.push(logged(clock, mono_ns, failure))) {
        Ok(overwritten) => overwritten > 0,
        Err(error) => {
            tracing::warn!(
                "cannot read /dev/kmsg any more: {error}; slab failures go unseen from now on"
            );
            finish_kernel_log(kmsg, clock, events);
            true
        }
    }
}

/// Appends what is left of it, and gives it up.
pub(super) fn finish_kernel_log(
    kmsg: &mut Option<Kmsg>,
    clock: ClockOffset,
    events: &mut Vec<Event>,
) {
    if let Some(mut kmsg) = kmsg.take() {
        kmsg.finish(|mono_ns, failure| events.push(logged(clock, mono_ns, failure)));
    }
}

/// A slab failure from the kernel log, whose clock drifts from `CLOCK_MONOTONIC`; but nothing has happened in the future.
fn logged(clock: ClockOffset, mono_ns: u64, failure: SlabFailure) -> Event {
    Event {
        time: clock.stamp(mono_ns.min(clock::mono_ns())),
        fact: Fact::SlabFailure(failure),
    }
}
