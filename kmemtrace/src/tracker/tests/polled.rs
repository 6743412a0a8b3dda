//! Facts from polls: what is seen of zombies, and what the counts say of the others.

use super::*;
use crate::event::SlabPin;

/// Milliseconds after which the counts speak of what was removed.
const SETTLE: u64 = 2000;

/// Between the last poll and this one.
fn missing(id: u64, after_ms: u64) -> Cgroup {
    Cgroup {
        after_ns: Some(after_ms * 1_000_000),
        ..cgroup(id)
    }
}

fn pinned(kmemcg_id: u32, id: Option<u64>, caches: u32) -> Cgroup {
    Cgroup {
        id,
        kmemcg_id: Some(kmemcg_id),
        slab: Some(Box::new(SlabPin {
            caches,
            objects: Some(21),
            bytes: Some(4096),
        })),
        ..Cgroup::default()
    }
}

impl Run {
    fn polled(ids: &[u64], counts: Counts) -> Self {
        let mut run = Self::new();
        run.tracker = Tracker::new(Config {
            grace: Duration::from_millis(GRACE),
            polled: true,
            kept: Kept::Yes,
        });
        for &id in ids {
            run.apply(1, Fact::Present(cgroup(id)));
        }
        run.apply(2, walked(1, counts));
        run.changes.clear();
        run
    }

    fn zombie(&mut self, ms: u64, cgroup: Cgroup) -> &mut Self {
        self.apply(ms, Fact::Zombie(cgroup))
    }

    /// `LeakedUnseen`, each with how many.
    fn unseen(&self) -> Vec<u64> {
        let zombies = self.changes.iter().filter_map(|change| match change.what {
            What::LeakedUnseen { zombies } => Some(zombies),
            _ => None,
        });
        zombies.collect()
    }
}

#[test]
fn a_removed_one_that_the_count_does_not_have_is_freed() {
    let mut run = Run::polled(&[1, 2], num_cgroups(2));
    run.offlined(1000, missing(2, 2)).tick(1000, num_cgroups(2));
    // may be on its way
    assert_eq!(run.totals(), (1, 1, 0));
    run.tick(2000, num_cgroups(1));
    assert_eq!(run.totals(), (1, 0, 0));
    run.tick(1000 + SETTLE, num_cgroups(1));
    assert_eq!(run.said(), ["offlined 2?", "freed 2?"]);
    assert_eq!(run.tracker.state().summary().leaks, 0);
}

/// `nr_dying_subsys_memory` may rise seconds after a removal.
#[test]
fn a_count_of_what_is_offline_may_come_late() {
    let mut run = Run::polled(&[1, 2], dying_memory(0));
    run.offlined(1000, missing(2, 2))
        .tick(1000, dying_memory(0));
    run.tick(1000 + SETTLE, dying_memory(0));
    assert_eq!(run.said(), ["offlined 2?"]);
    run.tick(1000 + SETTLE + 1000, dying_memory(1));
    assert_eq!(run.totals(), (1, 1, 1));
    assert_eq!(run.said(), ["leaked 2?"]);
    let mut clean = Run::polled(&[1, 2], dying_memory(0));
    clean.offlined(1000, missing(2, 2));
    clean.tick(6000, dying_memory(0));
    assert_eq!(clean.said(), ["offlined 2?", "freed 2?"]);
}

#[test]
fn what_the_count_keeps_has_leaked() {
    let mut run = Run::polled(&[1, 2], num_cgroups(5));
    assert_eq!(run.totals(), (2, 3, 0));
    run.offlined(1000, missing(2, 2)).tick(1000, num_cgroups(5));
    run.tick(1000 + GRACE - 1, num_cgroups(5));
    assert_eq!(run.totals(), (1, 4, 0));
    run.tick(1000 + GRACE, num_cgroups(5));
    assert_eq!(run.totals(), (1, 4, 1));
    let Some(What::Leaked(subject)) = run.changes.iter().rev().nth(1).map(|c| &c.what) else {
        panic!("{:?}", run.changes);
    };
    assert_eq!(
        subject.by_count,
        Some(ByCount {
            zombies: 1,
            candidates: 1
        })
    );
    assert_eq!(subject.offlined_after_ns, Some(2_000_000));
    assert_eq!(run.said(), ["offlined 2?", "leaked 2?"]);
    // an inherited one is freed, or it is: that it is still there cannot be said any more
    run.tick(9000, num_cgroups(4));
    assert_eq!(run.totals(), (1, 3, 0));
    assert_eq!(run.said(), ["recovered 2?"]);
    assert_eq!(run.tracker.state().summary().recovered, 1);
    run.tick(9500, num_cgroups(1));
    assert_eq!((run.totals(), run.said()), ((1, 0, 0), vec![]));
}

/// As many as there are candidates; but they may have come and gone between two polls, and the candidates be freed.
#[test]
fn a_count_names_nobody() {
    let mut run = Run::polled(&[1, 2, 3], num_cgroups(3));
    run.offlined(1000, missing(2, 2))
        .offlined(1000, missing(3, 2));
    run.tick(1000, num_cgroups(3))
        .tick(1000 + GRACE, num_cgroups(3));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.totals.leaked, summary.by_count), (2, 2));
    assert!(summary.owners.is_empty(), "{:?}", summary.owners);
    run.tick(9000, num_cgroups(1));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.by_count, summary.suspects.len()), (0, 0));
}

