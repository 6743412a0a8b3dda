//! The kernel walk by itself, without the hooks.

use std::time::Instant;

use aya::Ebpf;

use super::{
    attach::Loading,
    demand::Trigger,
    files::{FileWalker, Holdings},
    layout,
    objcgs::{LeftOver, ObjcgWalker},
    start::{raise_memlock, resolve, ring_size, trigger, types},
    walk::{self, KernelWalk, Memcg, Walker},
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
    trigger: Trigger,
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
        let types = types(facts)?;
        let layout = resolve(types.as_ref(), facts, hierarchy);
        let mut rows = plan::plan(Inputs {
            facts,
            layout: &layout,
            options: &Options::default(),
        });
        rows.retain(|row| [HookId::RECORDS, HookId::WALK].contains(&row.hook.id));
        if let Some(refusal) = rows
            .iter()
            .filter(|row| row.candidates.is_empty())
            .find_map(|row| row.refused.first())
        {
            return Err(Error::new(refusal.reason.clone()));
        }
        raise_memlock();
        let mut loading = Loading::new(&layout, ring_size(0), None);
        let outcomes = outcome::attach(rows, |way, before| loading.attempt(way, before, || Ok(())));
        let (mut ebpf, _) = loading.loaded(&outcomes)?;
        let trigger = trigger(&outcomes).ok_or_else(|| {
            let refused = outcomes.iter().filter(|outcome| outcome.way.is_none());
            let reasons = refused.flat_map(|outcome| &outcome.refused);
            let reasons: Vec<_> = reasons.map(|refusal| refusal.reason.clone()).collect();
            Error::new(reasons.join("; "))
        })?;
        let root = Root::live();
        let memcg_bytes = types.and_then(|types| {
            layout::memcg_bytes(&types, host::numa_nodes(&root)?, host::cpus(&root)?)
        });
        let mut walker = Walker::new(&mut ebpf, hierarchy.version, trigger)?;
        if let Some(file) = &facts.given_types {
            walk::check_types(file, &mut walker, &ebpf, hierarchy)?;
        }
        Ok(Self {
            walker,
            trigger,
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
            None => self
                .files
                .insert(FileWalker::load(&mut self.ebpf, self.trigger)?),
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
            None => self
                .objcgs
                .insert(ObjcgWalker::load(&mut self.ebpf, self.trigger)?),
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
