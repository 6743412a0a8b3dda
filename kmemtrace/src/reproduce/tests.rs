//! Reproductions on kernels made of files: what is told of each, with each way of failing.

use std::{path::Path, time::Duration};

use rustix::io::Errno;

use super::{
    charge::{ChargeOrder, Charges},
    counts::{Agreement, Alive, Around, WaysCounted, told},
    outcome::{Action, Reproduction},
    *,
};
use crate::{
    catalogue::{Catalogue, Lang},
    census,
    error::Error,
    host::{
        self, SlabLayout, Version,
        tests::world::{Act, Kernel, Kind, Later, World},
    },
    interrupt::Interrupt,
    judge::{Answer, Signs, State},
};

const COUNT: u64 = 5;

/// Charges a world's cgroups as the workloads were seen to.
struct Charger<'a> {
    world: &'a World,
    kinds: &'a [Kind],
    base: String,
    /// Ends early, like a workload that cannot write.
    fails: bool,
}

impl Charges for Charger<'_> {
    fn charge(
        &mut self,
        wanted: &ChargeOrder<'_>,
        told: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let name = wanted.base.file_name().unwrap().to_str().unwrap();
        for number in 0..wanted.count {
            if self.fails && number == 2 {
                return Err(Error::new("the workload ended early"));
            }
            let leaf = format!("{}/all/{name}-{number}", self.base);
            for kind in self.kinds {
                self.world.charge(&leaf, *kind, 16 << 12);
            }
            told();
        }
        Ok(())
    }

    fn close(&mut self) -> bool {
        self.world.uncharge(&self.base, Kind::Socket);
        false
    }

    fn remove_files(&mut self, files: &Path) {
        let _ = std::fs::remove_dir_all(files);
        self.world.uncharge(&self.base, Kind::Tmpfs);
        self.world.uncharge(&self.base, Kind::Cached("inode_cache"));
    }
}

