//! What the kernel walk found, put together: pure.

use std::{collections::HashMap, mem};

use bytes::Bytes;
use kmemtrace_common::{
    walk::{Node, css_flag, known},
    wire::TEXT_MAX,
};
use serde::Serialize;

use crate::{
    event::{
        Cgroup, Holds, Path,
        sense::{self, Nonsense},
    },
    host::Version,
};

/// A memcg as the kernel has it. What could not be read is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memcg {
    /// `CLOCK_MONOTONIC` when it was read, in nanoseconds.
    pub mono_ns: u64,
    /// The address of its `struct cgroup_subsys_state`.
    pub css: u64,
    /// `cgroup_subsys_state.serial_nr`: never used again.
    pub serial: u64,
    /// The parent memcg's; 0 for the root.
    pub parent_serial: u64,
    /// The cgroup's id.
    pub cgroup_id: Option<u64>,
    /// The parent memcg's cgroup's.
    pub parent_id: Option<u64>,
    /// The last part of its path.
    pub name: Bytes,
    /// `cgroup_subsys_state.flags`: `CSS_ONLINE` and so on.
    pub flags: u32,
    /// `cgroup_subsys_state.id`
    pub css_id: Option<u32>,
    /// The memcg id; 0 once the kernel has taken it back.
    pub memcg_id: Option<u32>,
    /// Whether the cgroup's directory is still there: on v2 a memcg can go alone.
    pub directory: Option<bool>,
    /// References to it (`css.refcnt`): exact for a dead one, of no meaning for a live one.
    pub refcount: Option<i64>,
    /// `memory.usage`, in bytes. From 7.1 on, of a dead one, what it was when its pages went to the parent.
    pub memory_bytes: Option<u64>,
    /// `memsw.usage`, in bytes: memory and swap, v1.
    pub memsw_bytes: Option<u64>,
    /// What is swapped out, in bytes: `swap.usage` of v2, on v1 what `memsw.usage` has beyond `memory.usage`.
    pub swap_bytes: Option<u64>,
    /// `kmem.usage`, in bytes: v1.
    pub kmem_bytes: Option<u64>,
    /// `tcpmem.usage`, in bytes: v1.
    pub tcpmem_bytes: Option<u64>,
    /// What is on its LRU lists; of dead ones only.
    pub lru: Option<Lru>,
    /// What its statistics say; of dead ones only.
    pub stats: Stats,
}

/// A memcg's statistics by kind, in bytes, as of the kernel's last look at what each processor counted: up to two seconds
/// old, and before 6.4 with those of the memcgs below it. What could not be read is `None`.
///
/// Those of slab and per-CPU memory stay as they were at its removal: the objects went to the parent
/// (`memcg_reparent_objcgs`), and what is freed of them is taken off there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Shared memory, files on a tmpfs included (`NR_SHMEM`): a part of what [`Lru`] counts as anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shmem_bytes: Option<u64>,
    /// Slab whose objects a shrinker can free, as dentries and inodes (`NR_SLAB_RECLAIMABLE_B`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slab_reclaimable_bytes: Option<u64>,
    /// Other slab (`NR_SLAB_UNRECLAIMABLE_B`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slab_unreclaimable_bytes: Option<u64>,
    /// Memory that each CPU has its own of (`MEMCG_PERCPU_B`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percpu_bytes: Option<u64>,
    /// Kernel stacks (`NR_KERNEL_STACK_KB`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_stack_bytes: Option<u64>,
    /// Buffers of sockets (`MEMCG_SOCK`): v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_bytes: Option<u64>,
}

impl Stats {
    fn new(node: &Node, page_bytes: u64) -> Self {
        // As `memcg_page_state_unit` has it.
        let units = [page_bytes, 1, 1, 1, 1024, page_bytes];
        let bytes = |kind: usize| {
            let has = node.known & known::STATS << kind != 0;
            has.then(|| {
                let count = u64::try_from(node.stats[kind]).unwrap_or(0);
                count.saturating_mul(units[kind])
            })
        };
        Self {
            shmem_bytes: bytes(0),
            slab_reclaimable_bytes: bytes(1),
            slab_unreclaimable_bytes: bytes(2),
            percpu_bytes: bytes(3),
            kernel_stack_bytes: bytes(4),
            socket_bytes: bytes(5),
        }
    }
}

