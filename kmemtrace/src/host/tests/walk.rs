use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
};

use super::{hierarchy, root};
use crate::host::{Root, Version, walk};

#[test]
fn a_walk_comes_by_every_directory_parents_first() {
    let (directory, root) = root(&[
        ("/cg/cgroup.procs", ""),
        ("/cg/a/b/c/file", ""),
        ("/cg/d/file", ""),
    ]);
    let long = "n".repeat(255);
    let hostile: [&[u8]; 4] = [b"new\nline", b"\xff\xfe", b"\x1b[31m", long.as_bytes()];
    for name in hostile {
        fs::create_dir(directory.path().join("cg").join(OsStr::from_bytes(name))).unwrap();
    }
    let mut seen: Vec<(Vec<u8>, u64, Option<u64>)> = Vec::new();
    let count = walk(&root, &hierarchy(Version::V1), &mut |directory| {
        assert!(directory.memory);
        seen.push((directory.path.to_vec(), directory.id, directory.parent_id));
    });
    assert_eq!(count.unwrap(), 9);
    let mut expected: Vec<Vec<u8>> = ["/", "/a", "/a/b", "/a/b/c", "/d"].map(Vec::from).to_vec();
    expected.extend(hostile.map(|name| [b"/", name].concat()));
    expected.sort();
    let mut paths: Vec<_> = seen.iter().map(|(path, ..)| path.clone()).collect();
    paths.sort();
    assert_eq!(paths, expected);
    for (at, (path, _, parent)) in seen.iter().enumerate() {
        let known = seen[..at].iter().any(|(_, id, _)| Some(*id) == *parent);
        assert!(
            known || path == b"/",
            "a parent comes before {}",
            path.escape_ascii()
        );
    }
}

#[test]
fn on_v2_memory_is_given_by_the_parent() {
    let (_directory, root) = root(&[
        ("/cg/cgroup.subtree_control", "cpu memory\n"),
        ("/cg/with/cgroup.subtree_control", "cpu\n"),
        ("/cg/with/without/x", ""),
    ]);
    let mut seen = Vec::new();
    let count = walk(&root, &hierarchy(Version::V2), &mut |directory| {
        seen.push((
            String::from_utf8_lossy(directory.path).into_owned(),
            directory.memory,
        ));
    });
    assert_eq!(count.unwrap(), 3);
    let expected = [("/", true), ("/with", true), ("/with/without", false)];
    assert_eq!(
        seen,
        expected.map(|(path, memory)| (path.to_owned(), memory))
    );
}

#[test]
fn a_walk_is_not_limited_by_depth_or_by_path_max() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
    let (directory, root) = root(&[("/cg/x", "")]);
    let mode = Mode::from_raw_mode(0o755);
    let open = |at: &std::os::fd::OwnedFd, name: &str| {
        openat(at, name, OFlags::DIRECTORY, Mode::empty()).unwrap()
    };
    let top = openat(
        CWD,
        directory.path().join("cg"),
        OFlags::DIRECTORY,
        Mode::empty(),
    )
    .unwrap();
    let mut here = open(&top, ".");
    for _ in 0..600 {
        mkdirat(&here, "deep-down", mode).unwrap();
        here = open(&here, "deep-down");
    }
    let mut longest = 0;
    let count = walk(&root, &hierarchy(Version::V1), &mut |directory| {
        longest = longest.max(directory.path.len());
    });
    assert_eq!((count.unwrap(), longest), (601, 6000));
    for _ in 0..600 {
        here = open(&here, "..");
        unlinkat(&here, "deep-down", AtFlags::REMOVEDIR).unwrap();
    }
}

#[test]
fn a_directory_that_vanishes_is_passed_over() {
    let (directory, root) = root(&[("/cg/a/b/c/x", ""), ("/cg/d/e/x", ""), ("/cg/f/x", "")]);
    let top = directory.path().join("cg");
    let mut count = 0;
    let walked = walk(&root, &hierarchy(Version::V1), &mut |seen| {
        count += 1;
        // Whatever comes first takes everything with it, itself included.
        if seen.path != b"/" {
            fs::remove_dir_all(&top).unwrap();
        }
    });
    assert_eq!((walked.unwrap(), count), (2, 2));
}

#[test]
fn a_copy_may_know_the_machines_inode_numbers() {
    let (directory, _) = root(&[("/cg/a/b/x", ""), ("/cg/c/x", "")]);
    let inodes = directory.path().join("cgroup-dirs-inodes.txt");
    fs::write(inodes, "1 .\n7 ./a\n9 ./a/b\n").unwrap();
    let root = Root::at(directory.path());
    let mut seen = Vec::new();
    walk(&root, &hierarchy(Version::V1), &mut |directory| {
        seen.push((directory.path.to_vec(), directory.id, directory.parent_id));
    })
    .unwrap();
    seen.sort();
    let own = fs::metadata(directory.path().join("cg/c")).unwrap().ino();
    let expected = [
        (&b"/"[..], 1, None),
        (b"/a", 7, Some(1)),
        (b"/a/b", 9, Some(7)),
        (b"/c", own, Some(1)),
    ];
    let expected = expected.map(|(path, id, parent)| (path.to_vec(), id, parent));
    assert_eq!(seen, expected);
}

#[test]
fn a_file_is_read_where_the_walk_is() {
    let (directory, root) = root(&[("/cg/f", "root"), ("/cg/a/f", "a"), ("/cg/a/b/f", "b")]);
    std::os::unix::fs::symlink("f", directory.path().join("cg/a/link")).unwrap();
    let mut seen = Vec::new();
    walk(&root, &hierarchy(Version::V1), &mut |directory| {
        seen.push(String::from_utf8(directory.read("f", 4).unwrap()).unwrap());
        assert!(directory.read("link", 9).is_err() && directory.read("none", 9).is_err());
        assert_eq!(directory.read("f", 3).is_ok(), directory.path != b"/");
    })
    .unwrap();
    assert_eq!(seen, ["root", "a", "b"]);
}
