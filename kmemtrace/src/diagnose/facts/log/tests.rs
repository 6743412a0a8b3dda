use proptest::prelude::*;

use super::*;
use crate::{
    event::klog::{LogLine, line},
    host::tests::root,
};

#[test]
fn failures_are_grouped_by_cache_and_cgroup() {
    let log = "\
[    1.000000] SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
[    1.000000]   cache: dentry(3:c1), object size: 192, buffer size: 192, default order: 0, min order: 0
[    1.000001]   node 0: slabs: 49, objs: 1029, free: 0
[    2.500000] slab_out_of_memory: 17786 callbacks suppressed
[    2.500000] SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
[    2.500001]   cache: dentry(3:c1), object size: 192, buffer size: 192, default order: 0, min order: 0
[    2.500002]   node 0: slabs: 49, objs: 1029, free: 0
[    3.000000] Task in /kubepods/pod1/c1 killed as a result of limit of /kubepods/pod1
[    3.000001] Memory cgroup out of memory: Kill process 7 (x) score 1 or sacrifice child
[    4.000000] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/kubepods/pod1,task_memcg=/kubepods/pod1/c2,task=x,pid=8,uid=0
[    4.000001] Memory cgroup out of memory: Killed process 8 (x)
";
    let log = read_text(log).unwrap();
    assert_eq!((log.records, log.suppressed), (11, 17_786));
    let [slab] = &log.slab[..] else {
        panic!("{log:?}");
    };
    assert_eq!(
        (
            &slab.cache[..],
            slab.cgroup.as_deref(),
            slab.count,
            slab.sizes,
            slab.line.at.line(),
            slab.before_boot,
        ),
        ("dentry", Some("c1"), 2, Some((192, 0)), Some(1), false)
    );
    assert_eq!(
        (&slab.first, &slab.last),
        (&Time::Boot(1_000_000_000), &Time::Boot(2_500_000_000))
    );
    let [killed] = &log.killed[..] else {
        panic!("{log:?}");
    };
    assert_eq!(
        (&killed.cgroup[..], killed.count, killed.line.at.line()),
        ("/kubepods/pod1", 2, Some(9))
    );
}

fn read_text(text: &str) -> Reading<KernelLog> {
    let (_directory, root) = root(&[("/dmesg.txt", text)]);
    read(&root, &[])
}

const FAILURE: [&str; 3] = [
    "SLUB: Unable to allocate memory on node -1, gfp=0xdc0(GFP_KERNEL|__GFP_ZERO)",
    "  cache: signal_cache(632851:3f9c1d0a7be24b6f8a55c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5), object size: 1056, buffer size: 1088, default order: 3, min order: 0",
    "  node 0: slabs: 31, objs: 930, free: 0",
];