/// The pages on a memcg's LRU lists, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lru {
    /// Anonymous memory, that of tmpfs and of shared memory included.
    pub anon_bytes: u64,
    /// Page cache.
    pub file_bytes: u64,
    /// What cannot be reclaimed: locked, or of a ramfs.
    pub unevictable_bytes: u64,
}

impl Lru {
    /// All of them.
    pub fn bytes(&self) -> u64 {
        let sum = self.anon_bytes.saturating_add(self.file_bytes);
        sum.saturating_add(self.unevictable_bytes)
    }
}

impl Memcg {
    /// Makes one of a node of the walk's, unless there is no such memcg.
    ///
    /// # Errors
    ///
    /// The first value that no memcg has.
    pub(super) fn read(node: &Node, page_bytes: u64, version: Version) -> Result<Self, Nonsense> {
        sense::pointer(node.css)?;
        sense::serial(node.serial)?;
        // Children are made after their parents. What is not the root's has one.
        if node.parent_serial >= node.serial {
            return Err(Nonsense::Serial(node.parent_serial));
        }
        if node.name_len as usize > node.name.len() {
            return Err(Nonsense::Path);
        }
        let memcg = Self::new(node, page_bytes, version);
        memcg.memcg_id.map_or(Ok(()), sense::memcg_id)?;
        if memcg.cgroup_id.is_none() && memcg.directory == Some(true) {
            return Err(Nonsense::CgroupId(0));
        }
        sense::cgroup(&Cgroup {
            id: memcg.cgroup_id,
            parent_id: memcg.parent_id,
            usage_bytes: memcg.memory_bytes,
            ..Cgroup::default()
        })?;
        Ok(memcg)
    }

    /// Makes one of a node of the walk's; the hierarchy's `version` says what its counters mean.
    pub(super) fn new(node: &Node, page_bytes: u64, version: Version) -> Self {
        let has = |bit| node.known & bit != 0;
        // A counter may be below 0 for a moment.
        let bytes = |pages: i64| u64::try_from(pages).unwrap_or(0).saturating_mul(page_bytes);
        let usage = |bit, pages| has(bit).then(|| bytes(pages));
        // The multi-gen LRU's sizes may be below 0 for a moment, too (`lrugen.nr_pages`).
        let list = |n: usize| bytes(node.lru[n].cast_signed());
        let name = node.name.get(..node.name_len as usize).unwrap_or_default();
        let memory_bytes = usage(known::MEMORY, node.memory);
        // `mem_cgroup.swap` and `memsw` are one field.
        let swap = usage(known::SWAP, node.swap);
        let (memsw_bytes, swap_bytes) = match version {
            Version::V1 => {
                let both = swap.zip(memory_bytes);
                (swap, both.map(|(both, memory)| both.saturating_sub(memory)))
            }
            Version::V2 => (None, swap),
        };
        Self {
            mono_ns: node.mono_ns,
            css: node.css,
            serial: node.serial,
            parent_serial: node.parent_serial,
            cgroup_id: Some(node.cgroup_id).filter(|&id| id != 0),
            parent_id: Some(node.parent_id).filter(|&id| id != 0),
            name: Bytes::copy_from_slice(name),
            flags: node.flags,
            css_id: has(known::CSS_ID).then_some(node.css_id),
            memcg_id: has(known::MEMCG_ID).then_some(node.memcg_id),
            directory: has(known::DIRECTORY_KNOWN).then(|| has(known::DIRECTORY)),
            refcount: has(known::REFCOUNT).then_some(node.refcount),
            memory_bytes,
            memsw_bytes,
            swap_bytes,
            kmem_bytes: usage(known::KMEM, node.kmem),
            tcpmem_bytes: usage(known::TCPMEM, node.tcpmem),
            lru: has(known::LRU).then(|| Lru {
                anon_bytes: list(0).saturating_add(list(1)),
                file_bytes: list(2).saturating_add(list(3)),
                unevictable_bytes: list(4),
            }),
            stats: Stats::new(node, page_bytes),
        }
    }

    /// Removed, or about to be: its directory is gone, or on v2 `-memory` was written.
    pub fn is_dead(&self) -> bool {
        self.flags & css_flag::DYING != 0
    }

