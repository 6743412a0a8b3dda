//! Every kind of change, through both sinks.

use bytes::Bytes;

use super::{
    Sink,
    jsonl::JsonLines,
    tail::{Tail, TailOptions},
};
use crate::{
    event::{
        Cgroup, Counts, Event, Fact, Gap, GapReason, MkdirFailure, Path, Scope, SlabFailure, Stamp,
        Task, Walked,
        header::{Header, HookReport, Refusal, SCHEMA},
        json::{Content, Item, Line, Reader, parse},
    },
    tracker::{Change, Delays, OwnerCount, Subject, Summary, Totals, What},
};

const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";
const CONTAINER: &str = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";
const SLICE: &str = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod74c13223_5a00_11e9_b385_42010a80018d.slice/cri-containerd-";

fn at(ms: u64) -> Stamp {
    Stamp {
        mono_ns: 5_000_000_000 + ms * 1_000_000,
        wall_ns: 1_773_491_464_123_456_789 + ms as i64 * 1_000_000,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as its callers need it")]
fn task(pid: u32, name: &[u8]) -> Option<Task> {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name);
    Some(Task { pid, comm })
}

fn cgroup(id: u64, path: impl Into<Bytes>) -> Cgroup {
    Cgroup {
        id,
        parent_id: Some(id - 1),
        memcg_id: Some(id as u32 + 7),
        path: Some(Path::whole(path)),
        memory: Some(true),
        task: task(4242, b"runc"),
        ..Cgroup::default()
    }
}

fn subject(cgroup: Cgroup) -> Subject {
    Subject {
        cgroup,
        generation: 0,
        created: None,
        creator: None,
        offlined: None,
        offlined_after_ns: None,
        zombie_ns: None,
        across_gap: false,
    }
}

/// One that was made at `born` and removed at `died`, as it is at `now`.
fn zombie(cgroup: Cgroup, born: u64, died: u64, now: u64) -> Subject {
    Subject {
        created: Some(at(born)),
        creator: task(812, b"kubelet"),
        offlined: Some(at(died)),
        zombie_ns: Some((now - died) * 1_000_000),
        ..subject(Cgroup {
            usage_bytes: Some(1_310_720),
            ..cgroup
        })
    }
}

fn header() -> Header {
    Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        source: "bpf".into(),
        hostname: Some("node-7".into()),
        kernel: Some("6.1.0-40-cloud-amd64".into()),
        boot_id: Some("0b1a6e3c-1d5f-4d0e-9f5c-0c8e4f1f7a11".into()),
        hierarchy: Some("v1".into()),
        grace_ns: 30_000_000_000,
        hooks: vec![HookReport {
            hook: "lifecycle".into(),
            way: Some("raw_tp".into()),
            refused: vec![Refusal {
                way: "tp_btf".into(),
                reason: "requires BTF: there is no /sys/kernel/btf/vmlinux".into(),
            }],
            lost: None,
        }],
    }
}

fn summary() -> Summary {
    Summary {
        found: 48,
        duration_ns: 130_000_000_000,
        totals: Totals {
            live: 48,
            zombies: 12,
            leaked: 10,
        },
        created: 120,
        offlined: 110,
        freed: 98,
        leaks: 12,
        recovered: 2,
        inherited: Some(2),
        slab_failures: 3,
        mkdir_failures: 1,
        gaps: 2,
        lost: 17,
        delays: Some(Delays {
            count: 98,
            min_ns: 800_000,
            p50_ns: 1_200_000,
            p90_ns: 40_000_000,
            p99_ns: 3_400_000_000,
            max_ns: 130_000_000_000,
        }),
        owners: vec![
            OwnerCount {
                kind: "pod",
                name: "74c13223-5a00-11e9-b385-42010a80018d".into(),
                leaked: 7,
            },
            OwnerCount {
                kind: "unit",
                name: "nginx.service".into(),
                leaked: 2,
            },
            OwnerCount {
                kind: "path",
                name: "/x\u{1b}[2J/\u{202e}y".into(),
                leaked: 1,
            },
        ],
    }
}