#[test]
fn some_of_several() {
    let mut run = Run::polled(&[1, 2, 3, 4], num_cgroups(4));
    for id in 2..5 {
        run.offlined(1000, missing(id, 2));
    }
    run.tick(1000, num_cgroups(4)).tick(3000, num_cgroups(3));
    assert_eq!(run.totals(), (1, 2, 2));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.leaks, summary.created), (2, 0));
    // Whose they are the count does not tell.
    assert!(summary.owners.is_empty() && summary.pins.is_empty());
    let suspects = summary.suspects.iter().map(|suspect| suspect.at_most);
    assert_eq!((summary.by_count, suspects.sum()), (2, 3));
    assert_eq!(
        run.said(),
        [
            "offlined 2?",
            "offlined 3?",
            "offlined 4?",
            "leaked 2?",
            "leaked 3?",
            "leaked 4?"
        ]
    );
}

#[test]
fn younger_ones_may_be_what_the_count_has() {
    let mut run = Run::polled(&[1, 2, 3], num_cgroups(3));
    run.offlined(1000, missing(2, 2)).tick(1000, num_cgroups(3));
    run.offlined(2100, missing(3, 2000))
        .tick(2100, num_cgroups(2));
    assert_eq!(run.totals(), (1, 1, 0));
    // now both are old enough
    run.tick(3200, num_cgroups(2));
    assert_eq!(run.totals(), (1, 1, 1));
}

#[test]
fn a_poll_without_a_count_leaves_it_to_the_next() {
    let mut run = Run::polled(&[1, 2, 3], num_cgroups(3));
    // the counts changed while they were read
    run.offlined(1000, missing(2, 2))
        .tick(1000, Counts::default());
    run.offlined(1200, missing(3, 1000))
        .tick(1200, num_cgroups(3));
    assert_eq!(run.totals(), (1, 2, 0));
    run.tick(4000, num_cgroups(1));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(
        run.said(),
        ["offlined 2?", "offlined 3?", "freed 2?", "freed 3?"]
    );
}

#[test]
fn a_memcg_that_ends_alone_is_not_in_the_count_of_removed_cgroups() {
    let alone = |id| Cgroup {
        scope: Scope::Memcg,
        ..missing(id, 2)
    };
    let mut run = Run::polled(&[1, 2], dying(0));
    run.offlined(1000, alone(2)).tick(1000, dying(0));
    run.tick(5000, dying(0));
    // no "freed": it may be a zombie
    assert_eq!(run.said(), ["offlined 2?"]);
    assert_eq!(run.tracker.state().summary().unproven, 1);

    let mut run = Run::polled(&[1, 2], dying_memory(0));
    run.offlined(1000, alone(2)).tick(1000, dying_memory(1));
    run.tick(5000, dying_memory(1));
    assert_eq!(run.said(), ["offlined 2?", "leaked 2?"]);
}

#[test]
fn an_undecided_one_is_given_up() {
    let mut run = Run::polled(&[1, 2], num_cgroups(2));
    run.offlined(1000, missing(2, 2)).tick(1000, num_cgroups(2));
    for (n, id) in (10..40).enumerate() {
        // there is always one that is on its way
        let ms = 1100 + n as u64 * 400;
        run.created(ms, missing(id, ms - 100))
            .offlined(ms + 200, missing(id, ms))
            .tick(ms + 200, num_cgroups(2));
    }
    assert!(run.tracker.state().summary().unproven > 0);
    assert_eq!(run.tracker.state().summary().leaks, 0);
    assert!(run.tracker.table.values().count() < 20);
}

#[test]
fn born_and_dead_between_two_polls() {
    let mut run = Run::polled(&[1], num_cgroups(1));
    run.tick(1000, num_cgroups(4)).tick(1500, num_cgroups(3));
    assert_eq!((run.totals(), run.unseen()), ((1, 2, 0), vec![]));
    run.tick(1000 + GRACE, num_cgroups(5));
    assert_eq!((run.totals(), run.unseen()), ((1, 4, 2), vec![2]));
    // one that comes and goes is none
    run.tick(2500, num_cgroups(3)).tick(5000, num_cgroups(3));
    assert_eq!((run.totals(), run.unseen()), ((1, 2, 2), vec![2]));
    assert_eq!(run.tracker.state().summary().recovered, 0);
}

