use std::io::{BufReader, Cursor};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::event::{
    GapReason,
    header::{HookReport, Refusal, SCHEMA},
};

mod arbitrary;

use arbitrary::event;

fn content_of(line: &str) -> Content {
    parse(line.as_bytes(), 1).unwrap().content
}

fn fault_of(line: &str) -> String {
    parse(line.as_bytes(), 7).unwrap_err().to_string()
}

const TICK: &str = r#"{"time":"2026-03-14T00:00:00Z","mono_ns":1,"kind":"tick"}"#;

proptest! {
    #[test]
    fn a_fact_comes_back_from_its_line(event in event()) {
        let line = serde_json::to_vec(&Line::of(&event)).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        let parsed = parse(&line, 1).unwrap();
        prop_assert_eq!(parsed, Parsed { content: Content::Event(event), unknown_fields: 0 });
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, 1);
        let mut reader = Reader::new(Cursor::new(bytes));
        while reader.next().is_some() {}
    }

    #[test]
    fn a_damaged_line_never_panics(
        event in event(), at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let mut line = serde_json::to_vec(&Line::of(&event)).unwrap();
        let at = at.index(line.len());
        let _ = parse(&line[..at], 1);
        line[at] = with;
        let _ = parse(&line, 1);
    }

    #[test]
    fn a_trace_cut_anywhere_gives_all_lines_before(
        events in vec(event(), 1..6), at in any::<prop::sample::Index>(), capacity in 1..64_usize,
    ) {
        let mut trace = Vec::new();
        let mut ends = Vec::new();
        for event in &events {
            serde_json::to_writer(&mut trace, &Line::of(event)).unwrap();
            ends.push(trace.len()); // whole even without its newline
            trace.push(b'\n');
        }
        trace.truncate(at.index(trace.len() + 1));
        let whole = ends.iter().filter(|end| **end <= trace.len()).count();
        let torn = !trace.is_empty() && !trace.ends_with(b"\n") && !ends.contains(&trace.len());
        let mut reader = Reader::new(BufReader::with_capacity(capacity, Cursor::new(trace)));
        let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
        let expected: Vec<_> = events.into_iter().take(whole).map(Item::Event).collect();
        prop_assert_eq!(read, expected);
        prop_assert_eq!(reader.tally().torn, torn);
        prop_assert_eq!(reader.tally().skipped, 0);
    }
}

#[test]
fn a_header_comes_back_from_its_line() {
    let header = Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        source: "bpf".into(),
        hostname: Some("node-7\u{1b}".into()),
        grace_ns: 30_000_000_000,
        hooks: vec![HookReport {
            hook: "mkdir".into(),
            way: Some("kprobe".into()),
            refused: vec![Refusal {
                way: "fentry".into(),
                reason: "no BTF".into(),
            }],
            lost: None,
        }],
        ..Header::default()
    };
    let time = Stamp {
        mono_ns: 7,
        wall_ns: 1_773_491_464_123_456_789,
    };
    let line = serde_json::to_string(&HeaderLine::new(time, &header)).unwrap();
    assert!(
        line.starts_with(r#"{"time":"2026-03-14T12:31:04.123456789Z","mono_ns":7,"#),
        "{line}"
    );
    let content = Content::Header(time, Box::new(header));
    assert_eq!(
        parse(line.as_bytes(), 1).unwrap(),
        Parsed {
            content,
            unknown_fields: 0
        }
    );
    let newer = line.replace(
        r#""schema":1"#,
        r#""schema":2,"cpus":8,"path":["of another type"]"#,
    );
    assert_eq!(parse(newer.as_bytes(), 1).unwrap().unknown_fields, 2);
}