/// One of each kind, and what names from outside can do.
#[expect(clippy::too_many_lines, reason = "a list")]
fn changes() -> Vec<Change> {
    let container = || cgroup(31, format!("{POD}/{CONTAINER}"));
    let scope = || cgroup(41, format!("{SLICE}{CONTAINER}.scope"));
    let unit = || cgroup(51, "/system.slice/nginx.service");
    let hostile: [&[u8]; 5] = [
        b"/a\x1b[2J\x1b]0;title\x07/\r\n2026 LEAKED \"quoted\" \\ end",
        b"/bytes\xff\xfe/\xc3\x28",
        "/bidi\u{202e}gpj.exe\u{2066}/c1\u{9b}31m\u{7f}\u{200b}\u{2028}".as_bytes(),
        b"/<script>alert('x')</script>&amp;{{x}}%s${IFS}",
        &[&b"/"[..], &[b'n'; 255], b"/leaf"].concat(),
    ];
    let mut list = vec![
        (
            0,
            What::Present(subject(Cgroup {
                task: None,
                ..unit()
            })),
        ),
        (
            1,
            What::Walked {
                walked: Walked {
                    began_mono_ns: at(0).mono_ns,
                    directories: 49,
                    counts: Counts {
                        num_cgroups: Some(51),
                        ..Counts::default()
                    },
                },
                number: 1,
            },
        ),
        (
            100,
            What::Created(Subject {
                created: Some(at(100)),
                creator: task(4242, b"runc"),
                ..subject(container())
            }),
        ),
        (
            3_500,
            What::Offlined(zombie(container(), 100, 3_500, 3_500)),
        ),
        (3_501, What::Freed(zombie(container(), 100, 3_500, 3_501))),
        (4_000, What::Offlined(zombie(scope(), 0, 4_000, 4_000))),
        (34_000, What::Leaked(zombie(scope(), 0, 4_000, 34_000))),
        (35_000, What::Recovered(zombie(scope(), 0, 4_000, 35_000))),
        (
            36_000,
            What::Leaked(Subject {
                generation: 1,
                offlined_after_ns: Some(at(5_000).mono_ns),
                across_gap: true,
                ..zombie(
                    Cgroup {
                        scope: Scope::Memcg,
                        serial: Some(77),
                        ..unit()
                    },
                    0,
                    6_000,
                    36_000,
                )
            }),
        ),
        (36_100, What::Renamed(subject(cgroup(61, "/batch/renamed")))),
        (
            36_200,
            What::Freed(subject(Cgroup {
                id: 9,
                ..Cgroup::default()
            })),
        ),
        (
            36_300,
            What::SlabFailure(SlabFailure {
                cache: Some(Bytes::from_static(b"dentry(3:ebf02fc7)")),
                object_size: Some(192),
                gfp: Some(0xd0),
                node: Some(-1),
                task: task(4242, b"runc"),
            }),
        ),
        (36_301, What::SlabFailure(SlabFailure::default())),
        (
            36_400,
            What::MkdirFailure(MkdirFailure {
                path: Some(Path::whole(format!("{POD}/{CONTAINER}"))),
                errno: Some(12),
                parent_id: Some(30),
                task: task(4243, b"ru\x1b[31m\xff"),
                ..MkdirFailure::default()
            }),
        ),
        (
            36_500,
            What::Gap(Gap {
                from_mono_ns: at(36_450).mono_ns,
                lost: Some(17),
                reason: GapReason::RingFull,
            }),
        ),
        (
            36_600,
            What::Gap(Gap {
                from_mono_ns: at(36_000).mono_ns,
                lost: None,
                reason: GapReason::BadRecord,
            }),
        ),
        (
            37_000,
            What::Tick(Counts {
                num_cgroups: Some(51),
                ..Counts::default()
            }),
        ),
    ];
    for path in hostile {
        let subject = Subject {
            created: Some(at(38_000)),
            ..subject(cgroup(71, path.to_vec()))
        };
        list.push((38_000, What::Created(subject)));
    }
    let cut = Path {
        bytes: Bytes::from_static(b".../deep/leaf"),
        cut: true,
    };
    list.push((
        38_001,
        What::Created(subject(Cgroup {
            path: Some(cut),
            ..unit()
        })),
    ));
    let nested = format!(
        "/user.slice/user-1000.slice/user@1000.service/app.slice/{}",
        "d".repeat(60)
    );
    list.push((38_002, What::Created(subject(cgroup(81, nested)))));
    let docker = cgroup(91, format!("/docker/{CONTAINER}"));
    list.push((68_003, What::Leaked(zombie(docker, 38_000, 38_003, 68_003))));
    list.push((130_000, What::Summary(Box::new(summary()))));
    let totals = Totals {
        live: 48,
        zombies: 3,
        leaked: 1,
    };
    list.into_iter()
        .map(|(ms, what)| Change {
            time: at(ms),
            what,
            totals,
        })
        .collect()
}