    /// What it holds and what refers to it; `dead_children` are those directly below it.
    pub fn holds(&self, dead_children: u64) -> Holds {
        // Its children's may be in them.
        let own = |bytes: Option<u64>| bytes.filter(|_| dead_children == 0);
        Holds {
            file_bytes: self.lru.map(|lru| lru.file_bytes),
            anon_bytes: self.lru.map(|lru| lru.anon_bytes),
            shmem_bytes: own(self.stats.shmem_bytes),
            unevictable_bytes: self.lru.map(|lru| lru.unevictable_bytes),
            tcpmem_bytes: self.tcpmem_bytes.max(own(self.stats.socket_bytes)),
            // A swapped page keeps the id.
            swap_bytes: match self.memcg_id {
                Some(0) => Some(0),
                _ => own(self.swap_bytes),
            },
            keeps_id: self.memcg_id.map(|id| id != 0),
            refcount: self.refcount,
            dead_children,
        }
    }

    /// Online: not one that is being made, nor one that is dead.
    pub fn is_live(&self) -> bool {
        self.flags & css_flag::ONLINE != 0 && !self.is_dead()
    }
}

/// All memcgs that a walk found, each once.
#[derive(Debug, Default)]
pub struct Tree {
    memcgs: Vec<Memcg>,
    by_serial: HashMap<u64, usize>,
}

impl Tree {
    /// Adds one, or what is newer of it.
    pub(super) fn add(&mut self, memcg: Memcg) {
        let next = self.memcgs.len();
        let at = *self.by_serial.entry(memcg.serial).or_insert(next);
        match self.memcgs.get_mut(at) {
            Some(known) => *known = memcg,
            None => self.memcgs.push(memcg),
        }
    }

    /// Takes out those whose parent is not there, as it is not for what is no memcg; returns how many. A css holds a reference to its
    /// parent (`init_and_link_css`), and a walk comes by the parent first.
    pub(super) fn remove_orphans(&mut self) -> u64 {
        let all = mem::take(self);
        let count = all.memcgs.len();
        let root = all.memcgs.first().map(|memcg| memcg.serial);
        for memcg in all.memcgs {
            let has_parent = self.by_serial.contains_key(&memcg.parent_serial);
            if has_parent || memcg.parent_serial == 0 && Some(memcg.serial) == root {
                self.add(memcg);
            }
        }
        (count - self.memcgs.len()) as u64
    }

    /// All of them, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs.iter()
    }

    /// Those that are dead.
    pub fn dead(&self) -> impl Iterator<Item = &Memcg> {
        self.memcgs.iter().filter(|memcg| memcg.is_dead())
    }

    /// How many dead ones there are directly below each, by its serial number.
    pub fn dead_children(&self) -> HashMap<u64, u64> {
        let mut children = HashMap::new();
        for memcg in self.dead() {
            *children.entry(memcg.parent_serial).or_default() += 1;
        }
        children
    }

    fn parent(&self, memcg: &Memcg) -> Option<&Memcg> {
        let parent = self
            .memcgs
            .get(*self.by_serial.get(&memcg.parent_serial)?)?;
        // Serial numbers count up, so that this ends whatever was read.
        (parent.serial < memcg.serial).then_some(parent)
    }

    /// The path from the hierarchy's root, put together from the names. Of one longer than a record's, the leaf's end.
    ///
    /// On v2, where memcgs are not made at every level, it holds for those directories that have one: those above a
    /// memcg always do.
    pub fn path(&self, memcg: &Memcg) -> Path {
        let mut names = Vec::new();
        let mut len = 0;
        let mut cut = false;
        let mut at = memcg;
        while at.parent_serial != 0 {
            len += at.name.len() + 1;
            if len > TEXT_MAX {
                cut = true;
                break;
            }
            names.push(&at.name);
            let Some(parent) = self.parent(at) else {
                cut = true;
                break;
            };
            at = parent;
        }
        let mut path = if cut { b"...".to_vec() } else { Vec::new() };
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Path {
            bytes: path.into(),
            cut,
        }
    }
}

impl FromIterator<Memcg> for Tree {
    fn from_iter<T: IntoIterator<Item = Memcg>>(memcgs: T) -> Self {
        let mut tree = Self::default();
        memcgs.into_iter().for_each(|memcg| tree.add(memcg));
        tree
    }
}

#[cfg(test)]
mod tests;
