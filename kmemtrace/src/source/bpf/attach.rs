//! Loads the eBPF object and attaches its programs, or says why it cannot.

use aya::{
    Btf, Ebpf, EbpfLoader,
    programs::{Program, ProgramError},
};
use kmemtrace_common::layout::Layout;

use super::{refusal::explain, walk};
use crate::{
    error::Error,
    plan::{HookId, Way, WayKind},
    source::outcome::{HookOutcome, way_of},
};

/// The object that `cargo xtask bpf` built for this architecture, aligned as its loader wants it. The build script chose it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("KMEMTRACE_BPF_RING"));

/// Loads the maps, with `layout` injected and a ring of `ring_bytes`. No program is loaded yet.
pub(super) fn load(layout: &Layout, ring_bytes: u32) -> Result<Ebpf, Error> {
    EbpfLoader::new()
        .override_global("LAYOUT", layout, true)
        .map_max_entries("EVENTS", ring_bytes)
        .load(OBJECT)
        .map_err(|error| {
            Error::caused("cannot load the eBPF object", error)
                .help("it takes a kernel with eBPF and its ring buffer (Linux 5.8 and later), and the initial user namespace")
                .help("`kmemtrace scan` works without")
        })
}

/// Tries one way of a hook. `kmsg` says whether the kernel log can be read.
pub(super) fn attempt(
    ebpf: &mut Ebpf,
    way: &Way,
    types: Option<&Btf>,
    before: &[HookOutcome],
    kmsg: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    match way.kind {
        WayKind::Kmsg => kmsg(),
        WayKind::Release => release(before),
        WayKind::TestRun => walk::attempt(ebpf).map_err(|error| explain(way.kind.as_str(), &error)),
        _ => attach_way(ebpf, way, types),
    }
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
            .ok_or_else(|| format!("the eBPF object has no program {}", row.name))?;
        attach_program(program, row.target, types).map_err(|error| explain(row.target, &error))
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
