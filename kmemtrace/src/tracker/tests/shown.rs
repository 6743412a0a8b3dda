//! The state as it is shown.

use super::*;
use crate::event::header::Header;

#[test]
fn a_snapshot_tells_what_is_in_force_and_what_failed_last() {
    let header = Header {
        source: "bpf".into(),
        grace_ns: GRACE * 1_000_000,
        ..Header::default()
    };
    let mut run = Run::new();
    assert_eq!(run.tracker.state().header(), None);
    run.tracker = Tracker::of(&header);
    assert_eq!(run.tracker.state().header(), Some(&header));
    let failure = |errno| MkdirFailure {
        errno,
        ..MkdirFailure::default()
    };
    for (ms, errno) in [(1, Some(28)), (2, Some(12)), (3, Some(28)), (4, None)] {
        run.apply(ms, Fact::MkdirFailure(failure(errno)));
    }
    let gap = Gap {
        from_mono_ns: 0,
        lost: Some(3),
        reason: GapReason::RingFull,
        counted: None,
    };
    run.apply(5, Fact::Gap(gap.clone()));
    let state = run.tracker.state();
    let failed = state.mkdir_failures();
    let counts: Vec<_> = failed.iter().map(|(errno, f)| (*errno, f.count)).collect();
    assert_eq!(counts, [(None, 1), (Some(12), 1), (Some(28), 2)]);
    assert_eq!(
        failed[&Some(28)].time,
        event(3, Fact::Gap(gap.clone())).time
    );
    assert_eq!(state.gaps().unwrap().last, gap);
    assert_eq!((state.lost(), state.slab_failures()), (3, None));
    let summary = state.summary();
    assert_eq!((summary.mkdir_failures, summary.mkdir_no_space), (4, 2));
}

#[test]
fn zombies_are_certain_or_counted() {
    let mut run = Run::walked(&[1, 2], dying_memory(4));
    run.offlined(10, cgroup(1));
    let state = run.tracker.state();
    let zombies = ZombieCounts {
        certain: 1,
        pool: 4,
    };
    assert_eq!(state.zombies(), zombies);
    assert_eq!(state.totals().zombies, 5);
    assert_eq!(state.lives().offlined, 1);
}
