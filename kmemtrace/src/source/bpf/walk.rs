//! The kernel walk: every memcg that the kernel has, dead ones as well.
//!
//! The program `raw_tp_walk` is attached to nothing. It is run on demand (`BPF_PROG_TEST_RUN`, since 5.10), a bounded
//! number of steps at a time, until it has been everywhere.

mod tree;

use std::time::Duration;

use aya::{
    Ebpf,
    programs::{Program, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun},
};
use kmemtrace_common::walk::{Batch, Cursor, phase};

pub use self::tree::{Lru, Memcg, Stats, Tree};
use super::demand::{self, ValueMap};
use crate::{error::Error, host::Version};

/// The program's name in the object.
const PROGRAM: &str = "raw_tp_walk";

/// How often to begin again if all that tells where the walk stands was freed between two runs.
const TRIES: u32 = 5;

/// A walk of more runs than this goes in circles: a hundred times what 65,535 memcgs take.
const RUNS: u32 = 500_000;

/// What a walk came to.
#[derive(Debug)]
pub struct KernelWalk {
    /// What it found.
    pub tree: Tree,
    /// It has been everywhere: what it did not find was not there all the time.
    pub complete: bool,
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
}

/// Loads the program and runs it once, to see whether it can be.
pub(super) fn attempt(ebpf: &mut Ebpf) -> Result<(), ProgramError> {
    let program = program(ebpf)?;
    program.load()?;
    program.test_run(RawTracePointRunOptions::new())?;
    Ok(())
}

fn program(ebpf: &mut Ebpf) -> Result<&mut RawTracePoint, ProgramError> {
    match ebpf.program_mut(PROGRAM) {
        Some(Program::RawTracePoint(program)) => Ok(program),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

impl Walker {
    /// Takes the maps; the memory hierarchy is of this version.
    pub(super) fn new(ebpf: &mut Ebpf, version: Version) -> Result<Self, Error> {
        Ok(Self {
            cursor: ValueMap::take(ebpf, "CURSOR")?,
            nodes: ValueMap::take(ebpf, "NODES")?,
            page_bytes: rustix::param::page_size() as u64,
            version,
        })
    }

    /// Walks. The program must have been loaded.
    ///
    /// # Errors
    ///
    /// The program cannot be run, its maps cannot be read, or kernel memory cannot.
    pub(super) fn walk(&mut self, ebpf: &Ebpf) -> Result<KernelWalk, Error> {
        let program = demand::program(ebpf, PROGRAM)?;
        let mut walk = KernelWalk {
            tree: Tree::default(),
            complete: false,
            changed: false,
            runs: 0,
            took: Duration::ZERO,
        };
        for _ in 0..TRIES {
            self.cursor.set(Cursor::default())?;
            loop {
                let cursor = self.run(program, &mut walk)?;
                walk.changed |= cursor.resumed > 0;
                match cursor.phase {
                    phase::DONE => {
                        walk.complete = true;
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
    fn run(&self, program: &RawTracePoint, walk: &mut KernelWalk) -> Result<Cursor, Error> {
        demand::run(program, PROGRAM, &mut walk.took)?;
        walk.runs += 1;
        let cursor = self.cursor.get()?;
        if cursor.nodes > 0 {
            let nodes = self.nodes.get()?;
            for node in nodes.iter().take(cursor.nodes as usize) {
                walk.tree
                    .add(Memcg::new(node, self.page_bytes, self.version));
            }
        }
        Ok(cursor)
    }
}
