//! The times and dates at the beginnings of lines.

/// What stands in the brackets that a line of dmesg's begins with.
pub(super) enum LineStamp<'a> {
    Boot(u64),
    Date(&'a str),
}

impl<'a> LineStamp<'a> {
    /// `12.345678`, `12.345678 <    0.000005>`, `Tue Nov 24 01:02:03 2026`, `Nov24 01:02`, `+0.000005`.
    pub(super) fn of(inner: &'a str) -> Option<Self> {
        let inner = inner
            .split_once(" <")
            .filter(|(_, delta)| delta.ends_with('>'))
            .map_or(inner, |(time, _)| time)
            .trim();
        if let Some(time_ns) = seconds(inner) {
            return Some(Self::Boot(time_ns));
        }
        let delta = inner
            .strip_prefix('+')
            .is_some_and(|delta| seconds(delta).is_some());
        (delta || calendar(inner)).then_some(Self::Date(inner))
    }

    pub(super) fn time_ns(&self) -> Option<u64> {
        match self {
            Self::Boot(time_ns) => Some(*time_ns),
            Self::Date(_) => None,
        }
    }

    pub(super) fn date(&self) -> Option<&'a str> {
        match self {
            Self::Boot(_) => None,
            Self::Date(date) => Some(date),
        }
    }
}

/// dmesg's own dates: `Tue Nov 24 01:02:03 2026`, and `Nov24 01:02`.
fn calendar(inner: &str) -> bool {
    let words: Vec<_> = inner.split_ascii_whitespace().collect();
    match words[..] {
        [day, month, of_month, time, year] => {
            name(day) && name(month) && digits(of_month) && clock(time) && digits(year)
        }
        [date, time] => {
            let (month, of_month) = date.split_at_checked(3).unwrap_or((date, ""));
            name(month) && digits(of_month) && time.len() == 5 && time.contains(':')
        }
        _ => false,
    }
}

/// `Tue` or `Nov`.
fn name(text: &str) -> bool {
    matches!(text.as_bytes(), [first, rest @ ..]
        if rest.len() == 2 && first.is_ascii_uppercase() && rest.iter().all(u8::is_ascii_lowercase))
}

/// `01:02:03`, with a fraction or without.
fn clock(text: &str) -> bool {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let parts: Vec<_> = whole.split(':').collect();
    parts.len() == 3 && parts.iter().all(|part| part.len() == 2 && digits(part)) && digits(fraction)
}

/// `12.345678` in nanoseconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (seconds, micros) = text.trim_start().split_once('.')?;
    if !digits(seconds) || !digits(micros) || micros.len() != 6 {
        return None;
    }
    let (seconds, micros): (u64, u64) = (seconds.parse().ok()?, micros.parse().ok()?);
    Some(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(micros * 1000),
    )
}

/// What is in the brackets that `bytes` begin with, without the blanks before it, and what follows them.
pub(super) fn bracket(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let inner = bytes.strip_prefix(b"[")?;
    let end = inner.iter().position(|&b| b == b']')?;
    let text = str::from_utf8(&inner[..end]).ok()?;
    Some((text.trim_start(), &inner[end + 1..]))
}

/// The date that a line of a syslog or of the journal begins with, and what follows it:
///
/// ```text
/// Nov 24 01:02:03         Nov 24 01:02:03.123456      Nov 24 2026 01:02:03
/// 2026-11-24T01:02:03.123456+00:00                    2026-11-24T01:02:03+0000
/// 2026-11-24 01:02:03     Tue 2026-11-24 01:02:03 UTC 1795482123.123456
/// ```
pub(super) fn date(bytes: &[u8]) -> Option<(&str, &[u8])> {
    // All of them are shorter.
    let head = &bytes[..bytes.len().min(48)];
    let head = match str::from_utf8(head) {
        Ok(head) => head,
        Err(error) => str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    // The words, and where each ends.
    let mut words = Vec::with_capacity(5);
    let mut at = 0;
    for word in head.split(' ') {
        if !word.is_empty() {
            words.push((word, at + word.len()));
        }
        at += word.len() + 1;
    }
    let word = |at: usize| words.get(at).map_or("", |(word, _)| word);
    let count = if name(word(0)) && digits(word(1)) && clock(word(2)) {
        3
    } else if name(word(0)) && digits(word(1)) && digits(word(2)) && clock(word(3)) {
        4
    } else if name(word(0)) && day(word(1)) && clock(word(2)) {
        // And the zone.
        4
    } else if day(word(0)) && clock(word(1)) {
        2
    } else if iso(word(0)) || epoch(word(0)) {
        1
    } else {
        return None;
    };
    let (_, end) = words.get(count - 1)?;
    Some((&head[..*end], &bytes[*end..]))
}

/// `2026-11-24`
fn day(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    year.len() == 4
        && month.len() == 2
        && day.len() == 2
        && [year, month, day].into_iter().all(digits)
}

/// `2026-11-24T01:02:03`, with a fraction and a zone or without.
fn iso(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let zone = time.find(['+', '-', 'Z']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-:Z".contains(&byte);
    day(date) && clock(time) && zone.bytes().all(plain)
}

/// `journalctl -o short-unix`.
fn epoch(text: &str) -> bool {
    seconds(text).is_some() && text.len() >= 17
}

pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
