//! What one run of the walk of a memcg's object cgroups finds ([`Objcg`]).
//!
//! Kernel objects are charged to an object cgroup (`struct obj_cgroup`, since 5.9), of which each memcg has one, from 7.1 on
//! one for each NUMA node. A removed memcg gives its own to its parent (`memcg_reparent_objcgs`), which keeps it in a list
//! until the last object is freed.

/// The most steps that one run does, and so the most object cgroups that it finds. A power of two.
pub const STEPS: usize = 64;

/// An object cgroup of a removed memcg.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objcg {
    /// Its address.
    pub address: u64,
    /// `refcnt.data->count`: the objects and pages that are charged to it; exact, as its memcg was removed.
    pub references: i64,
}

/// What a run found: the first [`crate::lists::ListCursor::found`] of these.
pub type Objcgs = [Objcg; STEPS];

const _: () = {
    assert!(size_of::<Objcg>() == 2 * 8, "padding");
    assert!(STEPS.is_power_of_two());
};
