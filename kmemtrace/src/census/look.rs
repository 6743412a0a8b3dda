//! One look at all memory cgroups, and what it makes of zombies.

use std::{collections::HashMap, time::Duration};

use crate::{
    error::Error,
    event::Counts,
    host::{self, Ask, Hierarchy, Root, SlabLayout, SlabMemcg, SlabMemcgs, Slabinfo, Version},
};

/// What one look saw, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Directories with a memcg, the root included.
    pub(crate) live: u64,
    /// The kernel's counts before and after the directories were walked.
    pub(crate) before: Counts,
    pub(crate) after: Counts,
    /// Where memcgs have slab caches of their own: what these tell.
    pub(crate) slab: Option<SlabSigns>,
    /// Where kernel memory is accounted to memcgs: what that tells.
    pub(crate) kmem: Option<KmemHeld>,
}

/// What slab caches of memcgs tell about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabSigns {
    pub(crate) layout: SlabLayout,
    /// Memcgs whose caches are there and whose directory is not.
    pub(crate) orphans: u64,
    /// Ids of which only names of caches that are gone are left: freed, or alive without slab caches.
    pub(crate) without_cache: u64,
    /// So many had kernel memory at one time.
    pub(crate) peak: Option<u64>,
    /// Live ones that no name is of, the root included: they have ids, too, and are not among those.
    pub(crate) unnamed: u64,
}

/// What kernel memory tells about removed memcgs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KmemHeld {
    /// They hold so many bytes, at least.
    pub(crate) bytes: u64,
    /// Below so many directories: at least a zombie in each.
    pub(crate) directories: u64,
    /// Directories about which that cannot be told.
    pub(crate) blind: u64,
    /// More may be held that does not show.
    pub(crate) may_hide: bool,
    /// The root's slabinfo says that kernel memory is not accounted to it: on 3.10 only. From 5.3 on, what removed cgroups
    /// were charged stays with their parents and pins no zombie.
    pub(crate) pins: bool,
}

/// The names in a look.
#[derive(Debug, Default)]
pub(crate) struct ZombieNames {
    /// Memcgs whose caches are there and whose directory is not, with the ids in the caches' names.
    pub(crate) orphans: Vec<(u32, SlabMemcg)>,
    /// Directories below which kernel memory is held by what was removed, and how many bytes: most first.
    pub(crate) held: Vec<(Vec<u8>, u64)>,
}

/// How many there are; without `max`, that many at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZombieRange {
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
}

impl Look {
    pub(crate) fn zombies(&self) -> ZombieRange {
        let count = |counts: &Counts| {
            let counted = counts.num_cgroups.map(|all| all.saturating_sub(self.live));
            counts.dying_memory.or(counts.dying).or(counted)
        };
        let (before, after) = (count(&self.before), count(&self.after));
        let counted = before
            .zip(after)
            .map(|(before, after)| (before.min(after), before.max(after)));
        let kmem = self.kmem.filter(|kmem| kmem.pins);
        let held = kmem.map_or(0, |kmem| kmem.directories);
        let may_hide = kmem.is_some_and(|kmem| kmem.may_hide);
        match (counted, self.slab.map(|slab| slab.layout)) {
            (Some((min, max)), Some(SlabLayout::Nested)) => ZombieRange {
                min,
                max: Some(max),
            },
            (Some((min, max)), None) if held <= max && !may_hide => ZombieRange {
                min,
                max: Some(max),
            },
            // num_cgroups leaves out what these show, and maybe more.
            (counted, slab) => {
                let top_level = self.slab.filter(|_| slab == Some(SlabLayout::TopLevel));
                let orphans = top_level.map_or(0, |slab| slab.orphans);
                let min = counted.map_or(0, |(min, _)| min).max(orphans).max(held);
                ZombieRange { min, max: None }
            }
        }
    }

    /// How long a memcg that is just being freed is there at most: on 3.10, where slab caches show zombies, some 60 ms
    /// (`cgroup_free_fn`, `mem_cgroup_css_free`); elsewhere nobody knows.
    pub(crate) fn settles_within(&self) -> Duration {
        match self.slab.map(|slab| slab.layout) {
            Some(SlabLayout::TopLevel) => Duration::from_millis(500),
            _ => Duration::MAX,
        }
    }

