//! Starting in the middle, walks, gaps, and the kernel's counts.

use super::*;

#[test]
fn a_walk_finds_what_is_there() {
    let mut run = Run::new();
    run.present(1, cgroup(1))
        .present(1, cgroup(2))
        .present(1, bare(3));
    run.apply(2, walked(1, num_cgroups(5)));
    assert_eq!(run.said(), ["present 1", "present 2"]);
    assert_eq!(run.totals(), (2, 3, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(3));
    // born during the walk, and told after it
    run.created(1, cgroup(2));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.created, summary.found), (1, 1));
    assert_eq!(run.totals(), (2, 3, 0));
}

#[test]
fn a_walk_without_counts_inherits_at_the_first_tick_that_has_them() {
    let mut run = Run::walked(&[1], Counts::default());
    assert_eq!(run.tracker.state().summary().inherited, None);
    assert!(run.settled());
    run.tick(3, num_cgroups(3));
    assert_eq!(run.totals(), (1, 2, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(2));
}

#[test]
fn ends_of_unknown_ids_come_from_the_pool() {
    let mut run = Run::walked(&[1], num_cgroups(3));
    run.freed(3, cgroup(70)).freed(4, cgroup(71));
    assert_eq!(run.totals(), (1, 0, 0));
    run.freed(5, cgroup(72));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(run.said(), ["freed 70", "freed 71", "freed 72"]);
}

#[test]
fn an_end_told_early_does_not_cost_the_pool() {
    let mut run = Run::walked(&[1], num_cgroups(3));
    run.freed(5, cgroup(9))
        .offlined(4, cgroup(9))
        .created(3, cgroup(9));
    assert_eq!(run.totals(), (1, 2, 0));
}

#[test]
fn a_memcg_taken_from_its_directory_before_the_start() {
    let mut run = Run::new();
    run.present(1, bare(1)).apply(2, walked(1, dying_memory(1)));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(3, memcg(1, 50)).freed(3, memcg(1, 50));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["freed 1"]);
    // where no serial number can be read
    let mut run = Run::new();
    run.present(1, bare(1)).apply(2, walked(1, dying_memory(1)));
    run.freed(
        3,
        Cgroup {
            serial: None,
            ..memcg(1, 0)
        },
    );
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["freed 1"]);
}

#[test]
fn what_a_walk_does_not_see_has_vanished() {
    let mut run = Run::walked(&[1, 2, 3], num_cgroups(3));
    run.created(9, cgroup(4)).created(11, cgroup(5));
    run.present(12, cgroup(1)).present(12, cgroup(2));
    run.apply(13, walked(10, Counts::default()));
    let gone: Vec<_> = run
        .changes
        .iter()
        .filter_map(|change| subject(&change.what))
        .collect();
    let gone: Vec<_> = gone
        .iter()
        .filter(|(kind, _)| *kind == "offlined")
        .collect();
    assert_eq!(gone.len(), 2);
    assert_eq!(gone[0].1.offlined, Some(stamp(13)));
    assert_eq!(gone[0].1.offlined_after_ns, Some(1_000_000));
    assert_eq!(gone[1].1.offlined_after_ns, Some(9_000_000));
    assert_eq!(
        run.said(),
        [
            "created 4",
            "created 5",
            "present 1",
            "present 2",
            "offlined 3?",
            "offlined 4?"
        ]
    );
    assert_eq!(run.totals(), (3, 2, 0));
    run.freed(20, cgroup(3));
    assert_eq!(run.totals(), (3, 1, 0));
    assert_eq!(run.tracker.state().summary().delays, None);
}

#[test]
fn what_a_walk_saw_and_was_removed_before_its_news_came() {
    let mut run = Run::walked(&[1], num_cgroups(1));
    run.offlined(12, cgroup(1)).present(11, cgroup(1));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(14, cgroup(1))
        .present(11, cgroup(1))
        .present(15, cgroup(1));
    assert_eq!(run.totals(), (0, 0, 0));
}

#[test]
fn a_walk_sees_memory_switched_on_and_off() {
    let mut run = Run::walked(&[], Counts::default());
    run.present(2, with_serial(1, 50))
        .apply(3, walked(2, Counts::default()));
    run.present(4, bare(1));
    assert_eq!(run.totals(), (0, 1, 0));
    run.apply(5, walked(5, Counts::default()));
    run.present(
        6,
        Cgroup {
            memory: Some(true),
            ..cgroup(1)
        },
    );
    assert_eq!(run.totals(), (1, 1, 0));
    assert_eq!(run.said(), ["present 1", "offlined 1?", "present 1.1"]);
    run.created(6, memcg(1, 51));
    assert_eq!(run.tracker.state().summary().found, 1);
    assert_eq!(run.said(), ["created 1.1"]);
    // as old news it is nothing
    run.created(9, memcg(2, 60)).present(8, bare(2));
    assert_eq!(run.totals(), (2, 1, 0));
}

