//! Reclaiming on kernels made of files: what each frees, in which steps, and what is told of the others.

use std::path::Path;

use rustix::io::Errno;

use super::*;
use crate::{
    catalogue::Lang,
    host::{
        Version,
        tests::world::{Act, Kernel, Kind as Charge, Later, World},
    },
};

fn options(apply: bool, drop_caches: bool) -> Options {
    Options {
        apply,
        drop_caches,
        max: 10_000,
        time: Duration::from_mins(5),
    }
}

fn told(world: &World, options: Options) -> Reclamation {
    let interrupt = Interrupt::watched().unwrap();
    reclaim(
        world.root(),
        world,
        options,
        &interrupt,
        &Catalogue::shown(Lang::En),
    )
    .unwrap()
}

fn kinds(report: &Reclamation) -> Vec<(StepKind, bool)> {
    let steps = report.steps.iter();
    steps.map(|step| (step.kind, step.again)).collect()
}

fn not_tried(report: &Reclamation) -> Vec<(StepKind, Why)> {
    let untried = report.not_tried.iter();
    untried.map(|one| (one.kind, one.why)).collect()
}

/// So many containers of a pod are removed while this is charged to them; another one lives.
fn leaked(kernel: Kernel, version: Version, charge: Charge, number: u64) -> World {
    let world = World::new(kernel, version);
    for at in 0..number {
        world.zombie(&format!("/kubepods/pod1/c{at}"), charge, 16 << 10);
    }
    world.make("/kubepods/pod2/live");
    world.account("/kubepods/pod2/live");
    world.charge("/kubepods/pod2/live", Charge::Free("dentry"), 64 << 10);
    world.charge("/kubepods/pod2/live", Charge::File, 64 << 10);
    world.tasks("/kubepods/pod2/live", true);
    world
}

const SHRINK: (StepKind, bool) = (StepKind::Shrink, false);
const FORCE_EMPTY: (StepKind, bool) = (StepKind::ForceEmpty, false);
const DROP: (StepKind, bool) = (StepKind::DropCaches, false);
const NOT_ASKED: (StepKind, Why) = (StepKind::DropCaches, Why::NotAsked);

/// What each kernel frees, by what is charged, and the steps that it takes.
#[test]
fn each_step_is_tried_as_long_as_the_count_falls() {
    use {Charge as C, Kernel as K, Version as V};
    let cached = C::Cached("dentry");
    let (shrink_again, empty_again) = ((StepKind::Shrink, true), (StepKind::ForceEmpty, true));
    let cases = [
        // 3.10: unused slabs are given back.
        (K::El7, V::V1, C::Free("dentry"), false, 0, vec![SHRINK]),
        // Cached dentries keep their slabs until they are dropped, and those are only then given back.
        (K::El7, V::V1, cached, false, 4, vec![SHRINK]),
        (
            K::El7,
            V::V1,
            cached,
            true,
            0,
            vec![SHRINK, DROP, shrink_again],
        ),
        // 4.19 reclaims slab objects and pages below a pod without tasks.
        (K::V4_19, V::V1, cached, false, 0, vec![SHRINK, FORCE_EMPTY]),
        (K::V4_19, V::V1, C::File, false, 0, vec![FORCE_EMPTY]),
        (
            K::V4_19,
            V::V1,
            C::Tmpfs,
            true,
            4,
            vec![FORCE_EMPTY, DROP, empty_again],
        ),
        (K::V5_4, V::V1, C::File, false, 0, vec![FORCE_EMPTY]),
        (
            K::V6_1,
            V::V2,
            C::File,
            false,
            0,
            vec![(StepKind::Reclaim, false)],
        ),
    ];
    for (kernel, version, charge, drop, left, steps) in cases {
        let case = format!("{kernel:?} {version:?} {charge:?} {drop}");
        let world = leaked(kernel, version, charge, 4);
        world.stat_misses(128 << 10);
        let planned = told(&world, options(false, drop));
        assert!(world.written().is_empty(), "{case}");
        let report = told(&world, options(true, drop));
        assert_eq!(kinds(&report), steps, "{case}: {report:?}");
        assert_eq!(world.zombies("/"), left, "{case}");
        assert_eq!(report.last().zombies, left, "{case}: {report:?}");
        let verdict = if left > 0 {
            Answer::Leak
        } else {
            Answer::Clean
        };
        assert_eq!(report.answer(), verdict, "{case}: {report:?}");
        // The dry run names the first steps, in this order.
        let first = kinds(&planned);
        assert_eq!(first.first(), steps.first(), "{case}: {planned:?}");
        assert!(
            steps.iter().all(|step| first.contains(step)),
            "{case}: {planned:?}"
        );
        // What lives keeps all that is its own.
        let live = world.written().iter().any(|(path, _)| {
            let path = path.to_string_lossy();
            path.contains("live") || path.contains("pod2")
        });
        assert!(!live, "{case}: {:?}", world.written());
    }
}

