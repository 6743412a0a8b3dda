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
        scan::{Keepers, counted},
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
    /// Once there was a zombie to be explained.
    keepers: Option<Keepers>,
    /// Why nothing tells what keeps each.
    pub(super) refused: Option<String>,
}

impl<'a> Looks<'a> {
    /// Begins, before anything of the course's is removed.
    pub(super) fn new(course: &'a Course<'a>, base: &'a Path) -> Result<Self, Error> {
        let mut looks = Self {
            course,
            base,
            before: 0,
            steps: Vec::new(),
            keepers: None,
            refused: None,
        };
        looks.before = looks.zombies()?.0;
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
        let (mut zombies, mut at_least) = self.zombies()?;
        let mut fell = began;
        let progress = bar(wait.as_millis() as u64, catalogue.word("reproduce-waiting"));
        while zombies > self.before && began.elapsed() < wait && !interrupt.pressed() {
            if done != Done::Removed {
                self.nudge();
            }
            thread::sleep(LOOK_EVERY);
            progress.set_position(began.elapsed().as_millis() as u64);
            let now = self.zombies()?;
            if now.0 < zombies {
                fell = Instant::now();
            }
            (zombies, at_least) = now;
        }
        progress.finish_and_clear();
        let stat = fs::read(self.base.join("memory.stat")).ok();
        let held = stat.and_then(|stat| Kinds::of(&stat, hierarchy.version));
        let kernel_memory = fs::read_to_string(self.base.join("memory.kmem.usage_in_bytes")).ok();
        let on_v2 = hierarchy.version == Version::V2;
        let zombies = own(zombies, self.before, at_least);
        let mut step = Step {
            done,
            zombies,
            at_least,
            after_ms: fell.duration_since(began).as_millis() as u64,
            pins: Vec::new(),
            file: held.map(|held| held.file),
            shmem: held.map(|held| held.shmem),
            anon: held.map(|held| held.anon),
            slab: held.filter(|_| on_v2).map(|held| held.slab),
            sock: held.filter(|_| on_v2).map(|held| held.sock),
            kernel_memory: kernel_memory.and_then(|text| text.trim().parse().ok()),
        };
        if zombies > 0 && self.course.explain {
            self.explain(&mut step);
        }
        self.steps.push(step);
        Ok(())
    }

    /// What keeps each of them, where the kernel's own tree can be walked.
    fn explain(&mut self, step: &mut Step) {
        let course = self.course;
        let keepers = self
            .keepers
            .get_or_insert_with(|| Keepers::new(course.root, course.hierarchy));
        let mount = course.root.path(&course.hierarchy.mount);
        let base = self.base.strip_prefix(mount).unwrap_or(self.base);
        // What they were all in is no zombie of itself.
        match keepers.below(&format!("/{}/all/", base.display())) {
            Ok(pins) => step.pins = pins,
            Err(reason) => self.refused = Some(reason),
        }
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

    /// Zombies, and whether there may be more. Of its own alone, where the kernel tells: on v2 each directory counts, on
    /// 3.10 slab caches have the names. Else of the whole machine.
    fn zombies(&self) -> Result<(u64, bool), Error> {
        let Course {
            root, hierarchy, ..
        } = *self.course;
        if hierarchy.version == Version::V2 {
            let stat = fs::read_to_string(self.base.join("cgroup.stat")).unwrap_or_default();
            let dying = stat
                .lines()
                .find_map(|line| line.strip_prefix("nr_dying_descendants "));
            return Ok((
                dying
                    .and_then(|number| number.trim().parse().ok())
                    .unwrap_or(0),
                false,
            ));
        }
        let slab = host::slab_memcgs(root);
        if slab.layout == Some(SlabLayout::TopLevel) {
            let name = self.base.file_name().unwrap_or_default().as_encoded_bytes();
            let own = slab
                .with_cache()
                .filter(|(_, memcg)| memcg.leaf.starts_with(name));
            return Ok((own.count() as u64, true));
        }
        let count = counted(root, hierarchy, None)?;
        Ok((count.zombies_min, false))
    }
}

/// How many of the zombies are what was made: the cgroup that they were all in lives as long as one of them. Slab caches
/// name them alone.
fn own(zombies: u64, before: u64, named: bool) -> u64 {
    let more = zombies.saturating_sub(before);
    if named { more } else { more.saturating_sub(1) }
}
