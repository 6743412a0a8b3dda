//! Memcgs apart from their directories: two hooks for one life, and `-memory` on v2.

use super::*;

#[test]
fn two_hooks_see_one_life() {
    let mut run = Run::new();
    let task = Some(Task {
        pid: 9,
        comm: *b"runc\0\0\0\0\0\0\0\0\0\0\0\0",
    });
    run.created(1, memcg(1, 50));
    run.created(
        2,
        Cgroup {
            task,
            ..with_serial(1, 50)
        },
    );
    assert_eq!(run.totals(), (1, 0, 0));
    run.offlined(10, with_serial(1, 50))
        .offlined(40, memcg(1, 50));
    assert_eq!(run.totals(), (0, 1, 0));
    assert!(matches!(
        &run.changes[1].what,
        What::Offlined(subject) if subject.creator == task && subject.created == Some(stamp(1))
    ));
    run.freed(50, memcg(1, 50)).freed(51, cgroup(1));
    assert_eq!(run.said(), ["created 1", "offlined 1", "freed 1"]);
    assert_eq!(run.totals(), (0, 0, 0));
    let summary = run.tracker.state().summary();
    assert_eq!(
        (summary.created, summary.offlined, summary.freed),
        (1, 1, 1)
    );
}

#[test]
fn a_css_that_goes_offline_before_news_of_its_rmdir() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50))
        .offlined(40, memcg(1, 50))
        .offlined(10, cgroup(1));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(51, cgroup(1)).freed(50, memcg(1, 50));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["created 1", "offlined 1", "freed 1"]);
}

#[test]
fn a_directory_loses_its_memcg_and_gets_another() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50))
        .offlined(10, memcg(1, 50));
    assert_eq!(run.totals(), (0, 1, 0));
    run.created(20, memcg(1, 51));
    assert_eq!(run.totals(), (1, 1, 0));
    run.freed(30, memcg(1, 50));
    assert_eq!(run.totals(), (1, 0, 0));
    run.offlined(40, with_serial(1, 51))
        .offlined(60, memcg(1, 51));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(70, memcg(1, 51)).freed(71, cgroup(1));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(
        run.said(),
        [
            "created 1",
            "offlined 1",
            "created 1.1",
            "freed 1",
            "offlined 1.1",
            "freed 1.1"
        ]
    );
}

#[test]
fn a_directory_without_memcg_is_not_counted() {
    let mut run = Run::new();
    run.created(1, bare(1)).offlined(2, bare(1));
    run.tick(2 + 2 * GRACE, Counts::default())
        .freed(4000, cgroup(1));
    assert_eq!(run.said(), [""; 0]);
    run.created(5000, bare(2)).created(5001, memcg(2, 9));
    assert_eq!(run.totals(), (1, 0, 0));
    assert!(
        matches!(&run.changes[..], [.., Change { what: What::Created(s), .. }]
        if s.created == Some(stamp(5001)))
    );
    run.offlined(5002, memcg(2, 9)).offlined(5003, bare(2));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(5004, cgroup(2));
    assert_eq!(run.said(), ["created 2", "offlined 2", "freed 2"]);
}

#[test]
fn a_memcg_whose_successor_is_seen_first() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50)).created(20, memcg(1, 51));
    assert_eq!(run.totals(), (1, 1, 0));
    // now its removal is seen after all, so its end will be
    run.offlined(19, memcg(1, 50)).freed(30, memcg(1, 50));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(
        run.said(),
        ["created 1", "offlined 1?", "created 1.1", "freed 1"]
    );
}

#[test]
fn a_directory_without_memcg_is_left_when_that_goes_alone() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50))
        .offlined(10, memcg(1, 50))
        .freed(30, memcg(1, 50));
    assert_eq!(run.totals(), (0, 0, 0));
    // another one came meanwhile, and news of it comes now
    run.created(20, memcg(1, 51));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(
        run.said(),
        ["created 1", "offlined 1", "freed 1", "created 1.1"]
    );
    // also if its offline was not seen
    run.created(40, with_serial(2, 60))
        .freed(50, memcg(2, 60))
        .offlined(60, cgroup(2));
    assert_eq!(run.totals(), (1, 0, 0));
    run.freed(61, cgroup(2));
    assert_eq!(run.said(), ["created 2", "freed 2"]);
}

