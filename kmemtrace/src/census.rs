//! How many memory cgroups are live, how many are zombies and which, what holds them, how many ids are left: at this moment.
//!
//! [`mod@look`] counts, [`walks`] names; [`assess`] makes a [`Census`] of what they saw (pure). `scan` shows it; `diagnose`,
//! `reclaim` and `reproduce` need parts of it.

mod count;
mod crowd;
pub(crate) mod files;
pub(crate) mod inventory;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod objcgs;
mod pins;
mod walks;

use std::{thread, time::Duration};

use serde::Serialize;

pub(crate) use count::{count, with_caches};
pub(crate) use crowd::CrowdedParent;
pub(crate) use inventory::PinTotal;
use inventory::{Inventory, Listing};
use look::{Look, look};
use names::{Holder, Named, SlabZombie};
pub(crate) use pins::{PinWalks, message};
use walks::Walks;

use crate::{
    error::Error,
    host::{self, Hierarchy, MEMCG_IDS, PageFact, Root},
    judge::{Answer, Kept, Signs, State},
    pods::Pods,
    tracker::{Amounts, Forecast, HeldBytes, LeakCount},
};

/// What a census is to look at, beside the counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The files are those of the running kernel: then it looks twice, and walks the kernel's own tree.
    pub(crate) live: bool,
    /// If there are zombies, it looks again after this time: those that are just being freed do not count.
    pub(crate) settle: Duration,
    /// Which zombies are listed, and how.
    pub(crate) wanted: Listing,
    /// Name the files whose page cache is charged to listed zombies, within this time.
    pub(crate) files: Option<Duration>,
}

/// Looks, and once more if there are zombies.
///
/// # Errors
///
/// There is no memory hierarchy, or it cannot be counted or walked.
pub(crate) fn take(root: &Root, options: Options) -> Result<Census, Error> {
    let facts = host::facts(root);
    let hierarchy = facts.memory.clone().map_err(|none| {
        Error::new(format!("cannot count memory cgroups: {none}")).help(none.help())
    })?;
    let mut walks = options.live.then(|| Walks::new(&facts));
    let (first, mut names) = look(root, &hierarchy)?;
    walks.iter_mut().for_each(Walks::walk);
    let zombies = first.zombies();
    let any = zombies.min > 0
        || zombies.max.is_some_and(|max| max > 0)
        || walks.as_ref().is_some_and(Walks::any);
    let second = if any && options.live {
        thread::sleep(options.settle.min(first.settles_within()));
        let (second, last) = look(root, &hierarchy)?;
        walks.iter_mut().for_each(Walks::walk);
        names = last;
        Some(second)
    } else {
        None
    };
    let by_slab = names::read(root, &names);
    let mut census = assess(&hierarchy, facts.kernel, &first, second.as_ref(), by_slab);
    census.measured_by(facts.page);
    let mut pods = Pods::new(root.clone());
    let mut pod = |uid| pods.get(uid).cloned();
    let inventory = walks.map(|mut walks| {
        let mut inventory = walks.inventory(&mut pod, options.wanted)?;
        walks.look_further(&mut inventory, options.files);
        Ok(inventory)
    });
    match inventory {
        Some(Ok(inventory)) => census.take_in(inventory),
        Some(Err(reason)) => census.walk_refused = Some(reason),
        None => {}
    }
    census.crowd = crowd::look(root, &hierarchy, &census);
    census.look_ahead(host::uptime_ns(root));
    Ok(census)
}

/// How many memory cgroups there are, dead and alive, at one moment; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Census {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel: Option<String>,
    /// The size of the node's pages in bytes, by which slab caches are measured; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page_bytes: Option<u64>,
    /// And what shows it, or why it is not known, if slab caches were measured.
    #[serde(skip)]
    pub(crate) page: Option<PageFact>,
    /// `v1` or `v2`.
    pub(crate) hierarchy: &'static str,
    /// Where it is mounted.
    pub(crate) mount: String,
    /// The node's state in one word, as `diagnose` has it; what `accounting` adds to that is not in it.
    pub(crate) state: State,
    /// Memory cgroups whose directory exists, the root included.
    pub(crate) live: u64,
    /// Removed and not freed, in the last look; absent if the number is not known exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zombies: Option<u64>,
    /// So many zombies at least.
    pub(crate) zombies_min: u64,
    /// So many zombies at most; absent if the kernel does not count them, or not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zombies_max: Option<u64>,
    /// Zombies in both looks: so many at least are not just being freed.
    pub(crate) staying: u64,
    /// memcg ids in use, at least: the live ones', the root's included, and those of zombies that are known to keep theirs.
    pub(crate) ids_min: u64,
    /// memcg ids in use, at most; absent if that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids_max: Option<u64>,
    /// memcg ids in use at one time: memory cgroups with kernel memory, as the names of their slab caches tell, and the live ones
    /// without; absent where nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids_peak: Option<u64>,
    /// All memcg ids that there are.
    pub(crate) ids_capacity: u64,
    /// Cgroups were made or removed during every look: the numbers are off by that many.
    pub(crate) moving: bool,
    /// Two looks were taken.
    #[serde(skip)]
    pub(crate) settled: bool,
    /// So many memcgs had kernel memory at one time, as the names of their slab caches tell; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kmem_peak: Option<u64>,
    /// So many kmemcg ids have only names of slab caches that are gone: their memory cgroups are freed, or live on without
    /// slab caches; absent where there are no such names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kmem_without_caches: Option<u64>,
    /// Kernel memory that removed memory cgroups hold, in bytes: so many at least; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_bytes: Option<u64>,
    /// Where live ones crowd, if they use up the ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crowd: Option<CrowdedParent>,
    /// What is ahead at the pace of all the time since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forecast: Option<Forecast>,
    /// Below which directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) held: Vec<Holder>,
    /// Zombies that still have slab caches of their own, and so names: not all that there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) named: Vec<SlabZombie>,
    /// So many more have names than are listed; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_more: Option<u64>,
    /// Bytes in the slab caches of those; absent if not known of all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_bytes: Option<u64>,
    /// Every zombie, where the kernel's own tree could be walked.
    #[serde(flatten)]
    pub(crate) inventory: Option<Inventory>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) walk_refused: Option<String>,
    /// This kernel's count leaves zombies out.
    #[serde(skip)]
    pub(crate) leaves_out: bool,
    /// That there are no zombies that stay is known.
    #[serde(skip)]
    pub(crate) none: bool,
    #[serde(skip)]
    pub(crate) kept: Kept,
}

