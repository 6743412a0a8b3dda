//! One line of the kernel log, as `/dev/kmsg` gives it and as `dmesg` prints it.

use std::borrow::Cow;

/// A record of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's number, where it is told: a jump means that records were overwritten.
    pub sequence: Option<u64>,
    /// Its time on the kernel log's clock, in nanoseconds: close to `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Who wrote it, on kernels that tell (`CONFIG_PRINTK_CALLER`): `T123` a task, `C1` a CPU in an interrupt.
    pub caller: Option<&'a [u8]>,
    /// Its text, up to the first newline.
    pub text: Cow<'a, [u8]>,
}

/// A line of a file that holds the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine<'a> {
    /// A record.
    Record(Record<'a>),
    /// More of the record before: a device's properties, or a text with a newline in it.
    More,
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
        time_ns: micros.saturating_mul(1000),
        caller: caller.map(str::as_bytes),
        text: unescaped(text),
    })
}

/// Parses a line of a file that holds the log, in either form; `None` if it is neither.
pub fn line(bytes: &[u8]) -> Option<LogLine<'_>> {
    if bytes.first().is_none_or(u8::is_ascii_whitespace) {
        return Some(LogLine::More);
    }
    record(bytes)
        .or_else(|| printed(bytes))
        .map(LogLine::Record)
}

/// `[   12.345678] TEXT` or `[   12.345678][  T123] TEXT`, with or without a level `<4>` before it.
fn printed(bytes: &[u8]) -> Option<Record<'_>> {
    let rest = match bytes.strip_prefix(b"<") {
        Some(level) => {
            let end = level.iter().position(|&b| b == b'>')?;
            digits(str::from_utf8(&level[..end]).ok()?).then(|| &level[end + 1..])?
        }
        None => bytes,
    };
    let (time, rest) = bracket(rest)?;
    let (seconds, micros) = time.split_once('.')?;
    if !digits(seconds) || !digits(micros) || micros.len() != 6 {
        return None;
    }
    let (seconds, micros): (u64, u64) = (seconds.parse().ok()?, micros.parse().ok()?);
    let caller = bracket(rest).filter(|(caller, _)| {
        let id = caller.strip_prefix(['T', 'C']);
        id.is_some_and(digits)
    });
    let rest = caller.map_or(rest, |(_, rest)| rest);
    Some(Record {
        sequence: None,
        time_ns: seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(micros * 1000),
        caller: caller.map(|(caller, _)| caller.as_bytes()),
        text: Cow::Borrowed(rest.strip_prefix(b" ").unwrap_or(rest)),
    })
}

/// What is in the brackets that `bytes` begin with, without the blanks before it, and what follows them.
fn bracket(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let inner = bytes.strip_prefix(b"[")?;
    let end = inner.iter().position(|&b| b == b']')?;
    let text = str::from_utf8(&inner[..end]).ok()?;
    Some((text.trim_start(), &inner[end + 1..]))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