/// What stands before a text in each form, and the time that it tells.
fn forms() -> Vec<(&'static str, Time)> {
    let date = |text: &str| Time::Date(text.to_owned());
    let boot = Time::Boot(12_345_678_000);
    vec![
        ("4,1,12345678,-;", boot.clone()),
        ("[   12.345678] ", boot.clone()),
        ("[   12.345678][  T123] ", boot.clone()),
        ("<4>[   12.345678] ", boot.clone()),
        ("kern  :warn  : [   12.345678] ", boot.clone()),
        (
            "kern  :warn  : [Tue Nov 24 01:02:03 2026] ",
            date("Tue Nov 24 01:02:03 2026"),
        ),
        ("[   12.345678 <    0.000005>] ", boot.clone()),
        (
            "[Tue Nov 24 01:02:03 2026] ",
            date("Tue Nov 24 01:02:03 2026"),
        ),
        (
            "[Tue Nov  4 01:02:03 2026 <    0.000005>] ",
            date("Tue Nov  4 01:02:03 2026"),
        ),
        ("[Nov24 01:02] ", date("Nov24 01:02")),
        (
            "2026-11-24T01:02:03,123456+00:00 ",
            date("2026-11-24T01:02:03,123456+00:00"),
        ),
        ("Nov 24 01:02:03 node-7 kernel: ", date("Nov 24 01:02:03")),
        (
            "Nov  4 01:02:03 node-7 kernel: [   12.345678] ",
            date("Nov  4 01:02:03"),
        ),
        (
            "Nov 24 01:02:03 node-7 kern.warn kernel: ",
            date("Nov 24 01:02:03"),
        ),
        (
            "Nov 24 01:02:03.123456 node-7 kernel: ",
            date("Nov 24 01:02:03.123456"),
        ),
        (
            "<4>Nov 24 01:02:03 node-7 kernel: ",
            date("Nov 24 01:02:03"),
        ),
        (
            "2026-11-24T01:02:03.123456+00:00 node-7 kernel: [   12.345678] ",
            date("2026-11-24T01:02:03.123456+00:00"),
        ),
        (
            "2026-11-24T01:02:03+0000 node-7 kernel: ",
            date("2026-11-24T01:02:03+0000"),
        ),
        (
            "2026-11-24 01:02:03 node-7 kernel: ",
            date("2026-11-24 01:02:03"),
        ),
        (
            "Tue 2026-11-24 01:02:03 UTC node-7 kernel: ",
            date("Tue 2026-11-24 01:02:03 UTC"),
        ),
        (
            "1795482123.123456 node-7 kernel: ",
            date("1795482123.123456"),
        ),
        (
            "<4>1 2026-11-24T01:02:03.123Z node-7 kernel - - - ",
            date("2026-11-24T01:02:03.123Z"),
        ),
        ("[   12.345678] node-7 kernel: ", boot.clone()),
        ("", Time::Untold),
    ]
}

#[test]
fn every_form_of_the_log_tells_the_same() {
    for (prefix, first) in forms() {
        // With other lines, and with what the log has when it is whole.
        let lines: Vec<_> = FAILURE
            .iter()
            .map(|line| format!("{prefix}{line}"))
            .collect();
        let log = read_text(&format!(
            "some text\n{}\nNov 24 01:02:03 n cron[1]: x\n",
            lines.join("\n")
        ));
        let log = log.unwrap_or_else(|unread| panic!("{prefix}: {unread:?}"));
        let [slab] = &log.slab[..] else {
            panic!("{prefix}: {log:?}");
        };
        assert_eq!(
            (&slab.cache[..], slab.count, slab.sizes),
            ("signal_cache", 1, Some((1056, 3))),
            "{prefix}"
        );
        assert_eq!(
            (&slab.first, slab.line.at.line(), log.records),
            (&first, Some(2), 3),
            "{prefix}"
        );
        // Broken by a terminal of 80 columns, and by a mail program at blanks.
        for broken in [
            at_columns(&lines, 80),
            at_columns(&lines, 132),
            at_blanks(&lines, 76),
        ] {
            if prefix.starts_with("4,") {
                continue;
            }
            let again = read_text(&broken).unwrap();
            let [slab] = &again.slab[..] else {
                panic!("{broken}: {again:?}");
            };
            assert_eq!(
                (&slab.cache[..], slab.count, slab.sizes),
                ("signal_cache", 1, Some((1056, 3))),
                "{broken}"
            );
            assert_eq!(slab.cgroup.as_ref().map(String::len), Some(64), "{broken}");
        }
    }
}

fn at_columns(lines: &[String], columns: usize) -> String {
    let parts = |line: &String| {
        let parts = line.as_bytes().chunks(columns);
        let parts: Vec<_> = parts
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect();
        parts.join("\n")
    };
    lines.iter().map(parts).collect::<Vec<_>>().join("\n")
}

