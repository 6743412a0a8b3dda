//! `watch --root` on what was recorded on real 3.10 and 4.14 kernels (`data/recordings/README.md`): the copies of one machine
//! in the order in which they were made.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Result, data, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    let copies = |name: &str, run| test(&format!("copies::{name}"), run);
    vec![
        copies("a_container_that_leaks", one_container),
        copies("containers_that_leak_on_3_10", leaked),
        copies("containers_that_leak_on_4_14", leaked_and_counted),
        copies("containers_without_kmem_leave_nothing", control),
        copies("all_ids_used_up", exhausted),
        copies("slab_failures_name_the_cgroup", slab_failures),
        copies("one_look", once),
    ]
}

struct Run {
    lines: Vec<Value>,
    code: Option<i32>,
}

fn watch(copies: &str, more: &[&str]) -> Run {
    let root = data("recordings").join(copies);
    let mut command = program(["watch", "--all", "--grace", "1s", "--format", "json"]);
    command.args(more).arg("--root").arg(root);
    let run = output(command);
    let stdout = text(&run.stdout);
    let lines = stdout.lines().map(serde_json::from_str);
    let lines: std::result::Result<Vec<Value>, _> = lines.collect();
    Run {
        lines: lines.unwrap_or_else(|error| panic!("{error}: {stdout}{}", text(&run.stderr))),
        code: run.status.code(),
    }
}

impl Run {
    fn of(&self, kind: &str) -> Vec<&Value> {
        let lines = self.lines.iter();
        lines.filter(|line| line["kind"] == kind).collect()
    }

    /// What the summary says under these names.
    fn summary(&self, names: &[&str]) -> Vec<Option<u64>> {
        let summary = self.lines.last().expect("there are lines");
        assert_eq!(summary["kind"], "summary");
        names.iter().map(|name| summary[name].as_u64()).collect()
    }

    /// At each copy: zombies, bytes that they hold.
    fn ticks(&self) -> Vec<(u64, Option<u64>)> {
        let looks = self.lines.iter();
        let looks = looks.filter(|line| line["kind"] == "walked" || line["kind"] == "tick");
        looks
            .map(|line| {
                let zombies = line["zombies"].as_u64().expect("a total");
                (zombies, line["held_bytes"].as_u64())
            })
            .collect()
    }
}

