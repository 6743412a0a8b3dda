//! The kernel walk by itself, without the hooks.

use std::time::Instant;

use aya::Ebpf;

use super::{
    attach,
    files::{FileWalker, Holdings},
    layout,
    objcgs::{LeftOver, ObjcgWalker},
    start::{raise_memlock, resolve, ring_size, types},
    walk::{KernelWalk, Memcg, Walker},
};
use crate::{
    error::Error,
    host::{self, HostFacts, Root},
    plan::{self, HookId, Inputs, Lack, Options},
    source::outcome,
};

/// The walk's program, loaded, and what is known of this kernel.
pub struct KernelWalker {
    ebpf: Ebpf,
    walker: Walker,
    lacks: Vec<Lack>,
    memcg_bytes: Option<u64>,
    /// Why the files of page cache cannot be named.
    files_lack: Option<&'static str>,
    /// Why object cgroups cannot be told.
    objcgs_lack: Option<&'static str>,
    /// Loaded when it is first wanted.
    files: Option<FileWalker>,
    objcgs: Option<ObjcgWalker>,
}

impl KernelWalker {
    /// Loads the program.
    ///
    /// # Errors
    ///
    /// eBPF cannot be used here, the kernel refuses the program, or its types do not tell where the fields are.
    pub fn load(facts: &HostFacts) -> Result<Self, Error> {
        let hierarchy = facts.memory.as_ref();
        let hierarchy = hierarchy.map_err(|none| Error::new(none.to_string()))?;
        let types = types(facts);
        let layout = resolve(types.as_ref(), facts, hierarchy);
        let mut rows = plan::plan(Inputs {
            facts,
            layout: &layout,
            options: &Options::default(),
        });
        rows.retain(|row| row.hook.id == HookId::WALK);
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
        let memcg_bytes = types.and_then(|types| {
            layout::memcg_bytes(&types, host::numa_nodes(&root)?, host::cpus(&root)?)
        });
        Ok(Self {
            walker: Walker::new(&mut ebpf, hierarchy.version)?,
            ebpf,
            lacks: plan::walk_lacks(&layout, hierarchy.version),
            memcg_bytes,
            files_lack: plan::files_lack(&layout),
            objcgs_lack: plan::objcgs_lack(&layout),
            files: None,
            objcgs: None,
        })
    }

    /// Walks the kernel's own tree of memcgs, from its root (`css_next_descendant_pre`'s order).
    ///
    /// # Errors
    ///
    /// The program cannot be run, its maps cannot be read, or kernel memory cannot.
    pub fn walk(&mut self) -> Result<KernelWalk, Error> {
        self.walker.walk(&self.ebpf)
    }

    /// Which files the page cache of a memcg is of, as far as that can be told until `until`. `progress` is told now and then
    /// how many bytes of it were looked at.
    ///
    /// # Errors
    ///
    /// This kernel does not tell where the fields are, or refuses a program, or its maps cannot be read.
    pub fn holdings(
        &mut self,
        memcg: &Memcg,
        until: Instant,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Holdings, Error> {
        if let Some(lack) = self.files_lack {
            return Err(Error::new(lack));
        }
        let files = match &mut self.files {
            Some(files) => files,
            None => self.files.insert(FileWalker::load(&mut self.ebpf)?),
        };
        files.holdings(&self.ebpf, memcg, until, progress)
    }

    /// What removed memcgs left to the live ones that a walk found, as far as that can be told until `until`.
    ///
    /// # Errors
    ///
    /// As of [`Self::holdings`].
    pub fn left_over(&mut self, walk: &KernelWalk, until: Instant) -> Result<LeftOver, Error> {
        if let Some(lack) = self.objcgs_lack {
            return Err(Error::new(lack));
        }
        let objcgs = match &mut self.objcgs {
            Some(objcgs) => objcgs,
            None => self.objcgs.insert(ObjcgWalker::load(&mut self.ebpf)?),
        };
        objcgs.left_over(&self.ebpf, &walk.tree, until)
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
