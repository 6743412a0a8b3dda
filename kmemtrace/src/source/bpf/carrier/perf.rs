//! A perf buffer for each processor, put in order.

use std::{cmp::Reverse, collections::BinaryHeap};

use aya::{
    maps::{
        MapData, PerfEventArray,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    util::online_cpus,
};
use bytes::{Bytes, BytesMut};

use crate::{error::Error, event::wire, source::clock};

/// The buffers of all processors that were there when they were opened. Of one that comes later, records are lost, and counted
/// as such.
pub(super) struct PerfBuffers {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    taken: Ordered,
}

impl PerfBuffers {
    /// Opens a buffer on each processor; `bytes` is the room in all of them.
    pub(super) fn open(mut map: PerfEventArray<MapData>, bytes: u32) -> Result<Self, Error> {
        let cpus = online_cpus()
            .map_err(|(what, error)| Error::caused(format!("cannot read {what}"), error))?;
        let pages = pages_each(bytes, cpus.len(), rustix::param::page_size());
        let mut buffers = Vec::with_capacity(cpus.len());
        for cpu in cpus {
            let buffer = map.open(cpu, Some(pages)).map_err(|error| {
                Error::caused(format!("cannot open the perf buffer of CPU {cpu}"), error)
            })?;
            buffers.push(buffer);
        }
        Ok(Self {
            buffers,
            taken: Ordered::default(),
        })
    }

    /// Takes over what is in the buffers now.
    pub(super) fn collect(&mut self) {
        // Of records that are older than this, none comes later: what made a record on one processor happen after one on
        // another happened when that was in its buffer.
        self.taken.until_ns = clock::mono_ns();
        for buffer in &mut self.buffers {
            buffer.for_each(|event| {
                // Records for which there was no room are counted by the programs, by kind.
                if let PerfEvent::Sample { head, tail } = event {
                    let mut record = BytesMut::with_capacity(head.len() + tail.len());
                    record.extend_from_slice(head);
                    record.extend_from_slice(tail);
                    self.taken.add(record.freeze());
                }
            });
        }
    }

    /// The next record in the order of time.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.taken.next()
    }

    /// Whether all that was taken over has been given out.
    pub(super) fn is_whole(&self) -> bool {
        self.taken.waiting.is_empty()
    }
}

/// A record that is so much younger than the moment at which it was collected has no time: nothing is to wait for it.
const AHEAD_NS: u64 = 2_000_000_000;

/// How many pages each processor's buffer has: a power of two, at least four, in all `bytes` or a little more.
fn pages_each(bytes: u32, cpus: usize, page: usize) -> usize {
    let each = usize::try_from(bytes).unwrap_or(0) / cpus.max(1);
    each.div_ceil(page).max(4).next_power_of_two()
}

/// Records by time; those of one moment in the order in which they came.
#[derive(Default)]
struct Ordered {
    waiting: BinaryHeap<Reverse<(u64, u64, Bytes)>>,
    /// How many there were so far.
    added: u64,
    /// None that is older will be added.
    until_ns: u64,
}

impl Ordered {
    fn add(&mut self, record: Bytes) {
        // One that is too short for a time, or from the future, is given out at once, to be counted as not understood.
        let latest = self.until_ns.saturating_add(AHEAD_NS);
        let time = wire::time(&record).filter(|time| *time <= latest);
        let time = time.unwrap_or(0);
        self.added += 1;
        self.waiting.push(Reverse((time, self.added, record)));
    }

    fn next(&mut self) -> Option<Bytes> {
        let Reverse((time, ..)) = self.waiting.peek()?;
        if *time > self.until_ns {
            return None;
        }
        self.waiting.pop().map(|Reverse((.., record))| record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record of this time; what comes after the time does not matter here.
    fn record(time: u64, mark: u8) -> Bytes {
        let mut bytes = vec![0; kmemtrace_common::wire::HEAD_BYTES];
        bytes[..8].copy_from_slice(&time.to_ne_bytes());
        bytes[8] = mark;
        bytes.into()
    }

    #[test]
    fn the_room_is_shared_out_in_powers_of_two() {
        for (bytes, cpus, page, expected) in [
            (8 << 20, 2, 4096, 1024),
            (8 << 20, 3, 4096, 1024),
            (8 << 20, 64, 4096, 32),
            (8 << 20, 4096, 4096, 4),
            (8 << 20, 2, 65536, 64),
            (0, 0, 4096, 4),
        ] {
            assert_eq!(
                pages_each(bytes, cpus, page),
                expected,
                "{bytes} {cpus} {page}"
            );
        }
    }

    #[test]
    fn a_record_from_the_future_is_not_waited_for() {
        let mut ordered = Ordered {
            until_ns: 5,
            ..Ordered::default()
        };
        for (time, mark) in [(4, 1), (u64::MAX, 2), (7, 3)] {
            ordered.add(record(time, mark));
        }
        assert_eq!(ordered.next(), Some(record(u64::MAX, 2)));
        assert_eq!(ordered.next(), Some(record(4, 1)));
        assert_eq!(ordered.next(), None);
        ordered.until_ns = 7;
        assert_eq!(ordered.next(), Some(record(7, 3)));
        assert!(ordered.waiting.is_empty());
    }

    proptest! {
        /// However the records of processors are mixed, they come out by time, each once, and none before its time is over.
        #[test]
        fn records_come_out_in_order(rounds in proptest::collection::vec(
            (proptest::collection::vec(0..100_u64, 0..20), 0..50_u64), 1..8,
        )) {
            let mut ordered = Ordered::default();
            let (mut base, mut added, mut given) = (0, Vec::new(), Vec::new());
            for (times, step) in rounds {
                // What is added is younger than the moment that was told last.
                for time in times {
                    ordered.add(record(base + 1 + time, added.len() as u8));
                    added.push(base + 1 + time);
                }
                base += step;
                ordered.until_ns = base;
                while let Some(next) = ordered.next() {
                    let time = wire::time(&next).unwrap();
                    prop_assert!(time <= base);
                    given.push(time);
                }
            }
            ordered.until_ns = u64::MAX;
            while let Some(next) = ordered.next() {
                given.push(wire::time(&next).unwrap());
            }
            prop_assert!(given.is_sorted());
            added.sort_unstable();
            prop_assert_eq!(given, added);
        }
    }

    #[test]
    fn records_of_one_moment_stay_in_their_order() {
        let mut ordered = Ordered::default();
        for mark in 0..10 {
            ordered.add(record(7, mark));
        }
        ordered.until_ns = 7;
        let marks: Vec<u8> = std::iter::from_fn(|| ordered.next())
            .map(|next| next[8])
            .collect();
        assert_eq!(marks, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_short_for_a_record_is_not_kept_back() {
        let mut ordered = Ordered::default();
        ordered.add(Bytes::from_static(b"short"));
        assert_eq!(ordered.next().as_deref(), Some(&b"short"[..]));
    }
}
