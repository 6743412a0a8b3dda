//! A moment in a trace, as people name it.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::Offset};

use super::duration;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// On the wall clock, in nanoseconds since the Unix epoch.
    At(i64),
    /// After the trace's beginning.
    After(Duration),
}

impl Moment {
    /// On the wall clock, in nanoseconds, in a trace that begins at `began_ns`.
    pub(super) fn after(self, began_ns: i64) -> i64 {
        match self {
            Self::At(ns) => ns,
            Self::After(time) => {
                let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
                began_ns.saturating_add(ns)
            }
        }
    }
}

/// A time of RFC 3339, the same without a zone (UTC), or a time with a unit.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = duration(text) {
        return Ok(Moment::After(time));
    }
    let utc = |text: &str| {
        let time: DateTime = text.parse().ok()?;
        Offset::UTC.to_timestamp(time).ok()
    };
    let parsed: Option<Timestamp> = text.parse().ok().or_else(|| utc(text));
    parsed
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .map(Moment::At)
        .ok_or_else(|| {
            "not a time such as 2026-03-14T12:31:00Z, nor one after the beginning such as 90s"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_clock_or_after_the_beginning() {
        let noon = Ok(Moment::At(1_773_489_600_000_000_000));
        assert_eq!(moment("2026-03-14T12:00:00Z"), noon);
        assert_eq!(moment("2026-03-14T13:00:00+01:00"), noon);
        assert_eq!(moment("2026-03-14 12:00"), noon);
        let ninety = Moment::After(Duration::from_secs(90));
        assert_eq!(moment("90s"), Ok(ninety));
        assert_eq!(ninety.after(5), 90_000_000_005);
        for wrong in ["noon", "12", "2026-13-01T00:00:00Z", ""] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
