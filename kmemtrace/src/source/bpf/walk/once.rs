//! The kernel walk by itself, without the hooks.

use aya::Ebpf;

use super::{KernelWalk, Walker};
use crate::{
    error::Error,
    host::{self, Facts, Root},
    plan::{self, HookId, Inputs, Lack, Options},
    source::{
        bpf::{
            attach, layout,
            start::{raise_memlock, resolve, ring_size, types},
        },
        outcome,
    },
};

/// The walk's program, loaded, and what is known of this kernel.
pub struct KernelWalker {
    ebpf: Ebpf,
    walker: Walker,
    lacks: Vec<Lack>,
    memcg_bytes: Option<u64>,
}

impl KernelWalker {
    /// Loads the program.
    ///
    /// # Errors
    ///
    /// eBPF cannot be used here, the kernel refuses the program, or its types do not tell where the fields are.
    pub fn load(facts: &Facts) -> Result<Self, Error> {
        let hierarchy = facts.memory.as_ref();
        let hierarchy = hierarchy.map_err(|none| Error::new(none.to_string()))?;
        let layout = resolve(facts, hierarchy);
        let mut rows = plan::plan(Inputs {
            facts,
            layout: &layout,
            options: &Options::default(),
        });
        rows.retain(|row| row.hook.id == HookId::Walk);
        if let Some(refusal) = rows.iter().find_map(|row| row.refused.first()) {
            return Err(Error::new(refusal.reason.clone()));
        }
        raise_memlock();
        let mut ebpf = attach::load(&layout, ring_size(0))?;
        let outcomes = outcome::attach(rows, |way, before| {
            attach::attempt(&mut ebpf, way, None, before, || Ok(()))
        });
        if let Some(refusal) = outcomes.iter().find_map(|outcome| outcome.refused.first()) {
            return Err(Error::new(refusal.reason.clone()));
        }
        let root = Root::live();
        let memcg_bytes = types(facts).and_then(|types| {
            layout::memcg_bytes(&types, host::numa_nodes(&root)?, host::cpus(&root)?)
        });
        Ok(Self {
            walker: Walker::new(&mut ebpf)?,
            ebpf,
            lacks: plan::walk_lacks(&layout, hierarchy.version),
            memcg_bytes,
        })
    }

    /// Walks.
    ///
    /// # Errors
    ///
    /// The program cannot be run, its maps cannot be read, or kernel memory cannot.
    pub fn walk(&mut self) -> Result<KernelWalk, Error> {
        self.walker.walk(&self.ebpf)
    }

    /// What it cannot tell on this kernel, and why.
    pub fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    /// What one memcg costs the kernel, in bytes, at least: its structures and per-CPU counters.
    pub fn memcg_bytes(&self) -> Option<u64> {
        self.memcg_bytes
    }
}
