//! Slab failures from the kernel log, where no program can see them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::clock;
use crate::event::{
    SlabFailure,
    klog::{self, Assembler},
};

/// The kernel log from now on.
#[derive(Debug)]
pub(super) struct Kmsg {
    log: File,
    assembler: Assembler,
}

impl Kmsg {
    /// Opens the log at its end.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
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
                    self.assembler.take(clock::mono_ns(), &record, &mut each);
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
