//! The values of options: durations, sizes, moments. One parser each.

use std::{ops::RangeInclusive, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// A duration with a unit: `30s`, `10m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let duration =
        parsed.map_err(|_| "not a time with a unit, such as 30s, 10m or 1h30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())
}

/// A duration of at least 10 ms: shorter ones would make polling a load.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(10) {
        return Err("less than 10ms".to_owned());
    }
    Ok(interval)
}

/// A size in bytes with an optional unit, `K`, `M` or `G`, within `range`; any other is an error with the text `what`.
fn size(text: &str, range: RangeInclusive<u64>, what: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30)];
    let unit = units.into_iter().find_map(|(unit, shift)| {
        let digits = text.strip_suffix([unit, unit.to_ascii_lowercase()])?;
        Some((digits, shift))
    });
    let (digits, shift) = unit.unwrap_or((text, 0));
    let bytes = digits.parse().ok();
    let bytes = bytes.and_then(|count: u64| count.checked_mul(1 << shift));
    let bytes = bytes.filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| what.to_owned())
}

/// The size of a recording's file, in bytes.
pub(super) fn file_size(text: &str) -> Result<u64, String> {
    let what = "not a size of 64K or more, such as 100M or 1G";
    size(text, 64 << 10..=u64::MAX, what)
}

/// The size of a buffer in memory, in bytes.
pub(super) fn buffer_size(text: &str) -> Result<u32, String> {
    let what = "not a size from 4K to 1024M, such as 64K or 8M";
    let bytes = size(text, 4 << 10..=1 << 30, what)?;
    u32::try_from(bytes).map_err(|_| what.to_owned())
}

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

    #[test]
    fn sizes_have_units_and_limits() {
        for (text, bytes) in [("65536", 64 << 10), ("100m", 100 << 20), ("2G", 2 << 30)] {
            assert_eq!(file_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(buffer_size("1G"), Ok(1 << 30));
        for text in ["", "K", "4095", "2G", "-1K", "18446744073709551615G", "8 M"] {
            assert!(buffer_size(text).is_err(), "{text}");
        }
        assert!(file_size("63K").is_err());
    }
}
