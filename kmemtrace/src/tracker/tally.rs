//! What a run has seen: the counters, the last of each failure, and the time from offline to free.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::Delays;
use crate::event::{Gap, MkdirFailure, SlabFailure, Stamp};

/// `ENOSPC`.
const NO_SPACE: i32 = 28;

/// Something that may happen more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated<T> {
    /// How often it did.
    pub count: u64,
    /// When it did last.
    pub time: Stamp,
    /// The last one.
    pub last: T,
}

impl<T> Repeated<T> {
    fn again(before: Option<&Self>, time: Stamp, last: T) -> Self {
        Self {
            count: before.map_or(0, |before| before.count) + 1,
            time,
            last,
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    began: Option<Stamp>,
    pub(super) created: u64,
    pub(super) found: u64,
    pub(super) offlined: u64,
    pub(super) freed: u64,
    pub(super) leaks: u64,
    pub(super) recovered: u64,
    pub(super) unproven: u64,
    pub(super) held_bytes: Option<u64>,
    pub(super) kmemcg_peak: Option<u64>,
    pub(super) ids_peak: Option<u64>,
    pub(super) slab_failures: Option<Repeated<SlabFailure>>,
    pub(super) slab_failures_suppressed: u64,
    /// By their error numbers, as far as these are known; 0 stands for all that the kernel does not have.
    pub(super) mkdir_failures: BTreeMap<Option<i32>, Repeated<MkdirFailure>>,
    pub(super) gaps: Option<Repeated<Gap>>,
    pub(super) lost: u64,
    pub(super) delays: Lifetimes,
}

impl Counters {
    pub(super) fn began(&mut self, time: Stamp) {
        self.began.get_or_insert(time);
    }

    /// When the first fact was, on `CLOCK_MONOTONIC`.
    pub(super) fn began_ns(&self) -> Option<u64> {
        self.began.map(|began| began.mono_ns)
    }

    pub(super) fn gap(&mut self, time: Stamp, gap: &Gap) {
        self.lost += gap.lost.unwrap_or(0);
        self.gaps = Some(Repeated::again(self.gaps.as_ref(), time, gap.clone()));
    }

    pub(super) fn slab_failure(&mut self, time: Stamp, failure: &SlabFailure) {
        let suppressed = failure.suppressed.unwrap_or(0);
        self.slab_failures_suppressed = self.slab_failures_suppressed.saturating_add(suppressed);
        let before = self.slab_failures.as_ref();
        self.slab_failures = Some(Repeated::again(before, time, failure.clone()));
    }

    pub(super) fn mkdir_failure(&mut self, time: Stamp, failure: &MkdirFailure) {
        // What is no error number of the kernel's (`MAX_ERRNO`) counts under 0: a trace may have any.
        let errno = failure.errno.map(|errno| {
            if (1..=4095).contains(&errno) {
                errno
            } else {
                0
            }
        });
        let before = self.mkdir_failures.get(&errno);
        let failed = Repeated::again(before, time, failure.clone());
        self.mkdir_failures.insert(errno, failed);
    }

    /// How many mkdirs failed with this error; `None` is an error that is not known.
    fn mkdirs_failed(&self, errno: Option<i32>) -> u64 {
        let failed = self.mkdir_failures.get(&errno);
        failed.map_or(0, |failed| failed.count)
    }

    pub(super) fn mkdir_no_space(&self) -> u64 {
        self.mkdirs_failed(Some(NO_SPACE))
    }
}

/// Times from offline to free; its size depends on the longest only.
#[derive(Debug, Default)]
pub struct Lifetimes(Option<Histogram<u64>>);

impl Lifetimes {
    /// Takes in one, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(3).ok(); // three digits
        }
        if let Some(histogram) = &mut self.0 {
            // It grows with what it is given, so it refuses nothing.
            let _ = histogram.record(ns);
        }
    }

    /// How many are at least `min_ns` and less than `max_ns`, to three digits.
    pub fn between(&self, min_ns: u64, max_ns: u64) -> u64 {
        let recorded = self.0.iter().flat_map(Histogram::iter_recorded);
        recorded
            .filter(|value| (min_ns..max_ns).contains(&value.value_iterated_to()))
            .map(|value| value.count_at_value())
            .sum()
    }

    /// Their figures; `None` if there are none.
    pub fn figures(&self) -> Option<Delays> {
        let histogram = self.0.as_ref()?;
        Some(Delays {
            count: histogram.len(),
            min_ns: histogram.min(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            max_ns: histogram.max(),
        })
    }
}
