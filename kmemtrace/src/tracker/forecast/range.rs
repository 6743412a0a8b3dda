//! How certain a number is that was counted, or is the sum of what was.

use serde::Serialize;

/// Standard deviations on each side: of 100 such intervals 95 hold what is true.
const DEVIATIONS: f64 = 1.96;

/// A number that is known with so much certainty: in 95 of 100 such cases it is not outside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Range {
    /// At least.
    pub min: f64,
    /// As it was seen.
    pub seen: f64,
    /// At most.
    pub max: f64,
}

impl Range {
    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            min: self.min * factor,
            seen: self.seen * factor,
            max: self.max * factor,
        }
    }
}

/// The interval of a Poisson process's mean, of which so many were seen: Byar's approximation to the exact one.
pub(super) fn poisson(count: f64) -> Range {
    let bound = |count: f64, deviations: f64| {
        let root = 1.0 - 1.0 / (9.0 * count) + deviations / (3.0 * count.sqrt());
        count * root * root * root
    };
    Range {
        min: bound(count, -DEVIATIONS).max(0.0),
        seen: count,
        max: bound(count + 1.0, DEVIATIONS),
    }
}

/// What memcgs hold, in bytes, as far as their sum and its spread take it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts {
    count: u64,
    // Whole numbers: whichever order they come in, the sums are the same.
    sum: u128,
    squares: u128,
}

impl FromIterator<u64> for Amounts {
    fn from_iter<I: IntoIterator<Item = u64>>(amounts: I) -> Self {
        amounts.into_iter().fold(Self::default(), |so_far, bytes| {
            let bytes = u128::from(bytes);
            Self {
                count: so_far.count + 1,
                sum: so_far.sum.saturating_add(bytes),
                squares: so_far.squares.saturating_add(bytes * bytes),
            }
        })
    }
}

impl Amounts {
    /// What one more memcg holds, on average, as a range: the sum of unequal amounts scatters as that of fewer equal ones,
    /// `sum² / squares` of them (the scaled Poisson distribution of Bohm and Zech, 2014). So where one holds nearly
    /// everything, the range is that of a single event. `leaked` is how many there were, these among them.
    pub(super) fn each(self, leaked: u64) -> Option<Range> {
        if self.count == 0 {
            return None;
        }
        if self.sum == 0 {
            return Some(Range {
                min: 0.0,
                seen: 0.0,
                max: 0.0,
            });
        }
        let (count, sum) = (self.count as f64, self.sum as f64);
        let share = sum * sum / (self.squares as f64 * count);
        let alike = share * leaked as f64;
        Some(poisson(alike).times(sum / count / alike))
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    /// Ninety-nine that hold a page and one that holds a GiB say little of what the next hundred hold.
    #[test]
    fn a_huge_zombie_makes_the_range_wide() {
        let range = |amounts: &mut dyn Iterator<Item = u64>| {
            let paced: Amounts = amounts.collect();
            paced.each(100).unwrap()
        };
        let alike = range(&mut iter::repeat_n(4096, 100));
        let unlike = range(&mut iter::repeat_n(4096, 99).chain([1 << 30]));
        assert!(alike.max / alike.min < 1.6, "{alike:?}");
        // One event: 0.025 to 5.57 of it.
        assert!(unlike.min < 0.1 * unlike.seen, "{unlike:?}");
        assert!(unlike.max > 5.0 * unlike.seen, "{unlike:?}");
        // Of half of them nothing is known; that many there were all the same.
        let half = range(&mut iter::repeat_n(4096, 50));
        assert_eq!(half, alike);
        let nothing = range(&mut iter::repeat_n(0, 100));
        assert_eq!((nothing.min, nothing.max), (0.0, 0.0));
        assert_eq!(Amounts::default().each(100), None);
    }
}
