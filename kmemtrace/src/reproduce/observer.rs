//! What is seen of the zombies on the way.

use std::{collections::HashSet, path::Path, time::Duration};

use super::{
    Course,
    cgroups::prefix,
    counts::{Agreement, Alive, Around, WaysCounted, told},
    outcome::{Action, Observation},
    workload::together,
};
use crate::{
    catalogue::say,
    census::{PinTotal, PinWalks},
    diagnose::facts::Kinds,
    host::{self, SlabLayout, SlabMemcgs, Version},
    text::progress::bar,
};

/// How often to look whether zombies are gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The observer so far.
pub(crate) struct Observer<'a> {
    course: &'a Course<'a>,
    /// The cgroup that all are in, on the machine.
    base: &'a Path,
    /// The kernel's count of zombies before anything was made.
    before: Option<u64>,
    pub(crate) alive: Alive,
    around: Around,
    /// The last count of the whole machine.
    last: Option<u64>,
    pub(crate) steps: Vec<Observation>,
    /// Walks of the kernel's own tree, or why there are none.
    pub(crate) pin_walks: Result<PinWalks, String>,
}

impl<'a> Observer<'a> {
    /// Begins, before anything of the course's is made.
    pub(crate) fn new(course: &'a Course<'a>, base: &'a Path) -> Self {
        let mut observer = Self {
            course,
            base,
            before: None,
            alive: Alive::default(),
            around: Around {
                page: course.root.page_size(),
                ..Around::default()
            },
            last: None,
            steps: Vec::new(),
            pin_walks: Ok(PinWalks::new(course.root)),
        };
        // Found out now, so that all observer count the same way.
        if let Err(reason) = observer.walk() {
            observer.pin_walks = Err(reason);
        }
        observer.before = observer.machine();
        observer.last = observer.before;
        observer
    }

    /// Observer while they are alive, with something charged to each. `memory.kmem.slabinfo` would tell whether they are
    /// accounted, but reading it in a young cgroup can hang 3.10.0-514 (`mem_cgroup_slabinfo_read`).
    pub(crate) fn alive(&mut self, made: u64) {
        let slab = host::slab_memcgs(self.course.root);
        self.around.removed = made;
        self.alive = Alive {
            layout: slab.layout,
            leaves_out: slab.layout == Some(SlabLayout::TopLevel)
                || host::is_opt_in(self.course.root, self.course.hierarchy),
            listed: self.course.root.path("/sys/kernel/slab").is_dir(),
            named: self.named(&slab),
            kernel_memory: self.number("memory.kmem.usage_in_bytes"),
        };
        let now = self.machine();
        self.around.busy |= now != self.before;
        self.last = now;
    }

    /// Whether the last one saw that none is left.
    pub(crate) fn none_left(&self) -> bool {
        let last = self.steps.last();
        last.is_some_and(|step| step.told() == Agreement::Exactly(0))
    }

    /// Whether the kernel's count of the whole machine is what tells: others' zombies are in it, too.
    pub(crate) fn by_machine(&self) -> bool {
        let counts = self.steps.last().map(|step| &step.counts);
        counts.is_some_and(|counts| {
            let own = counts.walked.or(counts.dying).is_some();
            !own && counts.counted.is_some() && !self.alive.leaves_out
        })
    }

    /// Waits until no zombie is left, or until time is up, and notes what is left.
    pub(crate) fn look(&mut self, done: Action) {
        let Course {
            acts,
            hierarchy,
            wait,
            interrupt,
            catalogue,
            ..
        } = *self.course;
        let began = acts.now();
        let (mut counts, mut pins) = self.see();
        let mut seen = told(&counts, &self.alive, self.around);
        let mut fell = began;
        let progress = bar(
            wait.as_millis() as u64,
            catalogue.word(say::REPRODUCE_WAITING),
        );
        while seen != Agreement::Exactly(0) && acts.now() - began < wait && !interrupt.pressed() {
            if done != Action::Removed {
                self.nudge();
            }
            acts.pause(LOOK_EVERY);
            progress.set_position((acts.now() - began).as_millis() as u64);
            (counts, pins) = self.see();
            let now = told(&counts, &self.alive, self.around);
            if now != seen {
                fell = acts.now();
            }
            seen = now;
        }
        progress.finish_and_clear();
        let stat = self.course.root.read(self.base.join("memory.stat")).ok();
        let held = stat.and_then(|stat| Kinds::of(&stat, hierarchy.version));
        let on_v2 = hierarchy.version == Version::V2;
        self.steps.push(Observation {
            done,
            zombies: seen.number(),
            at_least: matches!(seen, Agreement::AtLeast(_)),
            after_ms: fell.duration_since(began).as_millis() as u64,
            pins,
            file: held.map(|held| held.file),
            shmem: held.map(|held| held.shmem),
            anon: held.map(|held| held.anon),
            slab: held.filter(|_| on_v2).map(|held| held.slab),
            sock: held.filter(|_| on_v2).map(|held| held.sock),
            kernel_memory: counts.kernel_memory,
            counts,
        });
    }

