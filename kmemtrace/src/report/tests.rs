//! The fold, and the page that it comes to.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    event::{
        Cgroup, Counts, Event, Fact, Gap, GapReason, MkdirFailure, Path, SlabFailure, SlabPin,
        Task, Walked, header::HookReport,
    },
    tracker::{Config, Kept, Tracker},
};

mod bounds;
mod page;

const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";

fn at(ms: u64) -> Stamp {
    Stamp {
        mono_ns: 5_000_000_000 + ms * 1_000_000,
        wall_ns: 1_773_491_464_000_000_000 + ms as i64 * 1_000_000,
    }
}

fn header(kernel: &str) -> Header {
    Header {
        schema: 1,
        version: "0.1.0".into(),
        source: "bpf".into(),
        hostname: Some("node-7".into()),
        kernel: Some(kernel.into()),
        boot_id: Some("0b1a6e3c-1d5f-4d0e-9f5c-0c8e4f1f7a11".into()),
        hierarchy: Some("v1".into()),
        grace_ns: 30_000_000_000,
        hooks: vec![HookReport {
            hook: "lifecycle".into(),
            way: Some("raw_tp".into()),
            ..HookReport::default()
        }],
        ..Header::default()
    }
}

fn task(name: &[u8]) -> Task {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name);
    Task { pid: 812, comm }
}

fn cgroup(id: u64, path: impl Into<bytes::Bytes>) -> Cgroup {
    Cgroup {
        id: Some(id),
        memcg_id: Some(id as u32),
        path: Some(Path::whole(path)),
        memory: Some(true),
        task: Some(task(b"runc")),
        usage_bytes: Some(65_536),
        ..Cgroup::default()
    }
}

/// Plays facts, each with its milliseconds since the run's beginning, as a run that begins at `began` ms.
fn run(fold: &mut Fold, began: u64, header: &Header, facts: Vec<(u64, Fact)>) {
    let mut tracker = Tracker::of(header);
    let mut changes = Vec::new();
    fold.header(at(began), header).unwrap();
    let mut now = at(began);
    for (ms, fact) in facts {
        now = at(began + ms);
        tracker.apply(&Event { time: now, fact }, &mut changes);
        for change in changes.drain(..) {
            fold.change(&change, tracker.state()).unwrap();
        }
    }
    fold.end(now, tracker.state()).unwrap();
}

fn walked(num_cgroups: u64, directories: u64) -> Fact {
    Fact::Walked(Walked {
        began_mono_ns: 0,
        directories,
        zombies: None,
        counts: Counts {
            num_cgroups: Some(num_cgroups),
            ..Counts::default()
        },
    })
}

/// Three of a pod's containers leak, one of them is freed after all; a unit's cgroup is freed at once; things fail.
fn small() -> Vec<(u64, Fact)> {
    let container = |n: u64| cgroup(10 + n, format!("{POD}/{}", format!("{n:x}").repeat(64)));
    let unit = || cgroup(20, "/system.slice/nginx.service");
    let mut facts = vec![
        (0, Fact::Present(cgroup(1, "/"))),
        (0, Fact::Present(cgroup(2, POD))),
        (0, walked(4, 2)),
    ];
    for n in 1..4 {
        facts.push((1_000 * n, Fact::Created(container(n))));
        facts.push((1_000 * n + 500, Fact::Offlined(container(n))));
    }
    facts.extend([
        (4_000, Fact::Created(unit())),
        (4_100, Fact::Offlined(unit())),
        (4_120, Fact::Freed(unit())),
        (40_000, Fact::Tick(Counts::default())),
        (45_000, Fact::Freed(container(2))),
        (
            50_000,
            Fact::SlabFailure(SlabFailure {
                cache: Some(bytes::Bytes::from_static(b"dentry(3:ebf02fc7)")),
                task: Some(task(b"runc")),
                ..SlabFailure::default()
            }),
        ),
        (
            50_500,
            Fact::MkdirFailure(MkdirFailure {
                path: Some(Path::whole(format!("{POD}/new"))),
                errno: Some(28),
                task: Some(task(b"runc")),
                ..MkdirFailure::default()
            }),
        ),
        (
            56_000,
            Fact::Gap(Gap {
                from_mono_ns: at(55_000).mono_ns,
                lost: Some(17),
                reason: GapReason::RingFull,
                counted: None,
            }),
        ),
        (60_000, Fact::Tick(Counts::default())),
    ]);
    facts
}

fn small_report() -> Report {
    let mut fold = Fold::new();
    run(&mut fold, 0, &header("3.10.0-514.el7.x86_64"), small());
    fold.finish()
}