#[test]
fn a_death_with_a_serial_that_nobody_has_is_of_a_successor() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50))
        .offlined(10, memcg(1, 51));
    assert_eq!(run.totals(), (0, 2, 0));
    assert_eq!(run.said(), ["created 1", "offlined 1?", "offlined 1.1"]);
}

#[test]
fn a_css_that_comes_online_with_an_id_given_out_again() {
    let mut run = Run::new();
    run.offlined(1, cgroup(1))
        .created(9, memcg(1, 60))
        .created(10, with_serial(1, 60));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(run.said(), ["offlined 1", "freed 1?", "created 1.1"]);
}

#[test]
fn a_removal_does_not_take_from_a_zombie_what_is_known() {
    let mut run = Run::new();
    run.offlined(1, memcg(1, 50)).offlined(2, bare(1));
    assert_eq!(run.totals(), (0, 1, 0));
    // as a directory it is removed now
    run.apply(4, walked(3, dying(1)));
    assert_eq!(run.totals(), (0, 1, 0));

    let known = Cgroup {
        memcg_id: Some(5),
        ..cgroup(2)
    };
    let cut = Path {
        cut: true,
        ..Path::whole(".../2")
    };
    let last = Cgroup {
        memcg_id: Some(0),
        path: Some(cut),
        ..cgroup(2)
    };
    run.created(5, known.clone()).offlined(6, last);
    let Some((_, subject)) = subject(&run.changes.last().unwrap().what) else {
        panic!("{:?}", run.changes);
    };
    assert_eq!(subject.cgroup, known);
}

#[test]
fn a_memcg_without_a_serial_goes_alone() {
    let css = || Cgroup {
        serial: None,
        ..memcg(1, 0)
    };
    let mut run = Run::new();
    run.created(1, cgroup(1))
        .offlined(10, css())
        .created(20, css())
        .freed(30, css());
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(
        run.said(),
        ["created 1", "offlined 1", "created 1.1", "freed 1"]
    );
}

/// `nr_dying_descendants` counts a removed cgroup once, however many memcgs it had and whichever goes first.
#[test]
fn a_removed_cgroup_counts_as_long_as_any_of_its_memcgs() {
    let mut run = Run::walked(&[], dying(0));
    run.created(10, memcg(1, 29)).offlined(20, memcg(1, 29));
    assert_eq!(run.totals().1, 1);
    run.created(30, memcg(1, 33))
        .offlined(40, with_serial(1, 33))
        .freed(50, memcg(1, 33));
    for ms in [60, 70, 80, 90] {
        run.tick(ms, dying(1));
        assert_eq!(run.totals().1, 1, "at {ms} ms");
        assert!(run.settled());
    }
    run.freed(95, memcg(1, 29));
    assert_eq!(run.totals().1, 0);
}

/// A kworker's `css_offline` names nobody: who made a memcg did not remove it.
#[test]
fn who_made_a_memcg_is_not_who_removed_it() {
    let by = |pid| {
        let comm = [0; 16];
        Some(Task { pid, comm })
    };
    let made = |id| Cgroup {
        task: by(7),
        ..memcg(id, id)
    };
    let task_of = |run: &Run| {
        let offlined = run.changes.iter().find_map(|change| match &change.what {
            What::Offlined(subject) => Some((subject.cgroup.task, subject.creator)),
            _ => None,
        });
        offlined.expect("it was removed")
    };
    let mut alone = Run::new();
    alone.created(1, made(1)).offlined(2, memcg(1, 1));
    assert_eq!(task_of(&alone), (None, by(7)));

    // rmdir's task stays, whatever css_offline does not know
    let mut removed = Run::new();
    let rmdir = Cgroup {
        task: by(9),
        ..with_serial(2, 2)
    };
    removed
        .created(1, made(2))
        .offlined(2, rmdir)
        .offlined(3, memcg(2, 2));
    assert_eq!(task_of(&removed), (by(9), by(7)));
    let (_, entry) = removed
        .tracker
        .table
        .newest(Id::Cgroup(2))
        .expect("a zombie");
    assert_eq!(entry.cgroup.task, by(9));
}
