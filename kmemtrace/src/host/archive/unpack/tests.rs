use std::{ffi::OsStr, fs, io::Write as _, os::unix::ffi::OsStrExt};

use proptest::prelude::*;

use super::*;
use crate::host::archive::{Compression, Compressor};

/// A raw entry: nothing is checked, as an attacker would write it.
fn entry(kind: EntryType, path: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    let bytes = header.as_mut_bytes();
    let length = path.len().min(100);
    bytes[..length].copy_from_slice(&path[..length]);
    let length = target.len().min(100);
    bytes[157..157 + length].copy_from_slice(&target[..length]);
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

fn file(path: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, path.as_bytes(), b"", content.as_bytes())
}

fn link(path: &str, target: &str) -> Vec<u8> {
    entry(EntryType::Symlink, path.as_bytes(), target.as_bytes(), b"")
}

fn unpacked(entries: &[Vec<u8>]) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("a/b");
    fs::create_dir_all(&top).unwrap();
    let result = unpack_stream(&entries.concat()[..], &top);
    // Nothing beside the directory that was given.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(directory.path().join("a")).unwrap().count(), 1);
    (directory, result)
}

#[test]
fn files_directories_and_links_come_out() {
    let long = "n".repeat(150);
    let pax = format!("{} path=x/{long}\n", long.len() + 12);
    let (directory, result) = unpacked(&[
        entry(EntryType::Directory, b"./sys/", b"", b""),
        file("./proc/cgroups", "memory 1 1 1\n"),
        file("proc/cgroups", "again\n"),
        link("sys/slab/dentry(1:a)", ":at-0000192-00000001"),
        link("sys/slab/up", "../.././proc"),
        entry(
            EntryType::GNULongName,
            b"././@LongLink",
            b"",
            format!("{long}\0").as_bytes(),
        ),
        file("short", "long"),
        entry(EntryType::XHeader, b"pax", b"", pax.as_bytes()),
        file("short", "pax"),
        entry(EntryType::Fifo, b"fifo", b"", b""),
        entry(EntryType::Link, b"hard", b"proc/cgroups", b""),
        file("odd\n\u{1b}", ""),
    ]);
    let told = result.unwrap();
    assert_eq!(told.snapshots, [PathBuf::new()]);
    assert_eq!(told.passed_over, 2);
    let top = directory.path().join("a/b");
    let text = |path: &str| fs::read_to_string(top.join(path)).unwrap();
    assert_eq!(text("proc/cgroups"), "again\n");
    assert_eq!(text("sys/slab/up/cgroups"), "again\n");
    assert_eq!(
        (text(&long), text(&format!("x/{long}"))),
        ("long".into(), "pax".into())
    );
    let dangling = fs::read_link(top.join("sys/slab/dentry(1:a)")).unwrap();
    assert_eq!(dangling, Path::new(":at-0000192-00000001"));
    assert!(!top.join("fifo").exists() && !top.join("hard").exists());
}

#[test]
fn what_leads_out_is_refused() {
    for (entries, said) in [
        (vec![file("/etc/x", "")], "/etc/x: an absolute path"),
        (vec![file("a/../../x", "")], "a/../../x: a path with `..`"),
        (
            vec![link("a", "/etc")],
            "a: a symbolic link that may lead out",
        ),
        (
            vec![link("a", "..")],
            "a: a symbolic link that may lead out",
        ),
        (
            vec![link("x/a", "../..")],
            "x/a: a symbolic link that may lead out",
        ),
        (
            vec![link("x/a", "b/..")],
            "x/a: a symbolic link that may lead out",
        ),
        (
            vec![link("x/a", "")],
            "x/a: a symbolic link that may lead out",
        ),
        // Through a link that leads up: where it would end up is not where it says.
        (
            vec![link("s/up", ".."), link("s/up/y", "../../z")],
            "s/up/y: below what is not a directory",
        ),
        (
            vec![link("s", "d"), file("s/x", "")],
            "s/x: below what is not a directory",
        ),
        (
            vec![file("f", ""), file("f/x", "")],
            "f/x: below what is not a directory",
        ),
        (vec![file(".", "")], ".: no name"),
        (vec![file(&"d/".repeat(49), "")], ""),
    ] {
        let (_directory, result) = unpacked(&entries);
        match result {
            Ok(_) => assert_eq!(said, ""),
            Err(refused) => {
                let refused = refused.to_string();
                assert!(
                    refused.starts_with(said) && !said.is_empty(),
                    "{refused}, not {said}"
                );
            }
        }
    }
}

