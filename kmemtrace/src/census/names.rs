//! Zombies by name: what their slab caches hold.

use serde::Serialize;

use super::look::ZombieNames;
use crate::host::{Root, SlabHoldings, slab_pin};

/// So many zombies are in the JSON.
const MOST: usize = 1000;

/// Of so many slab caches the sizes are read: three files each, and the kernel goes through all slabs of a cache for two of them.
const CACHES: usize = 2000;

/// Zombies and held memory with names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Those that hold most first.
    pub(crate) zombies: Vec<SlabZombie>,
    /// Directories below which removed ones hold memory, those with most first.
    pub(crate) held: Vec<Holder>,
    /// How many zombies with names there are beyond these.
    pub(crate) more: u64,
    /// What the slab caches of all of them take, in bytes; `None` if that is not known of all.
    pub(crate) slab_bytes: Option<u64>,
}

/// A removed memory cgroup that still has slab caches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SlabZombie {
    /// The last part of its path.
    pub(crate) name: String,
    /// Names that it may have as well: its id was used before, and nothing tells which name is old.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) or: Vec<String>,
    /// The number in its caches' names: on 3.10 the kmemcg id, on 4.x a serial number.
    pub(crate) id: u32,
    /// How many slab caches it has.
    pub(crate) caches: u64,
    /// Objects in them; absent if not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<u64>,
    /// Bytes that the caches take; absent if not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// The cache with the most objects, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) largest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) largest_objects: Option<u64>,
}

/// A directory below which removed memory cgroups hold memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Holder {
    /// From the hierarchy's root.
    pub(crate) path: String,
    /// How much is held directly below it.
    pub(crate) bytes: u64,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads what the caches of the first zombies hold.
pub(crate) fn read(root: &Root, names: &ZombieNames) -> Named {
    let orphans = names.orphans.iter().take(MOST);
    let mut left = CACHES;
    let mut zombies: Vec<_> = orphans
        .map(|(id, memcg)| {
            let caches = memcg.caches.len();
            let pin = match left.checked_sub(caches) {
                Some(rest) => {
                    left = rest;
                    slab_pin(root, memcg)
                }
                None => SlabHoldings {
                    caches: caches as u64,
                    ..SlabHoldings::default()
                },
            };
            let (largest, largest_objects) = pin.largest.unzip();
            SlabZombie {
                name: text(&memcg.leaf),
                or: memcg.or.iter().map(|leaf| text(leaf)).collect(),
                id: *id,
                caches: pin.caches,
                objects: pin.objects,
                bytes: pin.bytes,
                largest: largest.as_deref().map(text),
                largest_objects,
            }
        })
        .collect();
    zombies.sort_by(|a, b| {
        let size = |zombie: &SlabZombie| (zombie.bytes, zombie.objects);
        size(b).cmp(&size(a)).then(a.id.cmp(&b.id))
    });
    let more = names.orphans.len().saturating_sub(zombies.len()) as u64;
    let mut bytes = zombies.iter().map(|zombie| zombie.bytes);
    let slab_bytes = bytes.try_fold(0u64, |sum, bytes| sum.checked_add(bytes?));
    let held = names.held.iter().take(MOST);
    Named {
        held: held
            .map(|(path, bytes)| Holder {
                path: text(path),
                bytes: *bytes,
            })
            .collect(),
        slab_bytes: slab_bytes.filter(|_| more == 0),
        zombies,
        more,
    }
}
