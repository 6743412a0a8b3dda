//! Slab failures from the kernel log, where no program can see them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::event::{SlabFailure, klog};

/// The kernel log from now on.
#[derive(Debug)]
pub(super) struct Kmsg {
    log: File,
    /// A message whose `cache:` line has not come yet, and its time.
    pending: Option<(u64, SlabFailure)>,
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
        Ok(Self { log, pending: None })
    }

    /// Hands over the failures that were logged since the last call, with their `CLOCK_MONOTONIC` time in nanoseconds;
    /// returns how often records were overwritten before they were read.
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
                    self.take(record, &mut each);
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
        // The message's lines are written one after the other: what has not come by now comes no more.
        if let Some((time, failure)) = self.pending.take() {
            each(time, failure);
        }
        Ok(overwritten)
    }

    fn take(&mut self, record: klog::Record<'_>, each: &mut impl FnMut(u64, SlabFailure)) {
        if let Some((time, failure)) = self.pending.take() {
            let Some((cache, object_size)) = klog::cache(record.text) else {
                each(time, failure);
                return self.begin(record);
            };
            return each(
                time,
                SlabFailure {
                    cache: Some(cache),
                    object_size,
                    ..failure
                },
            );
        }
        self.begin(record);
    }

    fn begin(&mut self, record: klog::Record<'_>) {
        self.pending = klog::slab_failure(record.text).map(|failure| (record.time_ns, failure));
    }
}
