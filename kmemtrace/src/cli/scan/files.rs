//! Which files hold the zombies that are listed: those whose page cache is charged to them.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fmt,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::inventory::Inventory;
use crate::{
    cli::progress::bar,
    event::json::Hex,
    host::Mounts,
    source::bpf::{Device, HeldFile, Holdings, KernelWalk, KernelWalker},
    text::{
        escape::Name,
        units::{self, Bytes},
    },
};

/// So many files of a zombie are in the JSON, and so many in the text.
const MOST: usize = 1000;
const LISTED: usize = 10;

/// How the look at the listed zombies' pages went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Look {
    /// Zombies whose pages were looked at, of those that are listed and have pages.
    zombies: u64,
    zombies_of: u64,
    /// Bytes that were looked at, of those that the kernel counts on these zombies' lists.
    seen_bytes: u64,
    of_bytes: u64,
    /// All lists were walked to their ends.
    complete: bool,
    /// The CPU time that took, in nanoseconds.
    took_ns: u64,
    /// Why there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What a zombie's pages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pages {
    /// Bytes that were looked at, of those that the kernel counts on its lists. It counts locked ones on a list that they are
    /// not on, from 5.18 on, and those that go meanwhile.
    seen_bytes: u64,
    of_bytes: u64,
    /// Its lists were walked to their ends.
    complete: bool,
    /// Bytes of anonymous memory.
    anon_bytes: u64,
    /// Bytes whose file could not be told, or that were of none any more.
    other_bytes: u64,
    /// The files that hold most.
    list: Vec<File>,
    /// So many more are not listed, and hold so much; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    list_more: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_bytes: Option<u64>,
}

/// A file with pages in the page cache that are charged to the zombie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct File {
    /// How many, in bytes.
    bytes: u64,
    /// Where it can be reached; or its path from its file system's root, if that is not mounted here. Absent if the kernel
    /// has its name no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Its bytes, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    /// Its file system is not mounted in this mount namespace, or it is in no directory (as a memfd).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    out_of_reach: bool,
    /// It was deleted, and something has it open or mapped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    inode: u64,
    /// Its file system's device.
    device: String,
    /// Its file system's name: of its block device, or its type's.
    fs: String,
    /// It is what is on this block device, as its file system's own blocks are.
    #[serde(skip_serializing_if = "Option::is_none")]
    block_device: Option<String>,
}

/// Looks at the pages of the zombies that are listed, in their order, for so long.
pub(super) fn look(
    walker: &mut KernelWalker,
    walk: &KernelWalk,
    inventory: &mut Inventory,
    mounts: &mut Mounts,
    within: Duration,
) {
    let began = Instant::now();
    let until = began.checked_add(within);
    let until = until.unwrap_or_else(|| began + Duration::from_secs(1 << 30));
    let dead: HashMap<_, _> = walk
        .tree
        .dead()
        .map(|memcg| (memcg.serial, memcg))
        .collect();
    let listed: Vec<_> = inventory
        .list
        .iter_mut()
        .filter_map(|zombie| {
            let memcg = *dead.get(&zombie.serial)?;
            let bytes = memcg.lru?.bytes();
            (bytes > 0).then_some((zombie, memcg, bytes))
        })
        .collect();
    let mut look = Look {
        zombies: 0,
        zombies_of: listed.len() as u64,
        seen_bytes: 0,
        of_bytes: listed.iter().map(|(.., bytes)| bytes).sum(),
        complete: true,
        took_ns: 0,
        refused: None,
    };
    let progress = bar(look.of_bytes >> 10, "looking at pages, KiB");
    for (zombie, memcg, of_bytes) in listed {
        if Instant::now() >= until {
            look.complete = false;
            break;
        }
        let before = look.seen_bytes;
        let found = walker.holdings(memcg, until, &mut |bytes| {
            progress.set_position((before + bytes) >> 10);
        });
        match found {
            Ok(holdings) => {
                look.zombies += 1;
                look.seen_bytes += holdings.seen_bytes;
                look.complete &= holdings.complete;
                look.took_ns += u64::try_from(holdings.took.as_nanos()).unwrap_or(u64::MAX);
                zombie.files = Some(pages(&holdings, of_bytes, mounts));
            }
            Err(error) => {
                look.refused = Some(error.reason().to_owned());
                look.complete = false;
                break;
            }
        }
    }
    progress.finish_and_clear();
    inventory.files = Some(look);
}

fn pages(holdings: &Holdings, of_bytes: u64, mounts: &mut Mounts) -> Pages {
    let (listed, rest) = holdings.files.split_at(holdings.files.len().min(MOST));
    let more = Some(rest.len() as u64).filter(|&more| more > 0);
    Pages {
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

fn file(held: &HeldFile, mounts: &mut Mounts) -> File {
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
    File {
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

impl Look {
    /// A line among the sums.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "  files      ")?;
        if let (Some(reason), 0) = (&self.refused, self.zombies) {
            return writeln!(out, "not known: {reason}");
        }
        write!(
            out,
            "of {} of {} in the lists of {} of {} zombies below ({})",
            Bytes(self.seen_bytes),
            Bytes(self.of_bytes),
            self.zombies,
            self.zombies_of,
            units::Duration(self.took_ns)
        )?;
        match &self.refused {
            Some(reason) => writeln!(out, ", then: {reason}"),
            None if self.complete => writeln!(out),
            None => writeln!(out, ": its time was up, --files=TIME gives it more"),
        }
    }
}

impl Pages {
    /// A line for each of the files that hold most, and for all others.
    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in self.list.iter().take(LISTED) {
            row(file.bytes, file, out)?;
        }
        let rest = self.list.get(LISTED..).unwrap_or_default();
        let more = rest.len() as u64 + self.list_more.unwrap_or(0);
        if more > 0 {
            let bytes = rest.iter().map(|file| file.bytes).sum::<u64>();
            let bytes = bytes + self.more_bytes.unwrap_or(0);
            row(bytes, &format!("{more} more files"), out)?;
        }
        for (bytes, what) in [
            (self.anon_bytes, "anonymous memory"),
            (
                self.other_bytes,
                "of no file any more, or of one that could not be told",
            ),
            (
                self.of_bytes.saturating_sub(self.seen_bytes),
                if self.complete {
                    "locked in memory, or gone meanwhile"
                } else {
                    "not looked at"
                },
            ),
        ] {
            if bytes > 0 {
                row(bytes, &what, out)?;
            }
        }
        Ok(())
    }
}

fn row(bytes: u64, what: &dyn fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    // Written first, as sizes do not pad themselves.
    let bytes = Bytes(bytes).to_string();
    writeln!(out, "  {bytes:>13}    {what}")
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.block_device) {
            (Some(path), _) => write!(f, "{}", Name::whole(path.as_bytes()))?,
            (None, Some(device)) => return write!(f, "block device {device}"),
            (None, None) => write!(f, "inode {}", self.inode)?,
        }
        let fs = Name::whole(self.fs.as_bytes());
        match &self.path {
            None => write!(f, " of {fs} ({})", self.device)?,
            Some(path) if self.out_of_reach && path.starts_with('/') => {
                write!(f, " of {fs} ({}), which is not mounted here", self.device)?;
            }
            Some(_) => {}
        }
        if self.deleted {
            write!(f, " (deleted)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
