use std::{fs, path::PathBuf};

use proptest::{collection::vec, prelude::*, sample::Index};
use tempfile::TempDir;

use super::*;
use crate::{
    event::{Cgroup, Counts, Event, Fact, Walked},
    trace::record::{Limits, Recorder},
    tracker::{Config, Kept, Summary, What},
};

fn at(mono_ns: u64) -> Stamp {
    Stamp {
        mono_ns,
        wall_ns: 1_773_491_464_000_000_000 + mono_ns as i64,
    }
}

fn header(hostname: &str) -> Header {
    Header {
        schema: 1,
        source: "bpf".into(),
        hostname: Some(hostname.into()),
        grace_ns: 40,
        ..Header::default()
    }
}

fn cgroup(id: u64) -> Cgroup {
    Cgroup {
        id: Some(id),
        memory: Some(true),
        path: Some(crate::event::Path::whole(format!("/kubepods/p{id}"))),
        ..Cgroup::default()
    }
}

/// What a machine tells: lives, one after another or at a time, and ticks.
fn facts() -> impl Strategy<Value = Vec<Event>> {
    let life = (0..400_u64, 1..90_u64, proptest::option::of(0..90_u64));
    (vec(life, 1..40), any::<bool>()).prop_map(|(lives, walked)| {
        let mut events = Vec::new();
        let mut tell = |ns, fact| events.push(Event { time: at(ns), fact });
        for (id, (born, lived, lingered)) in (1..).zip(lives) {
            tell(born, Fact::Created(cgroup(id)));
            tell(born + lived, Fact::Offlined(cgroup(id)));
            if let Some(lingered) = lingered {
                tell(born + lived + lingered, Fact::Freed(cgroup(id)));
            }
        }
        if walked {
            let counts = Counts {
                num_cgroups: Some(3),
                ..Counts::default()
            };
            let walk = Walked {
                began_mono_ns: 0,
                directories: 0,
                zombies: None,
                counts,
            };
            tell(0, Fact::Walked(walk));
        }
        for tick in (0..600).step_by(60) {
            tell(tick, Fact::Tick(Counts::default()));
        }
        events.sort_by_key(|event| event.time.mono_ns);
        events
    })
}

/// What a live run shows, and what it records meanwhile.
fn live(path: &Path, host: &str, events: &[Event], bytes: u64) -> (Vec<Change>, Summary) {
    let header = header(host);
    let limits = Limits {
        bytes: Some(bytes),
        files: 1000,
    };
    let mut recorder = Recorder::open(path, limits).unwrap();
    let mut tracker = Tracker::new(Config {
        grace: Duration::from_nanos(header.grace_ns),
        polled: false,
        kept: Kept::Unknown,
    });
    recorder.header(at(0), &header).unwrap();
    let mut changes = Vec::new();
    for event in events {
        recorder.event(event).unwrap();
        tracker.apply(event, &mut changes);
        let now = tracker.now();
        recorder.flush(now, || tracker.carry()).unwrap();
    }
    let summary = tracker.state().summary();
    recorder.end(at(1000), &summary).unwrap();
    (changes, summary)
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path()).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// What changed in a run, and its end.
type Played = (Vec<Change>, Option<(Stamp, Summary)>);

