//! What keeps a zombie, as a walk of the kernel's own memcgs finds it.

/// What a removed memcg holds and what refers to it. What could not be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Page cache on its LRU lists, in bytes.
    pub file_bytes: Option<u64>,
    /// Anonymous memory there, that of tmpfs and of shared memory included.
    pub anon_bytes: Option<u64>,
    /// That of tmpfs and of shared memory, where the kernel's statistics tell (`NR_SHMEM`): up to two seconds old, and with
    /// what is swapped out left out.
    pub shmem_bytes: Option<u64>,
    /// What there cannot be reclaimed: locked, or of a ramfs.
    pub unevictable_bytes: Option<u64>,
    /// The buffers of its sockets: TCP's (`tcpmem.usage` of v1), or all where its statistics tell (`MEMCG_SOCK`).
    pub tcpmem_bytes: Option<u64>,
    /// What of it is swapped out, where the kernel counts that.
    pub swap_bytes: Option<u64>,
    /// It has its memcg id still, which a dead one keeps for its entries in swap alone (`mem_cgroup_id_get_many`).
    pub keeps_id: Option<bool>,
    /// References to it (`css.refcnt`), exact once it is dead.
    pub refcount: Option<i64>,
    /// Dead memcgs directly below it: each is a reference.
    pub dead_children: u64,
}

impl Holds {
    /// The pages on its lists, what is swapped out, and its sockets' buffers; `None` where the lists could not be read.
    pub fn bytes(&self) -> Option<u64> {
        let lists = [self.anon_bytes?, self.unevictable_bytes?];
        let pages = self.file_bytes?.checked_add(lists[0])?;
        let pages = pages.checked_add(lists[1])?;
        let others = [self.swap_bytes, self.tcpmem_bytes].into_iter().flatten();
        Some(others.fold(pages, u64::saturating_add))
    }
}