/// A run: what is told of the first and the last look, the verdict, and how many zombies the kernel has of its own at the end.
fn run(
    world: &World,
    kinds: &[Kind],
    change: impl FnOnce(&mut Course<'_>),
) -> Result<Reproduction, Error> {
    reproduced(world, kinds, false, change)
}

fn reproduced(
    world: &World,
    kinds: &[Kind],
    fails: bool,
    change: impl FnOnce(&mut Course<'_>),
) -> Result<Reproduction, Error> {
    std::fs::create_dir_all(world.root().path("/var/tmp")).unwrap();
    let hierarchy = host::facts(world.root()).memory.unwrap();
    let interrupt = Interrupt::watched().unwrap();
    let catalogue = Catalogue::shown(Lang::En);
    let mut course = Course {
        root: world.root(),
        acts: world,
        hierarchy: &hierarchy,
        parent: world.mount().to_owned(),
        switch_on: true,
        count: COUNT,
        workload: Workload::Dentries,
        wait: Duration::from_secs(2),
        reclaim: false,
        directory: "/var/tmp".into(),
        interrupt: &interrupt,
        catalogue: &catalogue,
    };
    change(&mut course);
    let name = format!("/kmemtrace-reproduce-{}", std::process::id());
    let mut charger = Charger {
        world,
        kinds,
        base: name.clone(),
        fails,
    };
    let report = course.charged_by(&mut charger);
    assert!(!world.exists(&name), "left behind");
    assert!(!world.slabinfo_was_opened(), "it can hang 3.10.0-514");
    report
}

fn own(world: &World) -> u64 {
    world.zombies("/kmemtrace-reproduce")
}

fn steps(report: &Reproduction) -> Vec<(Action, Option<u64>)> {
    report
        .steps
        .iter()
        .map(|step| (step.done, step.zombies))
        .collect()
}

/// 3.10, 12 of 12 runs: every one leaks; it is said, and the slab that is left is given back.
#[test]
fn on_3_10_a_leak_is_told_and_cleared_away() {
    let free = [Kind::Free("dentry"), Kind::Free("inode_cache")];
    for kinds in [&free[..], &free[..1]] {
        let world = World::new(Kernel::El7, Version::V1);
        // Others' zombies, with names at the top.
        world.zombie("/pod/old", Kind::InUse("dentry"), 4096);
        let report = run(&world, kinds, |_| {}).unwrap();
        let told = [
            (Action::Removed, Some(COUNT)),
            (Action::FilesRemoved, Some(COUNT)),
            (Action::Shrink, Some(0)),
        ];
        assert_eq!(steps(&report), told);
        assert_eq!((report.answer(), own(&world)), (Answer::Leak, 0));
        assert!(report.steps[0].at_least);
        assert_eq!(world.zombies("/pod"), 1);
    }
}

/// 3.10: cached dentries stay until caches are dropped, and then slabs until they are shrunk.
#[test]
fn on_3_10_caches_are_dropped_before_slabs_are_shrunk() {
    let cached = [Kind::Cached("dentry")];
    let world = World::new(Kernel::El7, Version::V1);
    let report = run(&world, &cached, |_| {}).unwrap();
    assert_eq!(
        (report.answer(), report.left()),
        (Answer::Leak, Some(COUNT))
    );
    let world = World::new(Kernel::El7, Version::V1);
    let report = run(&world, &cached, |course| course.reclaim = true).unwrap();
    assert_eq!((report.left(), own(&world)), (Some(0), 0));
    assert!(report.dropped());
}

/// 3.10: nothing is called freed that pages pin, or that could not be looked at.
#[test]
fn on_3_10_what_two_counts_do_not_tell_is_unknown() {
    let dentry = Kind::Free("dentry");
    // Names show nothing, and kernel memory is held.
    let world = World::new(Kernel::El7, Version::V1);
    let report = run(&world, &[Kind::Pages], |_| {}).unwrap();
    assert_eq!(report.answer(), Answer::Unknown);
    assert!(own(&world) > COUNT);

    let world = World::new(Kernel::El7, Version::V1);
    world.without_kmem_files();
    let report = run(&world, &[dentry], |_| {}).unwrap();
    assert_eq!((report.answer(), report.accounted), (Answer::Unknown, None));

    // Refused: kernel memory is not accounted, and nothing leaks, which says nothing of slab.
    let world = World::new(Kernel::El7, Version::V1);
    world.fail(Act::Write, "kmem.limit_in_bytes", Errno::INVAL, u32::MAX);
    let report = run(&world, &[dentry], |_| {}).unwrap();
    assert_eq!(
        (report.answer(), report.accounted),
        (Answer::Clean, Some(false))
    );
}

/// What is in the kernel's way while they are made and removed.
#[test]
fn failures_leave_nothing_and_are_told() {
    let dentry = [Kind::Free("dentry")];
    let world = World::new(Kernel::El7, Version::V1);
    // Not the directory above, whose name ends with a number that may begin so.
    let third = &format!("{}-3", std::process::id());
    world.fail(Act::MakeDirectory, third, Errno::NOSPC, 1);
    let error = run(&world, &dentry, |_| {}).unwrap_err().to_string();
    assert!(error.contains("-3: No space left on device"), "{error}");
    assert_eq!(own(&world), 0);

    let world = World::new(Kernel::El7, Version::V1);
    let error = reproduced(&world, &dentry, true, |_| {}).unwrap_err();
    assert!(error.to_string().contains("ended early"), "{error}");
    assert_eq!(own(&world), 0);

    // For a moment, as after a task has left.
    let world = World::new(Kernel::El7, Version::V1);
    world.fail(Act::RemoveDirectory, third, Errno::BUSY, 20);
    let report = run(&world, &dentry, |_| {}).unwrap();
    assert_eq!((report.answer(), report.left()), (Answer::Leak, Some(0)));

    // For good.
    let world = World::new(Kernel::V4_19, Version::V1);
    world.fail(Act::RemoveDirectory, third, Errno::BUSY, 1500);
    let report = run(&world, &[Kind::Free("dentry")], |_| {}).unwrap();
    assert_eq!(
        (report.answer(), report.not_removed),
        (Answer::Unknown, Some(1))
    );

    let world = World::new(Kernel::El7, Version::V1);
    world.fail(Act::Write, "drop_caches", Errno::ACCESS, 1);
    let error = run(&world, &dentry, |course| course.reclaim = true).unwrap_err();
    assert!(error.to_string().contains("drop_caches"), "{error}");
    assert_eq!(own(&world), 0);

    let world = World::new(Kernel::El7, Version::V1);
    world.fail(Act::Write, "/shrink", Errno::IO, u32::MAX);
    let report = run(&world, &dentry, |_| {}).unwrap();
    assert_eq!(
        (report.answer(), report.left()),
        (Answer::Leak, Some(COUNT))
    );
}

/// From 4.19 on the kernel counts, and reproduce says what is so of each kind.
#[test]
fn later_kernels_are_told_by_their_count_and_another() {
    use Kernel::{V4_19, V5_4, V6_1};
    let cached = Kind::Cached("inode_cache");
    let dentry = Kind::Cached("dentry");
    let v1 = [
        (V4_19, Version::V1),
        (V5_4, Version::V1),
        (V6_1, Version::V1),
    ];
    let v2 = [
        (V4_19, Version::V2),
        (V5_4, Version::V2),
        (V6_1, Version::V2),
    ];
    for (kernel, version) in v1.into_iter().chain(v2) {
        let stays = |kinds: &[Kind]| {
            let world = World::new(kernel, version);
            world.frees_after(Duration::from_millis(700));
            let report = run(&world, kinds, |_| {}).unwrap();
            (report.stayed(), report.answer())
        };
        let slab = if kernel == V4_19 {
            (Some(COUNT), Answer::Leak)
        } else {
            (Some(0), Answer::Clean)
        };
        assert_eq!(stays(&[dentry]), slab, "{kernel:?} {version:?}");
        assert_eq!(stays(&[cached]), slab, "{kernel:?} {version:?}");
        let pages = (Some(COUNT), Answer::Leak);
        assert_eq!(
            stays(&[Kind::Tmpfs, dentry]),
            pages,
            "{kernel:?} {version:?}"
        );
        let clean = (Some(0), Answer::Clean);
        assert_eq!(
            stays(&[Kind::Free("dentry")]),
            clean,
            "{kernel:?} {version:?}"
        );
    }
}

/// Whatever others do meanwhile: what is told of its own is true, or it is unknown.
#[test]
fn others_zombies_change_no_verdict() {
    for kernel in [Kernel::El7, Kernel::V4_19, Kernel::V5_4, Kernel::V6_1] {
        for kind in [Kind::Cached("dentry"), Kind::Free("dentry"), Kind::Tmpfs] {
            for (come, go) in [(3, 0), (0, COUNT), (0, COUNT + 1), (3, 3), (12, 12)] {
                let world = World::new(kernel, Version::V1);
                for n in 0..12 {
                    world.zombie(&format!("/other-{n}"), Kind::Tmpfs, 4096);
                }
                world.later(Duration::from_millis(200), Later::ZombiesGo(go));
                world.later(Duration::from_millis(400), Later::ZombiesCome(come));
                world.later(Duration::from_millis(900), Later::LiveCome(2));
                let report = run(&world, &[kind], |_| {}).unwrap();
                let leaks = match kernel {
                    Kernel::El7 => kind != Kind::Tmpfs,
                    Kernel::V4_19 => kind != Kind::Free("dentry"),
                    _ => kind == Kind::Tmpfs,
                };
                let wrong = if leaks { Answer::Clean } else { Answer::Leak };
                let told = (report.answer(), steps(&report));
                assert_ne!(told.0, wrong, "{kernel:?} {kind:?} {come} {go}: {told:?}");
                assert!(
                    report.stayed().is_none_or(|stayed| stayed <= COUNT),
                    "{told:?}"
                );
            }
        }
    }
}

/// What reproduce leaves behind is what a census of the node then finds, and judges in the same way.
#[test]
fn a_census_afterwards_agrees() {
    use Kernel::{El7, V4_19, V5_4, V6_1};
    let kinds = [
        Kind::Free("dentry"),
        Kind::Cached("dentry"),
        Kind::InUse("dentry"),
        Kind::Tmpfs,
        Kind::Pages,
    ];
    for (kernel, version) in [
        (El7, Version::V1),
        (V4_19, Version::V1),
        (V4_19, Version::V2),
        (V5_4, Version::V1),
        (V6_1, Version::V2),
    ] {
        for kind in kinds {
            let world = World::new(kernel, version);
            let report = run(&world, &[kind], |_| {}).unwrap();
            let hierarchy = host::facts(world.root()).memory.unwrap();
            let count = census::count(world.root(), &hierarchy, None).unwrap();
            let state = Signs {
                live: count.live,
                staying: count.staying,
                none: count.none,
                ids_min: count.ids_min,
                ids_peak: count.ids_peak,
                kept: count.kept,
                ..Signs::default()
            }
            .state();
            let case = format!(
                "{kernel:?} {version:?} {kind:?}: {:?} {count:?}",
                steps(&report)
            );
            assert_eq!(count.none, own(&world) == 0, "{case}");
            match report.left() {
                Some(left) => assert_eq!(left == 0, count.none, "{case}"),
                None => assert!(!count.none, "{case}"),
            }
            let right = match (count.none, kernel) {
                (false, El7) => State::Leaking,
                // A handful on a kernel that gives ids back.
                _ => State::Healthy,
            };
            assert_eq!(state, right, "{case}");
        }
    }
}

/// Two counts agree, or it is unknown.
#[test]
fn one_count_alone_is_not_believed() {
    let alive = Alive {
        layout: Some(SlabLayout::TopLevel),
        leaves_out: true,
        listed: true,
        named: 5,
        kernel_memory: Some(1 << 20),
    };
    let around = Around {
        removed: 5,
        ..Around::default()
    };
    let counts = |named, kernel_memory| WaysCounted {
        counted: Some(0),
        named,
        kernel_memory,
        ..WaysCounted::default()
    };
    for (named, held, right) in [
        (Some(5), Some(4096), Agreement::AtLeast(5)),
        (Some(0), Some(0), Agreement::Exactly(0)),
        (Some(5), Some(0), Agreement::Unknown),
        (Some(0), Some(4096), Agreement::Unknown),
        (None, Some(0), Agreement::Unknown),
        (Some(0), None, Agreement::Unknown),
    ] {
        assert_eq!(told(&counts(named, held), &alive, around), right);
    }
    let own = |walked, dying, counted| WaysCounted {
        walked,
        dying,
        counted,
        ..WaysCounted::default()
    };
    for (walked, dying, counted, right) in [
        (Some(5), None, Some(5), Agreement::Exactly(5)),
        (Some(0), Some(0), None, Agreement::Exactly(0)),
        (Some(0), Some(5), Some(0), Agreement::Unknown),
        (Some(0), None, Some(5), Agreement::Unknown),
        (Some(0), None, None, Agreement::Unknown),
        (None, Some(5), Some(5), Agreement::Exactly(5)),
        (None, None, Some(5), Agreement::Unknown),
    ] {
        let counts = own(walked, dying, counted);
        assert_eq!(
            told(&counts, &Alive::default(), around),
            right,
            "{counts:?}"
        );
    }
}