#[test]
fn verdicts_are_not_facts() {
    let time = r#""time":"2026-03-14T00:00:00.000000000Z","mono_ns":1"#;
    for line in [
        r#""kind":"leaked","cgroup_id":3"#,
        r#""kind":"summary","path":{"of":"another type"}"#,
        r#""kind":"offlined","cgroup_id":3,"offlined_after_mono_ns":1"#,
    ] {
        assert_eq!(
            content_of(&format!("{{{time},{line}}}")),
            Content::Verdict,
            "{line}"
        );
    }
    let summary = format!(r#"{{{time},"kind":"summary","created":3,"owners":[{{"kind":"pod"}}]}}"#);
    let end = Stamp {
        mono_ns: 1,
        wall_ns: 1_773_446_400_000_000_000,
    };
    assert_eq!(content_of(&summary), Content::End(end));
    let freed = format!(r#"{{{time},"kind":"recovered","cgroup_id":3,"zombie_ns":9,"live":1}}"#);
    let Content::Event(event) = content_of(&freed) else {
        panic!("{freed}")
    };
    assert_eq!(
        event.fact,
        Fact::Freed(Cgroup {
            id: Some(3),
            ..Cgroup::default()
        })
    );
}

#[test]
fn what_a_later_version_writes_is_passed_over() {
    let trace = [
        TICK,
        r#"{"kind":"thawed","mono_ns":"of another type"}"#,
        r#"{"kind":"freed","scope":"galaxy"}"#,
        "",
        &TICK
            .replace("tick", r#"tick","mood":{"a":[1]},"dying":null,"hue":"#)
            .replace(":\"}", ":1}"),
    ]
    .join("\n");
    let trace = format!("{trace}\r\n");
    let mut reader = Reader::new(trace.as_bytes());
    assert_eq!(reader.by_ref().filter_map(Result::ok).count(), 2);
    let expected = Tally {
        lines: 5,
        unknown_kinds: 2,
        unknown_fields: 2,
        ..Tally::default()
    };
    assert_eq!(reader.tally(), expected);
}

#[test]
fn a_gap_for_a_reason_unheard_of_is_a_gap() {
    let line = TICK.replace("tick", r#"gap","from_mono_ns":3,"reason":"solar_wind"#);
    let parsed = parse(line.as_bytes(), 1).unwrap();
    assert_eq!(parsed.unknown_fields, 1);
    let Content::Event(event) = parsed.content else {
        panic!("{line}")
    };
    let gap = Gap {
        from_mono_ns: 3,
        lost: None,
        reason: GapReason::BadRecord,
        counted: None,
    };
    assert_eq!(event.fact, Fact::Gap(gap));
}

#[test]
fn a_fault_names_the_line_and_what_is_wrong() {
    assert_eq!(
        fault_of("{"),
        "line 7: column 1: EOF while parsing an object"
    );
    assert_eq!(
        fault_of("[]"),
        "line 7: column 0: invalid type: sequence, expected an object"
    );
    assert_eq!(fault_of(r#"{"mono_ns":1}"#), "line 7: no kind");
    assert_eq!(fault_of(r#"{"kind":"created"}"#), "line 7: no cgroup_id");
    assert_eq!(fault_of(r#"{"kind":"tick"}"#), "line 7: no mono_ns");
    assert_eq!(
        fault_of(r#"{"kind":"tick","mono_ns":1}"#),
        "line 7: no time"
    );
    assert_eq!(
        fault_of(r#"{"kind":"created","path_hex":"f"}"#),
        "line 7: column 33: not pairs of hex digits"
    );
    assert_eq!(
        fault_of(&TICK.replace("2026", "soon")),
        "line 7: column 30: the time is not RFC 3339"
    );
}

#[test]
fn bad_lines_are_skipped_one_by_one() {
    let long = format!("{{\"path\":\"{}\"}}", "x".repeat(3 * LINE_MAX));
    let trace = format!("{TICK}\nnonsense\n{long}\n{TICK}\n{long}");
    let mut reader = Reader::new(trace.as_bytes());
    let errors: Vec<_> = reader
        .by_ref()
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(
        errors,
        [
            "line 2: column 2: expected ident",
            "line 3: longer than 1048576 bytes",
            "line 5: longer than 1048576 bytes"
        ]
    );
    assert_eq!(
        reader.tally(),
        Tally {
            lines: 5,
            skipped: 3,
            ..Tally::default()
        }
    );
    // a crash of the machine leaves zeros where the file had grown
    let mut reader = Reader::new(&b"\0\0\0\0"[..]);
    assert!(reader.next().is_none());
    assert!(reader.tally().torn);
}