fn show(sink: &mut impl Sink, changes: &[Change]) {
    sink.header(at(0), &header()).unwrap();
    for change in changes {
        sink.change(change).unwrap();
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

#[test]
fn text_without_color() {
    let text = text(false, &changes());
    assert!(
        !text
            .chars()
            .any(|c| c != '\n' && super::escape::is_hidden(c))
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
            .any(|c| c != '\n' && super::escape::is_hidden(c))
    );
    insta::assert_snapshot!(json);
}

#[test]
fn the_document_has_every_field_and_its_samples_are_real() {
    let document = include_str!("../../../docs/trace-format.md");
    for field in Line::FIELDS {
        assert!(document.contains(&format!("`{field}`")), "{field}");
    }
    let json = json();
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
                What::Walked { walked, .. } => Fact::Walked(walked),
                What::SlabFailure(failure) => Fact::SlabFailure(failure),
                What::MkdirFailure(failure) => Fact::MkdirFailure(failure),
                What::Gap(gap) => Fact::Gap(gap),
                What::Tick(counts) => Fact::Tick(counts),
                What::Leaked(_) | What::Summary(_) => return None,
            };
            Some(Item::Event(Event { time, fact }))
        });
    let header = Item::Header(at(0), Box::new(header()));
    assert_eq!(
        items,
        std::iter::once(header).chain(facts).collect::<Vec<_>>()
    );
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
    assert!(String::from_utf8_lossy(&line).contains(r#""qos":"burstable""#));
    assert_eq!(parse(&line, 1).unwrap().content, Content::Event(event));
}

mod properties {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn no_name_gets_through_unescaped(path: Vec<u8>, text: String, comm in vec(1..=255_u8, 0..=16)) {
            for path in [path, text.into_bytes()] {
                let cgroup = Cgroup { task: task(1, &comm), ..cgroup(5, path) };
                let failure = MkdirFailure {
                    path: cgroup.path.clone(),
                    task: cgroup.task,
                    ..MkdirFailure::default()
                };
                let created = Change {
                    time: at(1), what: What::Created(subject(cgroup)), totals: Totals::default(),
                };
                let failed = Change { what: What::MkdirFailure(failure), ..created.clone() };
                let mut json = JsonLines::new(Vec::new());
                let mut tail = Tail::new(Vec::new(), TailOptions::default());
                for change in [created, failed] {
                    json.change(&change).unwrap();
                    tail.change(&change).unwrap();
                }
                for out in [json.into_inner(), tail.into_inner()] {
                    let out = String::from_utf8(out).unwrap();
                    prop_assert_eq!(out.lines().count(), 2);
                    let hidden = |c| c != '\n' && crate::sink::escape::is_hidden(c);
                    prop_assert!(!out.chars().any(hidden), "{:?}", out);
                }
            }
        }
    }
}