    /// Where the count leaves zombies out: whether neither slab caches nor kernel memory show one, and would have.
    pub(crate) fn no_sign(&self) -> bool {
        self.slab.is_some_and(|slab| slab.orphans == 0)
            && self
                .kmem
                .is_some_and(|kmem| kmem.bytes == 0 && kmem.blind == 0)
            && self.zombies().min == 0
    }
}

/// How often to look for a moment at which nothing changes.
const TRIES: usize = 3;

/// Looks, a few times if need be, for a moment at which nothing changes.
pub(crate) fn look(root: &Root, hierarchy: &Hierarchy) -> Result<(Look, ZombieNames), Error> {
    let counts = || {
        host::counts(root, hierarchy)
            .map_err(|error| Error::caused("cannot count memory cgroups", error))
    };
    let cannot_walk = |error: std::io::Error| Error::file("walk", &hierarchy.mount, error);
    let mut tries = TRIES;
    let slab = host::slab_memcgs(root);
    loop {
        let before = counts()?;
        let mut live = 0;
        let mut leaves: HashMap<Vec<u8>, u64> = HashMap::new();
        host::walk(root, hierarchy, &mut |directory| {
            live += u64::from(directory.memory);
            if slab.layout.is_some() {
                let leaf = directory.path.rsplit(|&byte| byte == b'/').next();
                *leaves.entry(leaf.unwrap_or_default().to_vec()).or_default() += 1;
            }
        })
        .map_err(cannot_walk)?;
        let after = counts()?;
        tries -= 1;
        if before == after || tries == 0 {
            let (kmem, held) = kmem(root, hierarchy, &slab).map_err(cannot_walk)?;
            let layout = slab.layout;
            let peak = slab.peak;
            let unnamed = slab.unnamed(leaves.iter().map(|(leaf, count)| (&leaf[..], *count)));
            let without_cache = slab.memcgs.len() - slab.with_cache().count();
            let orphans = orphans(slab, &leaves);
            let look = Look {
                live,
                before,
                after,
                slab: layout.map(|layout| SlabSigns {
                    layout,
                    orphans: orphans.len() as u64,
                    without_cache: without_cache as u64,
                    peak,
                    unnamed,
                }),
                kmem,
            };
            return Ok((look, ZombieNames { orphans, held }));
        }
    }
}

/// The memcgs with caches and without a directory of that name; fewer than there are where a name is used again.
pub(crate) fn orphans(slab: SlabMemcgs, leaves: &HashMap<Vec<u8>, u64>) -> Vec<(u32, SlabMemcg)> {
    let memcgs = slab.memcgs.into_iter().filter(|(_, memcg)| {
        let mut own = std::iter::once(&memcg.leaf).chain(&memcg.or);
        !memcg.caches.is_empty() && !own.any(|leaf| leaves.contains_key(leaf))
    });
    memcgs.collect()
}

/// What kernel memory tells, and below which directories it is held.
type HeldKmem = (Option<KmemHeld>, Vec<(Vec<u8>, u64)>);

fn kmem(root: &Root, hierarchy: &Hierarchy, slab: &SlabMemcgs) -> std::io::Result<HeldKmem> {
    if hierarchy.version == Version::V2 {
        return Ok((None, Vec::new()));
    }
    let kmem = host::kmem(root, hierarchy, slab, Ask::Root)?;
    let may_hide = kmem.may_hide(slab);
    let first = kmem.directories.first();
    let pins = first.is_some_and(|root| root.slabinfo == Slabinfo::Inactive);
    for problem in &kmem.problems {
        tracing::warn!("{problem}");
    }
    let held = kmem.directories.into_iter().filter(|one| one.held > 0);
    let mut held: Vec<_> = held.map(|one| (one.path, one.held)).collect();
    held.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let unseen = (pins && may_hide).then_some(0);
    let told = kmem.held_bytes.or(unseen).map(|bytes| KmemHeld {
        bytes,
        directories: held.len() as u64,
        blind: kmem.blind,
        may_hide,
        pins,
    });
    Ok((told, held))
}
