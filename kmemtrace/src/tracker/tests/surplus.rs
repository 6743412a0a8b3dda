//! The kernel's count contradicts what events told.

use super::*;
use crate::event::Contradiction;

/// How long a count of v1 takes to settle, in milliseconds, and how long that of v2 does.
const SETTLED: u64 = 2_000;
const SETTLED_V2: u64 = 5_000;

impl Run {
    /// What it wants to be said.
    fn contradiction(&self) -> Option<Contradiction> {
        match self.tracker.wants() {
            Wanted::Correction(found) => Some(found),
            _ => None,
        }
    }

    /// Five ticks a second, as a source sends them while counts differ.
    fn ticks(&mut self, from_ms: u64, to_ms: u64, counts: Counts) -> &mut Self {
        for ms in (from_ms..=to_ms).step_by(200) {
            self.tick(ms, counts);
        }
        self
    }

    /// The source says it, and walks: these are live, and these zombies are there.
    fn correct(&mut self, ms: u64, live: &[u64], zombies: &[u64], counts: Counts) -> &mut Self {
        let found = self.contradiction().expect("it is wanted");
        self.apply(ms, Fact::Gap(found.gap()));
        for id in zombies {
            self.apply(ms, Fact::Zombie(cgroup(*id)));
        }
        for id in live {
            self.present(ms, cgroup(*id));
        }
        self.apply(ms + 1, walked_all(ms, zombies.len() as u64, counts))
    }
}

/// Three zombies, and three more that nobody but a broken hook saw.
fn six() -> Run {
    let mut run = Run::walked(&[1, 2, 3, 4], num_cgroups(4));
    for id in 2..=4 {
        run.offlined(10, cgroup(id))
            .offlined(10, cgroup(id + 0xabcd_0000));
    }
    run.tick(20, num_cgroups(4));
    assert_eq!(run.totals(), (1, 6, 0));
    run
}

#[test]
fn a_surplus_that_lasts_is_said_and_a_walk_corrects_it() {
    let mut run = six();
    // They have had the time to be counted, and others to be told of.
    run.ticks(1_000, 2 * SETTLED, num_cgroups(4));
    assert_eq!(run.contradiction(), None);
    run.ticks(2 * SETTLED, 2 * SETTLED + 200, num_cgroups(4));
    let found = run.contradiction().unwrap();
    assert_eq!((found.counted.tracked, found.counted.kernel), (6, 3));
    assert_eq!(found.from_mono_ns, stamp(SETTLED).mono_ns);
    run.changes.clear();
    run.correct(4_400, &[1], &[2, 3, 4], num_cgroups(4));
    assert_eq!(run.totals(), (1, 3, 3));
    let word = |id: u64| format!("recovered {}?", id + 0xabcd_0000);
    let said = run.said();
    for id in 2..=4 {
        assert!(said.contains(&word(id)), "{said:?}");
    }
    let status = run.tracker.state();
    assert_eq!(status.summary().gaps, 1);
    assert_eq!(
        status.counted().map(|c| (c.tracked, c.kernel)),
        Some((3, 3))
    );
    assert!(run.settled());
    // What is left is certain: its end is told as any.
    run.freed(5_000, cgroup(2));
    assert_eq!(run.said(), ["recovered 2"]);
}

#[test]
fn without_names_the_count_corrects_it() {
    let mut run = six();
    run.ticks(1_000, 4_200, num_cgroups(4));
    let found = run.contradiction().unwrap();
    run.apply(4_300, Fact::Gap(found.gap()))
        .present(4_300, cgroup(1));
    run.apply(4_301, walked(4_300, num_cgroups(4)));
    assert_eq!(run.totals(), (1, 3, 3));
    assert!(run.settled());
}

/// As in a trace of a version that did not correct.
#[test]
fn unanswered_it_is_corrected_by_the_count_alone() {
    let mut run = six();
    run.ticks(1_000, 32_000, num_cgroups(4));
    assert_eq!(run.totals().1, 6);
    run.changes.clear();
    run.ticks(32_200, 36_000, num_cgroups(4));
    assert_eq!(run.totals(), (1, 3, 3));
    let gap = |change: &Change| matches!(&change.what, What::Gap(gap) if gap.counted.is_some());
    assert_eq!(run.changes.iter().filter(|change| gap(change)).count(), 1);
}