fn at_blanks(lines: &[String], columns: usize) -> String {
    let one = |line: &String| {
        let mut text = line.clone();
        let mut begin = 0;
        while text.len() - begin > columns {
            let Some(blank) = text[begin + 40..begin + columns].rfind(' ') else {
                break;
            };
            text.replace_range(begin + 40 + blank..=begin + 40 + blank, "\n");
            begin += 41 + blank;
        }
        text
    };
    lines.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_filled_a_limit_is_evidence() {
    let log = read_text(
        "[    1.000000] Task in /p/c killed as a result of limit of /p
[    1.000001] memory: usage 81920kB, limit 9007199254740988kB, failcnt 0
[    1.000002] kmem: usage 51196kB, limit 51200kB, failcnt 67
[    1.000003] Memory cgroup out of memory: Kill process 1 (java) score 966 or sacrifice child
",
    );
    let log = log.unwrap();
    let [killed] = &log.killed[..] else {
        panic!("{log:?}");
    };
    let filled = Filled {
        kernel: 51_196 << 10,
        limit: 51_200 << 10,
        by_kernel: true,
    };
    assert_eq!(killed.usage.filled(None), Some(filled));
    assert_eq!(
        killed.used.as_ref().and_then(|used| used.at.line()),
        Some(3)
    );
}

#[test]
fn a_journals_export_is_read() {
    let entry = |transport: &str, message: &str| {
        format!(
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795482123123456\n__MONOTONIC_TIMESTAMP=12345679\n_BOOT_ID=0\nMESSAGE={message}\n_SOURCE_MONOTONIC_TIMESTAMP=12345678\n_TRANSPORT={transport}\n\n"
        )
    };
    let mut export = entry("syslog", FAILURE[0]);
    for line in FAILURE {
        export += &entry("kernel", line);
    }
    let log = read_text(&export).unwrap();
    let [slab] = &log.slab[..] else {
        panic!("{log:?}");
    };
    assert_eq!(
        (slab.count, &slab.first, slab.line.at.line(), log.records),
        (1, &Time::Boot(12_345_678_000), Some(13), 3)
    );
    let binary =
        b"__CURSOR=x\nMESSAGE\n\x05\0\0\0\0\0\0\0a\nb=c\n_TRANSPORT=kernel\n\nX\n\xff\xff\xff";
    let mut texts = Vec::new();
    records(binary, &mut |number, record| {
        texts.push((number, record.text.to_vec()));
    });
    assert_eq!(texts, [(2, b"a\nb=c".to_vec())]);
}

#[test]
fn slabs_message_is_understood() {
    for (first, node, objects) in [
        (
            "SLAB: Unable to allocate memory on node 0 (gfp=0x20)",
            "  node 0: slabs: 663/663, objs: 2652/2652, free: 0",
            0,
        ),
        (
            "SLAB: Unable to allocate memory on node 0, gfp=0x6000c0(GFP_KERNEL)",
            "  node 0: slabs: 660/663, objs: 2640/2652",
            12,
        ),
    ] {
        let log = format!(
            "4,1,1,-;{first}\n4,2,2,-;  cache: kmalloc-1024(1793:c1), object size: 1024, order: 0\n4,3,3,-;{node}\n"
        );
        let (_directory, root) = root(&[("/kmsg-raw.txt", &log)]);
        let log = read(&root, &[]).unwrap();
        let [slab] = &log.slab[..] else {
            panic!("{log:?}");
        };
        assert_eq!(
            (
                &slab.cache[..],
                slab.cgroup.as_deref(),
                slab.count,
                slab.sizes
            ),
            ("kmalloc-1024", Some("c1"), 1, Some((1024, 0)))
        );
        let mut failure = crate::event::SlabFailure::default();
        assert!(crate::event::klog::detail(&mut failure, node.as_bytes()));
        let [slabs] = failure.nodes[..] else {
            panic!("{failure:?}");
        };
        assert_eq!(
            (slabs.slabs, slabs.objects, slabs.free),
            (663, 2652, objects)
        );
    }
}

#[test]
fn a_boot_divides_the_log() {
    let log = format!(
        "Oct 19 13:44:52 n kernel: {}\nOct 19 13:44:52 n kernel: {}\nOct 19 13:44:52 n kernel: {}\nOct 19 13:51:07 n kernel: Linux version 3.10.0\nOct 19 13:52:07 n kernel: {}\n",
        FAILURE[0], FAILURE[1], FAILURE[2], FAILURE[0],
    );
    let log = read_text(&log).unwrap();
    let told: Vec<_> = log
        .slab
        .iter()
        .map(|slab| (&slab.cache[..], slab.before_boot))
        .collect();
    assert_eq!(told, [("?", false), ("signal_cache", true)]);
}

#[test]
fn other_logs_tell_of_boots_before() {
    let lines = |prefix: &str| {
        let lines: Vec<_> = FAILURE
            .iter()
            .map(|line| format!("{prefix}{line}\n"))
            .collect();
        lines.concat()
    };
    let messages = lines("Oct 19 13:44:52 n kernel: ");
    let booted = format!("{messages}Oct 19 13:51:07 n kernel: Linux version 3.10.0\n");
    let twice = format!(
        "{booted}{}{}",
        lines("Oct 20 01:00:00 n kernel: "),
        lines("Oct 20 01:00:09 n kernel: ")
    );
    let whole = "6,0,0,-;Linux version 3.10.0\n";
    let torn = "6,900,1000000,-;x\n";
    let own = format!("{whole}{}", lines("4,1,5000000,-;"));
    for (kmsg, files, right) in [
        // Rebooted, and syslog says so.
        (Some(torn), &[("messages", &booted)][..], &[(1, true)][..]),
        // The kernel has all of this boot, and lacks it.
        (Some(whole), &[("messages", &messages)], &[(1, true)]),
        // It is not known: so it may be of this boot.
        (Some(torn), &[("messages", &messages)], &[(1, false)]),
        // Both have it.
        (Some(&own), &[("messages", &messages)], &[(1, false)]),
        (
            Some(&own),
            &[("messages", &twice)],
            &[(2, false), (1, true)],
        ),
        (
            Some(&own),
            &[("messages", &twice), ("kern.log", &twice)],
            &[(2, false), (1, true)],
        ),
        // The boot's first line is in a newer file.
        (
            None,
            &[("messages-20261019", &messages), ("messages", &booted)],
            &[(2, true)],
        ),
        (
            None,
            &[("syslog.1", &messages), ("syslog", &messages)],
            &[(2, false)],
        ),
    ] {
        let mut all: Vec<_> = files
            .iter()
            .map(|(name, text)| (format!("/var/log/{name}"), &text[..]))
            .collect();
        if let Some(kmsg) = kmsg {
            all.push(("/kmsg-raw.txt".to_owned(), kmsg));
        }
        let all: Vec<_> = all.iter().map(|(name, text)| (&name[..], *text)).collect();
        let (_directory, root) = root(&all);
        let logs = crate::host::logs(&root);
        let log = read(&root, &logs.files).unwrap();
        let told: Vec<_> = log
            .slab
            .iter()
            .map(|slab| (slab.count, slab.before_boot))
            .collect();
        assert_eq!(told, right, "{kmsg:?} {files:?}");
    }
    let journal = [crate::host::log_file(
        crate::host::JOURNALS[2],
        crate::host::JOURNALS[2],
        messages.as_bytes(),
        true,
    )];
    let (_directory, root) = root(&[("/kmsg-raw.txt", torn)]);
    let log = read(&root, &journal).unwrap();
    assert!(log.slab.iter().all(|slab| slab.before_boot) && log.slab.len() == 1);
}

#[test]
fn what_is_no_kernel_log_is_unknown() {
    for text in [
        "",
        "\n\n",
        "hello\nworld\n",
        "Nov 24 01:02:03 n cron[1]: x\n",
        "{\"a\": 1}",
    ] {
        let read = read_text(text);
        assert_eq!(read.unwrap_err().file, "dmesg.txt", "{text}");
    }
}

proptest! {
    #[test]
    fn without_a_record_it_is_unknown(text in "([a-z][a-z ,:0-9\\[\\]{}\"]{0,40}\n){0,9}") {
        let understood = text.lines().any(|text| {
            matches!(line(text.as_bytes()), Some(LogLine::Record(_)))
        });
        prop_assert_eq!(read_text(&text).is_ok(), understood);
    }

    #[test]
    fn garbage_does_not_panic(
        bytes: Vec<u8>,
        text in "((\\[ 1\\.000000\\] |Nov 24 01:02:03 n kernel: |__CURSOR=|MESSAGE|)(SLUB: Unable|  cache: |Task in /|.{0,40})\n){0,9}",
    ) {
        let mut view = LogView::default();
        for bytes in [&bytes[..], text.as_bytes()] {
            records(bytes, &mut |number, record| view.take("x", Some(number), record));
        }
        view.told();
    }
}
