//! What a walk of a memcg's lists, of pages or of object cgroups, keeps between its runs ([`ListCursor`]).
//!
//! As in [`crate::walk`], a run does a bounded number of steps from where the cursor stands, so that the verifier's work is
//! bounded and lists of any length are walked.

/// How often a list is begun again where the walk's place in it was lost, before the next one is gone to.
pub const TRIES: u32 = 3;

/// How a walk stands: values of [`ListCursor::phase`].
pub mod phase {
    /// There is more to look at.
    pub const GOING: u32 = 0;
    /// All lists were walked.
    pub const DONE: u32 = 1;
    /// The memcg was freed.
    pub const GONE: u32 = 2;
}

/// Where a walk stands. The collector says whose lists in `css` and `serial` and clears the rest to begin.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListCursor {
    /// The memcg's `struct cgroup_subsys_state *`.
    pub css: u64,
    /// Its serial number.
    pub serial: u64,
    /// The `struct list_head` of what was found last; 0 at the head of a list.
    pub at: u64,
    /// The NUMA node.
    pub node: u32,
    /// The list there.
    pub list: u32,
    /// How often this list was begun again.
    pub tries: u32,
    /// How many lists were given up.
    pub lost: u32,
    /// One of [`phase`].
    pub phase: u32,
    /// How many the last run found.
    pub found: u32,
}

impl ListCursor {
    /// Before the first run.
    pub fn of(css: u64, serial: u64) -> Self {
        Self {
            css,
            serial,
            ..Self::default()
        }
    }
}

const _: () = assert!(size_of::<ListCursor>() == 3 * 8 + 6 * 4, "padding");
