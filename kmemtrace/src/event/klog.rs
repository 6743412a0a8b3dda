//! SLUB's failure message in the kernel log, in the wordings that kernels have had.
//!
//! ```text
//! SLUB: Unable to allocate memory on node -1 (gfp=0xd0)                                         3.10
//! SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_ATOMIC)                             4.x to 6.11
//! SLUB: Unable to allocate memory on CPU 0 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)        6.12 and later
//!   cache: sigqueue, object size: 80, buffer size: 80, default order: 0, min order: 0
//! ```
//!
//! The first line and the `cache:` line are records of their own in the log.

use bytes::Bytes;

use super::SlabFailure;

const MESSAGE: &[u8] = b"SLUB: Unable to allocate memory on ";

/// One line as `/dev/kmsg` gives it: `PRIO,SEQ,USEC,FLAGS;TEXT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's number: a jump means that records were overwritten.
    pub sequence: u64,
    /// Its time on the kernel log's clock, in nanoseconds: close to `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Its text, up to the first newline.
    pub text: &'a [u8],
}

/// Parses one `/dev/kmsg` record; `None` if it is not one.
pub fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let semicolon = bytes.iter().position(|&b| b == b';')?;
    let (prefix, text) = bytes.split_at(semicolon);
    let mut fields = str::from_utf8(prefix).ok()?.split(',').skip(1);
    let sequence = fields.next()?.parse().ok()?;
    let micros: u64 = fields.next()?.parse().ok()?;
    let text = text.get(1..)?;
    let text = text.split(|&b| b == b'\n').next().unwrap_or(text);
    Some(Record {
        sequence,
        time_ns: micros.saturating_mul(1000),
        text,
    })
}

/// Finds SLUB's message in `text`, wherever in it the line begins, and the `cache:` line if it follows.
pub fn slab_failure(text: &[u8]) -> Option<SlabFailure> {
    let at = find(text, MESSAGE)?;
    let rest = &text[at + MESSAGE.len()..];
    let (line, more) = match rest.iter().position(|&b| b == b'\n') {
        Some(end) => rest.split_at(end),
        None => (rest, &[][..]),
    };
    let mut failure = SlabFailure {
        // the last "node N" is the one asked for: since 6.12 the CPU's own comes first, as "of node N"
        node: find_last(line, b"node ").and_then(|at| number(&line[at + 5..])),
        gfp: find(line, b"gfp=0x").and_then(|at| hex(&line[at + 6..])),
        ..SlabFailure::default()
    };
    if let Some((cache, object_size)) = cache(more) {
        failure.cache = Some(cache);
        failure.object_size = object_size;
    }
    Some(failure)
}

/// The cache's name and object size from the line that follows the message.
pub fn cache(text: &[u8]) -> Option<(Bytes, Option<u32>)> {
    let at = find(text, b"cache: ")? + 7;
    let rest = &text[at..];
    let end = find(rest, b", object size: ")?;
    let size = number(&rest[end + 15..]).and_then(|n| u32::try_from(n).ok());
    Some((Bytes::copy_from_slice(&rest[..end]), size))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|w| w == what)
}

fn number(text: &[u8]) -> Option<i32> {
    let end = text
        .iter()
        .enumerate()
        .position(|(i, b)| !(b.is_ascii_digit() || (i == 0 && *b == b'-')))
        .unwrap_or(text.len());
    str::from_utf8(&text[..end]).ok()?.parse().ok()
}

fn hex(text: &[u8]) -> Option<u32> {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_hexdigit())
        .unwrap_or(text.len());
    u32::from_str_radix(str::from_utf8(&text[..end]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_wording_is_understood() {
        for (line, node, gfp) in [
            (
                "SLUB: Unable to allocate memory on node -1 (gfp=0xd0)",
                -1,
                0xd0,
            ),
            (
                "SLUB: Unable to allocate memory on node 1, gfp=0xa20(GFP_ATOMIC)",
                1,
                0xa20,
            ),
            (
                "SLUB: Unable to allocate memory on CPU 0 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)",
                -1,
                0x820,
            ),
            (
                "[    1.234567] SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_ATOMIC)",
                -1,
                0xa20,
            ),
        ] {
            let failure = slab_failure(line.as_bytes()).unwrap();
            assert_eq!(
                (failure.node, failure.gfp),
                (Some(node), Some(gfp)),
                "{line}"
            );
        }
        assert_eq!(slab_failure(b"SLUB: HWalign=64, Order=0-3"), None);
    }

    #[test]
    fn the_cache_line_is_understood() {
        let line =
            b"  cache: dentry(3:ebf02fc7), object size: 192, buffer size: 192, default order: 0";
        assert_eq!(
            cache(line),
            Some((Bytes::from_static(b"dentry(3:ebf02fc7)"), Some(192)))
        );
        assert_eq!(cache(b"  node 0: slabs: 49, objs: 1029, free: 0"), None);
    }

    #[test]
    fn a_kmsg_record_is_taken_apart() {
        let r = record(b"4,1234,5678901,-;SLUB: Unable\n SUBSYSTEM=x\n").unwrap();
        assert_eq!(
            (r.sequence, r.time_ns, r.text),
            (1234, 5_678_901_000, &b"SLUB: Unable"[..])
        );
        assert_eq!(record(b"no record"), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            record(&bytes);
            slab_failure(&bytes);
            cache(&bytes);
            let mut line = b"SLUB: Unable to allocate memory on ".to_vec();
            line.extend_from_slice(&bytes);
            slab_failure(&line);
        }
    }
}
