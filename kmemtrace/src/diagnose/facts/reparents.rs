//! Whether this kernel gives the slab of a removed memory cgroup to its parent, by what shows: RHEL 8 does, whatever its release is
//! called.

use super::{Evidence, Hierarchy, Level, Message, Root, Version};
use crate::{
    catalogue::say,
    host::{self, Directory, Slabinfo},
};

/// What processors keep of a cgroup that has no tasks is fewer pages.
const AT_HAND: u64 = 16;

/// In so many directories it is looked for.
const LOOKED_AT: usize = 64;

/// What shows it, in a directory that kubelet makes and that never has tasks:
///
/// * v1: slab caches of its own. They were those of containers (`memcg_reparent_kmem_caches`).
/// * v2: memory, without a child, alive or dying, that could be charged for it.
pub(super) fn read(root: &Root, at: &Hierarchy) -> Option<Evidence> {
    let mut found = None;
    let mut looked_at = 0;
    let at_hand = root.page_size_at_most().times(AT_HAND);
    let walked = host::walk(root, at, &mut |directory| {
        let level = Level::of(directory.path);
        if found.is_some() || looked_at == LOOKED_AT || !level.is_kubelet_s() {
            return;
        }
        looked_at += 1;
        let path = String::from_utf8_lossy(directory.path).into_owned();
        let place = |file: &str| format!("{}{path}/{file}", at.mount.display());
        found = match at.version {
            Version::V1 => caches(&directory).map(|caches| {
                let says = Message::new(say::SLABINFO_CACHES).arg("caches", caches);
                Evidence::of_file(place(Slabinfo::FILE), says)
            }),
            Version::V2 if level == Level::Pod => left(&directory, at_hand)
                .map(|bytes| Evidence::of_file(place("memory.current"), bytes.to_string())),
            Version::V2 => None,
        };
    });
    walked.ok().and(found)
}

fn caches(directory: &Directory<'_>) -> Option<u64> {
    match host::slabinfo(directory) {
        Slabinfo::Active { caches, .. } => Some(caches),
        _ => None,
    }
}

/// Bytes in a directory that has no children, no tasks and no dying descendants, if processors do not keep them.
fn left(directory: &Directory<'_>, at_hand: u64) -> Option<u64> {
    let read = |file| String::from_utf8(directory.read(file, 1 << 16).ok()?).ok();
    let stat = read("cgroup.stat")?;
    let none = |key: &str| stat.lines().any(|line| line == format!("{key} 0"));
    let alone = none("nr_descendants") && none("nr_dying_descendants");
    let idle = directory.read("cgroup.procs", 1 << 20).ok()?.is_empty();
    let bytes = read("memory.current")?.trim().parse().ok()?;
    // A cgroup that never had anything has none.
    (alone && idle && bytes >= at_hand).then_some(bytes)
}
