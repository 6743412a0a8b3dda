use std::time::Duration;

use super::*;
use crate::{
    census::files::{MOST, pages},
    event,
    host::{self, Mounts, Root},
    source::bpf::{Device, FileName, HeldFile, Holdings},
};

fn held(bytes: u64, path: Option<&'static [u8]>) -> HeldFile {
    HeldFile {
        name: FileName {
            inode: 12,
            device: Device { major: 8, minor: 1 },
            fs: "sda1".into(),
            path: path.map(event::Path::whole),
            deleted: false,
            block_device: None,
        },
        bytes,
    }
}

fn mounts() -> (tempfile::TempDir, Mounts) {
    let directory = tempfile::tempdir().unwrap();
    let proc = directory.path().join("proc/self");
    std::fs::create_dir_all(&proc).unwrap();
    let text = "1 0 8:1 / / rw - ext4 x rw\n2 1 0:9 / /dev/shm rw - tmpfs x rw\n";
    std::fs::write(proc.join("mountinfo"), text).unwrap();
    let mounts = host::mounts(&Root::at(directory.path()));
    (directory, mounts)
}

fn told(files: Vec<HeldFile>) -> ZombiePages {
    let (_directory, mut mounts) = mounts();
    let files_bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let holdings = Holdings {
        files,
        anon_bytes: 4096,
        other_bytes: 8192,
        seen_bytes: files_bytes + 12_288,
        complete: true,
        took: Duration::ZERO,
    };
    pages(&holdings, files_bytes + 12_288 + 4096, &mut mounts)
}

fn text(pages: &ZombiePages) -> String {
    let mut out = Vec::new();
    pages.text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_kind_of_file_is_told_apart() {
    let mut shm = held(3 << 20, Some(b"/a"));
    shm.name.device = Device { major: 0, minor: 9 };
    let mut elsewhere = held(2 << 20, Some(b"/a"));
    elsewhere.name.device = Device { major: 0, minor: 7 };
    elsewhere.name.fs = "tmpfs".into();
    let mut memfd = held(1 << 20, Some(b"memfd:x"));
    memfd.name.deleted = true;
    let mut disk = held(4096, None);
    disk.name.block_device = Some(Device { major: 8, minor: 0 });
    let pages = told(vec![
        held(4 << 20, Some(b"/var/log/\x1b[2J\xff.log")),
        shm,
        elsewhere,
        memfd,
        held(8192, None),
        disk,
    ]);
    insta::assert_snapshot!(text(&pages));
    insta::assert_snapshot!(serde_json::to_string_pretty(&pages).unwrap());
}

#[test]
fn of_many_files_those_that_hold_most_are_listed() {
    let pages = told((0..1500).map(|_| held(4096, Some(b"/f"))).collect());
    assert_eq!(pages.list.len(), MOST);
    assert_eq!(pages.list_more, Some(500));
    assert_eq!(pages.more_bytes, Some(500 * 4096));
    assert!(
        text(&pages).contains("5.8 MiB    1490 more files\n"),
        "{}",
        text(&pages)
    );
}

#[test]
fn a_look_that_was_cut_short_says_so() {
    let whole = FileSearch {
        zombies: 3,
        zombies_of: 3,
        seen_bytes: 8 << 20,
        of_bytes: 8 << 20,
        complete: true,
        took_ns: 1_500_000,
        refused: None,
    };
    let cut = FileSearch {
        zombies: 1,
        seen_bytes: 1 << 20,
        complete: false,
        ..whole.clone()
    };
    let refused = FileSearch {
        zombies: 0,
        complete: false,
        refused: Some("no folio.lru".to_owned()),
        ..whole.clone()
    };
    let mut out = Vec::new();
    for look in [whole, cut, refused] {
        look.text(&mut out).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
