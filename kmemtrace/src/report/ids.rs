//! The memcg ids: when they run out if zombies keep piling up.

use super::ReportRun;
pub use crate::judge::Kept;

/// So long somebody has to watch, in nanoseconds, before an owner's pace is spoken of.
pub(super) const PACE_MIN_NS: u64 = 600_000_000_000;

/// When the ids run out at the pace of the last run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdForecast {
    /// Ids in use, at the end.
    pub used: u64,
    /// So many more of them an hour, over the whole run.
    pub per_hour: f64,
    /// Nanoseconds from the run's end until there is none left: the soonest and the latest that the pace allows for
    /// ([`crate::tracker::Forecast`]).
    pub in_ns: (u64, u64),
}

/// Looks ahead from a run; `None` where zombies keep no ids, or where there was too little to tell a pace by.
pub(super) fn forecast(run: &ReportRun) -> Option<IdForecast> {
    let ahead = run.summary.forecast?;
    Some(IdForecast {
        used: ahead.ids_used,
        per_hour: ahead.per_day?.seen / 24.0,
        in_ns: (ahead.ids_out_min_ns?, ahead.ids_out_max_ns?),
    })
}
