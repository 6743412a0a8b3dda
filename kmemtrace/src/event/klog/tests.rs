use std::io::{self, BufReader, Read};

use proptest::{collection::vec, prelude::*};

use super::*;

const KMSG: &[u8] = include_bytes!("../../../../tests/data/slub-failure-el7-514-kmsg.txt");
const DMESG: &[u8] = include_bytes!("../../../../tests/data/slub-failure-el7-514-dmesg.txt");

const CACHE: &str =
    "  cache: sigqueue, object size: 80, buffer size: 88, default order: 1, min order: 0";
const NODES: [&str; 2] = [
    "  node 0: slabs: 3396, objs: 173196, free: 0",
    "  node 1: slabs: 1, objs: 51, free: 7",
];

fn nodes() -> Vec<NodeSlabs> {
    [(0, 3396, 173_196, 0), (1, 1, 51, 7)]
        .map(|(node, slabs, objects, free)| NodeSlabs {
            node,
            slabs,
            objects,
            free,
        })
        .to_vec()
}

#[test]
fn every_wording_is_understood() {
    let none = (None, None);
    let atomic = Some("GFP_ATOMIC|__GFP_ZERO");
    for (line, node, gfp, (cpu, flags)) in [
        (
            "SLUB: Unable to allocate memory on node -1 (gfp=0xd0)",
            -1,
            0xd0,
            none,
        ),
        (
            "SLUB: Unable to allocate memory on node 1, gfp=0xa20(GFP_ATOMIC|__GFP_ZERO)",
            1,
            0xa20,
            (None, atomic),
        ),
        (
            "SLUB: Unable to allocate memory on CPU 12 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC|__GFP_ZERO)",
            -1,
            0x820,
            (Some(12), atomic),
        ),
        (
            "[    1.234567] SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_\x1b[31m)",
            -1,
            0xa20,
            none,
        ),
    ] {
        let expected = SlabFailure {
            node: Some(node),
            gfp: Some(gfp),
            cpu,
            gfp_flags: flags.map(str::to_owned),
            ..SlabFailure::default()
        };
        assert_eq!(slab_failure(line.as_bytes()), Some(expected), "{line}");
    }
    assert_eq!(slab_failure(b"SLUB: HWalign=64, Order=0-3"), None);
}

#[test]
fn the_lines_that_follow_are_understood() {
    let debugging = "  sigqueue debugging increased min order, use slab_debug=O to disable.";
    let first = "SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_ATOMIC)";
    let text = [first, CACHE, debugging, NODES[0], NODES[1]].join("\n");
    let expected = SlabFailure {
        cache: Some(Bytes::from_static(b"sigqueue")),
        object_size: Some(80),
        buffer_size: Some(88),
        order: Some(1),
        min_order: Some(0),
        gfp: Some(0xa20),
        gfp_flags: Some("GFP_ATOMIC".to_owned()),
        node: Some(-1),
        nodes: nodes(),
        ..SlabFailure::default()
    };
    assert_eq!(slab_failure(text.as_bytes()), Some(expected));
}

#[test]
fn a_cgroup_s_name_cannot_pass_for_a_figure() {
    let line = "  cache: dentry(3:x, object size: 1, buffer size: 2 cache: y), object size: 192, buffer size: 200, default order: 2, min order: 1";
    let mut failure = SlabFailure::default();
    assert!(detail(&mut failure, line.as_bytes()));
    let sizes = (failure.object_size, failure.buffer_size, failure.order);
    assert_eq!(sizes, (Some(192), Some(200), Some(2)));
    let owned = failure.owned_cache().unwrap();
    assert_eq!(owned.leaf, b"x, object size: 1, buffer size: 2 cache: y");
}

