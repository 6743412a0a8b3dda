//! The memcg ids: how many are left, and when they run out if zombies keep piling up.

use super::{Run, Series};
use crate::{host::MEMCG_IDS, tracker::Totals};

/// So many steps of a run it takes to speak of a pace.
const STEPS_MIN: usize = 8;

/// So long somebody has to watch, in nanoseconds, before a pace is spoken of.
pub(super) const PACE_MIN_NS: u64 = 600_000_000_000;

/// Whether a zombie keeps its memcg id until it is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It does: before Linux 4.8, and on RHEL 7.
    Yes,
    /// The kernel takes it back at removal, unless entries in swap hold it: `mem_cgroup_id_put` in `mem_cgroup_css_offline`, since 4.8 (73f576c04b94).
    No,
    /// The kernel's release is not known.
    Unknown,
}

impl Kept {
    /// What the kernel's release tells. Nothing is chosen by it but words: no trace holds better evidence.
    pub fn by(release: Option<&str>) -> Self {
        let Some(release) = release else {
            return Self::Unknown;
        };
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            _ if release.contains(".el7") => Self::Yes,
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (4, 8) => Self::Yes,
            (Some(Ok(_)), Some(Ok(_))) => Self::No,
            _ => Self::Unknown,
        }
    }

    /// How many ids are in use, as far as zombies are counted.
    pub fn used(self, totals: Totals) -> u64 {
        match self {
            Self::No => totals.live,
            Self::Yes | Self::Unknown => totals.live.saturating_add(totals.zombies),
        }
    }

    /// How many are left, as far as zombies are counted.
    pub fn left(self, totals: Totals) -> u64 {
        MEMCG_IDS.saturating_sub(self.used(totals))
    }
}

/// When the ids run out at the pace of the last run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Ids in use, at the end.
    pub used: u64,
    /// So many more of them an hour, over the whole run.
    pub per_hour: f64,
    /// Nanoseconds from the run's end until there is none left: the sooner and the later of the whole run's pace and of
    /// its last quarter's, as far as they rise.
    pub in_ns: (u64, u64),
}

/// Looks ahead from the last run; `None` where zombies keep no ids, where nothing rises, or where the run was too short.
pub(super) fn forecast(series: &Series, run: &Run, kept: Kept) -> Option<Forecast> {
    if kept == Kept::No || run.duration_ns() < PACE_MIN_NS {
        return None;
    }
    let (began, ended) = run.wall_ns();
    let points: Vec<(f64, f64)> = (0..series.steps.len())
        .filter(|&at| (began..=ended).contains(&series.begin_of(at)))
        .filter_map(|at| {
            let totals = series.steps[at].totals?;
            let hours = series.begin_of(at).saturating_sub(began) as f64 / HOUR_NS;
            Some((hours, kept.used(totals) as f64))
        })
        .collect();
    if points.len() < STEPS_MIN {
        return None;
    }
    let used = kept.used(run.totals());
    let left = MEMCG_IDS.saturating_sub(used) as f64;
    let quarter = points.len() / 4 * 3;
    let paces = [slope(&points), points.get(quarter..).and_then(slope)];
    let per_hour = paces[0].filter(|pace| *pace > 0.0)?;
    let mut soonest = f64::INFINITY;
    let mut latest = 0.0_f64;
    for pace in paces.into_iter().flatten().filter(|pace| *pace > 0.0) {
        let ns = left / pace * HOUR_NS;
        soonest = soonest.min(ns);
        latest = latest.max(ns);
    }
    Some(Forecast {
        used,
        per_hour,
        // A float beyond u64 becomes its end.
        in_ns: (soonest as u64, latest as u64),
    })
}

const HOUR_NS: f64 = 3_600_000_000_000.0;

/// The slope of the straight line with the least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x) * (x - mean_x);
    }
    (points.len() > 1 && xx > 0.0).then(|| xy / xx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_ids() {
        for (release, kept) in [
            (Some("3.10.0-1160.el7.x86_64"), Kept::Yes),
            (Some("4.7.10"), Kept::Yes),
            (Some("4.8.0"), Kept::No),
            (Some("4.14.67"), Kept::No),
            (Some("6.1.0-40-cloud-amd64"), Kept::No),
            (Some("custom"), Kept::Unknown),
            (Some("99999999999999.1"), Kept::Unknown),
            (None, Kept::Unknown),
        ] {
            assert_eq!(Kept::by(release), kept, "{release:?}");
        }
    }

    #[test]
    fn a_line_has_its_slope() {
        let line: Vec<_> = (0..10)
            .map(|x| (f64::from(x), 3.0 * f64::from(x) + 7.0))
            .collect();
        assert!((slope(&line).unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