/// Nine copies: kmem is switched on in ctr1, it is used, emptied and removed; nothing frees it before the end.
fn one_container() -> Result {
    let run = watch("el7-514-one-container.tar.zst", &[]);
    let kinds = |kind| {
        let lines = run.of(kind).into_iter();
        lines
            .map(|line| line["path"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds("created"),
        ["/kubepods", "/kubepods/podabc", "/kubepods/podabc/ctr1"]
    );
    assert_eq!(kinds("offlined"), ["/kubepods/podabc/ctr1"]);
    assert_eq!(kinds("leaked"), ["/kubepods/podabc/ctr1"]);
    let offlined = run.of("offlined")[0];
    // between the fifth and the sixth copy
    let (after, by) = (&offlined["after_mono_ns"], &offlined["mono_ns"]);
    assert!(after.as_u64() < by.as_u64() && after.is_u64(), "{offlined}");
    let leaked = run.of("leaked")[0];
    assert_eq!(leaked["kmemcg_id"], 0, "{leaked}");
    assert_eq!(leaked["offlined_after_mono_ns"], *after, "{leaked}");
    assert!(leaked["slab_caches"].as_u64() >= Some(1), "{leaked}");
    assert_eq!(
        run.summary(&["live", "zombies", "leaked"]),
        [3, 1, 1].map(Some)
    );
    assert_eq!(run.code, Some(1));
    Ok(())
}

/// As the listings of the caches (`slab-per-memcg-caches.tsv`) have it: so many numbers with a live cache whose name no
/// directory has. Of 1,000 caches `dentry(ID:LEAF)` that lead somewhere, some share a number.
fn leaked() -> Result {
    let all = [
        ("el7-514-leaked-10.tar.zst", 9, 294_912, 0, 12),
        ("el7-514-leaked-100.tar.zst", 95, 3_842_048, 0, 98),
        ("el7-514-leaked-1000.tar.zst", 861, 31_850_496, 2, 866),
    ];
    for (copies, zombies, held, stay, peak) in all {
        let run = watch(copies, &[]);
        // Nothing is held: so the count is right, though it is that of 3.10.
        let before = (0, Some(0));
        let there = (zombies, Some(held));
        let shrunk = (stay, Some(0));
        assert_eq!(
            run.ticks(),
            [before, there, there, shrunk, shrunk],
            "{copies}"
        );
        assert_eq!(run.of("leaked").len() as u64, zombies, "{copies}");
        assert_eq!(run.of("recovered").len() as u64, zombies - stay, "{copies}");
        let names = ["zombies", "leaked", "leaks", "recovered", "kmemcg_peak"];
        assert_eq!(
            run.summary(&names),
            [stay, stay, zombies, zombies - stay, peak].map(Some),
            "{copies}"
        );
        // num_cgroups does not count them, so it is not believed
        assert!(
            run.of("tick")
                .iter()
                .all(|tick| tick["num_cgroups"].is_null())
        );
        for line in run.of("zombie") {
            let path = line["path"].as_str().unwrap_or_default();
            let name = path.strip_prefix(".../c");
            assert!(name.is_some_and(|n| n.parse::<u32>().is_ok()), "{line}");
            assert!(line["cgroup_id"].is_null(), "{line}");
        }
        assert_eq!(run.code, Some(i32::from(stay > 0)), "{copies}");
    }
    Ok(())
}

/// There the kernel counts them; of the caches the recording has a sample.
fn leaked_and_counted() -> Result {
    for (copies, zombies) in [
        ("k414-leaked-10.tar.zst", 10),
        ("k414-leaked-100.tar.zst", 94),
    ] {
        let run = watch(copies, &[]);
        let ticks: Vec<_> = run
            .ticks()
            .into_iter()
            .map(|(zombies, _)| zombies)
            .collect();
        // in the end the three directories above them are removed, and held by them
        assert_eq!(ticks, [0, zombies, zombies, 2, 5], "{copies}");
        let by_count = run.of("leaked").into_iter();
        let by_count: u64 = by_count.filter_map(|line| line["by_count"].as_u64()).sum();
        let by_name = run.of("leaked").into_iter();
        let by_name = by_name.filter(|line| line["kmemcg_id"].is_u64()).count();
        assert_eq!(by_count + by_name as u64, zombies + 2, "{copies}");
        assert_eq!(run.code, Some(1), "{copies}");
    }
    Ok(())
}

fn control() -> Result {
    let run = watch("el7-514-control.tar.zst", &[]);
    assert!(run.ticks().iter().all(|(zombies, _)| *zombies == 0));
    assert!(run.of("zombie").is_empty() && run.of("leaked").is_empty());
    assert_eq!(run.summary(&["leaks", "unproven"]), [Some(0), None]);
    assert_eq!(run.code, Some(0));
    Ok(())
}

/// 65,533 are leaked, and next to none of them has a cache left: what they hold tells.
fn exhausted() -> Result {
    let run = watch("el7-514-exhausted.tar.zst", &[]);
    assert!(run.ticks()[0].0 >= 5);
    let summary = run.summary(&["held_bytes", "kmemcg_peak"]);
    assert!(summary[0] >= Some(1_073_000_000), "{summary:?}");
    // kubepods itself has one
    assert_eq!(summary[1], Some(65_534));
    assert_eq!(run.code, Some(1));
    Ok(())
}

fn slab_failures() -> Result {
    let run = watch("el7-514-slub-failure.tar.zst", &[]);
    let failures = run.of("slab_failure");
    let mut of = BTreeMap::new();
    for failure in &failures {
        let cgroup = failure["cache_cgroup"].as_str().unwrap_or_default();
        *of.entry(cgroup).or_insert(0) += 1;
    }
    let named = "ebf02fc7521c001fde3503f6e6d411cc7889885b3e9071521974b9b0dc166f52";
    assert_eq!(of.get(named), Some(&3), "{of:?}");
    assert_eq!(failures.len(), 10, "{of:?}");
    // those that the first copy has are not told again at the second
    assert_eq!(run.summary(&["slab_failures"]), [Some(10)]);
    Ok(())
}

fn once() -> Result {
    let run = watch("el7-514-leaked-10.tar.zst:after-loop", &["--once"]);
    assert_eq!(run.ticks(), [(9, Some(294_912))]);
    assert_eq!(run.code, Some(1));
    let run = watch("el7-514-leaked-10.tar.zst:before", &["--once"]);
    assert_eq!((run.ticks(), run.code), (vec![(0, Some(0))], Some(0)));
    Ok(())
}
