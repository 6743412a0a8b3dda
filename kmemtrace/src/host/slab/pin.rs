//! How much the slab caches of one memcg hold.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::{Root, SLAB, SlabMemcg};
use crate::host::parse::number;

/// What the slab caches of one memcg hold. A figure is `None` unless all its caches tell theirs: in a copy of a machine's
/// files there may be but the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabHoldings {
    /// Objects in use, with those that wait on a CPU's list (`objects`, `SO_ALL|SO_OBJECTS` in `show_slab_objects`).
    pub objects: Option<u64>,
    /// The size of the slabs that they are in, in bytes: `slabs` of 2^`order` pages of the machine's size. `None` also where
    /// that is not known ([`Root::page`]).
    pub bytes: Option<u64>,
    /// How many caches there are.
    pub caches: u64,
    /// Of the caches that tell, the one with the most objects: its name (`dentry`) and how many.
    pub largest: Option<(Vec<u8>, u64)>,
}

/// Reads how much the caches of a memcg hold: three small files for each of them.
pub fn slab_pin(root: &Root, memcg: &SlabMemcg) -> SlabHoldings {
    let page = root.page_size();
    let mut pin = SlabHoldings {
        objects: Some(0),
        bytes: Some(0),
        caches: memcg.caches.len() as u64,
        largest: None,
    };
    for cache in &memcg.caches {
        let directory = root.path(SLAB).join(OsStr::from_bytes(cache.path()));
        // `21 N0=21`: the sum, then each NUMA node's.
        let figure = |name: &str| -> Option<u64> {
            let bytes = crate::host::parse::small(&directory.join(name)).ok()?;
            number(bytes.split(u8::is_ascii_whitespace).next()?)
        };
        let objects = figure("objects");
        let bytes = figure("slabs").zip(figure("order"));
        let bytes = bytes.and_then(|(slabs, order)| {
            let slab = 1u64
                .checked_shl(order.try_into().ok()?)?
                .checked_mul(page?.bytes())?;
            slab.checked_mul(slabs)
        });
        let add = |sum: Option<u64>, more: Option<u64>| sum?.checked_add(more?);
        pin.objects = add(pin.objects, objects);
        pin.bytes = add(pin.bytes, bytes);
        if let Some(objects) = objects
            && pin.largest.as_ref().is_none_or(|(_, most)| objects > *most)
        {
            pin.largest = Some((cache.name().to_vec(), objects));
        }
    }
    pin
}
