//! Properties of any stream of facts.

use proptest::prelude::*;

use super::*;
use crate::event::{CarriedZombie, Proof};

/// Any cgroup, likely to be one of a few.
fn any_cgroup() -> impl Strategy<Value = Cgroup> {
    let serial = proptest::option::of(0..4u64);
    let memory = proptest::option::of(any::<bool>());
    (0..4u64, serial, memory, any::<bool>()).prop_map(|(id, serial, memory, alone)| Cgroup {
        serial,
        memory,
        scope: if alone { Scope::Memcg } else { Scope::Cgroup },
        ..cgroup(id)
    })
}

fn any_counts() -> impl Strategy<Value = Counts> {
    let count = || proptest::option::of(prop_oneof![0..8u64, Just(u64::MAX)]);
    (count(), count(), count()).prop_map(|(num_cgroups, dying, dying_memory)| Counts {
        num_cgroups,
        dying,
        dying_memory,
        ..Counts::default()
    })
}

fn any_carried() -> impl Strategy<Value = Carried> {
    let proof = proptest::sample::select(&[Proof::Followed, Proof::Counted][..]);
    let zombie = (0..4000u64, proof, any::<bool>()).prop_map(|(ms, proof, leaked)| CarriedZombie {
        since_ns: ms * 1_000_000,
        after_ns: None,
        proof,
        leaked,
    });
    (any_cgroup(), 0..3u32, proptest::option::of(zombie)).prop_map(
        |(cgroup, generation, zombie)| Carried {
            cgroup,
            generation,
            zombie,
            ..Carried::default()
        },
    )
}

fn any_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        4 => any_cgroup().prop_map(Fact::Created),
        4 => any_cgroup().prop_map(Fact::Offlined),
        4 => any_cgroup().prop_map(Fact::Freed),
        1 => any_cgroup().prop_map(Fact::Renamed),
        3 => any_cgroup().prop_map(Fact::Present),
        1 => any_cgroup().prop_map(Fact::Zombie),
        1 => any_carried().prop_map(|carried| Fact::Carried(Box::new(carried))),
        1 => (0..4000u64, any_counts()).prop_map(|(began, counts)| walked(began, counts)),
        1 => (0..4u64).prop_map(|id| Fact::MkdirFailure(MkdirFailure {
            cgroup_id: Some(id),
            ..MkdirFailure::default()
        })),
        1 => (0..4000u64).prop_map(gap),
        3 => any_counts().prop_map(Fact::Tick),
    ]
}

/// A whole life by two hooks, as the kernel orders it: birth, removal and end in milliseconds.
#[derive(Clone, Debug)]
struct Life {
    born: u64,
    removed: u64,
    freed: Option<u64>,
    css: bool,
}

fn any_life() -> impl Strategy<Value = Life> {
    let times = (
        0..3000u64,
        0..40u64,
        proptest::option::of(0..3000u64),
        any::<bool>(),
    );
    times.prop_map(|(born, lived, lingered, css)| Life {
        born,
        removed: born + 1 + lived,
        freed: lingered.map(|ms| born + 1 + lived + 40 + ms),
        css,
    })
}

/// The events of lives in order of time.
fn tell(lives: &[Life]) -> Vec<Event> {
    let mut events = Vec::new();
    for (id, life) in (0..).zip(lives) {
        let serial = 100 + id;
        let made = if life.css {
            with_serial(id, serial)
        } else {
            cgroup(id)
        };
        events.push(event(life.born + 1, Fact::Created(made.clone())));
        events.push(event(life.removed + 1, Fact::Offlined(made)));
        if let Some(freed) = life.freed {
            events.push(event(freed + 1, Fact::Freed(cgroup(id))));
        }
        if life.css {
            let css = memcg(id, serial);
            events.push(event(life.born, Fact::Created(css.clone())));
            events.push(event(life.removed + 20, Fact::Offlined(css.clone())));
            events.extend(life.freed.map(|freed| event(freed, Fact::Freed(css))));
        }
    }
    events.sort_by_key(|event| event.time.mono_ns);
    events
}

fn run(events: &[Event]) -> Run {
    let mut run = Run::new();
    for event in events {
        run.tracker.apply(event, &mut run.changes);
    }
    run.tick(20_000, Counts::default());
    run
}

