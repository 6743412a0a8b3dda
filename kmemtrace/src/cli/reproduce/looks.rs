//! What is seen of the zombies on the way.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{
        progress::bar,
        scan::{Keepers, PinTotal, counted},
    },
    Course,
    outcome::{Done, Step},
};
use crate::{
    diagnose::facts::Kinds,
    error::Error,
    host::{self, SlabLayout, Version},
};

/// How often to look whether zombies are gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The looks so far.
pub(super) struct Looks<'a> {
    course: &'a Course<'a>,
    /// The cgroup that all are in.
    base: &'a Path,
    /// Zombies that were there before.
    before: u64,
    pub(super) steps: Vec<Step>,
    /// Walks of the kernel's own tree, or why there are none.
    pub(super) keepers: Result<Keepers, String>,
}

/// What was seen at one moment.
struct Seen {
    zombies: u64,
    /// There may be more.
    at_least: bool,
    /// These are the ones that were made, and no others.
    own: bool,
    /// What keeps them, if that is known.
    pins: Vec<PinTotal>,
}

impl<'a> Looks<'a> {
    /// Begins, before anything of the course's is removed.
    pub(super) fn new(course: &'a Course<'a>, base: &'a Path) -> Result<Self, Error> {
        let mut looks = Self {
            course,
            base,
            before: 0,
            steps: Vec::new(),
            keepers: Ok(Keepers::new(course.root)),
        };
        // Found out now, so that all looks count the same way.
        if let Err(reason) = looks.walk() {
            looks.keepers = Err(reason);
        }
        looks.before = looks.see()?.zombies;
        Ok(looks)
    }

    /// Whether the last one saw zombies.
    pub(super) fn any(&self) -> bool {
        self.steps.last().is_some_and(|step| step.zombies > 0)
    }

    /// Waits until no zombie is left, or until time is up, and notes what is left.
    pub(super) fn look(&mut self, done: Done) -> Result<(), Error> {
        let Course {
            hierarchy,
            wait,
            interrupt,
            catalogue,
            ..
        } = *self.course;
        let began = Instant::now();
        let mut seen = self.see()?;
        let mut fell = began;
        let progress = bar(wait.as_millis() as u64, catalogue.word("reproduce-waiting"));
        while seen.zombies > self.before && began.elapsed() < wait && !interrupt.pressed() {
            if done != Done::Removed {
                self.nudge();
            }
            thread::sleep(LOOK_EVERY);
            progress.set_position(began.elapsed().as_millis() as u64);
            let now = self.see()?;
            if now.zombies < seen.zombies {
                fell = Instant::now();
            }
            seen = now;
        }
        progress.finish_and_clear();
        let stat = fs::read(self.base.join("memory.stat")).ok();
        let held = stat.and_then(|stat| Kinds::of(&stat, hierarchy.version));
        let kernel_memory = fs::read_to_string(self.base.join("memory.kmem.usage_in_bytes")).ok();
        let on_v2 = hierarchy.version == Version::V2;
        self.steps.push(Step {
            done,
            zombies: own(&seen, self.before),
            at_least: seen.at_least,
            after_ms: fell.duration_since(began).as_millis() as u64,
            pins: seen.pins,
            file: held.map(|held| held.file),
            shmem: held.map(|held| held.shmem),
            anon: held.map(|held| held.anon),
            slab: held.filter(|_| on_v2).map(|held| held.slab),
            sock: held.filter(|_| on_v2).map(|held| held.sock),
            kernel_memory: kernel_memory.and_then(|text| text.trim().parse().ok()),
        });
        Ok(())
    }

    /// Those that were made and are dead, in the kernel's own tree.
    fn walk(&mut self) -> Result<Vec<PinTotal>, String> {
        let keepers = self.keepers.as_mut().map_err(|reason| reason.clone())?;
        let mount = self.course.root.path(&self.course.hierarchy.mount);
        let base = self.base.strip_prefix(mount).unwrap_or(self.base);
        // What they were all in is no zombie of itself.
        keepers.below(&format!("/{}/all/", base.display()))
    }

    /// Has the kernel give back what processors keep of cgroups below the base (`drain_all_stock`), where it may reclaim as
    /// well: what is left is to go.
    fn nudge(&self) {
        // Neither is there on all kernels, and nothing depends on it.
        match self.course.hierarchy.version {
            Version::V1 => {
                let _ = fs::write(self.base.join("memory.force_empty"), "0");
            }
            Version::V2 => {
                let high = self.base.join("memory.high");
                let _ = fs::write(&high, "0");
                let _ = fs::write(&high, "max");
            }
        }
    }

    /// Zombies. Of its own alone, where the kernel tells: in its own tree, on v2 in each directory, on 3.10 in the names of
    /// slab caches. Else of the whole machine.
    fn see(&mut self) -> Result<Seen, Error> {
        if self.keepers.is_ok() {
            let pins = self
                .walk()
                .or_else(|_| self.walk())
                .map_err(|reason| Error::new(format!("cannot count zombies: {reason}")))?;
            return Ok(Seen {
                zombies: pins.iter().map(|total| total.zombies).sum(),
                at_least: false,
                own: true,
                pins,
            });
        }
        let seen = |zombies, at_least| Seen {
            zombies,
            at_least,
            own: at_least,
            pins: Vec::new(),
        };
        let Course {
            root, hierarchy, ..
        } = *self.course;
        if hierarchy.version == Version::V2 {
            let stat = fs::read_to_string(self.base.join("cgroup.stat")).unwrap_or_default();
            let dying = stat
                .lines()
                .find_map(|line| line.strip_prefix("nr_dying_descendants "));
            let dying = dying.and_then(|number| number.trim().parse().ok());
            return Ok(seen(dying.unwrap_or(0), false));
        }
        let slab = host::slab_memcgs(root);
        if slab.layout == Some(SlabLayout::TopLevel) {
            let name = self.base.file_name().unwrap_or_default().as_encoded_bytes();
            let own = slab
                .with_cache()
                .filter(|(_, memcg)| memcg.leaf.starts_with(name));
            return Ok(seen(own.count() as u64, true));
        }
        Ok(seen(counted(root, hierarchy, None)?.zombies_min, false))
    }
}

/// How many of the zombies are what was made: what counts others as well counts the cgroup that they were all in, too, which
/// lives as long as one of them.
fn own(seen: &Seen, before: u64) -> u64 {
    let more = seen.zombies.saturating_sub(before);
    if seen.own {
        more
    } else {
        more.saturating_sub(1)
    }
}