    /// Those that were made and are dead, in the kernel's own tree.
    fn walk(&mut self) -> Result<Vec<PinTotal>, String> {
        let pin_walks = self.pin_walks.as_mut().map_err(|reason| reason.clone())?;
        let mount = &self.course.hierarchy.mount;
        let base = self.base.strip_prefix(mount).unwrap_or(self.base);
        // What they were all in is no zombie of itself.
        pin_walks.below(&format!("/{}/", together(base).display()))
    }

    /// Has the kernel give back what processors keep of cgroups below the base (`drain_all_stock`), where it may reclaim as
    /// well: what is left is to go.
    fn nudge(&self) {
        // Neither is there on all kernels, and nothing depends on it.
        let write = |file: &str, text: &str| {
            let _ = self.course.acts.write(&self.base.join(file), text);
        };
        match self.course.hierarchy.version {
            Version::V1 => write("memory.force_empty", "0"),
            Version::V2 => {
                write("memory.high", "0");
                write("memory.high", "max");
            }
        }
    }

    /// Counts, in every way there is.
    fn see(&mut self) -> (WaysCounted, Vec<PinTotal>) {
        let walked = self.walk().or_else(|_| self.walk()).ok();
        let version = self.course.hierarchy.version;
        let named = self.alive.layout.is_some().then(|| {
            let slab = host::slab_memcgs(self.course.root);
            (self.named(&slab), slab)
        });
        let machine = self.machine();
        // At first, theirs go.
        let settled = self.steps.len() > 1;
        self.around.busy |= settled && machine > self.last;
        self.last = machine;
        let mut counts = WaysCounted {
            walked: walked
                .as_ref()
                .map(|pins| pins.iter().map(|total| total.zombies).sum()),
            dying: (version == Version::V2)
                .then(|| self.dying(self.base))
                .flatten()
                .map(|dying| dying.saturating_sub(1)),
            counted: self.before.zip(machine).map(|(before, now)| {
                let more = now as i64 - before as i64;
                // The cgroup that they were all in lives as long as one of them.
                if more > 0 { more - 1 } else { more }
            }),
            named: named.as_ref().map(|(named, _)| *named),
            kernel_memory: self.number("memory.kmem.usage_in_bytes"),
            memory: self.number(match version {
                Version::V1 => "memory.usage_in_bytes",
                Version::V2 => "memory.current",
            }),
        };
        if self.alive.listed && self.alive.layout.is_none() {
            counts.named = Some(0);
        }
        if let (Some((_, slab)), Some(zombies)) = (named, machine) {
            self.around.reparents = self.orphans(&slab) > zombies;
        }
        (counts, walked.unwrap_or_default())
    }

    /// The kernel's count of zombies on the whole machine.
    fn machine(&self) -> Option<u64> {
        let Course {
            root, hierarchy, ..
        } = *self.course;
        if hierarchy.version == Version::V2 {
            return self.dying(&hierarchy.mount);
        }
        let mut tries = 3;
        loop {
            let before = host::counts(root, hierarchy).ok()?.num_cgroups?;
            let directories = host::walk(root, hierarchy, &mut |_| {}).ok()?;
            let after = host::counts(root, hierarchy).ok()?.num_cgroups?;
            tries -= 1;
            if before == after || tries == 0 {
                return Some(after.saturating_sub(directories));
            }
        }
    }

    fn dying(&self, at: &Path) -> Option<u64> {
        let stat = self.course.root.read(at.join("cgroup.stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let mut lines = stat.lines();
        lines.find_map(|line| {
            line.strip_prefix("nr_dying_descendants ")?
                .trim()
                .parse()
                .ok()
        })
    }

    fn number(&self, file: &str) -> Option<u64> {
        let text = self.course.root.read(self.base.join(file)).ok()?;
        str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    /// Those of its own that have slab caches.
    fn named(&self, slab: &SlabMemcgs) -> u64 {
        let prefix = prefix(self.base);
        let own = slab
            .with_cache()
            .filter(|(_, memcg)| memcg.leaf.starts_with(&prefix));
        own.count() as u64
    }

    /// All that have slab caches and no directory.
    fn orphans(&self, slab: &SlabMemcgs) -> u64 {
        let mut leaves = HashSet::new();
        let _ = host::walk(self.course.root, self.course.hierarchy, &mut |directory| {
            let leaf = directory.path.rsplit(|&byte| byte == b'/').next();
            leaves.extend(leaf.map(Vec::from));
        });
        let orphans = slab.with_cache().filter(|(_, memcg)| {
            let mut names = std::iter::once(&memcg.leaf).chain(&memcg.or);
            !names.any(|leaf| leaves.contains(leaf))
        });
        orphans.count() as u64
    }
}
