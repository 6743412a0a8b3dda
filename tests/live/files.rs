//! Which files hold a zombie.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::Instant,
};

use kmemtrace::{
    host::{self, Root},
    source::bpf::KernelWalker,
};
use libtest_mimic::Failed;
use serde_json::Value;

use super::{
    walk::scan,
    world::{World, charged, remove, wait_until, zombies},
};
use crate::{
    harness::{Result, output, patience, program, text},
    workload::MUCH,
};

/// What is written, in bytes; the last pages wait in lists of each processor's own.
const BYTES: u64 = MUCH as u64;

/// A name that would drive a terminal.
const NAME: &[u8] = b"big \x1b[2J";

/// Has a task in the cgroup write a file of [`MUCH`] bytes.
pub(super) fn write(cgroup: &Path, file: &Path) {
    charged("charge-much", cgroup, file);
}

/// A directory on a disk, if there is one.
pub(super) fn on_disk() -> Option<tempfile::TempDir> {
    let kind = rustix::fs::statfs("/var/tmp").ok()?.f_type as u64 & 0xffff_ffff;
    // tmpfs, ramfs, overlay: what is on no disk, or has other paths underneath.
    let disk = ![0x0102_1994, 0x8584_58f6, 0x794c_7630].contains(&kind);
    disk.then(|| tempfile::tempdir_in("/var/tmp").expect("a directory on a disk"))
}

/// The zombie at a path, as a scan for files tells of it.
fn zombie(world: &World, path: &str) -> Value {
    let (seen, mine) = scan(world, &["--settle", "1ms", "--files=1m"]);
    assert!(seen["files"]["refused"].is_null(), "{seen}");
    assert_eq!(seen["files"]["complete"], true, "{seen}");
    mine.get(path)
        .unwrap_or_else(|| panic!("{path}: {mine:?}"))
        .clone()
}

/// What a scan tells of a file of a zombie's.
fn told(world: &World, path: &str, file: &Path) -> Option<Value> {
    let zombie = zombie(world, path);
    let files = zombie["files"]["list"].as_array()?;
    let mut named = files
        .iter()
        .filter(|told| told["path"] == *file.to_string_lossy());
    let found = named.next().cloned();
    assert!(named.next().is_none(), "twice: {zombie}");
    found
}

/// Files that were written in a removed cgroup are named, on a tmpfs and on a disk.
pub(super) fn named() -> Result {
    let world = World::new("files");
    let file = world.files.join(OsString::from_vec(NAME.to_vec()));
    let Some((path, pin)) = held(&world, &file)? else {
        return Ok(());
    };
    let args = ["scan", "--settle", "1ms", "--files", "--top", "1000"];
    let shown = output(program(args));
    let shown = text(&shown.stdout);
    let escaped = format!("{}/big \\x1b[2J\n", world.files.display());
    assert!(shown.contains(&escaped), "{shown}");
    let open = File::open(&file)?;
    fs::remove_file(&file)?;
    let big = told(&world, &path, &file);
    assert_eq!(big.map(|big| big["deleted"].clone()), Some(true.into()));
    drop(open);
    wait_until("its end", || told(&world, &path, &file).is_none());
    world.unpin(&pin);
    // That would reclaim the page cache of others beside it.
    drop(world);

    if let Some(directory) = on_disk() {
        let world = World::new("files");
        let file = directory.path().join("big");
        if let Some((path, pin)) = held(&world, &file)? {
            fs::remove_file(&file)?;
            wait_until("its end", || told(&world, &path, &file).is_none());
            world.unpin(&pin);
        }
    }
    Ok(())
}

/// Makes a zombie that a file holds, which a scan names with its size: the zombie's path, and what else pins it. `None` where
/// a file holds none: from 7.1 on its pages go to the parent.
fn held(world: &World, file: &Path) -> std::result::Result<Option<(String, PathBuf)>, Failed> {
    const TRIES: u32 = 5;
    for n in 1..=TRIES {
        let name = format!("pod/zombie{n}");
        let path = format!("{}/{name}", world.path);
        let cgroup = world.make(&name);
        let pin = world.charge(&cgroup, &format!("pin{n}"));
        // A file that is there keeps its pages with whom they were charged to.
        let _ = fs::remove_file(file);
        write(&cgroup, file);
        let before = zombies();
        remove(&cgroup);
        wait_until("a zombie", || zombies() > before);
        let zombie = zombie(world, &path);
        let held = zombie["held_bytes"].as_u64().unwrap_or(0);
        if held == 0 {
            assert!(zombie["files"].is_null(), "{zombie}");
            walked_in_vain(&path)?;
            return Ok(None);
        }
        let about = BYTES - (1 << 20)..=BYTES;
        if held < *about.start() && n < TRIES {
            eprintln!("{path} holds {held} bytes: the kernel has reclaimed the rest already");
            continue;
        }
        let big = told(world, &path, file).unwrap_or_else(|| panic!("{zombie}"));
        let bytes = big["bytes"].as_u64();
        if bytes < Some(*about.start()) && n < TRIES {
            eprintln!("{path} holds less than it did: the kernel reclaims it");
            continue;
        }
        assert!(bytes.is_some_and(|bytes| about.contains(&bytes)), "{big}");
        assert!(big["deleted"].is_null(), "{big}");
        assert_eq!(big["inode"].as_u64(), Some(inode(file)?), "{big}");
        return Ok(Some((path, pin)));
    }
    unreachable!("the last try returns")
}

/// The programs run here as well, and find nothing.
fn walked_in_vain(path: &str) -> Result {
    let mut walker = KernelWalker::load(&host::facts(&Root::live()))?;
    let walk = walker.walk()?;
    let mut dead = walk.tree.dead();
    let memcg = dead.find(|memcg| walk.tree.path(memcg).bytes == path.as_bytes());
    let memcg = memcg.ok_or("the zombie is gone")?;
    let found = walker.holdings(memcg, Instant::now() + patience(), &mut |_| {})?;
    assert!(found.complete && found.files.is_empty(), "{found:?}");
    assert_eq!(found.seen_bytes, 0);
    Ok(())
}

fn inode(file: &Path) -> io::Result<u64> {
    Ok(fs::metadata(file)?.ino())
}
