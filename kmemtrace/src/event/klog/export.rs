//! A journal as `journalctl -o export` writes it: entries of `FIELD=VALUE` lines, with an empty line after each. A value that is not
//! plain text follows the field's name and its length in eight bytes.

use std::borrow::Cow;

use memchr::memchr_iter;

use super::{KlogTally, Record, stamp::digits};

/// Whether a text is such a journal.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"__CURSOR=")
}

/// What is known of an entry.
#[derive(Default)]
struct Entry<'a> {
    /// The message, and the number of its line.
    message: Option<(u64, &'a [u8])>,
    kernel: bool,
    /// The kernel's own time, else the journal's, in microseconds.
    own_us: Option<u64>,
    journal_us: Option<u64>,
}

/// Hands over the kernel's records.
pub(super) fn records(bytes: &[u8], each: &mut dyn FnMut(u64, &Record<'_>)) -> KlogTally {
    let mut tally = KlogTally::default();
    let mut entry = Entry::default();
    let (mut rest, mut number) = (bytes, 1);
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (line, after) = end.map_or((rest, &rest[rest.len()..]), |end| {
            (&rest[..end], &rest[end + 1..])
        });
        rest = after;
        if line.is_empty() {
            entry.hand_over(&mut tally, each);
            entry = Entry::default();
            number += 1;
            continue;
        }
        let (field, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, binary(&mut rest).unwrap_or_default()),
        };
        let micros = || number_of(value);
        match field {
            b"MESSAGE" => entry.message = Some((number, value)),
            b"_TRANSPORT" => entry.kernel = value == b"kernel",
            b"_SOURCE_MONOTONIC_TIMESTAMP" => entry.own_us = micros(),
            b"__MONOTONIC_TIMESTAMP" => entry.journal_us = micros(),
            _ => {}
        }
        number += 1 + memchr_iter(b'\n', value).count() as u64;
    }
    entry.hand_over(&mut tally, each);
    tally
}

/// A value with its length before it and a newline behind it.
fn binary<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let value = after.get(..length)?;
    let after = &after[length..];
    *rest = after.strip_prefix(b"\n").unwrap_or(after);
    Some(value)
}

fn number_of(value: &[u8]) -> Option<u64> {
    str::from_utf8(value)
        .ok()
        .filter(|text| digits(text))?
        .parse()
        .ok()
}

impl Entry<'_> {
    fn hand_over(&self, tally: &mut KlogTally, each: &mut dyn FnMut(u64, &Record<'_>)) {
        let Some((number, message)) = self.message else {
            return;
        };
        if !self.kernel {
            tally.others += 1;
            return;
        }
        tally.records += 1;
        let micros = self.own_us.or(self.journal_us);
        each(
            number,
            &Record {
                time_ns: micros.map(|micros| micros.saturating_mul(1000)),
                text: Cow::Borrowed(message),
                ..Record::default()
            },
        );
    }
}
