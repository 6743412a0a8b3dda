//! One ring buffer.

#![expect(
    unsafe_code,
    reason = "tokio's registration of a file descriptor is unsafe"
)]

use std::io;

use aya::maps::{MapData, RingBuf};
use bytes::{Bytes, BytesMut};
use tokio::io::{Interest, unix::AsyncFd};

/// How many bytes of records share one allocation.
const CHUNK: usize = 64 << 10;

/// The ring buffer as something to wait for and to read from.
pub(super) struct Ring {
    fd: AsyncFd<RingBuf<MapData>>,
    /// Records are copied out of the ring into this, so that the kernel gets its room back at once.
    chunk: BytesMut,
}

impl Ring {
    /// Within a tokio runtime.
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its map's file descriptor, gives the same one always, and lives as long as the AsyncFd.
        let fd = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self {
            fd: fd?,
            chunk: BytesMut::with_capacity(CHUNK),
        })
    }

    /// Waits until there may be records.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        let mut guard = self.fd.readable_mut().await?;
        // Whoever waits reads until nothing is left, so what comes later makes it readable again.
        guard.clear_ready();
        Ok(())
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let item = self.fd.get_mut().next()?;
        if self.chunk.capacity() < item.len() {
            self.chunk = BytesMut::with_capacity(CHUNK.max(item.len()));
        }
        self.chunk.extend_from_slice(&item);
        Some(self.chunk.split().freeze())
    }
}
