use std::fs::File;

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use super::*;
use crate::host::{Ask, kmem, slab_memcgs, tests::root};

/// The paths in an archive, and what is there: a file's content, a link's target after an arrow, `/` for a directory.
fn listed(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 77));
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let what = match entry.header().entry_type() {
                tar::EntryType::Directory => "/".to_owned(),
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap();
                    format!("-> {}", String::from_utf8_lossy(&target))
                }
                _ => {
                    let mut bytes = Vec::new();
                    io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                    String::from_utf8_lossy(&bytes).into_owned()
                }
            };
            (path, what)
        })
        .collect()
}

fn copied(root: &Root) -> (Copied, Vec<u8>) {
    let mut archive = tar::Builder::new(Vec::new());
    let copied = copy(root, 77, &ProgramTexts::default(), &mut archive).unwrap();
    (copied, archive.into_inner().unwrap())
}

const MOUNTS: &str = "33 30 0:28 / /cg rw - cgroup cgroup rw,memory\n";

#[test]
fn a_copy_has_what_is_read_and_no_more() {
    let huge = "x".repeat(SMALL as usize + 1);
    let long = "c".repeat(200);
    let (directory, root) = root(&[
        ("/proc/self/mountinfo", MOUNTS),
        ("/proc/cgroups", "memory\t4\t3\t1\n"),
        ("/proc/cmdline", &huge),
        ("/proc/sys/kernel/osrelease", "3.10.0-514.el7.x86_64\n"),
        ("/boot/config-3.10.0-514.el7.x86_64", "CONFIG_MEMCG=y\n"),
        ("/var/log/pods/shop_web-0_uid/web/0.log", "private\n"),
        ("/etc/shadow", "no"),
        ("/cg/release_agent", ""),
        ("/cg/cgroup.procs", "1\n"),
        (
            "/cg/memory.kmem.slabinfo.error",
            "cat: read error: Input/output error\n",
        ),
        ("/cg/pod/memory.kmem.usage_in_bytes", "9\n"),
        ("/cg/pod/memory.soft_limit_in_bytes", "not read"),
        ("/cg/pod/new\nline/cgroup.procs", ""),
        (&format!("/cg/pod/{long}/cgroup.procs"), "7\n"),
        ("/sys/kernel/slab/dentry/objects", "5"),
        ("/sys/kernel/slab/inode_cache(1:a)/objects", "3 N0=3\n"),
        ("/sys/kernel/slab/inode_cache(1:a)/shrink", ""),
        ("/sys/kernel/slab/:at-0000192-00000001/slabs", "2\n"),
        ("/sys/kernel/slab/filp/cgroup/filp(30:b)/order", "1\n"),
        ("/kmsg-raw.txt", "6,1,2,-;hello\n"),
    ]);
    let slab = directory.path().join("sys/kernel/slab");
    symlink(":at-0000192-00000001", slab.join("dentry(1:a)")).unwrap();
    symlink(":gone", slab.join("dentry(2:b)")).unwrap();
    fs::write(
        directory.path().join("cgroup-dirs-inodes.txt"),
        format!("1 .\n2 ./pod\n3 ./pod/{long}\n"),
    )
    .unwrap();
    let root = Root::at(root.path("/"));
    let (told, archive) = copied(&root);
    let mut listed = listed(&archive);
    let mut take = |path: &str| listed.remove(path).unwrap_or_else(|| panic!("{path}"));
    for (path, what) in [
        ("proc/self/mountinfo", MOUNTS),
        ("proc/cgroups", "memory\t4\t3\t1\n"),
        ("proc/cmdline.error", "longer than 1048576 bytes\n"),
        ("proc/sys/kernel/osrelease", "3.10.0-514.el7.x86_64\n"),
        ("boot/config-3.10.0-514.el7.x86_64", "CONFIG_MEMCG=y\n"),
        ("var/log/pods/shop_web-0_uid", "/"),
        ("cg", "/"),
        ("cg/release_agent", ""),
        ("cg/cgroup.procs", "1\n"),
        (
            "cg/memory.kmem.slabinfo.error",
            "cat: read error: Input/output error\n",
        ),
        ("cg/pod", "/"),
        ("cg/pod/memory.kmem.usage_in_bytes", "9\n"),
        ("cg/pod/new\nline", "/"),
        ("cg/pod/new\nline/cgroup.procs", ""),
        (&format!("cg/pod/{long}"), "/"),
        (&format!("cg/pod/{long}/cgroup.procs"), "7\n"),
        ("sys/kernel/slab", "/"),
        ("sys/kernel/slab/inode_cache(1:a)", "/"),
        ("sys/kernel/slab/inode_cache(1:a)/objects", "3 N0=3\n"),
        ("sys/kernel/slab/:at-0000192-00000001", "/"),
        ("sys/kernel/slab/:at-0000192-00000001/slabs", "2\n"),
        ("sys/kernel/slab/filp/cgroup/filp(30:b)", "/"),
        ("sys/kernel/slab/filp/cgroup/filp(30:b)/order", "1\n"),
        ("sys/kernel/slab/dentry(1:a)", "-> :at-0000192-00000001"),
        ("sys/kernel/slab/dentry(2:b)", "-> :gone"),
        ("kmsg-raw.txt", "6,1,2,-;hello\n"),
    ] {
        assert_eq!(take(path), what, "{path}");
    }
    let mut inodes: Vec<_> = take("cgroup-dirs-inodes.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    inodes.sort();
    assert_eq!(inodes, ["1 .", "2 ./pod", &format!("3 ./pod/{long}")]);
    let note = take("snapshot.txt");
    assert!(
        note.contains("could not be read (NAME.error): 2\nleft out: 0\n"),
        "{note}"
    );
    assert!(note.contains("leaves out 1 paths with a newline"), "{note}");
    assert_eq!((told.unread, told.left_out, told.entries), (2, 0, 28));
    assert_eq!(listed, BTreeMap::new());
}

/// What is read from a copy is what is read from the machine; and a copy of a copy is the copy.
#[test]
fn a_copy_reads_as_the_machine_does() {
    let (_directory, first) = root(&[
        ("/proc/self/mountinfo", MOUNTS),
        ("/proc/cgroups", "memory\t4\t3\t1\n"),
        ("/cg/memory.kmem.slabinfo.error", "Input/output error\n"),
        ("/cg/memory.kmem.usage_in_bytes", "5000\n"),
        ("/cg/pod/memory.kmem.usage_in_bytes", "5000\n"),
        ("/cg/pod/cgroup.procs", ""),
        ("/sys/kernel/slab/inode_cache(1:a)/objects", "3 N0=3\n"),
    ]);
    let (_, archive) = copied(&first);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("copy.tar");
    fs::write(&file, &archive).unwrap();
    let top = directory.path().join("top");
    fs::create_dir(&top).unwrap();
    super::super::archive::unpack(&file, &top).unwrap();
    let second = Root::at(&top);
    assert_eq!(facts(&first), facts(&second));
    assert_eq!(slab_memcgs(&first), slab_memcgs(&second));
    let hierarchy = facts(&first).memory.unwrap();
    let kmem = |root| {
        kmem(
            root,
            &hierarchy,
            &slab_memcgs(root),
            Ask::Settled(&mut |_| true),
        )
        .unwrap()
    };
    assert_eq!(kmem(&first).directories, kmem(&second).directories);
    assert_eq!(kmem(&second).held_bytes, Some(5000));
    let (_, again) = copied(&second);
    let order = |archive| listed(archive).into_iter().collect::<Vec<_>>();
    assert_eq!(order(&archive), order(&again));
}

#[test]
fn a_machine_without_anything_is_copied_too() {
    let (_directory, root) = root(&[("/proc/version", "Linux\n")]);
    let (told, archive) = copied(&root);
    let listed = listed(&archive);
    let names: Vec<_> = listed.keys().map(String::as_str).collect();
    assert_eq!(names, ["proc/version", "snapshot.txt"]);
    assert!(told.notes[0].contains("mountinfo"), "{:?}", told.notes);
}

/// A full disk.
#[test]
fn an_archive_that_cannot_be_written_is_an_error() {
    let (_directory, root) = root(&[("/proc/version", "Linux\n")]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = copy(
        &root,
        0,
        &ProgramTexts::default(),
        &mut tar::Builder::new(full),
    )
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
