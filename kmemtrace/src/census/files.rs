//! Which files hold the zombies that are listed: those whose page cache is charged to them.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    event::{json::Hex, nanos},
    host::Mounts,
    source::bpf::{Device, HeldFile, Holdings, KernelWalk, KernelWalker},
    text::progress::bar,
};

/// So many files of a zombie are in the JSON.
pub(crate) const MOST: usize = 1000;

/// How the look at the listed zombies' pages went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileSearch {
    /// Zombies whose pages were looked at, of those that are listed and have pages.
    pub(crate) zombies: u64,
    pub(crate) zombies_of: u64,
    /// Bytes that were looked at, of those that the kernel counts on these zombies' lists.
    pub(crate) seen_bytes: u64,
    pub(crate) of_bytes: u64,
    /// All lists were walked to their ends.
    pub(crate) complete: bool,
    /// The CPU time that took, in nanoseconds.
    pub(crate) took_ns: u64,
    /// Why there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// What a zombie's pages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ZombiePages {
    /// Bytes that were looked at, of those that the kernel counts on its lists. It counts locked ones on a list that they are
    /// not on, from 5.18 on, and those that go meanwhile.
    pub(crate) seen_bytes: u64,
    pub(crate) of_bytes: u64,
    /// Its lists were walked to their ends.
    pub(crate) complete: bool,
    /// Bytes of anonymous memory.
    pub(crate) anon_bytes: u64,
    /// Bytes whose file could not be told, or that were of none any more.
    pub(crate) other_bytes: u64,
    /// The files that hold most.
    pub(crate) list: Vec<CachedFile>,
    /// So many more are not listed, and hold so much; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list_more: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) more_bytes: Option<u64>,
}

/// A file with pages in the page cache that are charged to the zombie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CachedFile {
    /// How many, in bytes.
    pub(crate) bytes: u64,
    /// Where it can be reached; or its path from its file system's root, if that is not mounted here. Absent if the kernel
    /// has its name no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Its bytes, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_hex: Option<String>,
    /// Its file system is not mounted in this mount namespace, or it is in no directory (as a memfd).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) out_of_reach: bool,
    /// It was deleted, and something has it open or mapped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    pub(crate) inode: u64,
    /// Its file system's device.
    pub(crate) device: String,
    /// Its file system's name: of its block device, or its type's.
    pub(crate) fs: String,
    /// It is what is on this block device, as its file system's own blocks are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_device: Option<String>,
}

/// Looks at the pages of the zombies with these serial numbers, in this order, for at most `within`: how it went, and the
/// pages of each that was looked at, by its serial number.
pub(crate) fn look(
    walker: &mut KernelWalker,
    walk: &KernelWalk,
    zombies: impl Iterator<Item = u64>,
    mounts: &mut Mounts,
    within: Duration,
) -> (FileSearch, HashMap<u64, ZombiePages>) {
    let began = Instant::now();
    let until = began.checked_add(within);
    let until = until.unwrap_or_else(|| began + Duration::from_secs(1 << 30));
    let dead: HashMap<_, _> = walk
        .tree
        .dead()
        .map(|memcg| (memcg.serial, memcg))
        .collect();
    let listed: Vec<_> = zombies
        .filter_map(|serial| {
            let memcg = *dead.get(&serial)?;
            let bytes = memcg.lru?.bytes();
            (bytes > 0).then_some((memcg, bytes))
        })
        .collect();
    let mut look = FileSearch {
        zombies: 0,
        zombies_of: listed.len() as u64,
        seen_bytes: 0,
        of_bytes: listed.iter().map(|(_, bytes)| bytes).sum(),
        complete: true,
        took_ns: 0,
        refused: None,
    };
    let progress = bar(look.of_bytes >> 10, "looking at pages, KiB");
    let mut found = HashMap::new();
    for (memcg, of_bytes) in listed {
        if Instant::now() >= until {
            look.complete = false;
            break;
        }
        let before = look.seen_bytes;
        let holdings = walker.holdings(memcg, until, &mut |bytes| {
            progress.set_position((before + bytes) >> 10);
        });
        match holdings {
            Ok(holdings) => {
                look.zombies += 1;
                look.seen_bytes += holdings.seen_bytes;
                look.complete &= holdings.complete;
                look.took_ns += nanos(holdings.took);
                found.insert(memcg.serial, pages(&holdings, of_bytes, mounts));
            }
            Err(error) => {
                look.refused = Some(error.reason());
                look.complete = false;
                break;
            }
        }
    }
    progress.finish_and_clear();
    (look, found)
}

pub(crate) fn pages(holdings: &Holdings, of_bytes: u64, mounts: &mut Mounts) -> ZombiePages {
    let (listed, rest) = holdings.files.split_at(holdings.files.len().min(MOST));
    let more = Some(rest.len() as u64).filter(|&more| more > 0);
    ZombiePages {
        seen_bytes: holdings.seen_bytes,
        of_bytes,
        complete: holdings.complete,
        anon_bytes: holdings.anon_bytes,
        other_bytes: holdings.other_bytes,
        list: listed.iter().map(|held| file(held, mounts)).collect(),
        list_more: more,
        more_bytes: more.map(|_| rest.iter().map(|held| held.bytes).sum()),
    }
}

fn file(held: &HeldFile, mounts: &mut Mounts) -> CachedFile {
    let name = &held.name;
    let numbers = |Device { major, minor }| format!("{major}:{minor}");
    let device = numbers(name.device);
    let own = name.path.as_ref().map(|path| path.bytes.as_ref());
    let reached = own.filter(|own| own.starts_with(b"/")).and_then(|own| {
        let path = Path::new(OsStr::from_bytes(own));
        mounts.reach(&device, path)
    });
    let path = reached.as_deref().map(|path| path.as_os_str().as_bytes());
    let path = path.or(own);
    CachedFile {
        bytes: held.bytes,
        path: path.map(|path| String::from_utf8_lossy(path).into_owned()),
        path_hex: path.and_then(|path| Some(Hex::unless_text(path)?.to_string())),
        out_of_reach: own.is_some() && reached.is_none(),
        deleted: name.deleted,
        inode: name.inode,
        device,
        fs: String::from_utf8_lossy(&name.fs).into_owned(),
        block_device: name.block_device.map(numbers),
    }
}
