//! One line of the kernel log, as `/dev/kmsg` gives it, as `dmesg` prints it in all its forms, and as syslogs and the journal
//! write it:
//!
//! ```text
//! 4,100,319003331580,-,caller=T7;TEXT
//! [   12.345678] TEXT                                       dmesg
//! [   12.345678][  T123] TEXT                               with CONFIG_PRINTK_CALLER
//! <4>[   12.345678] TEXT                                    dmesg -r
//! kern  :warn  : [   12.345678] TEXT                        dmesg -x
//! [   12.345678 <    0.000005>] TEXT                        dmesg -d
//! [Tue Nov 24 01:02:03 2026] TEXT                           dmesg -T
//! [Nov24 01:02] TEXT, then [  +0.000005] TEXT               dmesg -e
//! 2026-11-24T01:02:03,123456+00:00 TEXT                     dmesg --time-format iso
//! Nov 24 01:02:03 HOST kernel: [   12.345678] TEXT          syslogs, journalctl -o short
//! 2026-11-24T01:02:03.123456+00:00 HOST kernel: TEXT        the same with RFC 3339's dates
//! [   12.345678] HOST kernel: TEXT                          journalctl -o short-monotonic
//! ```

use std::{borrow::Cow, fmt};

use super::{
    detail_like,
    stamp::{LineStamp, bracket, date, digits, seconds},
};

/// When a record was written, as far as the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Time {
    /// In nanoseconds since boot, on the kernel log's clock.
    Boot(u64),
    /// A date as it stands there: of whatever time zone.
    Date(String),
    /// It does not tell.
    Untold,
}

/// A record of the kernel log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's number, where it is told: a jump means that records were overwritten.
    pub sequence: Option<u64>,
    /// Its time on the kernel log's clock, in nanoseconds, if the line has that: close to `CLOCK_MONOTONIC`.
    pub time_ns: Option<u64>,
    /// Its date, as it stands there, if the line has one.
    pub date: Option<&'a str>,
    /// Who wrote it, on kernels that tell (`CONFIG_PRINTK_CALLER`): `T123` a task, `C1` a CPU in an interrupt.
    pub caller: Option<&'a [u8]>,
    /// Its text, up to the first newline.
    pub text: Cow<'a, [u8]>,
}

impl Record<'_> {
    /// When it was written: its date, else its time since boot.
    pub fn time(&self) -> Time {
        match (self.date, self.time_ns) {
            (Some(date), _) => Time::Date(date.to_owned()),
            (None, Some(time_ns)) => Time::Boot(time_ns),
            (None, None) => Time::Untold,
        }
    }

    /// Whether a kernel begins to run: what follows is of another boot than what came before.
    pub fn is_boot(&self) -> bool {
        self.text.starts_with(b"Linux version ")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(ns) => write!(f, "{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000),
            Self::Date(date) => f.write_str(date),
            Self::Untold => f.write_str("?"),
        }
    }
}

/// A line of a file that holds the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine<'a> {
    /// A record.
    Record(Record<'a>),
    /// More of the record before: a device's properties, or a text with a newline in it.
    More,
    /// Another program's, in a log that the kernel's lines are among.
    Other,
}

/// Parses one `/dev/kmsg` record, `PRIO,SEQ,USEC,FLAGS[,caller=ID];TEXT`; `None` if it is not one.
pub fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let semicolon = bytes.iter().position(|&b| b == b';')?;
    let (prefix, text) = bytes.split_at(semicolon);
    let mut fields = str::from_utf8(prefix).ok()?.split(',');
    fields.next().filter(|level| digits(level))?;
    let sequence = fields.next().filter(|sequence| digits(sequence))?;
    let micros = fields.next().filter(|micros| digits(micros))?;
    let micros: u64 = micros.parse().ok()?;
    let caller = fields.find_map(|field| field.strip_prefix("caller="));
    let text = text.get(1..)?;
    let text = text.split(|&b| b == b'\n').next().unwrap_or(text);
    Some(Record {
        sequence: Some(sequence.parse().ok()?),
        time_ns: Some(micros.saturating_mul(1000)),
        date: None,
        caller: caller.map(str::as_bytes),
        text: unescaped(text),
    })
}

/// Parses a line of a file that holds the log, in any form; `None` if it is of none.
pub fn line(bytes: &[u8]) -> Option<LogLine<'_>> {
    if bytes.first().is_none_or(u8::is_ascii_whitespace) {
        // `dmesg -t` begins so.
        let detail = detail_like(bytes).then(|| LogLine::Record(plain(bytes)));
        return Some(detail.unwrap_or(LogLine::More));
    }
    if let Some(record) = record(bytes) {
        return Some(LogLine::Record(record));
    }
    let rest = level(bytes);
    bracketed(rest)
        .or_else(|| dated(rest))
        .or_else(|| super::known(rest).then(|| LogLine::Record(plain(rest))))
}

