//! What one poll sees.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use bytes::Bytes;

use crate::{
    event::{Counts, SlabPin},
    host::{self, Hierarchy, Root, SlabLayout, SlabMemcg, SlabMemcgs},
    source::clock,
};

/// Zombies whose slab is measured in one poll, at most: three files for each cache, and the kernel goes through all slabs of
/// a cache to count its objects. The others' turn comes with the next polls.
const MEASURED: usize = 256;

/// How often counts are read again that changed during the walk.
const TRIES: usize = 3;

/// A directory of the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PolledDirectory {
    pub(super) parent_id: Option<u64>,
    pub(super) path: Bytes,
    pub(super) memory: bool,
}

impl PolledDirectory {
    /// Its name, without its parents'.
    pub(super) fn leaf(&self) -> &[u8] {
        leaf(&self.path)
    }
}

pub(super) fn leaf(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// All that one poll saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Poll {
    /// `CLOCK_MONOTONIC` before and after, in nanoseconds.
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) directories: HashMap<u64, PolledDirectory>,
    /// The names of slab caches; none of them are listed in a poll that left them out.
    pub(super) slab: SlabMemcgs,
    pub(super) pins: BTreeMap<u32, SlabPin>,
    /// The kernel's counts, if they held still while the directories were read.
    pub(super) counts: Counts,
}

/// Reads the directories and the kernel's counts. `layout` is where slab caches of memcgs stand.
///
/// # Errors
///
/// The directories cannot be read. Of the rest, what cannot be read is not there, and a warning says so.
pub(super) fn look(
    root: &Root,
    hierarchy: &Hierarchy,
    layout: Option<SlabLayout>,
) -> io::Result<Poll> {
    // There the count falls at rmdir and leaves out the zombies that kernel memory holds.
    let counted = layout != Some(SlabLayout::TopLevel);
    let read = || match host::counts(root, hierarchy) {
        Ok(counts) if counted => counts,
        Ok(_) => Counts::default(),
        Err(error) => {
            tracing::warn!("cannot count memory cgroups: {error}");
            Counts::default()
        }
    };
    let mut tries = TRIES;
    loop {
        let before = read();
        let seen = walk(root, hierarchy)?;
        let counts = read();
        tries -= 1;
        if before == counts {
            return Ok(Poll { counts, ..seen });
        }
        if tries == 0 {
            return Ok(seen);
        }
    }
}

fn walk(root: &Root, hierarchy: &Hierarchy) -> io::Result<Poll> {
    let began_ns = clock::mono_ns();
    let mut directories = HashMap::new();
    host::walk(root, hierarchy, &mut |directory| {
        let found = PolledDirectory {
            parent_id: directory.parent_id,
            path: Bytes::copy_from_slice(directory.path),
            memory: directory.memory,
        };
        directories.insert(directory.id, found);
    })?;
    Ok(Poll {
        began_ns,
        ended_ns: clock::mono_ns(),
        directories,
        ..Poll::default()
    })
}

/// Measures what these memcgs' slab caches hold, as many as one poll may.
pub(super) fn measure(root: &Root, seen: &mut Poll, ids: impl Iterator<Item = u32>) {
    for id in ids.take(MEASURED) {
        let Some(memcg) = seen.slab.memcgs.get(&id) else {
            continue;
        };
        let held = host::slab_pin(root, memcg);
        let pin = SlabPin {
            objects: held.objects,
            bytes: held.bytes,
            ..unmeasured(memcg)
        };
        seen.pins.insert(id, pin);
    }
}

/// The caches alone.
pub(super) fn unmeasured(memcg: &SlabMemcg) -> SlabPin {
    SlabPin {
        caches: memcg.caches.len().try_into().unwrap_or(u32::MAX),
        ..SlabPin::default()
    }
}