#[test]
fn what_a_count_suspects_is_nobodys_leak() {
    let header = Header {
        source: "sysfs".into(),
        ..header("6.1.0")
    };
    let container = |n: u64| cgroup(10 + n, format!("{POD}/{}", format!("{n:x}").repeat(64)));
    let counts = |num_cgroups| Counts {
        num_cgroups: Some(num_cgroups),
        ..Counts::default()
    };
    let mut facts = vec![
        (0, Fact::Present(cgroup(1, "/"))),
        (0, Fact::Present(cgroup(2, POD))),
    ];
    facts.extend((1..5).map(|n| (0, Fact::Present(container(n)))));
    facts.push((0, walked(6, 6)));
    facts.extend((1..5).map(|n| {
        let gone = Cgroup {
            after_ns: Some(at(1_000).mono_ns),
            ..container(n)
        };
        (2_000, Fact::Offlined(gone))
    }));
    facts.extend([2_000, 10_000, 40_000].map(|ms| (ms, Fact::Tick(counts(3)))));
    let mut fold = Fold::new();
    run(&mut fold, 0, &header, facts);
    let report = fold.finish();
    assert_eq!(report.summary.leaks, 1);
    let steps = report.series.steps.iter();
    assert_eq!(steps.map(|step| step.leaks).sum::<u64>(), 1);
    assert_eq!(report.leaks.len(), 4);
    let sum = |of: fn(&OwnerSums) -> u64| report.owners.iter().map(of).sum::<u64>();
    assert_eq!((sum(|one| one.leaks), sum(|one| one.suspects)), (0, 4));
}

#[test]
fn a_run_comes_to_what_the_tracker_says() {
    let report = small_report();
    let summary = &report.summary;
    assert_eq!((summary.leaks, summary.recovered), (3, 1));
    assert_eq!(summary.totals.leaked, 2);
    assert_eq!((summary.slab_failures, summary.mkdir_failures), (1, 1));
    assert_eq!((summary.gaps, summary.lost), (1, 17));
    let fates: Vec<_> = report.leaks.iter().map(|leak| leak.fate).collect();
    assert_eq!(fates, [Fate::Leaked, Fate::Recovered, Fate::Leaked]);
    let ages: Vec<_> = report.leaks.iter().map(|leak| leak.zombie_ns).collect();
    // Removed at 1.5, 2.5 and 3.5 s; the second was freed at 45 s, the run ended at 60 s.
    let s = 1_000_000_000;
    assert_eq!(
        ages,
        [
            Some(58 * s + s / 2),
            Some(42 * s + s / 2),
            Some(56 * s + s / 2)
        ]
    );
    let pod = &report.owners[report.leaks[0].owner];
    assert_eq!((pod.kind, pod.qos), ("pod", Some("burstable")));
    assert_eq!(
        (pod.removed, pod.leaks, pod.recovered, pod.left()),
        (3, 3, 1, 2)
    );
    assert_eq!(pod.usage_bytes, Some(3 * 65_536));
    let unit = report
        .owners
        .iter()
        .find(|owner| owner.kind == "unit")
        .unwrap();
    assert_eq!((unit.removed, unit.leaks), (1, 0));
    assert_eq!(report.lifetimes.figures().unwrap().count, 2);
    assert_eq!(report.lifetimes.between(0, s), 1);
    assert_eq!(report.lifetimes.between(10 * s, 60 * s), 1);
    assert_eq!(
        report.slab_failures[0].what,
        FailedOn::Cache("dentry".to_owned())
    );
    assert_eq!(report.slab_failures[0].place, "ebf02fc7");
    assert_eq!(report.mkdir_failures[0].what, FailedOn::Errno(28));
    assert_eq!(report.mkdir_failures[0].place, POD);
    let begin = at(0).wall_ns;
    assert_eq!(
        report.gaps[0].at_ns,
        (begin + 55 * s as i64, begin + 56 * s as i64)
    );
}

#[test]
fn the_series_has_every_verdict_and_ends_where_things_stand() {
    let report = small_report();
    let steps = &report.series.steps;
    let sum = |of: fn(&TimeStep) -> u64| steps.iter().map(of).sum::<u64>();
    assert_eq!(sum(|step| step.leaks), 3);
    assert_eq!(sum(|step| step.recovered), 1);
    assert_eq!(sum(|step| step.slab_failures), 1);
    assert_eq!(sum(|step| step.mkdir_failures), 1);
    let told = steps.iter().filter_map(|step| step.totals);
    assert_eq!(told.clone().next_back(), Some(report.summary.totals));
    // The first walk's directories are no growth.
    assert_eq!(told.clone().next().unwrap().live, 2);
}

