//! What is ahead at the pace at which memcgs leak: no ids, where zombies keep theirs; elsewhere so much memory a day. Pure.

mod range;

use range::poisson;
pub use range::{Amounts, Range};
use serde::Serialize;

use super::{Totals, Tracker};
use crate::{event::MEMCG_IDS, judge::Kept};

const DAY_NS: f64 = 86_400_000_000_000.0;

/// So many have to leak before a pace is spoken of: of fewer the interval is so wide that it says nothing.
const LEAKED_MIN: u64 = 3;

/// So long somebody has to watch, in nanoseconds, the grace time left out.
const WATCHED_MIN_NS: u64 = 60_000_000_000;

/// The recent part of a run, whose pace may be another: a quarter.
const RECENT: u64 = 4;

/// So many memcgs leaked in so long a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeakCount {
    /// How many, that are zombies still.
    pub leaked: u64,
    /// In how many nanoseconds.
    pub over_ns: u64,
}

impl LeakCount {
    /// How many a day, if they leak independently of each other. `None` if that was too few, or too short a time.
    fn per_day(self) -> Option<Range> {
        if self.leaked < LEAKED_MIN || self.over_ns < WATCHED_MIN_NS {
            return None;
        }
        Some(poisson(self.leaked as f64).times(DAY_NS / self.over_ns as f64))
    }
}

/// What zombies hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeldBytes {
    /// All of them, in bytes; `None` if that is not known of any.
    pub all: Option<u64>,
    /// Those by which the pace is known, as far as it is known of them.
    pub paced: Amounts,
}

/// What is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forecast {
    /// Whether zombies keep their ids on this kernel; absent if its release does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_kept: Option<bool>,
    /// memcg ids in use now, those of zombies included unless they keep none.
    pub ids_used: u64,
    /// Memcgs that leaked and are zombies still: the pace is theirs.
    pub leaked: u64,
    /// In how long a time, in nanoseconds.
    pub over_ns: u64,
    /// How many leak a day; absent if that were too few or too short a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<Range>,
    /// Nanoseconds until no id is left, at the soonest; absent if zombies keep none, or without a pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_out_min_ns: Option<u64>,
    /// And at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids_out_max_ns: Option<u64>,
    /// Bytes that zombies hold, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombie_bytes: Option<u64>,
    /// By how many bytes that grows a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_day: Option<Range>,
}

impl Forecast {
    /// Looks ahead. `recent` is the last part of `whole`, if it is known: where it was faster or slower, the range holds
    /// both.
    pub fn new(
        kept: Kept,
        ids_used: u64,
        whole: LeakCount,
        recent: Option<LeakCount>,
        held: HeldBytes,
    ) -> Self {
        let steady = whole.per_day();
        let per_day = steady.map(|all| {
            let recent = recent.and_then(LeakCount::per_day).unwrap_or(all);
            Range {
                min: all.min.min(recent.min),
                max: all.max.max(recent.max),
                ..all
            }
        });
        // A range of amounts has that of the whole run's count in it; the recent pace comes on top.
        let bytes_per_day = steady.zip(per_day).and_then(|(all, pace)| {
            let each = held.paced.each(whole.leaked)?;
            Some(Range {
                min: each.min * all.seen * (pace.min / all.min),
                seen: each.seen * all.seen,
                max: each.max * all.seen * (pace.max / all.max),
            })
        });
        let left = MEMCG_IDS.saturating_sub(ids_used) as f64;
        // A float beyond u64 becomes its end.
        let out = |pace: f64| (left / pace * DAY_NS) as u64;
        let paced = per_day.filter(|_| kept != Kept::No);
        Self {
            ids_kept: match kept {
                Kept::Yes => Some(true),
                Kept::No => Some(false),
                Kept::Unknown => None,
            },
            ids_used,
            leaked: whole.leaked,
            over_ns: whole.over_ns,
            per_day,
            ids_out_min_ns: paced.map(|pace| out(pace.max)),
            ids_out_max_ns: paced.map(|pace| out(pace.min)),
            zombie_bytes: held.all,
            bytes_per_day,
        }
    }
}

