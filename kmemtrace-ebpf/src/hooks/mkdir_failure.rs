//! A `mkdir` that failed: `cgroup_mkdir(parent_kn, name, mode)` with a negative result, or, where asked for, the mkdir
//! system calls with one.

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_pid_tgid,
    macros::{kprobe, kretprobe, map, tracepoint},
    maps::LruHashMap,
    programs::{ProbeContext, RetProbeContext, TracePointContext},
};
#[cfg(not(feature = "perf"))]
use aya_ebpf::{macros::fexit, programs::FExitContext};
use kmemtrace_common::wire::{kind, text_form};

use crate::{
    emit::Record,
    read::{self, Access, Probed, layout},
};

/// What a call was made with, kept by its thread until it returns.
#[map]
static CALLS: LruHashMap<u64, [u64; 2]> = LruHashMap::with_max_entries(4096, 0);

#[inline(always)]
fn failed(ctx: &impl EbpfContext, parent: u64, name: u64, errno: i32) -> u32 {
    if errno >= 0 {
        return 0;
    }
    let cgroup = Probed::pointer(parent, layout!(kn_priv)).unwrap_or(0);
    let root = Probed::pointer(cgroup, layout!(cgroup_root)).unwrap_or(0);
    if Probed::field::<u32>(root, layout!(root_hierarchy))
        .is_some_and(|h| h != layout!(memory_hierarchy))
    {
        return 0;
    }
    let Some(record) = Record::new(kind::MKDIR_FAILURE) else {
        return 0;
    };
    record.head.errno = errno;
    record.head.parent_id = read::directory_id::<Probed>(parent).unwrap_or(0);
    let path = read::name(name, &mut record.text)
        .and_then(|len| read::components(parent, &mut record.text, len));
    record.text(text_form::COMPONENTS, path);
    record.task();
    record.send(ctx);
    0
}

#[cfg(not(feature = "perf"))]
#[fexit(function = "cgroup_mkdir")]
fn fexit_mkdir(ctx: FExitContext) -> u32 {
    // The result follows the three arguments; `bpf_get_func_ret` is for 5.17 and later only.
    failed(&ctx, ctx.arg(0), ctx.arg(1), ctx.arg(3))
}

#[kprobe(function = "cgroup_mkdir")]
fn kprobe_mkdir(ctx: ProbeContext) -> u32 {
    if let (Some(parent), Some(name)) = (ctx.arg(0), ctx.arg(1)) {
        // A full map forgets the oldest call: its failure then goes unseen, nothing else.
        let _ = CALLS.insert(bpf_get_current_pid_tgid(), [parent, name], 0);
    }
    0
}

#[kretprobe(function = "cgroup_mkdir")]
fn kretprobe_mkdir(ctx: RetProbeContext) -> u32 {
    if let Some([parent, name]) = finished() {
        failed(&ctx, parent, name, ctx.ret());
    }
    0
}

#[inline(always)]
fn finished() -> Option<[u64; 2]> {
    let thread = bpf_get_current_pid_tgid();
    let call = read::copied(CALLS.get_ptr(thread)?);
    let _ = CALLS.remove(thread);
    Some(call)
}

#[inline(always)]
fn syscall_begins(ctx: &TracePointContext, path_offset: u32) -> u32 {
    if let Some(path) = Probed::field::<u64>(ctx.as_ptr() as u64, path_offset) {
        let _ = CALLS.insert(bpf_get_current_pid_tgid(), [path, 0], 0);
    }
    0
}

#[inline(always)]
fn syscall_returns(ctx: &TracePointContext) -> u32 {
    let Some([path, _]) = finished() else {
        return 0;
    };
    let ret = Probed::field::<i64>(ctx.as_ptr() as u64, layout!(tp_exit_ret)).unwrap_or(0);
    if ret >= 0 {
        return 0;
    }
    let Some(record) = Record::new(kind::MKDIR_SYSCALL) else {
        return 0;
    };
    record.head.errno = ret as i32;
    let path = read::string(path, &mut record.text, true);
    record.text(text_form::PLAIN, path);
    record.task();
    record.send(ctx);
    0
}

#[tracepoint]
fn tp_enter_mkdir(ctx: TracePointContext) -> u32 {
    syscall_begins(&ctx, layout!(tp_mkdir_path))
}

#[tracepoint]
fn tp_enter_mkdirat(ctx: TracePointContext) -> u32 {
    syscall_begins(&ctx, layout!(tp_mkdirat_path))
}

#[tracepoint]
fn tp_exit_mkdir(ctx: TracePointContext) -> u32 {
    syscall_returns(&ctx)
}

#[tracepoint]
fn tp_exit_mkdirat(ctx: TracePointContext) -> u32 {
    syscall_returns(&ctx)
}