#[test]
fn too_long_a_name_is_refused() {
    let name = vec![b'n'; NAME as usize + 1];
    let (_directory, result) = unpacked(&[entry(EntryType::GNULongName, b"l", b"", &name)]);
    assert_eq!(result.unwrap_err().to_string(), "longer than 65536 bytes");
    let deep = "d/".repeat(300) + "x\0";
    let (_directory, result) = unpacked(&[
        entry(EntryType::GNULongName, b"l", b"", deep.as_bytes()),
        file("x", ""),
    ]);
    assert!(result.unwrap_err().to_string().ends_with("not a path"));
}

/// 8 GiB of zeroes in a few hundred KiB.
#[test]
fn a_bomb_ends_in_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let bomb = directory.path().join("bomb.tar.zst");
    let mut out = Compressor::new(Compression::Zstd, File::create(&bomb).unwrap()).unwrap();
    // An entry that is passed over, so that the disk has nothing to do.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::Fifo);
    header.set_size(8 << 30);
    header.set_cksum();
    out.write_all(header.as_bytes()).unwrap();
    let zeroes = vec![0; 1 << 20];
    for _ in 0..1100 {
        out.write_all(&zeroes).unwrap();
    }
    out.finish().unwrap();
    let into = directory.path().join("into");
    fs::create_dir(&into).unwrap();
    let error = unpack(&bomb, &into).unwrap_err();
    assert_eq!(error.to_string(), "unpacks to more than 1024 MiB");
}

#[test]
fn snapshots_are_where_a_proc_is() {
    let (_directory, result) = unpacked(&[
        file("rec/before/proc/cgroups", ""),
        file("rec/after/proc/x/proc/y", ""),
        file("rec/LOG.txt", ""),
        file("rec/table/sys/x", ""),
        link("rec/proc", "before"),
    ]);
    let expected = ["rec/after", "rec/before"].map(PathBuf::from);
    assert_eq!(result.unwrap().snapshots, expected);
}

#[test]
fn what_is_no_archive_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("text", &b"hello, this is no archive at all"[..]),
        ("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]),
        ("gzip", &[0x1f, 0x8b, 8, 0]),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        let into = directory.path().join(format!("{name}.d"));
        fs::create_dir(&into).unwrap();
        assert!(unpack(&path, &into).is_err(), "{name}");
    }
    assert!(unpack(&directory.path().join("none"), directory.path()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any entries: no panic, and nothing outside.
    #[test]
    fn garbage_never_gets_out(
        entries in proptest::collection::vec(
            ("[abs./]{0,8}", "[abs./]{0,8}", 0..5u8),
            0..12,
        ),
        cut in 0..4000_usize,
    ) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(path, target, kind)| match kind {
                0 => entry(EntryType::Directory, path.as_bytes(), b"", b""),
                1 | 2 => link(path, target),
                3 => entry(EntryType::GNULongName, b"l", b"", target.as_bytes()),
                _ => file(path, "x"),
            })
            .collect();
        let (directory, _) = unpacked(&entries);
        // No link leads out of it, in whatever steps.
        let top = directory.path().join("a/b").canonicalize().unwrap();
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if let Ok(real) = path.canonicalize() {
                    prop_assert!(real.starts_with(&top), "{}", path.display());
                }
                if path.symlink_metadata().unwrap().is_dir() {
                    folders.push(path);
                }
            }
        }
        let mut torn = entries.concat();
        torn.truncate(cut);
        let directory = tempfile::tempdir().unwrap();
        let _ = unpack_stream(&torn[..], directory.path());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let directory = tempfile::tempdir().unwrap();
        let _ = unpack_stream(&bytes[..], directory.path());
        let _ = Place::new(directory.path()).unwrap().link(&bytes, &bytes);
        let _ = OsStr::from_bytes(&bytes);
    }
}