impl Tracker {
    /// What is ahead by what leaked in this run; `None` where there are no zombies.
    pub(super) fn forecast(&self) -> Option<Forecast> {
        let Totals { live, zombies, .. } = self.totals();
        if zombies == 0 {
            return None;
        }
        // Only what was removed a grace time ago can have been called leaked.
        let from_ns = self.tally.began_ns()?;
        let until_ns = self.now().mono_ns.saturating_sub(self.table.grace_ns());
        let over_ns = until_ns.saturating_sub(from_ns);
        let recent_ns = over_ns / RECENT;
        let mut whole = LeakCount {
            leaked: self.leaked_by_count().unwrap_or(0),
            over_ns,
        };
        let mut recent = LeakCount {
            leaked: 0,
            over_ns: recent_ns,
        };
        let recent_from_ns = until_ns - recent_ns;
        let removed = self.table.leaked().removed(from_ns, until_ns);
        // Those that were alive in the run.
        let removed =
            removed.filter(|(_, removed)| removed.after_ns.is_none_or(|after| after >= from_ns));
        let paced = removed.filter_map(|(ns, removed)| {
            whole.leaked += 1;
            recent.leaked += u64::from(ns >= recent_from_ns);
            removed.held_bytes
        });
        let held = HeldBytes {
            all: self.table.held_bytes(),
            paced: paced.collect(),
        };
        let used = self.kept().used(live, zombies);
        Some(Forecast::new(self.kept(), used, whole, Some(recent), held))
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;

    /// The exact intervals, from tables of the chi-squared distribution.
    #[test]
    fn the_interval_is_that_of_a_poisson_count() {
        for (leaked, min, max) in [
            (3, 0.619, 8.767),
            (10, 4.795, 18.390),
            (100, 81.364, 121.627),
        ] {
            let over_ns = 24 * HOUR_NS;
            let range = LeakCount { leaked, over_ns }.per_day().unwrap();
            let near = |value: f64, exact: f64| (value - exact).abs() < 0.02 * exact + 0.02;
            assert!(near(range.min, min) && near(range.max, max), "{range:?}");
        }
        let few = LeakCount {
            leaked: 2,
            over_ns: HOUR_NS,
        };
        let short = LeakCount {
            leaked: 100,
            over_ns: 1_000_000_000,
        };
        assert_eq!((few.per_day(), short.per_day()), (None, None));
    }

    fn hourly(kept: Kept, recent: Option<LeakCount>) -> Forecast {
        let whole = LeakCount {
            leaked: 100,
            over_ns: HOUR_NS,
        };
        let held = HeldBytes {
            all: Some(100 << 20),
            paced: iter::repeat_n(1 << 20, 100).collect(),
        };
        Forecast::new(kept, MEMCG_IDS - 2_400, whole, recent, held)
    }

    #[test]
    fn ids_run_out_where_zombies_keep_them() {
        let hours = |ns: Option<u64>| ns.unwrap() as f64 / HOUR_NS as f64;
        for kept in [Kept::Yes, Kept::Unknown] {
            let ahead = hourly(kept, None);
            // 2,400 are left, and 100 an hour, 81.4 to 121.6, are used up.
            assert!(
                (19.6..19.9).contains(&hours(ahead.ids_out_min_ns)),
                "{ahead:?}"
            );
            assert!(
                (29.3..29.7).contains(&hours(ahead.ids_out_max_ns)),
                "{ahead:?}"
            );
        }
        let none_left = Forecast::new(
            Kept::Yes,
            MEMCG_IDS,
            LeakCount {
                leaked: 100,
                over_ns: HOUR_NS,
            },
            None,
            HeldBytes::default(),
        );
        assert_eq!(none_left.ids_out_max_ns, Some(0));
    }

    #[test]
    fn memory_is_what_is_at_risk_elsewhere() {
        let ahead = hourly(Kept::No, None);
        assert_eq!((ahead.ids_out_min_ns, ahead.ids_out_max_ns), (None, None));
        assert_eq!(ahead.zombie_bytes, Some(100 << 20));
        let grows = ahead.bytes_per_day.unwrap();
        assert!(
            (grows.seen / f64::from(1 << 20) - 2_400.0).abs() < 1e-6,
            "{grows:?}"
        );
        // As uncertain as their number.
        let pace = ahead.per_day.unwrap().times(f64::from(1 << 20));
        for (bytes, of_all) in [(grows.min, pace.min), (grows.max, pace.max)] {
            assert!((bytes / of_all - 1.0).abs() < 1e-9, "{grows:?} {pace:?}");
        }
    }

    /// A leak that began of late is faster than the whole run tells, and the range says so.
    #[test]
    fn a_range_holds_the_recent_pace_as_well() {
        let recent = LeakCount {
            leaked: 100,
            over_ns: HOUR_NS / 4,
        };
        let (alone, both) = (hourly(Kept::Yes, None), hourly(Kept::Yes, Some(recent)));
        let (alone, both) = (alone.per_day.unwrap(), both.per_day.unwrap());
        assert_eq!((both.min, both.seen), (alone.min, alone.seen));
        assert!(both.max > 3.9 * alone.max, "{both:?}");
    }
}
