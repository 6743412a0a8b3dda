//! The kernel walk: every memcg that the kernel has, dead ones as well.
//!
//! Its program runs on demand, a bounded number of steps at a time, until it has been everywhere.

mod tree;

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use aya::{Ebpf, maps::Array};
use kmemtrace_common::walk::{Batch, Cursor, phase};

pub use self::tree::{Lru, Memcg, Stats, Tree};
use super::{
    called,
    demand::{OnDemand, Runner, Trigger, ValueMap},
};
use crate::{
    error::Error,
    host::{Hierarchy, PageSize, Version},
};

/// The program.
const PROGRAM: OnDemand = OnDemand {
    test_run: "raw_tp_walk",
    uprobe: "uprobe_walk",
    function: called::walk,
};

/// The map of where the walk stands.
const CURSOR: &str = "CURSOR";

/// How often to begin again if all that tells where the walk stands was freed between two runs.
const TRIES: u32 = 5;

/// A walk of more runs than this goes in circles: a hundred times what 65,535 memcgs take.
const RUNS: u32 = 500_000;

/// What a walk came to.
#[derive(Debug)]
pub struct KernelWalk {
    /// What it found.
    pub tree: Tree,
    /// It has been everywhere, and all that it came by made sense: what it did not find was not there all the time.
    pub complete: bool,
    /// Nodes that cannot be memcgs: they are not in the tree.
    pub not_understood: u64,
    /// The tree changed where the walk stood, and parts of it were walked again.
    pub changed: bool,
    /// How often the program was run.
    pub runs: u32,
    /// The CPU time that those runs took, system calls included.
    pub took: Duration,
}

/// The maps of the walk's program.
pub(super) struct Walker {
    cursor: ValueMap<Cursor>,
    nodes: ValueMap<Batch>,
    page_bytes: u64,
    version: Version,
    trigger: Trigger,
}

/// Loads the program and runs it once, to see whether it can be.
pub(super) fn attempt(ebpf: &mut Ebpf, trigger: Trigger) -> Result<(), String> {
    PROGRAM.load(ebpf, trigger)?;
    let run = PROGRAM.runner(ebpf, trigger);
    run.and_then(|run| run.run(&mut Duration::default()))
        .map_err(|error| error.reason())?;
    let map = ebpf
        .map(CURSOR)
        .ok_or("the eBPF object has no map CURSOR")?;
    let cursor = Array::<_, Cursor>::try_from(map).and_then(|map| map.get(&0, 0));
    let cursor = cursor.map_err(|error| format!("cannot read the map {CURSOR}: {error}"))?;
    if cursor.phase == phase::START {
        return Err("the program did not run".to_owned());
    }
    Ok(())
}

impl Walker {
    /// Takes the maps; the memory hierarchy is of this version.
    pub(super) fn new(ebpf: &mut Ebpf, version: Version, trigger: Trigger) -> Result<Self, Error> {
        Ok(Self {
            cursor: ValueMap::take(ebpf, CURSOR)?,
            nodes: ValueMap::take(ebpf, "NODES")?,
            page_bytes: PageSize::running().bytes(),
            version,
            trigger,
        })
    }

    /// Walks. The program must have been loaded.
    ///
    /// # Errors
    ///
    /// The program cannot be run, its maps cannot be read, or kernel memory cannot.
    pub(super) fn walk(&mut self, ebpf: &Ebpf) -> Result<KernelWalk, Error> {
        let program = PROGRAM.runner(ebpf, self.trigger)?;
        let mut walk = KernelWalk {
            tree: Tree::default(),
            complete: false,
            not_understood: 0,
            changed: false,
            runs: 0,
            took: Duration::ZERO,
        };
        for _ in 0..TRIES {
            self.cursor.set(Cursor::default())?;
            loop {
                let cursor = self.run(&program, &mut walk)?;
                walk.changed |= cursor.resumed > 0;
                match cursor.phase {
                    phase::DONE => {
                        walk.not_understood += walk.tree.remove_orphans();
                        walk.complete = walk.not_understood == 0;
                        return Ok(walk);
                    }
                    phase::LOST => break,
                    phase::BAD => {
                        return Err(Error::new(
                            "cannot walk the memory cgroups: a pointer in kernel memory cannot be read",
                        ));
                    }
                    _ if walk.runs >= RUNS => return Ok(walk),
                    _ => {}
                }
            }
            walk.changed = true;
        }
        Ok(walk)
    }

    /// Runs the program once and takes in what it found.
    fn run(&self, program: &Runner<'_>, walk: &mut KernelWalk) -> Result<Cursor, Error> {
        let before = self.cursor.get()?;
        program.run(&mut walk.took)?;
        walk.runs += 1;
        let cursor = self.cursor.get()?;
        // Where it did not run, the last run's are still there.
        if cursor.nodes > 0 && cursor.steps != before.steps {
            let nodes = self.nodes.get()?;
            for node in nodes.iter().take(cursor.nodes as usize) {
                match Memcg::read(node, self.page_bytes, self.version) {
                    Ok(memcg) => walk.tree.add(memcg),
                    Err(nonsense) => {
                        tracing::debug!("not believed: {nonsense}: {node:?}");
                        walk.not_understood += 1;
                    }
                }
            }
        }
        Ok(cursor)
    }
}

/// Makes sure that types from outside are this kernel's: a walk by them finds the hierarchy's root.
///
/// # Errors
///
/// It does not, or cannot walk.
pub(super) fn check_types(
    file: &Path,
    walker: &mut Walker,
    ebpf: &Ebpf,
    hierarchy: &Hierarchy,
) -> Result<(), Error> {
    let root = fs::metadata(&hierarchy.mount)
        .map_err(|error| Error::file("look at", &hierarchy.mount, error))?
        .ino();
    let others = |why: String| {
        Error::new(format!(
            "the types in {} are not this kernel's: {why}",
            file.display()
        ))
        .help("take those of the same release (`uname -r`), distribution and architecture")
    };
    let walk = walker.walk(ebpf).map_err(|error| others(error.reason()))?;
    let first = walk.tree.iter().find(|memcg| memcg.parent_serial == 0);
    match first.and_then(|memcg| memcg.cgroup_id) {
        Some(id) if id == root => Ok(()),
        Some(id) => Err(others(format!(
            "by them the root of {} is number {id}, and it is {root}",
            hierarchy.mount.display()
        ))),
        None => Err(others("by them there is no root memory cgroup".to_owned())),
    }
}