#[test]
fn what_was_not_tried_is_told_with_its_reason() {
    // tmpfs below a pod in which tasks run.
    let world = leaked(Kernel::V5_4, Version::V1, Charge::Tmpfs, 3);
    world.make("/kubepods/pod1/other");
    world.tasks("/kubepods/pod1/other", true);
    let report = told(&world, options(true, false));
    assert_eq!(kinds(&report), []);
    let expected = [
        (StepKind::Shrink, Why::NoCaches),
        (StepKind::ForceEmpty, Why::NothingHeld),
        NOT_ASKED,
    ];
    assert_eq!(not_tried(&report), expected);
    assert_eq!(report.answer(), Answer::Leak);

    // Nothing may be written: nothing was tried.
    let world = leaked(Kernel::El7, Version::V1, Charge::Free("dentry"), 3);
    world.fail(Act::Write, "shrink", Errno::ACCESS, 100);
    let report = told(&world, options(true, false));
    let expected = [
        (StepKind::Shrink, Why::Refused),
        (StepKind::ForceEmpty, Why::PagesDoNotPin),
        NOT_ASKED,
    ];
    assert_eq!(not_tried(&report), expected, "{report:?}");
    assert_eq!((report.last().zombies, report.answer()), (3, Answer::Leak));

    // One write is refused: the others free theirs.
    let world = leaked(Kernel::V4_19, Version::V1, Charge::File, 3);
    world.zombie("/kubepods/pod3/c", Charge::File, 1 << 20);
    world.fail(Act::Write, "pod3/memory.force_empty", Errno::BUSY, 100);
    let report = told(&world, options(true, false));
    assert_eq!(report.steps[0].failed, Some(1), "{report:?}");
    assert_eq!(report.last().zombies, 1, "{report:?}");
    assert_eq!(
        not_tried(&report),
        [(StepKind::Shrink, Why::NoCaches), NOT_ASKED]
    );
}

#[test]
fn a_count_that_comes_late_is_waited_for() {
    let world = leaked(Kernel::V4_19, Version::V1, Charge::File, 4);
    world.frees_after(Duration::from_millis(1500));
    let report = told(&world, options(true, false));
    assert_eq!(kinds(&report), [FORCE_EMPTY]);
    assert_eq!(report.last().zombies, 0);
    assert_eq!(report.answer(), Answer::Clean);
}

#[test]
fn zombies_of_others_that_come_meanwhile_are_not_called_freed() {
    let world = leaked(Kernel::V4_19, Version::V1, Charge::File, 5);
    world.frees_after(Duration::from_millis(600));
    world.later(Duration::from_millis(300), Later::ZombiesCome(9));
    let report = told(&world, options(true, false));
    assert_eq!(report.last().zombies, 9, "{report:?}");
    assert_eq!(report.answer(), Answer::Leak);
}

#[test]
fn it_stops_in_time_and_writes_no_more_than_allowed() {
    let charge = Charge::Free("dentry");
    let world = leaked(Kernel::El7, Version::V1, charge, 3);
    let mut late = options(true, true);
    late.time = Duration::ZERO;
    let report = told(&world, late);
    assert_eq!(
        (report.ended, &report.steps[..]),
        (Some(Ended::TimeIsUp), &[][..])
    );
    let expected = [StepKind::Shrink, StepKind::ForceEmpty, StepKind::DropCaches];
    assert_eq!(
        not_tried(&report),
        expected.map(|kind| (kind, Why::TimeIsUp))
    );
    assert!(world.written().is_empty());

    let mut few = options(false, false);
    few.max = 2;
    let report = told(&world, few);
    assert_eq!(
        (report.steps[0].targets, report.steps[0].left_out),
        (2, Some(1))
    );
    // Step by step all of them are written to.
    few.apply = true;
    let report = told(&world, few);
    assert_eq!(kinds(&report), [SHRINK, (StepKind::Shrink, true)]);
    assert_eq!(report.last().zombies, 0, "{report:?}");
    let shrunk = world.written();
    assert!(
        shrunk
            .iter()
            .all(|(path, _)| path.starts_with(Path::new("/sys/kernel/slab")))
    );
}