#[test]
fn a_gap_makes_zombies_uncertain() {
    let mut run = Run::walked(&[1, 2, 3], num_cgroups(3));
    run.offlined(3, cgroup(1)).offlined(4, cgroup(2));
    run.apply(6, gap(5))
        .present(7, cgroup(3))
        .apply(8, walked(7, num_cgroups(2)));
    // one of the two is gone: which one cannot be told
    assert_eq!(run.totals(), (1, 1, 0));
    run.changes.clear();
    run.tick(4 + GRACE, Counts::default());
    assert_eq!(run.said(), ["leaked 1?", "leaked 2?"]);
    assert_eq!(run.totals(), (1, 1, 1));
    run.freed(2000, cgroup(2));
    assert_eq!(run.said(), ["recovered 2?"]);
    assert_eq!(run.totals(), (1, 0, 0));
    run.tick(2001, num_cgroups(1));
    assert_eq!(run.said(), ["recovered 1?"]);
    assert_eq!(run.tracker.state().summary().delays, None);
    assert_eq!(run.tracker.state().summary().lost, 3);
}

#[test]
fn an_empty_pool_ends_all_uncertain_ones() {
    let mut run = Run::walked(&[1, 2], num_cgroups(2));
    run.offlined(3, cgroup(1)).apply(6, gap(5));
    assert_eq!(run.totals(), (1, 1, 0));
    run.present(7, cgroup(2))
        .apply(8, walked(7, num_cgroups(1)));
    assert_eq!(run.said(), ["offlined 1", "present 2", "freed 1?"]);
    assert_eq!(run.totals(), (1, 0, 0));
    // its own end is no news then
    run.freed(9, cgroup(1));
    assert_eq!(run.said(), [""; 0]);
}

#[test]
fn verdicts_before_a_gap_are_certain_and_those_in_it_are_not() {
    let mut run = Run::walked(&[1, 2], num_cgroups(2));
    run.offlined(3, cgroup(1)).offlined(100, cgroup(2));
    run.apply(200 + GRACE, gap(50 + GRACE));
    assert_eq!(
        run.said(),
        ["offlined 1", "offlined 2", "leaked 1", "leaked 2?"]
    );
}

#[test]
fn news_from_before_a_gap_is_uncertain() {
    let mut run = Run::walked(&[1, 2], num_cgroups(2));
    run.apply(10, gap(5))
        .offlined(9, cgroup(1))
        .offlined(11, cgroup(2));
    run.freed(12, cgroup(1)).freed(13, cgroup(2));
    assert_eq!(
        run.said(),
        ["offlined 1?", "offlined 2", "freed 1?", "freed 2"]
    );
    assert_eq!(run.tracker.state().summary().delays.unwrap().count, 1);
}

#[test]
fn an_id_given_out_again_in_a_gap() {
    let mut run = Run::walked(&[1], num_cgroups(1));
    run.offlined(3, cgroup(1))
        .apply(6, gap(5))
        .present(7, cgroup(1));
    assert_eq!(run.said(), ["offlined 1", "freed 1?", "present 1.1"]);
    assert_eq!(run.totals(), (1, 0, 0));
}

#[test]
fn a_difference_is_believed_when_it_stays() {
    let mut run = Run::walked(&[1, 2], num_cgroups(2));
    run.tick(3, num_cgroups(2));
    assert!(run.settled());
    run.tick(4, num_cgroups(4))
        .tick(5, Counts::default())
        .tick(6, num_cgroups(4));
    assert!(!run.settled());
    assert_eq!(run.totals(), (2, 0, 0));
    // in between something happened, or the difference changed
    run.offlined(7, cgroup(1))
        .tick(8, num_cgroups(4))
        .tick(9, num_cgroups(5));
    run.tick(10, num_cgroups(4)).tick(11, num_cgroups(4));
    assert_eq!(run.totals(), (1, 1, 0));
    run.tick(12, num_cgroups(4));
    assert_eq!(run.totals(), (1, 3, 0));
    assert!(run.settled());
    // and down
    run.tick(13, num_cgroups(3))
        .tick(14, num_cgroups(3))
        .tick(15, num_cgroups(3));
    assert_eq!(run.totals(), (1, 2, 0));
    // the first count had been confirmed: nothing more was inherited
    assert_eq!(run.tracker.state().summary().inherited, Some(0));
}

