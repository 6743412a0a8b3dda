//! The reading end of the records: of one ring buffer, or of a perf buffer for each processor.

mod perf;
mod ring;

use std::io;

use aya::{
    Ebpf,
    maps::{PerfEventArray, RingBuf},
};
use bytes::Bytes;

use self::{perf::PerfBuffers, ring::Ring};
use crate::{error::Error, plan::WayKind};

/// Where the records come from.
pub(super) struct Carrier(Buffers);

enum Buffers {
    Ring(Ring),
    Perf(PerfBuffers),
}

impl Carrier {
    /// Takes the map of records out of the object, which was loaded for this way; within a tokio runtime. `bytes` is the room
    /// that there is in all.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory, or a processor's buffer cannot be opened.
    pub(super) fn open(ebpf: &mut Ebpf, way: WayKind, bytes: u32) -> Result<Self, Error> {
        let map = ebpf
            .take_map("EVENTS")
            .ok_or_else(|| Error::new("the eBPF object has no map EVENTS"))?;
        if way == WayKind::PerfBuffer {
            let map = PerfEventArray::try_from(map)
                .map_err(|error| Error::caused("cannot use the perf buffers", error))?;
            return Ok(Self(Buffers::Perf(PerfBuffers::open(map, bytes)?)));
        }
        let ring = RingBuf::try_from(map)
            .map_err(|error| Error::caused("cannot map the ring buffer", error))?;
        let ring = Ring::new(ring)
            .map_err(|error| Error::caused("cannot wait for the ring buffer", error))?;
        Ok(Self(Buffers::Ring(ring)))
    }

    /// Waits until there may be records; those of perf buffers are not waited for, but looked for from time to time.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Buffers::Ring(ring) => ring.readable().await,
            Buffers::Perf(_) => std::future::pending().await,
        }
    }

    /// Takes over what there is now, if that is how the next records come.
    pub(super) fn collect(&mut self) {
        if let Buffers::Perf(buffers) = &mut self.0 {
            buffers.collect();
        }
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Buffers::Ring(ring) => ring.next(),
            Buffers::Perf(buffers) => buffers.next(),
        }
    }

    /// Whether all that was taken over has been given out.
    pub(super) fn is_whole(&self) -> bool {
        match &self.0 {
            Buffers::Ring(_) => true,
            Buffers::Perf(buffers) => buffers.is_whole(),
        }
    }
}
