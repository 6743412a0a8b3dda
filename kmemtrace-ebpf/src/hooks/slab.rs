//! A slab allocation that failed: `slab_out_of_memory(cache, gfp, node)`, or the raw tracepoint `kmem_cache_alloc` with a
//! NULL result, or SLUB's message on its way to the console.

#![expect(
    unsafe_code,
    reason = "a raw tracepoint's context is an array behind a pointer"
)]

use aya_ebpf::{
    EbpfContext,
    macros::{kprobe, raw_tracepoint},
    programs::{ProbeContext, RawTracePointContext},
};
#[cfg(not(feature = "perf"))]
use aya_ebpf::{macros::fentry, programs::FEntryContext};
use kmemtrace_common::{
    layout::ABSENT,
    wire::{flag, kind, text_form},
};

use crate::{
    emit::Record,
    read::{self, Access, Probed, layout},
};

#[inline(always)]
fn failed(ctx: &impl EbpfContext, cache: u64, gfp: Option<(u32, i32)>) -> u32 {
    let Some(record) = Record::new(kind::SLAB_FAILURE) else {
        return 0;
    };
    if let Some((gfp, node)) = gfp {
        record.head.gfp = gfp;
        record.head.node = node;
        record.head.flags |= flag::GFP_KNOWN;
    }
    record.head.object_size = Probed::field(cache, layout!(cache_object_size)).unwrap_or(0);
    let name = Probed::pointer(cache, layout!(cache_name))
        .and_then(|name| read::string(name, &mut record.text, false));
    record.text(text_form::PLAIN, name);
    record.task();
    record.send(ctx);
    0
}

#[cfg(not(feature = "perf"))]
#[fentry(function = "slab_out_of_memory")]
fn fentry_slab(ctx: FEntryContext) -> u32 {
    failed(&ctx, ctx.arg(0), Some((ctx.arg(1), ctx.arg(2))))
}

#[kprobe(function = "slab_out_of_memory")]
fn kprobe_slab(ctx: ProbeContext) -> u32 {
    failed(
        &ctx,
        ctx.arg(0).unwrap_or(0),
        ctx.arg::<u32>(1).zip(ctx.arg::<i32>(2)),
    )
}

/// An argument of a raw tracepoint, by the number that the layout gives.
///
/// All of them are read, each at its own constant place: the verifier takes no computed one, and volatile keeps the
/// compiler from computing it.
#[inline(always)]
fn argument(ctx: &RawTracePointContext, number: u32) -> Option<u64> {
    let args: *const u64 = ctx.as_ptr().cast();
    // SAFETY: the verifier checks every access to the context, and refuses to attach what reads more than this
    // tracepoint's five arguments.
    let [first, second, third, fourth] = unsafe {
        [
            args.add(1).read_volatile(),
            args.add(2).read_volatile(),
            args.add(3).read_volatile(),
            args.add(4).read_volatile(),
        ]
    };
    match number {
        1 => Some(first),
        2 => Some(second),
        3 => Some(third),
        4 => Some(fourth),
        _ => None,
    }
}

/// Runs on every slab allocation of the machine: one comparison, then out.
#[raw_tracepoint(tracepoint = "kmem_cache_alloc")]
fn raw_tp_slab(ctx: RawTracePointContext) -> u32 {
    if argument(&ctx, layout!(alloc_result_arg)) != Some(0) {
        return 0;
    }
    let cache = argument(&ctx, layout!(alloc_cache_arg)).unwrap_or(0);
    let node = if layout!(alloc_node_arg) == ABSENT {
        -1
    } else {
        argument(&ctx, layout!(alloc_node_arg)).unwrap_or(0) as i32
    };
    let gfp = argument(&ctx, layout!(alloc_gfp_arg)).map(|gfp| (gfp as u32, node));
    failed(&ctx, cache, gfp)
}

/// How far into a line SLUB's message may begin: 5.10 puts `[    1.234567] ` before it.
const PREFIX: usize = 40;

#[raw_tracepoint(tracepoint = "console")]
fn raw_tp_console(ctx: RawTracePointContext) -> u32 {
    let (message, len): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let mut start = [0u8; PREFIX + 4];
    if len < start.len() as u64 || read::prefix(message, &mut start).is_none() {
        return 0;
    }
    let mut found = false;
    for at in 0..PREFIX {
        found |= start[at] == b'S'
            && start[at + 1] == b'L'
            && start[at + 2] == b'U'
            && start[at + 3] == b'B';
    }
    if !found {
        return 0;
    }
    let Some(record) = Record::new(kind::CONSOLE) else {
        return 0;
    };
    let text = read::bytes(message, len, &mut record.text);
    record.text(text_form::PLAIN, text);
    record.task();
    record.send(&ctx);
    0
}
