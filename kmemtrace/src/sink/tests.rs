//! Every kind of change, through both sinks.

use super::{
    Sink,
    jsonl::JsonLines,
    tail::{Tail, TailOptions},
};
use crate::{
    event::{
        Carried, CarriedZombie, Cgroup, Counted, Counts, Event, Fact, Gap, GapReason, Holds,
        MkdirFailure, NodeSlabs, Path, Pod, Proof, Scope, SlabFailure, Stamp, Task, Walked,
        header::{Header, HookReport, Refusal, SCHEMA},
        json::{Content, Item, Line, Reader, parse},
    },
    tracker::{
        Change, CreatorCount, Delays, Forecast, OwnerCount, Pin, PinCount, Pinned, Range, Subject,
        Summary, SuspectCount, Totals, Tracker, Trend, What,
    },
};

mod fixtures;
mod properties;
mod several;

use fixtures::*;

fn tracker() -> Tracker {
    Tracker::of(&header())
}

fn show(sink: &mut impl Sink, changes: &[Change]) {
    sink.header(at(0), &header()).unwrap();
    let tracker = tracker();
    for change in changes {
        sink.change(change, tracker.state()).unwrap();
    }
    sink.flush().unwrap();
}

fn text(color: bool, changes: &[Change]) -> String {
    let mut sink = Tail::new(Vec::new(), TailOptions { color });
    show(&mut sink, changes);
    String::from_utf8(sink.into_inner()).unwrap()
}

fn json() -> String {
    let mut sink = JsonLines::new(Vec::new());
    show(&mut sink, &changes());
    String::from_utf8(sink.into_inner()).unwrap()
}

/// What a trace's next file begins with is no change: a fact alone.
fn carried() -> String {
    let mut sink = JsonLines::new(Vec::new());
    let leaked = Carried {
        cgroup: cgroup(41, format!("{SLICE}{CONTAINER}.scope")),
        created_ns: Some(at(0).mono_ns),
        creator: task(812, b"kubelet"),
        zombie: Some(CarriedZombie {
            since_ns: at(4000).mono_ns,
            after_ns: None,
            proof: Proof::Counted,
            leaked: true,
        }),
        ..Carried::default()
    };
    sink.header(
        at(90_000),
        &Header {
            part: Some(2),
            began_mono_ns: Some(at(0).mono_ns),
            ..header()
        },
    )
    .unwrap();
    let fact = Fact::Carried(Box::new(leaked));
    sink.event(&Event {
        time: at(90_000),
        fact,
    })
    .unwrap();
    String::from_utf8(sink.into_inner()).unwrap()
}

#[test]
fn text_without_color() {
    let text = text(false, &changes());
    assert!(
        !text
            .chars()
            .any(|c| c != '\n' && crate::text::escape::is_hidden(c))
    );
    insta::assert_snapshot!(text);
}

#[test]
fn text_with_color() {
    insta::assert_snapshot!(text(true, &changes()).replace('\x1b', "␛"));
}

#[test]
fn json_lines() {
    let json = json();
    assert!(
        !json
            .chars()
            .any(|c| c != '\n' && crate::text::escape::is_hidden(c))
    );
    insta::assert_snapshot!(json);
}

#[test]
fn a_job_is_named() {
    let path = "/slurm/uid_1000/job_8412/step_batch/task_0";
    let leaked = Change {
        time: at(34_000),
        what: What::Leaked(zombie(cgroup(7, path), 0, 4_000, 34_000)),
        ..changes().remove(0)
    };
    let text = text(false, std::slice::from_ref(&leaked));
    assert!(
        text.contains("  slurm job_8412/step_batch  /slurm/"),
        "{text}"
    );
    let mut sink = JsonLines::new(Vec::new());
    show(&mut sink, &[leaked]);
    let json = String::from_utf8(sink.into_inner()).unwrap();
    let owner = r#""runtime":"slurm","owner_name":"job_8412/step_batch","#;
    assert!(json.contains(owner), "{json}");
}