#[test]
fn a_kmsg_record_is_taken_apart() {
    let taken = record(b"4,1234,5678901,-,caller=T42;a\\x09b\\x5cx2d \\xz;\n SUBSYSTEM=x\n");
    let expected = Record {
        sequence: Some(1234),
        time_ns: Some(5_678_901_000),
        date: None,
        caller: Some(b"T42"),
        text: b"a\tb\\x2d \\xz;"[..].into(),
    };
    assert_eq!(taken, Some(expected));
    for none in ["no record", "4,1,2", "4,,2,-;x", "4,1,x,-;x", ",1,2,-;x"] {
        assert_eq!(record(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn a_printed_line_is_taken_apart() {
    for (text, caller) in [
        ("[   12.000345] [x] y", None),
        ("<4>[   12.000345] [x] y", None),
        ("[   12.000345][ T1234] [x] y", Some(&b"T1234"[..])),
        ("[   12.000345][    C0] [x] y", Some(b"C0")),
    ] {
        let expected = Record {
            sequence: None,
            time_ns: Some(12_000_345_000),
            date: None,
            caller,
            text: b"[x] y"[..].into(),
        };
        let taken = line(text.as_bytes());
        assert_eq!(taken, Some(LogLine::Record(expected)), "{text}");
    }
    assert_eq!(line(b" SUBSYSTEM=pci"), Some(LogLine::More));
    assert_eq!(line(b""), Some(LogLine::More));
    for torn in ["x", "[12", "[12.3] x", "[Tue Nov 24] x", "<x>[1.000001] x"] {
        assert_eq!(line(torn.as_bytes()), None, "{torn}");
    }
}

/// Puts together what was read at these seconds; `None` asks for what has waited long enough.
fn assemble(steps: &[(u64, Option<(&str, &str)>)]) -> Vec<(u64, SlabFailure)> {
    let mut assembler = Assembler::default();
    let mut out = Vec::new();
    let mut each = |time, failure| out.push((time, failure));
    for &(tenths, step) in steps {
        let now = tenths * 100_000_000;
        match step {
            None => assembler.expire(now, &mut each),
            Some((caller, text)) => {
                let record = Record {
                    caller: (!caller.is_empty()).then_some(caller.as_bytes()),
                    text: text.as_bytes().into(),
                    ..Record::default()
                };
                assembler.take(now, tenths, &record, &mut each);
            }
        }
    }
    out
}

const FIRST: &str = "SLUB: Unable to allocate memory on node 5, gfp=0x1(A)";
const SECOND: &str = "SLUB: Unable to allocate memory on node 6, gfp=0x2(B)";

#[test]
fn a_message_waits_for_its_lines() {
    let out = assemble(&[
        (10, Some(("", FIRST))),
        (12, None),
        (14, Some(("", CACHE))),
        (15, Some(("", "something else"))),
        (16, Some(("", NODES[0]))),
        (17, None),
        (19, Some(("", NODES[1]))),
        (20, None),
        (21, Some(("", CACHE))),
    ]);
    let [(10, failure)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(failure.cache.as_deref(), Some(&b"sigqueue"[..]));
    assert_eq!(failure.nodes, nodes());
    // and not for ever
    assert_eq!(assemble(&[(10, Some(("", FIRST))), (19, None)]), []);
    assert_eq!(assemble(&[(10, Some(("", FIRST))), (20, None)]).len(), 1);
}

#[test]
fn two_cpus_that_write_at_a_time_are_told_apart_by_the_caller() {
    let other = CACHE.replace("sigqueue", "dentry");
    for (a, b, gfps) in [("T1", "C0", [1, 2]), ("", "", [2, 1])] {
        let out = assemble(&[
            (10, Some((a, FIRST))),
            (10, Some((b, SECOND))),
            (10, Some((b, &other))),
            (10, Some((a, CACHE))),
            (10, Some((b, NODES[0]))),
            (10, Some((a, NODES[0]))),
            (11, Some((a, FIRST))),
            (11, Some((b, SECOND))),
            (30, None),
        ]);
        let caches: Vec<_> = out[..2]
            .iter()
            .map(|(_, failure)| (failure.cache.as_deref(), failure.gfp, failure.nodes.len()))
            .collect();
        let [sigqueue, dentry] = gfps;
        let mut expected = [
            (Some(&b"sigqueue"[..]), Some(sigqueue), 1),
            (Some(&b"dentry"[..]), Some(dentry), 1),
        ];
        // where it is not told who writes, no cache is lost all the same
        expected.sort_by_key(|(_, gfp, _)| *gfp);
        assert_eq!(caches, expected);
        assert_eq!(out.len(), 4);
    }
}

#[test]
fn a_recorded_log_is_read_in_both_forms() {
    let read = |log: &'static [u8]| -> Vec<_> {
        let mut reader = LogReader::new(log, "log");
        let read = reader.by_ref().map(Result::unwrap).collect();
        assert_eq!(reader.tally().skipped, 0);
        read
    };
    let failures = read(KMSG);
    assert_eq!(failures, read(DMESG));
    let shown: Vec<_> = failures
        .iter()
        .map(|(time, failure)| {
            let owned = failure.owned_cache().unwrap();
            let [slabs] = failure.nodes[..] else {
                panic!("{failure:?}");
            };
            assert_eq!((failure.node, failure.gfp), (Some(-1), Some(0xd0)));
            format!(
                "{time} {} of {} {}, {} in {}, order {} or {}: {} of {} free",
                owned.cache.escape_ascii(),
                owned.id,
                owned.leaf.escape_ascii(),
                failure.object_size.unwrap(),
                failure.buffer_size.unwrap(),
                failure.order.unwrap(),
                failure.min_order.unwrap(),
                slabs.free,
                slabs.objects
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn bad_lines_are_skipped_and_counted() {
    let endless = "x".repeat(100_000);
    let log = format!(
        "w much; of a line\n[    1.000000] {FIRST}\n{endless}\n\n[    1.000001] {CACHE}\r\n   wrapped\n[    1.000002] {}",
        NODES[0]
    );
    let mut reader = LogReader::new(log.as_bytes(), "/var/log/x");
    let (found, errors): (Vec<_>, Vec<_>) = reader.by_ref().partition(Result::is_ok);
    let errors: Vec<_> = errors
        .into_iter()
        .map(|error| error.unwrap_err().to_string())
        .collect();
    assert_eq!(
        errors,
        [
            "/var/log/x line 1: not a record of the kernel log",
            "/var/log/x line 3: longer than 65536 bytes",
            "/var/log/x line 7: the end of the line is missing",
        ]
    );
    let [Ok((1_000_000_000, failure))] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(failure.object_size, Some(80));
    assert_eq!(failure.nodes, []);
    let expected = LogTally {
        lines: 7,
        skipped: 3,
    };
    assert_eq!(reader.tally(), expected);
}

#[test]
fn a_file_that_cannot_be_read_on_ends_with_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let start = format!("[    1.000000] {FIRST}\n");
    let reader = LogReader::new(BufReader::new(start.as_bytes().chain(Broken)), "log");
    let all: Vec<_> = reader.collect();
    let [Err(error), Ok(_)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(
        error.to_string(),
        "log line 2: cannot read it: Input/output error (os error 5)"
    );
}

/// Lines as they may come, in any order and with garbage in between.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let prefix = prop_oneof![
        Just("4,1,2,-;"),
        Just("4,1,2,-,caller=T1;"),
        Just("[    1.000000] "),
        Just("[    1.000000][ C1] "),
        Just(""),
    ];
    let text = prop_oneof![
        Just(FIRST.as_bytes().to_vec()),
        Just(CACHE.as_bytes().to_vec()),
        Just(NODES[0].as_bytes().to_vec()),
        vec(any::<u8>(), 0..60),
        vec(any::<u8>(), 0..20).prop_map(|tail| [FIRST.as_bytes(), &tail].concat()),
        vec(any::<u8>(), 0..20).prop_map(|tail| [b"  cache: ", &tail[..]].concat()),
        "  node [0-9]{1,30}: slabs: [-0-9]{1,30}, objs: 1, free: [0-9]{0,30}"
            .prop_map(String::into_bytes),
    ];
    vec(
        (prefix, text).prop_map(|(prefix, text)| [prefix.as_bytes(), &text].concat()),
        0..60,
    )
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200)) {
        let _ = record(&bytes);
        let _ = line(&bytes);
        slab_failure(&bytes);
        detail(&mut SlabFailure::default(), &bytes);
        slab_failure(&[MESSAGE, &bytes].concat());
        LogReader::new(&bytes[..], "log").for_each(drop);
    }

    #[test]
    fn a_log_gives_a_failure_for_each_first_line(lines in lines()) {
        let log = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat());
        let log: Vec<u8> = log.collect();
        let whole = log.split(|&b| b == b'\n').filter(|text| {
            matches!(line(text), Some(LogLine::Record(record)) if record.time_ns.is_some() && message(&record.text).is_some())
        });
        let found = LogReader::new(&log[..], "log").flatten().count();
        prop_assert_eq!(found, whole.count());
    }

    #[test]
    fn a_damaged_log_never_panics(at in 0..KMSG.len(), with in any::<u8>(), cut in any::<bool>()) {
        let mut log = KMSG.to_vec();
        log[at] = with;
        if cut {
            log.truncate(at + 1);
        }
        let found = LogReader::new(&log[..], "log").flatten().count();
        prop_assert!(found <= 11);
    }
}

#[test]
fn what_the_log_held_back_is_told_with_the_next_message() {
    let log = b"[    1.000000] SLUB: Unable to allocate memory on node -1 (gfp=0x20)\n\
        [    1.000001]   cache: dentry, object size: 192, buffer size: 192, default order: 0, min order: 0\n\
        [    1.000002]   node 0: slabs: 1, objs: 21, free: 0\n\
        [    3.000000] net_ratelimit: 9 callbacks suppressed\n\
        [    3.000000] __slab_alloc: 9 callbacks suppressed\n\
        [    6.000000] slab_out_of_memory: 17786 callbacks suppressed\n\
        [    6.000001] SLUB: Unable to allocate memory on node -1 (gfp=0x20)\n\
        [    6.000002]   cache: dentry, object size: 192, buffer size: 192, default order: 0, min order: 0\n\
        [    6.000003]   node 0: slabs: 1, objs: 21, free: 0\n";
    let failures = LogReader::new(&log[..], "dmesg").map(Result::unwrap);
    let told: Vec<_> = failures
        .map(|(time, failure)| (time, failure.suppressed))
        .collect();
    assert_eq!(told, [(1_000_000_000, None), (6_000_001_000, Some(17_786))]);
    for none in [
        &b"slab_out_of_memory: -1 callbacks suppressed"[..],
        b"slab_out_of_memory: x callbacks suppressed",
        b"slab_out_of_memory:  callbacks suppressed",
        b"slab_out_of_memory: 3 callbacks suppressed, it says",
        b"x slab_out_of_memory: 3 callbacks suppressed",
    ] {
        assert_eq!(suppressed(none), None, "{}", none.escape_ascii());
    }
}