/// Makes a census of one look or two: pure.
pub(crate) fn assess(
    hierarchy: &Hierarchy,
    kernel: Option<String>,
    first: &Look,
    second: Option<&Look>,
    mut named: Named,
) -> Census {
    let last = second.unwrap_or(first);
    let (earlier, zombies) = (first.zombies(), last.zombies());
    let kept = Kept::by(kernel.as_deref());
    let leaves_out = zombies.max.is_none() && (last.slab.is_some() || zombies.min > 0);
    let mut held_bytes = last.kmem.map(|kmem| kmem.bytes);
    // From 5.3 on a removed memcg leaves its caches and what was charged to it to its parent, and is freed: then the count
    // is right, and names and memory are no zombies'.
    let with_caches = named.zombies.len() as u64 + named.more;
    if zombies.max.is_some_and(|max| max < with_caches) {
        named.zombies.clear();
        named.more = 0;
    }
    if zombies.max == Some(0) && held_bytes > Some(0) {
        held_bytes = None;
        named.held.clear();
    }
    let slab = last.slab;
    let peak = slab.and_then(|slab| Some(slab.peak? + slab.unnamed));
    // What is just being freed does not count as a sign.
    let counted = earlier.min.min(zombies.min);
    let kept = kept.shown(last.live, counted, leaves_out);
    let ids = kept.ids(last.live, zombies.min, zombies.max);
    Census {
        kernel,
        page_bytes: None,
        page: None,
        hierarchy: hierarchy.version.as_str(),
        mount: hierarchy.mount.display().to_string(),
        state: State::Unknown,
        live: last.live,
        zombies: zombies.max.filter(|&max| max == zombies.min),
        zombies_min: zombies.min,
        zombies_max: zombies.max,
        staying: earlier.min.min(zombies.min),
        ids_min: ids.min,
        ids_max: ids.max,
        ids_peak: peak.map(|peak| peak.min(MEMCG_IDS)),
        ids_capacity: MEMCG_IDS,
        moving: last.before != last.after,
        settled: second.is_some(),
        kmem_peak: slab.and_then(|slab| slab.peak),
        kmem_without_caches: slab.map(|slab| slab.without_cache),
        held_bytes,
        crowd: None,
        forecast: None,
        held: named.held,
        named_more: Some(named.more).filter(|&more| more > 0),
        named_bytes: named.slab_bytes.filter(|_| !named.zombies.is_empty()),
        named: named.zombies,
        inventory: None,
        walk_refused: None,
        leaves_out,
        none: earlier.max == Some(0) || zombies.max == Some(0) || last.no_sign(),
        kept,
    }
    .judged()
}

impl Census {
    /// Takes in what the kernel's own tree says: where it was walked to its end, and twice, that is better than the counts.
    fn take_in(&mut self, inventory: Inventory) {
        if let Some(staying) = inventory.staying.filter(|_| inventory.walk.complete) {
            self.staying = staying;
            self.none = staying == 0;
        }
        if let Some(used) = inventory.ids_used {
            (self.ids_min, self.ids_max) = (used, Some(used));
        }
        self.inventory = Some(inventory);
        self.state = self.signs().state();
    }

    /// Slab caches were measured in pages of this size.
    fn measured_by(&mut self, page: PageFact) {
        self.page_bytes = page.ok().map(|page| page.size.bytes());
        self.page = Some(page);
    }

    fn judged(mut self) -> Self {
        self.state = self.signs().state();
        self
    }

    fn signs(&self) -> Signs {
        Signs {
            live: self.live,
            staying: self.staying,
            none: self.none,
            ids_min: self.ids_min,
            ids_peak: self.ids_peak,
            kept: self.kept,
            ..Signs::default()
        }
    }

    /// Whether the node leaks.
    pub(crate) fn answer(&self) -> Answer {
        self.state.into()
    }

    /// Looks ahead: a scan has one number, and the time in which that many came to be.
    fn look_ahead(&mut self, uptime_ns: Option<u64>) {
        // Live ones use up the ids then, whatever becomes of zombies.
        if self.state == State::Crowded {
            return;
        }
        let inventory = self.inventory.as_ref();
        let zombies = inventory.map(|all| all.walk.zombies).or(self.zombies_max);
        // So many at least: no pace comes of that.
        let Some(zombies) = zombies.filter(|&zombies| zombies > 0) else {
            return;
        };
        let Some(over_ns) = uptime_ns else {
            return;
        };
        let ids_used = inventory.and_then(|all| all.ids_used);
        let ids_used = ids_used.unwrap_or_else(|| self.kept.used(self.live, zombies));
        let bytes = inventory.and_then(|all| all.zombie_bytes);
        let seen = LeakCount {
            leaked: zombies,
            over_ns,
        };
        let held = HeldBytes {
            all: bytes,
            paced: inventory.map_or_else(Amounts::default, |all| all.amounts),
        };
        self.forecast = Some(Forecast::new(self.kept, ids_used, seen, None, held));
    }
}