#[test]
fn the_document_has_every_field_and_its_samples_are_real() {
    let document = include_str!("../../../docs/trace-format.md");
    for column in Line::COLUMNS {
        let field = column.name;
        assert!(document.contains(&format!("`{field}`")), "{field}");
    }
    let json = json() + &carried();
    let samples: Vec<_> = document
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert!(
        samples
            .iter()
            .all(|sample| json.lines().any(|line| line == *sample))
    );
    for line in json.lines() {
        let (_, kind) = line.split_once(r#""kind":""#).unwrap();
        let (kind, _) = kind.split_once('"').unwrap();
        assert!(document.contains(&format!("### {kind}\n")), "{kind}");
        assert!(
            samples
                .iter()
                .any(|s| s.contains(&format!(r#""kind":"{kind}""#))),
            "{kind}"
        );
    }
}

#[test]
fn verdicts() {
    let clean = Summary {
        totals: Totals {
            live: 5,
            ..Totals::default()
        },
        created: 1,
        ..Summary::default()
    };
    let verdict = |summary: Summary| {
        let what = What::Summary(Box::new(summary));
        let change = Change {
            time: at(0),
            what,
            totals: Totals::default(),
        };
        text(false, &[change]).lines().nth(1).unwrap().to_owned()
    };
    let all = [
        verdict(clean.clone()),
        verdict(Summary {
            gaps: 1,
            ..clean.clone()
        }),
        verdict(Summary {
            inherited: Some(30_000),
            ..clean.clone()
        }),
        verdict(Summary {
            leaks: 1,
            recovered: 1,
            ..clean.clone()
        }),
        verdict(Summary {
            slab_failures: 1,
            ..clean.clone()
        }),
        verdict(Summary {
            mkdir_failures: 2,
            gaps: 1,
            ..clean.clone()
        }),
        verdict(Summary {
            totals: Totals {
                leaked: 1,
                ..clean.totals
            },
            leaks: 1,
            ..clean
        }),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn what_json_shows_is_read_back_as_facts() {
    let json = json();
    let mut reader = Reader::new(json.as_bytes());
    let items: Vec<Item> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(
        reader.tally().unknown_fields + reader.tally().unknown_kinds,
        0
    );
    let facts = changes()
        .into_iter()
        .filter_map(|Change { time, what, .. }| {
            let fact = match what {
                What::Created(s) => Fact::Created(s.cgroup),
                What::Offlined(s) => Fact::Offlined(s.cgroup),
                What::Freed(s) | What::Recovered(s) => Fact::Freed(s.cgroup),
                What::Renamed(s) => Fact::Renamed(s.cgroup),
                What::Present(s) => Fact::Present(s.cgroup),
                What::Zombie(s) => Fact::Zombie(s.cgroup),
                What::Walked { walked, .. } => Fact::Walked(walked),
                What::SlabFailure(failure) => Fact::SlabFailure(failure),
                What::MkdirFailure(failure) => Fact::MkdirFailure(failure),
                What::Gap(gap) => Fact::Gap(gap),
                What::Tick(counts) => Fact::Tick(counts),
                What::Leaked(_) | What::LeakedUnseen { .. } | What::Summary(_) => return None,
            };
            Some(Item::Event(Event { time, fact }))
        });
    let header = Item::Header(at(0), Box::new(header()));
    let all = std::iter::once(header).chain(facts);
    let end = Item::End(at(130_000));
    assert_eq!(items, all.chain([end]).collect::<Vec<_>>());
}

#[test]
fn a_fact_alone_is_a_line_too() {
    let event = Event {
        time: at(1),
        fact: Fact::Created(cgroup(31, format!("{POD}/{CONTAINER}"))),
    };
    let mut sink = JsonLines::new(Vec::new());
    sink.event(&event).unwrap();
    let line = sink.into_inner();
    // what follows from the path is for those who read changes
    assert!(!String::from_utf8_lossy(&line).contains("qos"));
    assert_eq!(parse(&line, 1).unwrap().content, Content::Event(event));
}
