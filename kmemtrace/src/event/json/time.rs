//! Times on the wall clock, as lines have them.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Text;

/// Nanoseconds since the Unix epoch, written as RFC 3339, UTC, with nine digits of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallTime(pub i64);

/// `-009999-01-02T01:59:59.000000000Z` is the longest that can be.
const TIME_BYTES: usize = 40;

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(9));
        struct Buffer {
            bytes: [u8; TIME_BYTES],
            len: usize,
        }
        impl jiff::fmt::Write for Buffer {
            fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
                let free = self.bytes.get_mut(self.len..self.len + text.len());
                let free = free.ok_or_else(|| jiff::Error::from_args(format_args!("too long")))?;
                free.copy_from_slice(text.as_bytes());
                self.len += text.len();
                Ok(())
            }
        }
        let error = |_| serde::ser::Error::custom("the time is out of range");
        let time = Timestamp::from_nanosecond(self.0.into()).map_err(error)?;
        let mut buffer = Buffer {
            bytes: [0; TIME_BYTES],
            len: 0,
        };
        PRINTER.print_timestamp(&time, &mut buffer).map_err(error)?;
        let text = buffer
            .bytes
            .get(..buffer.len)
            .and_then(|text| str::from_utf8(text).ok());
        serializer.serialize_str(text.unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        if let Some(ns) = utc(text.0.as_bytes()) {
            return Ok(Self(ns));
        }
        let time: Timestamp = text
            .0
            .parse()
            .map_err(|_| de::Error::custom("the time is not RFC 3339"))?;
        let ns = i64::try_from(time.as_nanosecond());
        ns.map(Self)
            .map_err(|_| de::Error::custom("the time is out of range"))
    }
}

/// The form in which times are written, read without much ado: a tenth of a trace's reading would be in it.
fn utc(text: &[u8]) -> Option<i64> {
    let text: &[u8; 30] = text.try_into().ok()?;
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (29, b'Z'),
    ];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_i64, |number, byte| {
            let digit = char::from(*byte).to_digit(10)?;
            Some(number * 10 + i64::from(digit))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // The rest of the calendar, leap seconds included, is left to those who know it.
    if !(1970..=2200).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=28).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Years from March on: the leap day is the last of a year.
    let from_march = (month + 9) % 12;
    let year = year - i64::from(month <= 2);
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1;
    let seconds = ((days - 719_468) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + number(20, 29)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_what_the_calendar_says(ns in 0..7_289_654_400_000_000_000_i64) {
            let time = Timestamp::from_nanosecond(ns.into()).unwrap();
            let text = format!("{time:.9}");
            let day: u32 = text[8..10].parse().unwrap();
            prop_assert_eq!(utc(text.as_bytes()), (day <= 28).then_some(ns), "{}", text);
        }
    }
}