/// Everything that is played, by run.
fn play(files: &[PathBuf]) -> Vec<Played> {
    let mut play = Play::open(files, None).unwrap();
    let mut runs: Vec<Played> = Vec::new();
    let mut changes = Vec::new();
    while let Some(step) = play.step(&mut changes) {
        match step.unwrap() {
            PlayStep::Began { run, .. } => {
                assert_eq!(run, runs.len());
                runs.push((Vec::new(), None));
            }
            PlayStep::Fact { run, .. } => runs[run].0.append(&mut changes),
            PlayStep::Ended { run, time, tracker } => {
                runs[run].1 = Some((time, tracker.state().summary()));
            }
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// However a run lies in files, and in whatever order they are given, it is what it was live.
    #[test]
    fn a_run_plays_as_it_was(
        events in facts(), bytes in prop_oneof![Just(1_u64), 500..5_000_u64], packed: bool, by: bool,
    ) {
        let folder = TempDir::new().unwrap();
        let name = if packed { "t.zst" } else { "t" };
        let (changes, summary) = live(&folder.path().join(name), "a", &events, bytes);
        let mut files = files(&folder);
        files.sort();
        if by {
            files.reverse();
        }
        let runs = play(&files);
        prop_assert_eq!(runs.len(), 1);
        prop_assert_eq!(&runs[0].0, &changes);
        prop_assert_eq!(runs[0].1.as_ref(), Some(&(at(1000), summary)));
    }

    /// With the earlier files lost, the rest has all memcgs that were there, and the same end.
    #[test]
    fn what_is_left_of_a_run_stands_alone(
        events in facts(), bytes in 500..5_000_u64, lost in any::<Index>(),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t");
        let (_, summary) = live(&path, "a", &events, bytes);
        let count = files(&folder).len();
        let left: Vec<_> = (0..count)
            .rev()
            .map(|number| if number == 0 { path.clone() } else {
                path.with_extension(number.to_string())
            })
            .skip(lost.index(count))
            .collect();
        let runs = play(&left);
        prop_assert_eq!(runs.len(), 1);
        let (_, end) = runs[0].1.as_ref().unwrap();
        // zombies that were there before and only counted have no names to be carried
        prop_assert_eq!(end.totals.live, summary.totals.live);
        prop_assert_eq!(end.totals.leaked, summary.totals.leaked);
    }
}

#[test]
fn nodes_are_played_together_in_the_order_of_their_times() {
    let folder = TempDir::new().unwrap();
    let events = |from: u64| -> Vec<Event> {
        (0..50)
            .map(|n| Event {
                time: at(from + n * 10),
                fact: Fact::Tick(Counts::default()),
            })
            .collect()
    };
    live(&folder.path().join("a"), "a", &events(5), 2_000);
    live(&folder.path().join("b"), "b", &events(0), u64::MAX);
    let mut play = Play::open(files(&folder), None).unwrap();
    assert_eq!(play.hostnames().len(), 2);
    let mut times = Vec::new();
    let mut changes = Vec::new();
    while let Some(step) = play.step(&mut changes) {
        if let PlayStep::Fact { time, .. } = step.unwrap() {
            times.push(time.wall_ns);
        }
    }
    assert_eq!(changes.len(), 100);
    assert!(times.is_sorted() && times.len() >= 100);
    let bytes: u64 = files(&folder)
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!((play.position(), play.done().bytes), (bytes, bytes));
}

#[test]
fn a_killed_run_ends_with_its_last_fact_and_the_next_begins_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t");
    for from in [0, 500] {
        let mut recorder = Recorder::open(&path, Limits::default()).unwrap();
        recorder.header(at(from), &header("a")).unwrap();
        for ns in from..from + 20 {
            let fact = Fact::Created(cgroup(1 + ns));
            recorder.event(&Event { time: at(ns), fact }).unwrap();
        }
        recorder
            .flush(at(from), std::iter::empty::<crate::event::Carried>)
            .unwrap();
    }
    let runs = play(&[path]);
    let ends: Vec<_> = runs
        .iter()
        .map(|(_, end)| {
            let (time, summary) = end.as_ref().unwrap();
            (time.mono_ns, summary.totals.live)
        })
        .collect();
    assert_eq!(ends, [(19, 20), (519, 20)]);
}

#[test]
fn what_is_stopped_ends_as_it_stands() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t");
    let events: Vec<_> = (1..9)
        .map(|id| Event {
            time: at(id),
            fact: Fact::Created(cgroup(id)),
        })
        .collect();
    live(&path, "a", &events, u64::MAX);
    let mut play = Play::open([&path], None).unwrap();
    let mut changes = Vec::new();
    while play.next_ns().is_none_or(|ns| ns <= at(4).wall_ns) {
        play.step(&mut changes).unwrap().unwrap();
    }
    assert!(matches!(
        changes.last(),
        Some(Change {
            what: What::Created(_),
            ..
        })
    ));
    let ends: Vec<_> = play.stop().collect();
    let [PlayStep::Ended { time, tracker, .. }] = &ends[..] else {
        panic!("{ends:?}");
    };
    assert_eq!((*time, tracker.totals().live), (at(4), 4));
}

#[test]
fn what_is_no_trace_is_an_error_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("passwd");
    fs::write(&path, "root:x:0:0\n").unwrap();
    let error = Play::open([&path], None).unwrap_err().to_string();
    assert!(
        error.ends_with("passwd: line 1: column 1: expected value"),
        "{error}"
    );
    let error = Play::open([folder.path().join("none")], None).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

/// What a damaged line told is lost, and that is told: by what came before it no verdict is certain.
#[test]
fn a_line_that_cannot_be_is_a_gap() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t");
    let fact = |ns, fact: fn(Cgroup) -> Fact, id| Event {
        time: at(ns),
        fact: fact(cgroup(id)),
    };
    let events = [
        fact(1, Fact::Created, 7),
        fact(2, Fact::Offlined, 7),
        fact(3, Fact::Created, 8_001),
        fact(60, Fact::Created, 9),
    ];
    live(&path, "a", &events, u64::MAX);
    let whole = fs::read_to_string(&path).unwrap();
    for (right, wrong) in [
        (r#""cgroup_id":8001"#, r#""cgroup_id":0"#),
        (r#""mono_ns":3,"#, r#""mono_ns":18446744073709551615,"#),
        (r#""path":"/kubepods/p8001""#, r#""path":"kubepods""#),
    ] {
        fs::write(&path, whole.replace(right, wrong)).unwrap();
        let mut play = Play::open([&path], None).unwrap();
        let (mut errors, mut changes) = (Vec::new(), Vec::new());
        while let Some(step) = play.step(&mut changes) {
            errors.extend(step.err());
        }
        assert_eq!(errors.len(), 1, "{errors:?}");
        let gap = changes.iter().position(|change| {
            matches!(&change.what, What::Gap(gap) if (gap.from_mono_ns, gap.lost) == (2, Some(1)))
        });
        let leaked = changes
            .iter()
            .position(|change| matches!(&change.what, What::Leaked(subject) if subject.across_gap));
        assert!(gap.is_some() && leaked.is_some(), "{changes:?}");
        let made = |change: &&Change| matches!(change.what, What::Created(_));
        assert_eq!(changes.iter().filter(made).count(), 2);
    }
}
