use std::{fs, iter::empty};

use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::*;
use crate::event::{
    Cgroup, Counts, Proof,
    json::{Item, Tally},
};
use crate::{trace::Trace, tracker::What};

const NOW: Stamp = at(1_000_000);

const fn at(mono_ns: u64) -> Stamp {
    Stamp {
        mono_ns,
        wall_ns: 1_773_491_464_000_000_000 + mono_ns as i64,
    }
}

fn header() -> Header {
    Header {
        schema: 1,
        source: "bpf".into(),
        ..Header::default()
    }
}

fn event(ns: u64) -> Event {
    let fact = if ns.is_multiple_of(3) {
        Fact::Tick(Counts::default())
    } else {
        Fact::Created(cgroup(ns))
    };
    Event { time: at(ns), fact }
}

fn cgroup(id: u64) -> Cgroup {
    Cgroup {
        id: Some(id),
        path: Some(crate::event::Path::whole(format!("/kubepods/p{id}"))),
        ..Cgroup::default()
    }
}

fn open(path: &Path) -> Recorder {
    Recorder::open(path, Limits::default()).unwrap()
}

/// A run that ends only if it is told to.
fn record(path: &Path, ticks: std::ops::Range<u64>, ends: bool) {
    let mut recorder = open(path);
    recorder.header(at(ticks.start), &header()).unwrap();
    for tick in ticks {
        recorder.event(&event(tick)).unwrap();
    }
    recorder.lines.get_mut().write_out().unwrap();
    if ends {
        recorder.end(NOW, &Summary::default()).unwrap();
    }
}

/// All that is in a trace, and what is said of it.
fn read(path: &Path) -> (Vec<Item>, Tally) {
    let mut trace = Trace::open(path).unwrap();
    let items = trace.by_ref().map(Result::unwrap).collect();
    (items, trace.tally())
}

fn events(path: &Path) -> Vec<Event> {
    let items = read(path).0.into_iter();
    items
        .filter_map(|item| match item {
            Item::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn both() -> [&'static str; 2] {
    ["trace.jsonl", "trace.jsonl.zst"]
}

#[test]
fn what_was_recorded_is_read() {
    for name in both() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        record(&path, 1..5_000, true);
        let (items, tally) = read(&path);
        assert_eq!(
            items.first(),
            Some(&Item::Header(at(1), Box::new(header())))
        );
        assert_eq!(items.last(), Some(&Item::End(NOW)));
        assert_eq!(events(&path), (1..5_000).map(event).collect::<Vec<_>>());
        assert!(!tally.torn);
        let magic = fs::read(&path)
            .unwrap()
            .starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(magic, name.ends_with("zst"));
    }
}

#[test]
fn a_killed_recording_is_appended_to() {
    for name in both() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        record(&path, 1..10, false);
        record(&path, 20..30, true);
        let expected: Vec<_> = (1..10).chain(20..30).map(event).collect();
        assert_eq!(events(&path), expected, "{name}");
    }
}

#[test]
fn what_is_no_such_trace_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "mine").unwrap();
    let error = Recorder::open(&path, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("it is no trace of kmemtrace"));
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let plain = folder.path().join("trace");
    record(&plain, 1..3, true);
    let packed = folder.path().join("trace.zst");
    fs::rename(&plain, &packed).unwrap();
    let error = Recorder::open(&packed, Limits::default()).unwrap_err();
    assert!(
        error.to_string().contains("not packed with zstd"),
        "{error}"
    );

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Recorder::open(&link, Limits::default()).is_err());
    let error = Recorder::open(Path::new("/dev/null"), Limits::default()).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn one_file_has_one_recorder() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace");
    let first = open(&path);
    let error = Recorder::open(&path, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("another process is recording"));
    drop(first);
    open(&path);
}

#[test]
fn files_follow_one_another_and_each_stands_alone() {
    for name in both() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        let limits = Limits {
            bytes: Some(20_000),
            files: 3,
        };
        let mut recorder = Recorder::open(&path, limits).unwrap();
        recorder.header(at(1), &header()).unwrap();
        let carried = || Carried {
            cgroup: cgroup(7),
            ..Carried::default()
        };
        let mut ns = 1;
        let mut rotated = 0;
        while rotated < 4 {
            // enough for a file, also packed
            for _ in 0..2_000 {
                recorder.event(&event(ns)).unwrap();
                ns += 1;
            }
            recorder.lines.get_mut().write_out().unwrap();
            recorder
                .flush(at(ns), || {
                    rotated += 1;
                    std::iter::once(carried())
                })
                .unwrap();
        }
        drop(recorder);
        let mut files: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(
            files,
            [name.to_owned(), format!("{name}.1"), format!("{name}.2")]
        );
        let (items, _) = read(&folder.path().join(&files[1]));
        let Some(Item::Header(_, header)) = items.first() else {
            panic!("no header")
        };
        assert_eq!((header.part, header.began_mono_ns), (Some(4), Some(1)));
        let Some(Item::Event(event)) = items.get(1) else {
            panic!("no event")
        };
        assert_eq!(event.fact, Fact::Carried(Box::new(carried())));
        let older = read(&folder.path().join(&files[2])).0;
        let Some(Item::Event(last)) = older.last() else {
            panic!("no event")
        };
        assert!(last.time.mono_ns < event.time.mono_ns);
    }
}