#[test]
fn a_first_count_that_was_off_is_corrected() {
    let mut run = Run::walked(&[1], num_cgroups(4));
    assert_eq!(run.tracker.state().summary().inherited, Some(3));
    for ms in 3..6 {
        run.tick(ms, num_cgroups(2));
    }
    assert_eq!(run.totals(), (1, 1, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(1));
}

#[test]
fn counts_before_the_walk_are_not_looked_at() {
    let mut run = Run::new();
    for ms in 1..6 {
        run.tick(ms, num_cgroups(100));
    }
    assert_eq!(run.totals(), (0, 0, 0));
    assert!(run.settled());
}

#[test]
fn dying_counts_directories_and_dying_memory_memcgs() {
    for (counts, inherited) in [(dying_memory(5), 4), (dying(5), 3)] {
        let mut run = Run::new();
        // one removed, one without memcg removed, one whose directory stays, one alive
        for (id, serial) in [(1, 50), (3, 52), (4, 53)] {
            run.created(1, with_serial(id, serial));
        }
        run.created(1, bare(2));
        run.offlined(2, with_serial(1, 50)).offlined(2, bare(2));
        // counted in dying_memory only
        run.offlined(2, memcg(3, 52));
        run.present(3, bare(3)).present(3, with_serial(4, 53));
        let counts = if counts.dying.is_some() {
            counts
        } else {
            dying_memory(6)
        };
        run.apply(4, walked(3, counts));
        assert_eq!(run.totals(), (1, 2 + inherited, 0), "{counts:?}");
        // the directory goes too
        run.offlined(5, bare(3));
        let after = if counts.dying.is_some() {
            dying(6)
        } else {
            dying_memory(6)
        };
        run.tick(6, after);
        assert!(run.settled(), "{after:?}");
    }
}

#[test]
fn a_kernel_that_does_not_count_is_settled() {
    let mut run = Run::walked(&[1], Counts::default());
    run.offlined(3, cgroup(1))
        .freed(4, cgroup(80))
        .apply(6, gap(5));
    run.apply(8, walked(7, Counts::default()));
    // freed or not: it is named, and the unknown one was none of the named
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(9, cgroup(81));
    assert_eq!(run.totals(), (0, 1, 0));
    assert!(run.settled());
}

#[test]
fn a_memcg_that_a_walk_found_is_not_an_older_one_of_its_directory() {
    let mut run = Run::walked(&[1], dying_memory(1));
    run.freed(3, memcg(1, 50));
    assert_eq!(run.totals(), (1, 0, 0));
    // nor is it known to be the same one across a gap
    run.created(4, with_serial(2, 60))
        .apply(6, gap(5))
        .present(7, cgroup(1));
    run.present(
        7,
        Cgroup {
            memory: Some(true),
            ..cgroup(2)
        },
    )
    .freed(8, memcg(2, 60));
    assert_eq!(run.totals(), (2, 0, 0));
}

#[test]
fn counts_that_differ_for_long_want_a_walk() {
    let mut run = Run::walked(&[1, 2], num_cgroups(2));
    run.tick(3, num_cgroups(2)).tick(4, num_cgroups(4));
    assert_eq!(run.tracker.wants(), Wanted::Counts);
    run.created(30_003, cgroup(3));
    assert_eq!(run.tracker.wants(), Wanted::Counts);
    run.created(30_004, cgroup(4));
    assert_eq!(run.tracker.wants(), Wanted::Walk);
    // It came by, and they differ still: another one is wanted later.
    let live = [1, 2, 3, 4];
    for id in live {
        run.present(30_010, cgroup(id));
    }
    run.apply(30_011, walked(30_005, num_cgroups(4)));
    assert_eq!(run.tracker.wants(), Wanted::Nothing);
    run.tick(30_012, num_cgroups(5));
    assert_eq!(run.tracker.wants(), Wanted::Counts);
}

#[test]
fn a_first_count_that_is_too_low_ends_nobody() {
    let mut run = Run::walked(&[1, 2, 3], num_cgroups(3));
    run.offlined(3, cgroup(1))
        .apply(6, gap(5))
        .offlined(7, cgroup(2))
        .present(8, cgroup(3));
    run.apply(9, walked(8, num_cgroups(1)));
    assert_eq!(run.said(), ["offlined 1", "offlined 2", "present 3"]);
    assert!(!run.settled());
}

#[test]
fn a_zombie_named_before_the_first_count_is_not_inherited() {
    let mut run = Run::new();
    run.offlined(1, cgroup(1))
        .apply(6, gap(5))
        .apply(8, walked(7, dying_memory(3)));
    assert_eq!(run.totals(), (0, 3, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(2));
}

#[test]
fn a_directory_without_memcg_vanishes_in_silence() {
    let mut run = Run::new();
    run.present(1, bare(1)).apply(2, walked(1, dying_memory(1)));
    run.apply(4, walked(3, Counts::default()));
    assert_eq!(run.tracker.table.values().count(), 0);
    run.freed(5, cgroup(1));
    assert_eq!(run.said(), [""; 0]);
    assert_eq!(run.totals(), (0, 1, 0));
    // and what it gets later is not what a walk found
    run.present(6, cgroup(2))
        .present(6, bare(3))
        .created(7, memcg(3, 50));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.found, summary.created), (1, 1));
}