#[test]
fn slab_caches_name_zombies_where_nothing_counts_them() {
    let mut run = Run::polled(&[1, 2, 3], Counts::default());
    run.offlined(1000, missing(2, 2))
        .offlined(1000, missing(3, 2))
        .zombie(1000, pinned(7, Some(2), 3))
        .zombie(1000, pinned(8, None, 1))
        .tick(1000, Counts::default());
    // 3 was removed, and that is all there is to say
    assert_eq!(run.totals(), (1, 2, 0));
    run.tick(1000 + GRACE, Counts::default());
    assert_eq!(run.totals(), (1, 2, 2));
    assert_eq!(
        run.said(),
        [
            "offlined 2?",
            "offlined 3?",
            "zombie 2",
            "zombie kmem8",
            "leaked 2",
            "leaked kmem8"
        ]
    );
    assert_eq!(run.tracker.state().summary().unproven, 1);
    // its number went to another: it is gone
    run.freed(3000, pinned(8, None, 0));
    // nothing of it is seen any more
    run.zombie(3000, pinned(7, Some(2), 0));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(run.said(), ["recovered kmem8", "zombie 2?"]);
    assert_eq!(run.tracker.state().summary().unproven, 2);
}

#[test]
fn slab_caches_name_zombies_beside_a_count() {
    let mut run = Run::polled(&[1, 2, 3], num_cgroups(4));
    run.offlined(1000, missing(2, 2))
        .offlined(1000, missing(3, 2))
        .zombie(1000, pinned(7, Some(2), 3))
        .tick(1000, num_cgroups(4));
    assert_eq!(run.totals(), (1, 3, 0));
    run.tick(1000 + GRACE, num_cgroups(3));
    // of the count's two one is named, one inherited: none is left for 3
    assert_eq!(run.totals(), (1, 2, 1));
    run.zombie(4000, pinned(7, Some(2), 0))
        .tick(4000, num_cgroups(2));
    assert_eq!(run.totals(), (1, 1, 0));
}

#[test]
fn zombies_seen_at_the_start_are_inherited() {
    let mut run = Run::new();
    run.tracker = Tracker::new(Config {
        grace: Duration::from_millis(GRACE),
        polled: true,
        kept: Kept::Yes,
    });
    run.present(1, cgroup(1)).zombie(1, pinned(7, None, 2));
    run.apply(2, walked(1, Counts::default()));
    assert_eq!(run.tracker.state().summary().inherited, Some(1));
    assert_eq!(run.totals(), (1, 1, 0));
}

#[test]
fn a_late_poll_takes_nothing_back() {
    let mut run = Run::polled(&[1], Counts::default());
    run.zombie(1000, pinned(7, None, 2));
    run.apply(
        2000,
        Fact::Gap(Gap {
            from_mono_ns: 1_000_000_000,
            lost: None,
            reason: GapReason::LatePoll,
            counted: None,
        }),
    );
    assert_eq!(run.totals(), (1, 1, 1));
    assert_eq!(run.tracker.state().summary().gaps, 1);
}

/// What happens between two polls.
#[derive(Clone, Copy, Debug)]
enum Step {
    Make,
    /// The nth live one goes; it stays as a zombie, or is freed at once.
    Remove(usize, bool),
    /// A zombie is freed.
    Free,
    /// Made and removed, and it stays.
    Unseen,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Vec<Step>>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        3 => Just(Step::Make),
        3 => (0..9usize, any::<bool>()).prop_map(|(n, stays)| Step::Remove(n, stays)),
        2 => Just(Step::Free),
        1 => Just(Step::Unseen),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 0..4), 0..40)
}

proptest::proptest! {
    /// Whatever happens between polls: the totals are the kernel's, and no more is called leaked than is there.
    #[test]
    fn the_totals_are_the_kernels(polls in steps(), inherited in 0..3u64) {
        let mut live = vec![1];
        let (mut zombies, mut next) = (inherited, 2);
        let mut run = Run::polled(&[1], num_cgroups(1 + inherited));
        for (n, steps) in (1..).zip(polls) {
            let (ms, last) = (n * 500, (n - 1) * 500);
            let before = live.clone();
            for step in steps {
                match step {
                    Step::Make => {
                        live.push(next);
                        next += 1;
                    }
                    Step::Remove(n, stays) if live.len() > 1 => {
                        live.remove(1 + n % (live.len() - 1));
                        zombies += u64::from(stays);
                    }
                    Step::Free if zombies > 0 => zombies -= 1,
                    Step::Unseen => {
                        next += 1;
                        zombies += 1;
                    }
                    Step::Remove(..) | Step::Free => {}
                }
            }
            for id in before.iter().filter(|id| !live.contains(id)) {
                run.offlined(ms, missing(*id, last));
            }
            for id in live.iter().filter(|id| !before.contains(id)) {
                run.created(ms, missing(*id, last));
            }
            run.tick(ms, num_cgroups(live.len() as u64 + zombies));
            let (l, z, leaked) = run.totals();
            proptest::prop_assert_eq!((l, z), (live.len() as u64, zombies));
            proptest::prop_assert!(leaked <= zombies);
        }
        // all that is left has leaked, but for as many as were there before
        let counts = num_cgroups(live.len() as u64 + zombies);
        for ms in (100_000..600_000).step_by(50_000) {
            run.tick(ms, counts);
        }
        let (_, _, leaked) = run.totals();
        proptest::prop_assert!(leaked + inherited >= zombies);
        let summary = run.tracker.state().summary();
        proptest::prop_assert_eq!(summary.leaks - summary.recovered, leaked);
    }
}
