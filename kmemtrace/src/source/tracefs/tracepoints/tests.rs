use super::*;
use crate::source::tracefs::line::{TraceLine, line};

/// Directories by path.
#[derive(Default)]
struct There(HashMap<Vec<u8>, u64>);

impl Lookup for There {
    fn inode(&mut self, path: &[u8]) -> Option<u64> {
        self.0.get(path).copied()
    }

    fn has_memcg(&mut self, _: &[u8]) -> Option<bool> {
        Some(true)
    }
}

fn fact(tracepoints: &mut Tracepoints, look: &mut There, event: &str) -> LineMeaning {
    let text = format!("           runc-105   [001] d...     8.541807: cgroup_{event}");
    let TraceLine::Event(record) = line(text.as_bytes()) else {
        panic!("{text}");
    };
    let task = || Some(record.thread.unwrap().task(7));
    tracepoints.take(&record, record.time_ns, task, look)
}

fn id(told: &LineMeaning) -> u64 {
    match told {
        LineMeaning::Fact(
            Fact::Created(c) | Fact::Offlined(c) | Fact::Freed(c) | Fact::Renamed(c),
        ) => c.id.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_of_eight_bytes_is_the_inode_number() {
    let mut t = Tracepoints::new(4, Some(8));
    let look = &mut There::default();
    let LineMeaning::Fact(Fact::Created(cgroup)) =
        fact(&mut t, look, "mkdir: root=4 id=7251531 level=1 path=/a b")
    else {
        panic!("not created");
    };
    assert_eq!((cgroup.id, cgroup.memory), (Some(7_251_531), Some(true)));
    assert_eq!(cgroup.path, Some(Path::whole(&b"/a b"[..])));
    assert_eq!(cgroup.task.unwrap().comm(), b"runc");
    let LineMeaning::Fact(Fact::Freed(cgroup)) =
        fact(&mut t, look, "release: root=4 id=7251531 level=1 path=/a b")
    else {
        panic!("not freed");
    };
    assert_eq!((cgroup.id, cgroup.task), (Some(7_251_531), None));
    assert_eq!(
        fact(&mut t, look, "rmdir: root=1 id=7 level=1 path=/a"),
        LineMeaning::Nothing
    );
    assert_eq!(
        fact(&mut t, look, "rmdir: root=4 level=1"),
        LineMeaning::Unknown
    );
    assert_eq!(
        fact(&mut t, look, "other: root=4 id=7 level=1 path=/a"),
        LineMeaning::Unknown
    );
}

#[test]
fn the_release_of_a_failed_mkdir_is_no_end() {
    let mut t = Tracepoints::new(4, Some(8));
    let look = &mut There::default();
    let failure = MkdirFailure {
        path: Some(Path {
            bytes: Bytes::from_static(b".../c"),
            cut: true,
        }),
        ..MkdirFailure::default()
    };
    t.failed(8_000_000_000, &failure);
    // The second try succeeds, and its cgroup ends first.
    id(&fact(&mut t, look, "mkdir: root=4 id=8 level=2 path=/p/c"));
    id(&fact(&mut t, look, "rmdir: root=4 id=8 level=2 path=/p/c"));
    assert_eq!(
        id(&fact(
            &mut t,
            look,
            "release: root=4 id=8 level=2 path=/p/c"
        )),
        8
    );
    let release = "release: root=4 id=7 level=2 path=/p/c";
    assert_eq!(fact(&mut t, look, release), LineMeaning::Nothing);
    // Once, and not long after.
    assert_eq!(id(&fact(&mut t, look, release)), 7);
    t.failed(0, &failure);
    let TraceLine::Event(late) = line(b"           runc-105   [001] d...    28.541807: cgroup_release: root=4 id=9 level=2 path=/p/c") else {
        panic!();
    };
    let told = t.take(&late, late.time_ns, || None, look);
    assert_eq!(id(&told), 9);
}

#[test]
fn a_path_that_was_cut_is_not_believed() {
    let mut t = Tracepoints::new(4, Some(8));
    let path = format!("/{}", "x".repeat(1022));
    let told = fact(
        &mut t,
        &mut There::default(),
        &format!("mkdir: root=4 id=7 level=1 path={path}"),
    );
    let LineMeaning::Fact(Fact::Created(cgroup)) = told else {
        panic!("not created");
    };
    assert_eq!(cgroup.path, None);
}

#[test]
fn a_small_id_is_translated() {
    let mut t = Tracepoints::new(4, Some(4));
    let look = &mut There(HashMap::from([(b"/a".to_vec(), 900)]));
    assert_eq!(
        id(&fact(&mut t, look, "mkdir: root=4 id=3 level=1 path=/a")),
        900
    );
    assert_eq!(
        id(&fact(&mut t, look, "rmdir: root=4 id=3 level=1 path=/a")),
        900
    );
    // The id and the path are given out again while it lives on.
    look.0.insert(b"/a".to_vec(), 901);
    assert_eq!(
        id(&fact(&mut t, look, "mkdir: root=4 id=5 level=1 path=/a")),
        901
    );
    assert_eq!(
        id(&fact(&mut t, look, "release: root=4 id=3 level=1 path=/a")),
        900
    );
    look.0.insert(b"/b".to_vec(), 902);
    assert_eq!(
        id(&fact(&mut t, look, "mkdir: root=4 id=3 level=1 path=/b")),
        902
    );
    // Gone before it could be looked at.
    let gone = id(&fact(&mut t, look, "mkdir: root=4 id=6 level=1 path=/gone"));
    assert!(gone > NAMELESS);
    assert_eq!(
        id(&fact(
            &mut t,
            look,
            "release: root=4 id=6 level=1 path=/gone"
        )),
        gone
    );
}

#[test]
fn one_that_a_walk_found_is_known_by_its_path() {
    let mut t = Tracepoints::new(4, Some(4));
    let look = &mut There::default();
    let walk = |t: &mut Tracepoints, all: &[(&str, u64)]| {
        for (path, id) in all {
            t.present(*id, path.as_bytes());
        }
    };
    walk(&mut t, &[("/", 1), ("/old", 2), ("/older", 3)]);
    // It went before this walk, and its line comes after it.
    walk(&mut t, &[("/", 1), ("/older", 3)]);
    assert_eq!(
        id(&fact(&mut t, look, "rmdir: root=4 id=8 level=1 path=/old")),
        2
    );
    assert_eq!(
        id(&fact(
            &mut t,
            look,
            "release: root=4 id=8 level=1 path=/old"
        )),
        2
    );
    // Not for ever.
    walk(&mut t, &[("/", 1)]);
    walk(&mut t, &[("/", 1)]);
    assert!(
        id(&fact(
            &mut t,
            look,
            "rmdir: root=4 id=9 level=1 path=/older"
        )) > NAMELESS
    );
    // A zombie from before.
    assert!(id(&fact(&mut t, look, "release: root=4 id=10 level=1 path=/x")) > NAMELESS);
}