#[test]
fn few_ticks_are_no_proof_however_far_apart() {
    let mut run = six();
    run.tick(10_000, num_cgroups(4));
    assert_eq!(run.contradiction(), None);
    run.tick(20_000, num_cgroups(7));
    run.tick(30_000, num_cgroups(4))
        .tick(39_000, num_cgroups(4));
    assert_eq!(run.contradiction(), None);
    run.tick(40_000, num_cgroups(4));
    assert!(run.contradiction().is_some());
}

/// `nr_dying_subsys_memory` rises when a kworker gets there.
#[test]
fn what_has_just_been_removed_is_not_counted_yet() {
    let mut run = Run::walked(&[1], dying_memory(0));
    for n in 0..200 {
        let ms = 100 + n * 100;
        run.offlined(ms, cgroup(10 + n));
        run.tick(
            ms + 50,
            dying_memory((n * 100).saturating_sub(SETTLED_V2 - 100) / 100),
        );
        assert_eq!(run.contradiction(), None, "{ms}");
    }
}

/// `nr_dying_subsys_memory` falls before the end is told.
#[test]
fn what_is_about_to_end_is_counted_no_more() {
    let mut run = Run::walked(&[1], dying_memory(0));
    for n in 0..100 {
        run.offlined(n + 3, cgroup(10 + n));
    }
    run.tick(6_000, dying_memory(100));
    // One a second goes, and is told of half a second later.
    for n in 0..100 {
        let ms = 7_000 + n * 1_000;
        run.tick(ms, dying_memory(99 - n))
            .tick(ms + 200, dying_memory(99 - n));
        assert_eq!(run.contradiction(), None, "{ms}");
        run.freed(ms + 500, cgroup(10 + n));
        run.tick(ms + 600, dying_memory(99 - n));
        assert_eq!(run.contradiction(), None, "{ms}");
    }
    assert_eq!(run.totals(), (1, 0, 0));
}

#[test]
fn ends_do_not_hide_what_is_wrong() {
    let mut run = Run::walked(&[1], dying_memory(0));
    for n in 0..100 {
        run.offlined(n + 3, cgroup(10 + n));
    }
    // 10 of them do not exist, and the others go.
    let mut found = None;
    for n in 0..90 {
        let ms = 6_000 + n * 1_000;
        run.ticks(ms, ms + 800, dying_memory(90 - n));
        found = found.or(run.contradiction().map(|_| ms));
        run.freed(ms + 900, cgroup(10 + n));
    }
    assert!(found.is_some_and(|ms| ms <= 12_000), "{found:?}");
}

/// A walk that finds what the kernel does not count is not made again and again.
#[test]
fn a_correction_that_did_not_help_is_repeated_ever_more_rarely() {
    let mut run = six();
    let (mut at, mut gaps) = (1_000, Vec::new());
    while at < 1_000_000 {
        run.tick(at, num_cgroups(4));
        if run.contradiction().is_some() {
            gaps.push(at);
            let phantoms: Vec<_> = (2..=4).flat_map(|id| [id, id + 0xabcd_0000]).collect();
            run.correct(at, &[1], &phantoms, num_cgroups(4));
            at += 2;
        }
        at += 200;
    }
    let apart: Vec<_> = gaps.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.len() > 2 && gaps.len() < 8, "{gaps:?}");
    assert!(apart.is_sorted() && apart[0] < apart[1], "{apart:?}");
}

/// Seen by slab caches that the kernel does not count.
#[test]
fn polls_are_contradicted_as_well() {
    let mut run = Run::new();
    run.tracker = Tracker::new(Config {
        grace: Duration::from_millis(GRACE),
        polled: true,
        kept: Kept::Yes,
    });
    run.present(1, cgroup(1))
        .apply(2, walked(1, num_cgroups(3)));
    for id in 2..=5 {
        let slab = Some(Box::new(crate::event::SlabPin {
            caches: 2,
            ..crate::event::SlabPin::default()
        }));
        run.apply(100, Fact::Zombie(Cgroup { slab, ..cgroup(id) }));
    }
    run.tick(150, num_cgroups(3));
    assert_eq!(run.totals(), (1, 4, 0));
    for ms in (1_000..8_000).step_by(1_000) {
        run.tick(ms, num_cgroups(3));
    }
    let found = run.contradiction().unwrap();
    assert_eq!((found.counted.tracked, found.counted.kernel), (4, 2));
    run.apply(8_500, Fact::Gap(found.gap()))
        .tick(9_000, num_cgroups(3));
    assert_eq!(run.totals(), (1, 2, 2));
    assert_eq!(run.contradiction(), None);
}
