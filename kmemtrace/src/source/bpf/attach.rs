//! Loads the eBPF object and attaches its programs, or says why it cannot.

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{Program, ProgramError},
};
use kmemtrace_common::layout::Layout;

use super::{demand::Trigger, refusal, refusal::explain, walk};
use crate::{
    error::Error,
    plan::{HookId, Way, WayKind},
    source::outcome::{HookOutcome, reasons, way_of},
};

/// The objects that `cargo xtask bpf` built for this architecture, by what carries their records, aligned as their loader wants
/// it. The build script chose them.
static RING: &[u8] = aya::include_bytes_aligned!(env!("KMEMTRACE_BPF_RING"));
static PERF: &[u8] = aya::include_bytes_aligned!(env!("KMEMTRACE_BPF_PERF"));

/// The object that is loaded, once one is: the rest of the hooks are attached from it.
pub(super) struct Loading<'a> {
    layout: &'a Layout,
    ring_bytes: u32,
    /// The kernel's own types, for programs that attach by type.
    types: Option<Btf>,
    ebpf: Option<Ebpf>,
}

impl<'a> Loading<'a> {
    /// `layout` is injected; a ring has `ring_bytes`.
    pub(super) fn new(layout: &'a Layout, ring_bytes: u32, types: Option<Btf>) -> Self {
        Self {
            layout,
            ring_bytes,
            types,
            ebpf: None,
        }
    }

    /// Tries one way of a hook. `kmsg` says whether the kernel log can be read.
    pub(super) fn attempt(
        &mut self,
        way: &Way,
        before: &[HookOutcome],
        kmsg: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        if way.kind.carries_records() {
            self.ebpf = Some(load(way.kind, self.layout, self.ring_bytes)?);
            return Ok(());
        }
        let ebpf = self.ebpf.as_mut().ok_or("no eBPF object is loaded")?;
        match way.kind {
            WayKind::Kmsg => kmsg(),
            WayKind::Release => release(before),
            WayKind::TestRun => walk::attempt(ebpf, Trigger::TestRun),
            WayKind::Uprobe => walk::attempt(ebpf, Trigger::Uprobe),
            _ => attach_way(ebpf, way, self.types.as_ref()),
        }
    }

    /// The object, and what carries its records.
    ///
    /// # Errors
    ///
    /// None was loaded.
    pub(super) fn loaded(self, outcomes: &[HookOutcome]) -> Result<(Ebpf, WayKind), Error> {
        if let (Some(ebpf), Some(way)) = (self.ebpf, way_of(outcomes, HookId::RECORDS)) {
            return Ok((ebpf, way));
        }
        let records = outcomes.iter().find(|one| one.hook.id == HookId::RECORDS);
        let lines = records.map(reasons).unwrap_or_default();
        Err(Error::new(format!("cannot load the eBPF object:{lines}"))
            .help("it takes a kernel with eBPF and with memory maps of read-only data (Linux 5.2 and later)")
            .help("`kmemtrace scan` works without"))
    }
}

/// Loads the maps of the object whose records are carried in this way. No program is loaded yet.
fn load(way: WayKind, layout: &Layout, ring_bytes: u32) -> Result<Ebpf, String> {
    let mut loader = EbpfLoader::new();
    loader.override_global("LAYOUT", layout, true);
    let object = if way == WayKind::RingBuffer {
        loader.map_max_entries("EVENTS", ring_bytes);
        RING
    } else {
        PERF
    };
    loader
        .load(object)
        .map_err(|error| refusal::of_object(way, &error))
}

/// A release shows whether its directory was ever activated only to programs that get pointers.
fn release(outcomes: &[HookOutcome]) -> Result<(), String> {
    match way_of(outcomes, HookId::LIFECYCLE) {
        Some(WayKind::TpBtf | WayKind::RawTp) => Ok(()),
        _ => Err("requires the hook lifecycle by tp_btf or raw_tp".to_owned()),
    }
}

/// Attaches all programs of a way, or none.
fn attach_way(ebpf: &mut Ebpf, way: &Way, types: Option<&Btf>) -> Result<(), String> {
    let result = way.programs.iter().try_for_each(|row| {
        let program = ebpf
            .program_mut(row.name)
            .ok_or_else(|| format!("{}: only with a ring buffer", row.target))?;
        attach_program(program, row.target, types)
            .map_err(|error| explain(way.kind, row.target, &error))
    });
    if result.is_err() {
        for row in way.programs {
            if let Some(program) = ebpf.program_mut(row.name) {
                detach_program(program);
            }
        }
    }
    result
}

fn attach_program(
    program: &mut Program,
    target: &str,
    types: Option<&Btf>,
) -> Result<(), ProgramError> {
    let types = || types.ok_or(ProgramError::UnexpectedProgramType);
    match program {
        Program::BtfTracePoint(program) => {
            program.load(target, types()?)?;
            program.attach()?;
        }
        Program::FEntry(program) => {
            program.load(target, types()?)?;
            program.attach()?;
        }
        Program::FExit(program) => {
            program.load(target, types()?)?;
            program.attach()?;
        }
        Program::RawTracePoint(program) => {
            program.load()?;
            program.attach(target)?;
        }
        Program::KProbe(program) => {
            program.load()?;
            program.attach(target, 0)?;
        }
        Program::TracePoint(program) => {
            program.load()?;
            let (category, name) = target.split_once('/').unwrap_or(("", target));
            program.attach(category, name)?;
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    }
    Ok(())
}

/// Detaches and unloads; a program that is not loaded has nothing to undo.
fn detach_program(program: &mut Program) {
    let _ = match program {
        Program::BtfTracePoint(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::TracePoint(program) => program.unload(),
        _ => Ok(()),
    };
}
