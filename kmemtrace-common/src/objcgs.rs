//! What the walk of a memcg's object cgroups keeps between its runs ([`ObjcgCursor`]), and what one run finds ([`Objcg`]).
//!
//! Kernel objects are charged to an object cgroup (`struct obj_cgroup`, since 5.9), of which each memcg has one, from 7.1 on
//! one for each NUMA node. A removed memcg gives its own to its parent (`memcg_reparent_objcgs`), which keeps it in a list
//! until the last object is freed.
//!
//! As in [`crate::walk`], a run does at most [`STEPS`] steps from where the cursor stands.

/// The most steps that one run does, and so the most object cgroups that it finds. A power of two.
pub const STEPS: usize = 64;

/// How often a list is begun again where the walk's place in it was lost, before the next one is gone to.
pub const TRIES: u32 = 3;

/// How a walk of object cgroups stands: values of [`ObjcgCursor::phase`].
pub mod phase {
    /// There is more to look at.
    pub const GOING: u32 = 0;
    /// All lists were walked.
    pub const DONE: u32 = 1;
    /// The memcg was freed.
    pub const GONE: u32 = 2;
}

/// Where a walk of a memcg's object cgroups stands. The collector says whose in `css` and `serial` and clears the rest to
/// begin.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjcgCursor {
    /// The memcg's `struct cgroup_subsys_state *`.
    pub css: u64,
    /// Its serial number.
    pub serial: u64,
    /// The `list` of the object cgroup that was found last; 0 at the head of a list.
    pub at: u64,
    /// The NUMA node, where each has its list.
    pub node: u32,
    /// How often this list was begun again.
    pub tries: u32,
    /// How many lists were given up.
    pub lost: u32,
    /// One of [`phase`].
    pub phase: u32,
    /// How many the last run found.
    pub found: u32,
    /// Nothing.
    pub reserved: u32,
}

/// An object cgroup of a removed memcg.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objcg {
    /// Its address.
    pub address: u64,
    /// `refcnt.data->count`: the objects and pages that are charged to it; exact, as its memcg was removed.
    pub references: i64,
}

/// What a run found: the first [`ObjcgCursor::found`] of these.
pub type Objcgs = [Objcg; STEPS];

const _: () = {
    assert!(size_of::<ObjcgCursor>() == 3 * 8 + 6 * 4, "padding");
    assert!(size_of::<Objcg>() == 2 * 8, "padding");
    assert!(STEPS.is_power_of_two());
};
