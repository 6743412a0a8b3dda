//! Axes: where a moment or a number is, and what is written beside it.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::text::units::Grouped;

/// A stretch of time from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAxis {
    /// Its ends, in nanoseconds since the Unix epoch.
    pub(super) ns: (i64, i64),
    /// Where these are.
    pub(super) x: (f64, f64),
}

const SECOND: i64 = 1_000_000_000;

/// The distances that ticks may have, in nanoseconds, and how their times are written.
const DISTANCES: [(i64, &str); 24] = [
    (SECOND / 1000, "%H:%M:%S%.3f"),
    (SECOND / 100, "%H:%M:%S%.3f"),
    (SECOND / 10, "%H:%M:%S%.1f"),
    (SECOND / 2, "%H:%M:%S%.1f"),
    (SECOND, "%H:%M:%S"),
    (2 * SECOND, "%H:%M:%S"),
    (5 * SECOND, "%H:%M:%S"),
    (10 * SECOND, "%H:%M:%S"),
    (30 * SECOND, "%H:%M:%S"),
    (60 * SECOND, "%H:%M"),
    (300 * SECOND, "%H:%M"),
    (600 * SECOND, "%H:%M"),
    (1800 * SECOND, "%H:%M"),
    (3600 * SECOND, "%H:%M"),
    (2 * 3600 * SECOND, "%m-%d %H:%M"),
    (6 * 3600 * SECOND, "%m-%d %H:%M"),
    (12 * 3600 * SECOND, "%m-%d %H:%M"),
    (DAY, "%m-%d"),
    (2 * DAY, "%m-%d"),
    (7 * DAY, "%m-%d"),
    (30 * DAY, "%Y-%m-%d"),
    (90 * DAY, "%Y-%m-%d"),
    (365 * DAY, "%Y-%m"),
    (3650 * DAY, "%Y"),
];

const DAY: i64 = 86_400 * SECOND;

/// How many ticks there are at most, besides what fits at the ends.
const TICKS: i64 = 8;

impl TimeAxis {
    /// Where a moment is; one that is outside is at the end.
    pub(super) fn at(&self, ns: i64) -> f64 {
        let (from, to) = self.ns;
        let all = to.saturating_sub(from).max(1) as f64;
        let share = (ns.saturating_sub(from) as f64 / all).clamp(0.0, 1.0);
        self.x.0 + share * (self.x.1 - self.x.0)
    }

    /// Lines from `top` to `bottom` and the times below them, UTC.
    pub(super) fn draw(&self, svg: &mut String, top: f64, bottom: f64) {
        let (from, to) = self.ns;
        let all = to.saturating_sub(from);
        let fits = |distance: i64| all / distance <= TICKS;
        let chosen = DISTANCES.iter().find(|(distance, _)| fits(*distance));
        let Some((distance, format)) = chosen else {
            return;
        };
        let mut tick = from.div_euclid(*distance).saturating_mul(*distance);
        while tick <= to {
            if tick >= from
                && let Ok(time) = Timestamp::from_nanosecond(tick.into())
            {
                let x = self.at(tick);
                let label = time.strftime(format);
                let _ = write!(
                    svg,
                    "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>\
                     <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                    bottom + 16.0
                );
            }
            let Some(next) = tick.checked_add(*distance) else {
                break;
            };
            tick = next;
        }
    }
}

/// Numbers from 0 at the bottom up.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberAxis {
    /// The highest.
    pub(super) max: u64,
    /// Where it and 0 are.
    pub(super) y: (f64, f64),
}

impl NumberAxis {
    /// A scale to a round number that is not below `max`.
    pub(super) fn round(max: u64, y: (f64, f64)) -> Self {
        let step = Self::step(max);
        let max = max.max(1).div_ceil(step).saturating_mul(step);
        Self { max, y }
    }

    pub(super) fn at(&self, number: u64) -> f64 {
        let share = number.min(self.max) as f64 / self.max as f64;
        self.y.1 - share * (self.y.1 - self.y.0)
    }

    /// Lines from `left` to `right`, and the numbers left of them.
    pub(super) fn draw(&self, svg: &mut String, left: f64, right: f64) {
        let step = Self::step(self.max);
        let ticks = (0..=self.max / step).map(|tick| tick * step);
        for number in ticks {
            let y = self.at(number);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 3.5,
                Grouped(number)
            );
        }
    }

    /// A round step, of which there are two to five.
    fn step(max: u64) -> u64 {
        let mut power = 1_u64;
        while max / power >= 10 {
            power = power.saturating_mul(10);
        }
        match max / power {
            0 | 1 if power > 1 => power / 2,
            0..=4 => power,
            _ => power.saturating_mul(2),
        }
        .max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scale_holds_its_highest_in_few_steps(max: u64) {
            let scale = NumberAxis::round(max, (0.0, 100.0));
            prop_assert!(scale.max >= max || scale.max > u64::MAX / 2);
            let steps = scale.max / NumberAxis::step(scale.max);
            prop_assert!((1..=6).contains(&steps), "{steps} of {}", scale.max);
            prop_assert!((0.0..=100.0).contains(&scale.at(max)));
        }

        #[test]
        fn any_time_can_be_drawn(from: i64, to: i64) {
            let mut svg = String::new();
            let time = TimeAxis { ns: (from.min(to), from.max(to)), x: (0.0, 100.0) };
            time.draw(&mut svg, 0.0, 10.0);
            prop_assert!(svg.matches("<text").count() <= 10);
            prop_assert!((0.0..=100.0).contains(&time.at(from)));
        }
    }
}
