//! Zombies that the kernel names: those that were there before, and those that came to be in a gap.

use super::*;

fn dead(id: u64, serial: u64) -> Fact {
    Fact::Zombie(Cgroup {
        path: Some(Path::whole(format!("/dead{id}"))),
        memory: Some(true),
        ..with_serial(id, serial)
    })
}

fn dead_alone(id: u64, serial: u64) -> Fact {
    Fact::Zombie(memcg(id, serial))
}

#[test]
fn zombies_from_before_have_names_and_ends() {
    let mut run = Run::new();
    run.apply(1, dead(7, 70)).apply(1, dead(8, 80));
    run.present(1, cgroup(1));
    run.apply(2, walked_all(1, 2, num_cgroups(3)));
    assert_eq!(run.totals(), (1, 2, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(2));
    assert!(run.settled());
    run.freed(5, cgroup(7));
    assert_eq!(run.totals(), (1, 1, 0));
    assert_eq!(run.said(), ["zombie 7", "zombie 8", "present 1", "freed 7"]);
    // It was older than the grace time when the run had lasted that long, at the latest.
    run.tick(GRACE + 10, num_cgroups(2));
    assert_eq!(run.said(), ["leaked 8"]);
    assert_eq!(run.tracker.state().summary().delays, None);
}

#[test]
fn zombies_that_the_kernel_counts_and_does_not_name_stay_a_number() {
    let mut run = Run::new();
    run.apply(1, dead(7, 70)).present(1, cgroup(1));
    run.apply(2, walked_all(1, 1, num_cgroups(5)));
    assert_eq!(run.totals(), (1, 4, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(4));
}

#[test]
fn without_counts_the_named_ones_are_all() {
    let mut run = Run::new();
    run.apply(1, dead(7, 70)).present(1, cgroup(1));
    run.apply(2, walked_all(1, 1, Counts::default()));
    assert_eq!(run.totals(), (1, 1, 0));
    assert_eq!(run.tracker.state().summary().inherited, Some(1));
}

#[test]
fn a_zombie_freed_since_the_walk_came_by_stays_freed() {
    let mut run = Run::walked(&[1, 7], num_cgroups(2));
    run.offlined(10, cgroup(7)).freed(21, cgroup(7)).said();
    run.apply(20, dead(7, 70));
    assert_eq!(run.said(), [""; 0]);
    assert_eq!(run.totals(), (1, 0, 0));
}

#[test]
fn after_a_gap_the_named_are_certain_again_and_the_others_gone() {
    let mut run = Run::walked(&[1, 7, 8, 9], num_cgroups(4));
    run.offlined(10, cgroup(7)).offlined(11, cgroup(8));
    run.apply(20, gap(15)).said();
    // 8 was freed in the gap, 9 was removed in it, and 6 made and removed.
    run.apply(21, dead(7, 70)).apply(21, dead(9, 90));
    run.apply(21, dead(6, 60)).present(21, cgroup(1));
    run.apply(22, walked_all(21, 3, num_cgroups(4)));
    assert_eq!(
        run.said(),
        [
            "zombie 7",
            "offlined 9?",
            "zombie 9",
            "zombie 6",
            "present 1",
            "freed 8?"
        ]
    );
    assert_eq!(run.totals(), (1, 3, 0));
    for id in [6, 7, 9] {
        run.freed(30, cgroup(id));
    }
    assert_eq!(run.said(), ["freed 6", "freed 7", "freed 9"]);
    assert_eq!(run.totals(), (1, 0, 0));
    // The run's own: it was not there before.
    assert_eq!(run.tracker.state().summary().inherited, Some(0));
}

#[test]
fn a_directory_whose_removal_was_lost_is_gone_with_its_memcg() {
    let mut run = Run::walked(&[1, 7], dying(0));
    run.offlined(10, memcg(7, 70)).apply(20, gap(15));
    run.apply(21, dead(7, 70)).present(21, cgroup(1));
    run.apply(22, walked_all(21, 1, dying(1)));
    assert_eq!(run.totals(), (1, 1, 0));
    run.freed(30, memcg(7, 70)).freed(31, cgroup(7));
    assert_eq!(run.totals(), (1, 0, 0));
}

#[test]
fn a_walk_that_was_not_complete_ends_nobody() {
    let mut run = Run::walked(&[1, 7], num_cgroups(2));
    run.offlined(10, cgroup(7)).apply(20, gap(15));
    run.present(21, cgroup(1));
    run.apply(22, walked(21, num_cgroups(2)));
    assert_eq!(run.totals(), (1, 1, 0));
}

#[test]
fn a_dead_memcg_of_a_directory_that_is_there_is_older_than_the_live_one() {
    let mut run = Run::new();
    run.apply(1, dead_alone(7, 70)).present(1, cgroup(7));
    run.apply(2, walked_all(1, 1, dying_memory(1)));
    assert_eq!(run.totals(), (1, 1, 0));
    // The same where the live one is known already.
    let mut late = Run::walked(&[7], dying_memory(0));
    late.apply(20, gap(15)).said();
    late.apply(21, dead_alone(7, 70)).present(21, cgroup(7));
    late.apply(22, walked_all(21, 1, dying_memory(1)));
    assert_eq!(late.totals(), (1, 1, 0));
    for run in [&mut run, &mut late] {
        run.said();
        run.freed(30, memcg(7, 70));
        assert_eq!(run.said(), ["freed 7"]);
        assert_eq!(run.totals(), (1, 0, 0));
    }
}

fn holding(id: u64, serial: u64, file_bytes: u64) -> Fact {
    let Fact::Zombie(cgroup) = dead(id, serial) else {
        unreachable!("it is one")
    };
    let holds = crate::event::Holds {
        file_bytes: Some(file_bytes),
        anon_bytes: Some(0),
        unevictable_bytes: Some(0),
        refcount: Some(2),
        ..crate::event::Holds::default()
    };
    Fact::Zombie(Cgroup {
        holds: Some(Box::new(holds)),
        usage_bytes: Some(9_999_999),
        ..cgroup
    })
}

#[test]
fn one_named_before_a_gap_and_not_after_it_is_gone() {
    let mut run = Run::walked(&[1, 7], num_cgroups(2));
    run.offlined(10, cgroup(7)).apply(12, holding(7, 70, 4096));
    run.apply(20, gap(15)).said();
    run.present(21, cgroup(1));
    run.apply(22, walked_all(21, 0, num_cgroups(1)));
    assert_eq!(run.said(), ["present 1", "freed 7?"]);
    assert_eq!(run.totals(), (1, 0, 0));
}

/// What was charged at the removal, what the first walk found, what the last one found, and which way it goes.
#[test]
fn a_verdict_says_what_keeps_it() {
    let mut run = Run::walked(&[1, 7], num_cgroups(2));
    let charged = Cgroup {
        usage_bytes: Some(500_000),
        ..with_serial(7, 70)
    };
    run.offlined(10, charged).apply(20, holding(7, 70, 40_960));
    run.apply(30, holding(7, 70, 8192)).changes.clear();
    run.tick(GRACE + 10, num_cgroups(2));
    let Some(What::Leaked(leaked)) = run.changes.first().map(|change| &change.what) else {
        panic!("{:?}", run.changes)
    };
    assert_eq!(leaked.cgroup.usage_bytes, Some(500_000));
    let expected = Pinned {
        pin: Some(Pin::PageCache),
        bytes: Some(8192),
        first_bytes: Some(40_960),
        trend: Some(Trend::Draining),
        reclaimable: Some(true),
    };
    assert_eq!(leaked.pinned, Some(expected));
    let pins = run.tracker.state().summary().pins;
    assert_eq!(
        pins,
        [PinCount {
            pin: Pin::PageCache,
            leaked: 1,
            bytes: Some(8192),
            reclaimable: 1,
        }]
    );
}
