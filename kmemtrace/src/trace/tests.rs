use std::io::Write;

use proptest::{prelude::*, sample::Index};

use super::*;

const HEADER: &str = r#"{"time":"2026-03-14T00:00:00Z","mono_ns":5,"kind":"header","schema":1,"version":"0.1.0","source":"bpf","grace_ns":9}"#;

fn tick(mono_ns: u64) -> String {
    format!(r#"{{"time":"2026-03-14T00:00:01Z","mono_ns":{mono_ns},"kind":"tick"}}"#)
}

fn trace(lines: &[&str]) -> String {
    lines.join("\n") + "\n"
}

/// What is read, and what is said of the rest.
fn read(bytes: &[u8]) -> (Vec<Item>, Vec<String>, Tally) {
    let mut trace = Trace::new("t", bytes).unwrap();
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    for item in &mut trace {
        match item {
            Ok(item) => items.push(item),
            Err(error) => errors.push(error.to_string()),
        }
    }
    (items, errors, trace.tally())
}

/// Frames of some lines each, and where each frame ends.
fn packed(text: &str, lines: usize) -> (Vec<u8>, Vec<usize>) {
    let (mut packed, mut ends) = (Vec::new(), Vec::new());
    let all: Vec<_> = text.split_inclusive('\n').collect();
    for some in all.chunks(lines) {
        packed.extend(zstd::encode_all(some.concat().as_bytes(), 0).unwrap());
        ends.push(packed.len());
    }
    (packed, ends)
}

#[test]
fn a_packed_trace_reads_as_a_plain_one() {
    let text = trace(&[HEADER, &tick(6), &tick(7), &tick(8)]);
    let plain = read(text.as_bytes());
    assert_eq!(plain.0.len(), 4);
    assert_eq!(read(&packed(&text, 3).0), plain);
}

#[test]
fn what_was_flushed_of_a_torn_frame_is_read() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 0).unwrap();
    encoder
        .write_all(trace(&[HEADER, &tick(6)]).as_bytes())
        .unwrap();
    encoder.flush().unwrap();
    let killed = encoder.get_ref().clone();
    let (items, errors, tally) = read(&killed);
    assert_eq!((items.len(), errors.len(), tally.torn), (2, 0, true));
}

#[test]
fn a_frame_that_is_no_frame_ends_the_file() {
    let (mut bytes, _) = packed(&trace(&[HEADER, &tick(6)]), 2);
    bytes.extend(b"not zstd");
    let (items, errors, _) = read(&bytes);
    assert_eq!(items.len(), 2);
    assert_eq!(
        errors,
        ["t: cannot read beyond line 2: Unknown frame descriptor"]
    );
}

#[test]
fn a_foreign_file_is_told_by_its_lines() {
    let (items, errors, _) = read(b"root:x:0:0:root:/root:/bin/bash\n");
    assert_eq!(items, []);
    assert_eq!(errors, ["t: line 1: column 1: expected value"]);
    let (items, errors, tally) = read(trace(&[&tick(6), HEADER, &tick(7)]).as_bytes());
    assert_eq!(items.len(), 2);
    assert_eq!(errors, ["t: line 1: no header before it"]);
    assert_eq!(tally.skipped, 1);
}

#[test]
fn lines_out_of_order_are_an_error_each_time_the_order_breaks() {
    let late = 200 * 1_000_000_000;
    let lines = [
        HEADER,
        &tick(late),
        &tick(late - DISORDER_NS), // as late as a fact may be
        &tick(late - DISORDER_NS - 1_000_000_000),
        &tick(late - DISORDER_NS),
        HEADER, // another run, perhaps after a boot
        &tick(6),
    ];
    let (items, errors, _) = read(trace(&lines).as_bytes());
    assert_eq!(items.len(), 6);
    assert_eq!(
        errors,
        ["t: line 4: 61.0 s older than the lines before it: lines are missing or out of order"]
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), packed: bool) {
        if packed {
            read(&[&ZSTD[..], &bytes].concat());
        } else {
            read(&bytes);
        }
    }

    /// A recording that was killed reads up to its last whole frame, at least.
    #[test]
    fn a_packed_trace_cut_anywhere_gives_the_frames_before(
        ticks in 1..60_u64, lines in 1..9_usize, at in any::<Index>(),
    ) {
        let text: String = std::iter::once(HEADER.to_owned())
            .chain((0..ticks).map(|at| tick(at + 10)))
            .map(|line| line + "\n")
            .collect();
        let (mut bytes, ends) = packed(&text, lines);
        bytes.truncate(at.index(bytes.len() + 1));
        let whole = ends.iter().filter(|end| **end <= bytes.len()).count();
        let mut expected = read(text.as_bytes()).0;
        expected.truncate(whole * lines);
        let (items, errors, tally) = read(&bytes);
        prop_assert_eq!(&items[..expected.len()], &expected[..]);
        // less than a magic number is no frame: it is a torn line
        prop_assert_eq!(errors, Vec::<String>::new());
        prop_assert_eq!(tally.torn, !bytes.is_empty() && !ends.contains(&bytes.len()));
    }
}

/// Recorded traces, unpacked.
fn recorded() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/traces/schema-1");
    let mut traces: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .map(|packed| zstd::decode_all(&packed[..]).unwrap())
        .collect();
    traces.sort();
    traces
}

/// What may have happened to a file on its way.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Flipped(Index, u8),
    Removed(Index, usize),
    Swapped(Index, Index),
    Inserted(Index, Vec<u8>),
}

impl Damage {
    fn do_to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Cut(at) => bytes.truncate(at.index(len)),
            Self::Flipped(at, bits) => bytes[at.index(len)] ^= bits,
            Self::Removed(at, count) => {
                let from = at.index(len);
                bytes.drain(from..(from + count).min(len));
            }
            // whole lines: what they hold is right, and where they stand is not
            Self::Swapped(one, other) => {
                let mut lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                *bytes = lines.concat();
            }
            Self::Inserted(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), 1..=u8::MAX).prop_map(|(at, bits)| Damage::Flipped(at, bits)),
        (index(), 1..200_usize).prop_map(|(at, count)| Damage::Removed(at, count)),
        (index(), index()).prop_map(|(one, other)| Damage::Swapped(one, other)),
        (index(), proptest::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, more)| Damage::Inserted(at, more)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each line that cannot be read is named by its number, and the tracker takes whatever the others say.
    #[test]
    fn a_damaged_recording_is_read_as_far_as_it_can_be(
        which in any::<Index>(),
        damages in proptest::collection::vec(damage(), 1..6),
        packed: bool,
    ) {
        let mut bytes = which.get(&recorded()).clone();
        if packed {
            bytes = zstd::encode_all(&bytes[..], 0).unwrap();
        }
        for damage in &damages {
            damage.do_to(&mut bytes);
        }
        let (items, errors, tally) = read(&bytes);
        for error in &errors {
            let named = error.starts_with("t: line ") || error.starts_with("t: cannot read beyond line ");
            prop_assert!(named, "{}", error);
        }
        prop_assert!((items.len() + errors.len()) as u64 <= tally.lines + 1);
        let grace = std::time::Duration::from_secs(1);
        let mut tracker = crate::tracker::Tracker::new(crate::tracker::Config { grace, polled: false, kept: crate::tracker::Kept::by(None) });
        let mut changes = Vec::new();
        for item in &items {
            if let Item::Event(event) = item {
                tracker.apply(event, &mut changes);
            }
        }
        let summary = tracker.state().summary();
        prop_assert!(summary.totals.leaked <= summary.totals.zombies);
    }
}

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
