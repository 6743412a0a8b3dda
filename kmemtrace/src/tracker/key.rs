//! What tells memcgs apart.

use crate::event::Cgroup;

/// What the kernel tells them apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Id {
    /// The cgroup's id.
    Cgroup(u64),
    /// Of a zombie whose cgroup was never seen: the number in its slab caches' names, held until it is freed.
    Kmem(u32),
}

impl Id {
    pub(super) fn of(cgroup: &Cgroup) -> Self {
        match (cgroup.id, cgroup.kmemcg_id) {
            (None, Some(id)) => Self::Kmem(id),
            (id, _) => Self::Cgroup(id.unwrap_or_default()),
        }
    }
}

/// A memcg's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) id: Id,
    /// How many memcgs with that id came before it.
    pub(super) generation: u32,
}

impl Key {
    /// Before all others.
    pub(super) const MIN: Self = Self::new(Id::Cgroup(0), 0);

    pub(super) const fn new(id: Id, generation: u32) -> Self {
        Self { id, generation }
    }
}
