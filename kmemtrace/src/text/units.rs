//! Times, durations and sizes as people read them.

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;

/// The time of day, UTC, of nanoseconds since the epoch.
pub(crate) struct Clock(pub(crate) i64);

/// The day and the time, UTC.
#[derive(Clone, Copy)]
pub(crate) struct Date(pub(crate) i64);

/// A stretch of time in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Duration(pub(crate) u64);

/// A size.
pub(crate) struct Bytes(pub(crate) u64);

/// So many of something, which takes an `s` in the plural.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

/// A number with its thousands apart.
#[derive(Clone, Copy)]
pub(crate) struct Grouped(pub(crate) u64);

const DAY_NS: i64 = 86_400_000_000_000;

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}{}",
            self.0,
            self.1,
            if self.0 == 1 { "" } else { "s" }
        )
    }
}

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // UTC has no offset, and neither clock knows leap seconds
        let ms = self.0.rem_euclid(DAY_NS) / 1_000_000;
        let (s, ms) = (ms / 1000, ms % 1000);
        write!(
            f,
            "{:02}:{:02}:{:02}.{ms:03}Z",
            s / 3600,
            s / 60 % 60,
            s % 60
        )
    }
}

impl Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000_000);
        let time = Timestamp::from_second(seconds).map_err(|_| fmt::Error)?;
        let text = time.strftime("%Y-%m-%d %H:%M:%S");
        write!(f, "{text}")
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        // in tenths, cut and not rounded: 59.96 s is not yet a minute
        let tenths = |unit: u64| (ns / unit, ns % unit / (unit / 10));
        let seconds = ns / 1_000_000_000;
        match ns {
            0 => f.write_str("0 s"),
            1..1_000 => write!(f, "{ns} ns"),
            1_000..1_000_000 => write!(f, "{} µs", ns / 1_000),
            1_000_000..1_000_000_000 => {
                let (whole, tenth) = tenths(1_000_000);
                write!(f, "{whole}.{tenth} ms")
            }
            1_000_000_000..60_000_000_000 => {
                let (whole, tenth) = tenths(1_000_000_000);
                write!(f, "{whole}.{tenth} s")
            }
            _ if seconds < 3600 => write!(f, "{} m {:02} s", seconds / 60, seconds % 60),
            _ if seconds < 86_400 => {
                write!(f, "{} h {:02} m", seconds / 3600, seconds / 60 % 60)
            }
            _ => write!(f, "{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        if bytes < 1024 {
            return write!(f, "{bytes} B");
        }
        let power = bytes.ilog2() / 10;
        let unit = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][power as usize - 1];
        let whole = bytes >> (10 * power);
        let tenth = (bytes >> (10 * (power - 1)) & 1023) * 10 / 1024;
        write!(f, "{whole}.{tenth} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_unit_that_fits() {
        for (ns, text) in [
            (0, "0 s"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (999_999, "999 µs"),
            (1_250_000, "1.2 ms"),
            (3_499_999_999, "3.4 s"),
            (30_000_000_000, "30.0 s"),
            (59_999_999_999, "59.9 s"),
            (130_000_000_000, "2 m 10 s"),
            (3_600_000_000_000, "1 h 00 m"),
            (187_200_000_000_000, "2 d 04 h"),
            (u64::MAX, "213503 d 23 h"),
        ] {
            assert_eq!(Duration(ns).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_310_720, "1.2 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (65_535, "65,535")] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(
            Clock(1_773_491_464_123_999_999).to_string(),
            "12:31:04.123Z"
        );
        assert_eq!(Clock(-1).to_string(), "23:59:59.999Z");
        assert_eq!(
            Date(1_773_491_464_123_999_999).to_string(),
            "2026-03-14 12:31:04"
        );
        let _ = (Date(i64::MIN).to_string(), Date(i64::MAX).to_string());
    }
}
