//! What a census counts, for a diagnosis.

use std::{thread, time::Duration};

use super::{Named, assess, look::look};
use crate::{
    diagnose::facts::MemcgCount,
    error::Error,
    host::{self, Hierarchy, Root, SlabMemcg},
};

/// Looks, and once more after `settle` if there are zombies: those that are just being freed do not count.
pub(crate) fn count(
    root: &Root,
    hierarchy: &Hierarchy,
    settle: Option<Duration>,
) -> Result<MemcgCount, Error> {
    let (first, mut names) = look(root, hierarchy)?;
    let zombies = first.zombies();
    let any = zombies.min > 0 || zombies.max.is_some_and(|max| max > 0);
    let mut second = None;
    if let Some(settle) = settle.filter(|_| any) {
        thread::sleep(settle);
        let (again, last) = look(root, hierarchy)?;
        (second, names) = (Some(again), last);
    }
    let kernel = host::release(root);
    let census = assess(hierarchy, kernel, &first, second.as_ref(), Named::default());
    let with_caches = names.orphans.len() as u64;
    Ok(MemcgCount {
        live: census.live,
        zombies_min: census.zombies_min,
        zombies_max: census.zombies_max,
        staying: census.staying,
        none: census.none,
        kept: census.kept,
        ids_min: census.ids_min,
        ids_max: census.ids_max,
        capacity: census.ids_capacity,
        peak: census.kmem_peak,
        ids_peak: census.ids_peak,
        // From 5.3 on a removed memcg leaves its caches to its parent.
        with_caches: if census.zombies_max.is_some_and(|max| max < with_caches) {
            0
        } else {
            with_caches
        },
        held_bytes: census.held_bytes,
    })
}

/// The removed memory cgroups that are known by their slab caches, with the ids in those names.
pub(crate) fn with_caches(
    root: &Root,
    hierarchy: &Hierarchy,
) -> Result<Vec<(u32, SlabMemcg)>, Error> {
    Ok(look(root, hierarchy)?.1.orphans)
}