proptest! {
    /// What a trace's next file begins with is no news to whoever has read the one before it.
    #[test]
    fn what_is_carried_changes_nothing(
        facts in proptest::collection::vec((0..4000u64, any_fact()), 0..60),
    ) {
        let mut run = Run::new();
        for (ms, fact) in facts {
            run.apply(ms, fact);
        }
        let (summary, state) = (run.tracker.state().summary(), format!("{:?}", run.tracker));
        run.changes.clear();
        let carried: Vec<_> = run.tracker.carry().collect();
        for carried in carried {
            run.apply(5000, Fact::Carried(Box::new(carried)));
        }
        prop_assert_eq!(&run.changes, &[]);
        prop_assert_eq!(run.tracker.state().summary(), summary);
        prop_assert_eq!(format!("{:?}", run.tracker), state);
    }

    #[test]
    fn no_order_breaks_it(facts in proptest::collection::vec((0..4000u64, any_fact()), 0..120)) {
        let mut run = Run::new();
        for (ms, fact) in facts {
            run.apply(ms, fact);
        }
        let summary = run.tracker.state().summary();
        prop_assert_eq!(summary.totals, run.tracker.totals());
        // the numbers that are kept are those of the entries
        let count = |which: &dyn Fn(&MemcgEntry) -> bool| {
            run.tracker.table.values().filter(|entry| entry.is_memcg() && which(entry)).count() as u64
        };
        prop_assert_eq!(count(&|entry| entry.is_live()), summary.totals.live);
        prop_assert_eq!(
            count(&|entry| entry.is_zombie() && entry.is_certain()) + run.tracker.table.pool(),
            summary.totals.zombies
        );
        prop_assert_eq!(
            count(&|entry| entry.is_zombie() && !entry.is_certain()),
            run.tracker.table.uncertain()
        );
    }

    #[test]
    fn lives_are_conserved(lives in proptest::collection::vec(any_life(), 0..30)) {
        let run = run(&tell(&lives));
        let summary = run.tracker.state().summary();
        let zombies = lives.iter().filter(|life| life.freed.is_none()).count() as u64;
        prop_assert_eq!(run.totals(), (0, zombies, zombies));
        prop_assert_eq!(summary.created, lives.len() as u64);
        prop_assert_eq!(summary.freed, summary.created - zombies);
        prop_assert_eq!(summary.offlined, summary.created);
        let told = |kind| {
            let what = run.changes.iter().filter_map(|change| subject(&change.what));
            what.filter(|(word, _)| *word == kind).count() as u64
        };
        prop_assert_eq!(told("created"), summary.created);
        prop_assert_eq!(told("leaked"), summary.leaks);
        prop_assert_eq!(told("recovered"), summary.recovered);
        prop_assert_eq!(summary.leaks - summary.recovered, zombies);
    }

    /// Several CPUs report, each in order, and one may be late.
    #[test]
    fn a_small_shuffle_changes_nothing(
        lives in proptest::collection::vec(any_life(), 0..30),
        late in proptest::collection::vec(0..8u64, 200),
        inherited in 0..3u64,
    ) {
        let told = tell(&lives);
        let mut shuffled: Vec<_> = told.iter().zip(late).collect();
        shuffled.sort_by_key(|(event, late)| event.time.mono_ns + late * 1_000_000);
        let begin = [event(0, walked(0, num_cgroups(inherited)))];
        let shuffled: Vec<_> = shuffled.into_iter().map(|(event, _)| event.clone()).collect();
        let told = run(&[&begin[..], &told].concat());
        let shuffled = run(&[&begin[..], &shuffled].concat());
        prop_assert_eq!(told.totals(), shuffled.totals());
    }

    #[test]
    fn a_gap_never_raises_certainty(
        facts in proptest::collection::vec((0..4000u64, any_fact()), 0..60), from in 0..4000u64,
    ) {
        let mut run = Run::new();
        for (ms, fact) in facts {
            run.apply(ms, fact);
        }
        let zombies = run.tracker.totals().zombies;
        let bare = |run: &Run| {
            let gone = |entry: &MemcgEntry| entry.is_zombie() && entry.is_memcg() && entry.is_certain();
            run.tracker.table.values().filter(|entry| gone(entry)).count()
        };
        run.apply(4000, gap(from));
        prop_assert_eq!(bare(&run), 0);
        prop_assert_eq!(run.tracker.totals().zombies, zombies);
        run.changes.clear();
        run.tick(9000, Counts::default());
        for (kind, subject) in run.changes.iter().filter_map(|change| subject(&change.what)) {
            prop_assert_eq!(kind, "leaked");
            prop_assert!(subject.across_gap);
        }
    }
}
