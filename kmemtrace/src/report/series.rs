//! How things stood over time, in a bounded number of steps: twice as long ones whenever there would be too many.

use crate::tracker::Totals;

/// How many steps there are at most.
pub const STEPS: usize = 480;

/// How long a step is at first, in nanoseconds.
const FIRST_STEP_NS: u64 = 10_000_000;

/// One step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeStep {
    /// Where things stood at its end, if anything told.
    pub totals: Option<Totals>,
    /// Memcgs called leaked in it.
    pub leaks: u64,
    /// Those freed after all.
    pub recovered: u64,
    /// Slab allocations that failed.
    pub slab_failures: u64,
    /// Cgroups that could not be made.
    pub mkdir_failures: u64,
}

impl TimeStep {
    fn and(self, later: Self) -> Self {
        Self {
            totals: later.totals.or(self.totals),
            leaks: self.leaks + later.leaks,
            recovered: self.recovered + later.recovered,
            slab_failures: self.slab_failures + later.slab_failures,
            mkdir_failures: self.mkdir_failures + later.mkdir_failures,
        }
    }
}

/// Steps of equal length, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSeries {
    /// The beginning of the first one, in nanoseconds since the Unix epoch.
    pub began_ns: i64,
    /// How long each is, in nanoseconds.
    pub step_ns: u64,
    /// The steps, up to the last one in which anything happened.
    pub steps: Vec<TimeStep>,
}

impl TimeSeries {
    /// Begins at this moment, in nanoseconds since the Unix epoch.
    pub fn new(began_ns: i64) -> Self {
        Self {
            began_ns,
            step_ns: FIRST_STEP_NS,
            steps: Vec::new(),
        }
    }

    /// The step of a moment; the first one for what is older than the beginning.
    pub fn at(&mut self, wall_ns: i64) -> &mut TimeStep {
        let since = u64::try_from(wall_ns.saturating_sub(self.began_ns)).unwrap_or(0);
        while since / self.step_ns >= STEPS as u64 {
            self.halve();
        }
        let at = (since / self.step_ns) as usize;
        if self.steps.len() <= at {
            self.steps.resize(at + 1, TimeStep::default());
        }
        &mut self.steps[at]
    }

    /// When a step begins, in nanoseconds since the Unix epoch.
    pub fn begin_of(&self, step: usize) -> i64 {
        let since = self.step_ns.saturating_mul(step as u64);
        self.began_ns
            .saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }

    fn halve(&mut self) {
        let pairs = self.steps.chunks(2);
        let merged = pairs.map(|pair| {
            pair.iter()
                .copied()
                .fold(TimeStep::default(), TimeStep::and)
        });
        self.steps = merged.collect();
        self.step_ns = self.step_ns.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_grow_with_the_time_and_keep_what_they_hold() {
        let mut series = TimeSeries::new(1_000);
        for second in 0..100_000 {
            let step = series.at(1_000 + second * 1_000_000_000);
            step.leaks += 1;
            step.totals = Some(Totals {
                zombies: second.unsigned_abs(),
                ..Totals::default()
            });
        }
        assert!((STEPS / 2..=STEPS).contains(&series.steps.len()));
        assert_eq!(series.steps.iter().map(|s| s.leaks).sum::<u64>(), 100_000);
        let last = series.steps.last().and_then(|step| step.totals);
        assert_eq!(last.map(|totals| totals.zombies), Some(99_999));
        let zombies: Vec<_> = series
            .steps
            .iter()
            .map(|s| s.totals.unwrap().zombies)
            .collect();
        assert!(zombies.is_sorted());
        assert_eq!(series.begin_of(0), 1_000);
    }

    proptest! {
        #[test]
        fn any_times_stay_bounded(times: Vec<i64>, began: i64) {
            let mut series = TimeSeries::new(began);
            for time in &times {
                series.at(*time).slab_failures += 1;
            }
            prop_assert!(series.steps.len() <= STEPS);
            let all: u64 = series.steps.iter().map(|step| step.slab_failures).sum();
            prop_assert_eq!(all, times.len() as u64);
        }
    }
}
