//! Runtimes' own names of containers and jobs, by the patterns that their rows have.

use super::{PodUid, is_container_id, is_hex_digit};
use crate::runtimes::{PATTERN_NAMES, RUNTIMES, Runtime};

/// Where Kata Containers puts what is of a sandbox and not of its containers: below it is the path that the sandbox has.
pub(super) const OVERHEAD: &str = "kata_overhead";

/// The runtime and the name, if the end of this path is one of a pattern's. `starts` says where its names begin, last first.
pub(super) fn named<'a>(
    path: &'a [u8],
    starts: &[usize; PATTERN_NAMES],
) -> Option<(Runtime, &'a str)> {
    let mut rows = RUNTIMES.iter();
    rows.find_map(|row| {
        row.patterns.iter().find_map(|pattern| {
            let text = path.get(*starts.get(pattern.names - 1)?..)?;
            let found = find(pattern.text.as_bytes(), text, text, (0, 0))?;
            Some((row.runtime, str::from_utf8(found).ok()?))
        })
    })
}

/// The runtime below whose directory, directly below the hierarchy's root, this path is.
pub(super) fn below(path: &[u8]) -> Option<Runtime> {
    let first = path
        .split(|&byte| byte == b'/')
        .find(|name| !name.is_empty())?;
    let is = |pattern: &&str| {
        let (above, below) = pattern.split_once('/').unwrap_or((pattern, ""));
        let own = !above.starts_with(['<', '*']) && !below.is_empty();
        own && find(above.as_bytes(), first, first, (0, 0)).is_some()
    };
    let row = RUNTIMES.iter().find(|row| {
        let mut patterns = row.patterns.iter().map(|pattern| pattern.text);
        patterns.any(|pattern| is(&pattern))
            || row.parents.iter().any(|one| one.as_bytes() == first)
    });
    row.map(|row| row.runtime)
}

/// What is between `<` and `>`, if all that is left is as the pattern says. `bounds` is how much was left at each of the two.
fn find<'a>(
    pattern: &[u8],
    rest: &'a [u8],
    text: &'a [u8],
    bounds: (usize, usize),
) -> Option<&'a [u8]> {
    let Some((&first, after)) = pattern.split_first() else {
        let at = |left| text.len() - left;
        return text
            .get(at(bounds.0)..at(bounds.1))
            .filter(|_| rest.is_empty());
    };
    let eat = |pattern: &[u8], length| find(pattern, rest.get(length..)?, text, bounds);
    match first {
        b'<' => find(after, rest, text, (rest.len(), bounds.1)),
        b'>' => find(after, rest, text, (bounds.0, rest.len())),
        b'#' => {
            let digits = count(rest, |byte| byte.is_ascii_digit());
            let last = after.first() != Some(&b'#');
            let length = if last { digits } else { 1 };
            (digits > 0).then(|| eat(after, length))?
        }
        b'*' => {
            let most = count(rest, |byte| {
                byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte)
            });
            (1..=most).rev().find_map(|length| eat(after, length))
        }
        b'{' => {
            let end = after.iter().position(|&byte| byte == b'}')?;
            let (kind, after) = (&after[..end], &after[end + 1..]);
            let length = count(rest, |byte| is_hex_digit(byte) || byte == b'-');
            // A dash may follow it.
            let lengths: &[usize] = match kind {
                b"id" => &[64],
                b"uuid" => &[36],
                b"guid" => &[36, 28],
                _ => &[36, 32],
            };
            let mut lengths = lengths.iter().filter(|&&one| one <= length);
            lengths.find_map(|&length| {
                let found = str::from_utf8(&rest[..length]).ok()?;
                let is = match (kind, length) {
                    (b"id", _) => is_container_id(found),
                    // As Diego cuts it: without the last eight digits.
                    (_, 28) => PodUid::parse(&format!("{found}00000000")).is_some(),
                    _ => PodUid::parse(found).is_some(),
                };
                is.then(|| eat(after, length))?
            })
        }
        _ => (rest.first() == Some(&first)).then(|| eat(after, 1))?,
    }
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|&&byte| is(byte)).count()
}