#[test]
fn runs_are_added_up_and_the_last_one_says_how_things_stand() {
    let mut fold = Fold::new();
    run(&mut fold, 0, &header("3.10.0-514.el7.x86_64"), small());
    let quiet = vec![
        (0, Fact::Present(cgroup(1, "/"))),
        (0, walked(6, 1)),
        (10_000, Fact::Tick(Counts::default())),
    ];
    run(&mut fold, 100_000, &header("3.10.0-514.el7.x86_64"), quiet);
    let report = fold.finish();
    assert_eq!(report.runs.len(), 2);
    assert_eq!(report.watched_ns(), 70_000_000_000);
    assert_eq!(report.summary.leaks, 3);
    assert_eq!(report.summary.totals, report.runs[1].totals());
    assert_eq!(report.summary.totals.leaked, 0);
    assert_eq!(report.summary.inherited, Some(5));
    // Their ages end with their run.
    assert_eq!(report.leaks[0].zombie_ns, Some(58_500_000_000));
}

#[test]
fn a_zombie_is_told_by_what_it_holds_until_that_is_gone() {
    let polled = Header {
        source: "sysfs".into(),
        ..header("3.10.0-514.el7.x86_64")
    };
    let zombie = |caches| {
        Fact::Zombie(Cgroup {
            kmemcg_id: Some(3),
            slab: Some(Box::new(SlabPin {
                caches,
                objects: Some(84),
                bytes: Some(49_152),
            })),
            path: Some(Path::whole("/c0")),
            ..Cgroup::default()
        })
    };
    let count = || Fact::Tick(Counts::default());
    let mut fold = Fold::new();
    let facts = vec![
        (0, zombie(3)),
        (0, walked(1, 1)),
        (31_000, count()),
        (32_000, zombie(2)),
    ];
    run(&mut fold, 0, &polled, facts.clone());
    let report = fold.finish();
    assert_eq!(report.leaks.len(), 1);
    let leak = &report.leaks[0];
    assert_eq!((leak.fate, leak.at_least), (Fate::Leaked, true));
    assert_eq!(leak.slab.map(|slab| slab.caches), Some(2));
    assert_eq!(report.owners[leak.owner].left(), 1);
}

/// A zombie every `every_ms` for an hour.
fn growing(kernel: &str, every_ms: u64) -> Report {
    let mut facts = vec![(0, Fact::Present(cgroup(1, "/"))), (0, walked(1, 1))];
    for n in 1..=3_600_000 / every_ms {
        let one = || cgroup(100 + n, format!("/batch/{n}"));
        facts.push((n * every_ms, Fact::Created(one())));
        facts.push((n * every_ms, Fact::Offlined(one())));
    }
    let mut fold = Fold::new();
    run(&mut fold, 0, &header(kernel), facts);
    fold.finish()
}

#[test]
fn the_ids_run_out_where_zombies_keep_them() {
    let report = growing("3.10.0-514.el7.x86_64", 1_000);
    let forecast = report.forecast().unwrap();
    assert_eq!(forecast.used, 3_601);
    assert!(
        (3_590.0..3_610.0).contains(&forecast.per_hour),
        "{forecast:?}"
    );
    let hours = |ns: u64| ns as f64 / 3_600_000_000_000.0;
    // 61,934 are left: 17.2 hours' worth.
    assert!(
        (16.0..17.2).contains(&hours(forecast.in_ns.0)),
        "{forecast:?}"
    );
    assert!(
        (17.2..18.6).contains(&hours(forecast.in_ns.1)),
        "{forecast:?}"
    );
    assert_eq!(growing("6.1.0", 1_000).forecast(), None);
    assert!(growing("unknown", 1_000).forecast().is_some());
    // A minute is too short to tell.
    assert_eq!(small_report().forecast(), None);
    assert_eq!(Fold::new().finish().forecast(), None);
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), any::<i64>()).prop_map(|(mono_ns, wall_ns)| Stamp { mono_ns, wall_ns })
}

proptest! {
    /// Whatever the times and names, there is a page.
    #[test]
    fn any_times_and_names_make_a_page(
        began in stamp(),
        times in prop::collection::vec((stamp(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..40),
        kernel: String,
    ) {
        let mut fold = Fold::new();
        let mut tracker = Tracker::new(Config { grace: Duration::from_secs(1), polled: false, kept: Kept::Yes });
        let mut changes = Vec::new();
        fold.header(began, &header(&kernel)).unwrap();
        for (time, what, name) in times {
            let cgroup = cgroup(u64::from(what % 4), name);
            let fact = match what % 7 {
                0 => Fact::Created(cgroup),
                1 | 2 => Fact::Offlined(cgroup),
                3 => Fact::Freed(cgroup),
                4 => Fact::Gap(Gap { from_mono_ns: began.mono_ns, lost: None, reason: GapReason::BadRecord, counted: None }),
                5 => Fact::MkdirFailure(MkdirFailure { path: cgroup.path, ..MkdirFailure::default() }),
                _ => Fact::Tick(Counts::default()),
            };
            tracker.apply(&Event { time, fact }, &mut changes);
            for change in changes.drain(..) {
                fold.change(&change, tracker.state()).unwrap();
            }
        }
        let report = fold.finish();
        let page = page::page(&report);
        page::check(&page)?;
    }
}