/// A text without a time.
fn plain(text: &[u8]) -> Record<'_> {
    Record {
        text: Cow::Borrowed(text),
        ..Record::default()
    }
}

/// What follows a level, `<4>` or `kern  :warn  : `, or all of it.
fn level(bytes: &[u8]) -> &[u8] {
    if let Some(rest) = bytes.strip_prefix(b"<") {
        let end = rest.iter().position(|&byte| byte == b'>');
        let level = end.filter(|&end| str::from_utf8(&rest[..end]).is_ok_and(digits));
        return level.map_or(bytes, |end| &rest[end + 1..]);
    }
    let word = |bytes: &[u8]| {
        let length = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric());
        let length = length.count();
        let blanks = bytes[length..].iter().take_while(|&&byte| byte == b' ');
        let end = length + blanks.count();
        (length > 0 && bytes.get(end) == Some(&b':')).then_some(end + 1)
    };
    // Both are padded to six.
    let both = || {
        let rest = &bytes[word(bytes).filter(|&end| end >= 7)?..];
        rest[word(rest).filter(|&end| end == 7)?..].strip_prefix(b" ")
    };
    both().unwrap_or(bytes)
}

/// `[TIME] TEXT`, with a caller or without.
fn bracketed(bytes: &[u8]) -> Option<LogLine<'_>> {
    let (inner, rest) = bracket(bytes)?;
    let stamp = LineStamp::of(inner)?;
    let caller = bracket(rest).filter(|(caller, _)| {
        let id = caller.strip_prefix(['T', 'C']);
        id.is_some_and(digits)
    });
    let rest = caller.map_or(rest, |(_, rest)| rest);
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let text = after_tag(rest, 1).unwrap_or(rest);
    Some(LogLine::Record(Record {
        sequence: None,
        time_ns: stamp.time_ns(),
        date: stamp.date(),
        caller: caller.map(|(caller, _)| caller.as_bytes()),
        text: Cow::Borrowed(text),
    }))
}

/// `DATE HOST kernel: TEXT`, `DATE TEXT` if the date is dmesg's; of another program, [`LogLine::Other`].
fn dated(bytes: &[u8]) -> Option<LogLine<'_>> {
    // RFC 5424's version.
    let bytes = bytes.strip_prefix(b"1 ").unwrap_or(bytes);
    let (date, rest) = date(bytes)?;
    let rest = rest.strip_prefix(b" ")?;
    let text = if dmesgs(date) {
        rest
    } else {
        match after_tag(rest, 2) {
            Some(text) => text,
            None => return Some(LogLine::Other),
        }
    };
    let stamped = bracket(text).and_then(|(inner, rest)| Some((seconds(inner)?, rest)));
    let (time_ns, text) = stamped.map_or((None, text), |(time_ns, rest)| {
        (Some(time_ns), rest.strip_prefix(b" ").unwrap_or(rest))
    });
    Some(LogLine::Record(Record {
        sequence: None,
        time_ns,
        date: Some(date),
        caller: None,
        text: Cow::Borrowed(text),
    }))
}

/// Whether a date is of `dmesg --time-format iso`: `2026-11-24T01:02:03,123456+00:00`.
fn dmesgs(date: &str) -> bool {
    let fraction = date
        .split_once(',')
        .and_then(|(_, rest)| rest.split_at_checked(6));
    fraction.is_some_and(|(micros, zone)| digits(micros) && zone.starts_with(['+', '-']))
}

/// The text after the tag `kernel:`, before which there are so many words at most: the host, a facility and a level.
fn after_tag(bytes: &[u8], words: usize) -> Option<&[u8]> {
    let mut rest = bytes;
    for _ in 0..=words {
        let end = rest.iter().position(|&byte| byte == b' ')?;
        let (word, after) = (&rest[..end], &rest[end + 1..]);
        if word == b"kernel:" || (word.starts_with(b"kernel[") && word.ends_with(b"]:")) {
            return Some(after);
        }
        // RFC 5424: `kernel - - - TEXT`.
        if word == b"kernel" {
            return after.strip_prefix(b"- - - ");
        }
        rest = after;
    }
    None
}

/// `devkmsg_read` writes what is not printable ASCII, and the backslash, as `\xHH` (`msg_add_ext_text` since 4.x).
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, more)) = rest.split_first() {
        if let [b'\\', b'x', high, low, more @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push(high << 4 | low);
            rest = more;
        } else {
            out.push(first);
            rest = more;
        }
    }
    Cow::Owned(out)
}