#[test]
fn a_memcg_that_is_carried_is_all_that_was_known() {
    use crate::tracker::{Config, Kept, Tracker};
    let config = Config {
        grace: std::time::Duration::from_nanos(50),
        polled: false,
        kept: Kept::No,
    };
    let mut tracker = Tracker::new(config);
    let mut changes = Vec::new();
    let facts = [
        (1, Fact::Created(cgroup(1))),
        (2, Fact::Created(cgroup(2))),
        (3, Fact::Offlined(cgroup(2))),
        (90, Fact::Created(cgroup(3))),
        (95, Fact::Offlined(cgroup(3))),
        (100, Fact::Tick(Counts::default())),
    ];
    for (ns, fact) in facts {
        tracker.apply(&Event { time: at(ns), fact }, &mut changes);
    }
    let mut next = Tracker::new(config);
    changes.clear();
    for carried in tracker.carry() {
        let event = Event {
            time: at(100),
            fact: Fact::Carried(Box::new(carried)),
        };
        next.apply(&event, &mut changes);
    }
    assert_eq!(next.totals(), tracker.totals());
    let kinds = changes.iter().map(|change| match &change.what {
        What::Present(_) => "present",
        What::Leaked(subject) => {
            assert_eq!(subject.zombie_ns, Some(97));
            "leaked"
        }
        What::Zombie(_) => "zombie",
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["present", "leaked", "zombie"]);
    assert_eq!(
        next.carry().collect::<Vec<_>>(),
        tracker.carry().collect::<Vec<_>>()
    );
    let proofs = tracker.carry().filter_map(|carried| carried.zombie);
    assert!(
        proofs
            .into_iter()
            .all(|zombie| zombie.proof == Proof::Followed)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever a recording breaks off, the next one is appended to all that was whole.
    #[test]
    fn a_recording_cut_anywhere_is_appended_to(
        ticks in 2..40_u64, ends: bool, packed: bool, at in any::<Index>(),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(both()[usize::from(packed)]);
        record(&path, 1..ticks, ends);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..at.index(whole.len() + 1)]).unwrap();
        let cut = Trace::open(&path).unwrap();
        let begun = matches!(Trace::open(&path).unwrap().next(), Some(Ok(Item::Header(..))));
        // a whole last line without its newline is read, and cut off all the same
        let before: Vec<_> = cut.filter_map(|item| match item {
            Ok(Item::Event(event)) => Some(event),
            _ => None,
        }).collect();
        if fs::metadata(&path).unwrap().len() > 0 && !begun {
            prop_assert!(Recorder::open(&path, Limits::default()).is_err());
            return Ok(());
        }
        record(&path, 50..60, true);
        let after = events(&path);
        let kept = after.len() - 10;
        prop_assert!(kept == before.len() || kept + 1 == before.len(), "{kept} {}", before.len());
        prop_assert_eq!(&after[..kept], &before[..kept]);
        prop_assert!(!read(&path).1.torn);
    }
}

#[test]
fn a_run_without_events_is_a_header_and_an_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("trace.zst");
    let mut recorder = open(&path);
    recorder.header(at(1), &header()).unwrap();
    recorder.flush(at(1), empty::<Carried>).unwrap();
    recorder.end(NOW, &Summary::default()).unwrap();
    assert_eq!(read(&path).0.len(), 2);
}

#[test]
fn only_a_lock_that_another_holds_means_another_recording() {
    use rustix::io::Errno;

    use super::log::Lock;

    let directory = TempDir::new().unwrap();
    let path = directory.path().join("t.jsonl");
    let open = |lock: fn() -> Lock| Log::open_locked(&path, |_| lock());
    let said = |error: Error| error.to_string();
    let another = open(|| Lock::Another).map(|_| ()).unwrap_err();
    assert!(said(another).contains("another process is recording to it"));
    // An empty file is nobody's: it is recorded to, and that is said.
    let (_, note) = open(|| Lock::None(Errno::NOSYS)).unwrap();
    let note = note.unwrap();
    assert!(note.contains("cannot lock"), "{note}");
    assert!(note.contains("not implemented"), "{note}");
    drop(note);
    record(&path, 0..5, true);
    let before = fs::read(&path).unwrap();
    for why in [|| Lock::None(Errno::NOLCK), || Lock::None(Errno::OPNOTSUPP)] {
        let error = said(open(why).map(|_| ()).unwrap_err());
        assert!(error.contains("cannot lock it"), "{error}");
        assert!(!error.contains("is recording"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    // A lock that is really held.
    let _held = open_file(&path);
    let error = said(Log::open(&path).map(|_| ()).unwrap_err());
    assert!(
        error.contains("another process is recording to it"),
        "{error}"
    );
}

/// A recording that goes on.
fn open_file(path: &Path) -> Log {
    Log::open(path).unwrap().0
}
