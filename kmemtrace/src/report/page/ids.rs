//! What becomes of the ids, in words.

use super::{axis::Grouped, owners::rate};
use crate::{
    host::MEMCG_IDS,
    report::{Kept, Report},
    text::units::{Date, Duration},
};

/// What becomes of the ids, in words.
pub(super) fn ids(report: &Report) -> String {
    let Some(run) = report.last() else {
        return String::new();
    };
    let keep = match report.kept() {
        Kept::No => {
            return "This kernel takes a removed memory cgroup's id back at once, unless pages of it are in swap (Linux 4.8 and \
                    later): zombies cost memory and time, and hardly any ids."
                .to_owned();
        }
        Kept::Yes => "On this kernel a zombie keeps its id until it is freed.",
        Kept::Unknown => {
            "Whether this kernel lets zombies keep their ids is not known; taken that it does:"
        }
    };
    let Some(forecast) = report.forecast() else {
        return format!(
            "{keep} There is no forecast: too few leaked in the last run, or it was too short."
        );
    };
    let used = Grouped(forecast.used);
    if forecast.used >= MEMCG_IDS {
        return format!("{keep} {used} of 65,535 are in use: no cgroup can be made.");
    }
    let ended = run.wall_ns().1;
    let at = |ns: u64| Date(ended.saturating_add(i64::try_from(ns).unwrap_or(i64::MAX)));
    let (soonest, latest) = forecast.in_ns;
    let range = if latest.saturating_sub(soonest) > soonest / 10 {
        format!(
            "in {} to {} after the end, between {} and {} UTC",
            Duration(soonest),
            Duration(latest),
            or_far(soonest, at(soonest)),
            or_far(latest, at(latest))
        )
    } else {
        format!(
            "in {} after the end, about {} UTC",
            Duration(soonest),
            or_far(soonest, at(soonest))
        )
    };
    format!(
        "{keep} {used} of 65,535 are in use, at least, and {} more an hour: at this pace none is left {range}. Then no cgroup can be made.",
        rate(forecast.per_hour)
    )
}

/// A date, unless it is so far away that none can be written.
fn or_far(in_ns: u64, date: Date) -> String {
    const CENTURY_NS: u64 = 36_525 * 86_400 * 1_000_000_000;
    if in_ns < CENTURY_NS {
        date.to_string()
    } else {
        "another century".to_owned()
    }
}
