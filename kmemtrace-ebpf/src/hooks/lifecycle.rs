//! A cgroup directory made, renamed and removed, and the cgroup's final release: the tracepoints `cgroup_mkdir`,
//! `cgroup_rename`, `cgroup_rmdir` and `cgroup_release`, all `(struct cgroup *, const char *path)`.

use aya_ebpf::{
    EbpfContext,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
#[cfg(not(feature = "perf"))]
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use kmemtrace_common::{
    layout::ABSENT,
    wire::{kind, text_form},
};

#[cfg(not(feature = "perf"))]
use crate::read::Typed;
use crate::{
    emit::Record,
    hooks::cgroup,
    read::{self, Access, Probed, Text, layout},
};

/// The kernel hands tracepoints a path that it cuts at the size of a buffer of its own. One longer than this is rebuilt
/// from the directories' names instead, wherever the cut may be.
const TRUSTED_PATH: u32 = 512;

/// Fills in what a `struct cgroup *` tells; `false` if it is of another hierarchy.
#[inline(always)]
fn describe<A: Access>(record: &mut Record, cgroup: u64, path: u64) -> bool {
    if let Some(root) = A::pointer(cgroup, layout!(cgroup_root))
        && let Some(hierarchy) = A::field::<u32>(root, layout!(root_hierarchy))
        && hierarchy != layout!(memory_hierarchy)
    {
        return false;
    }
    let kn = A::pointer(cgroup, layout!(cgroup_kn)).unwrap_or(0);
    cgroup::directory::<A>(record, kn);
    if record.head.kind != kind::RELEASE
        && let Some(css) = A::field::<u64>(cgroup, layout!(cgroup_memory_css))
    {
        cgroup::memcg::<A>(record, css);
    }
    let mut text = read::string(path, &mut record.text, false);
    let mut form = text_form::PLAIN;
    if text.is_none_or(|text| text.len > TRUSTED_PATH) && layout!(kn_parent) != ABSENT {
        let whole = read::components(kn, &mut record.text, 0);
        if whole.is_some() {
            text = whole;
            form = text_form::COMPONENTS;
        }
    }
    record.text(form, text);
    true
}

#[inline(always)]
fn from_pointers<A: Access>(ctx: &impl EbpfContext, kind: u32, cgroup: u64, path: u64) -> u32 {
    if let Some(record) = Record::new(kind)
        && describe::<A>(record, cgroup, path)
    {
        if kind != kind::RELEASE {
            record.task();
        }
        record.send(ctx);
    }
    0
}

/// The plain tracepoint's record has the hierarchy, the id and the path, but no pointers.
#[inline(always)]
fn from_record(kind: u32, ctx: &TracePointContext) -> u32 {
    let at = ctx.as_ptr() as u64;
    if Probed::field::<u32>(at, layout!(tp_root)).is_none_or(|h| h != layout!(memory_hierarchy)) {
        return 0;
    }
    let Some(record) = Record::new(kind) else {
        return 0;
    };
    record.head.cgroup_id = Probed::field(at, layout!(tp_id)).unwrap_or(0);
    // __data_loc: the low half says where in the record, the high half how long, NUL included
    let text = Probed::field::<u32>(at, layout!(tp_path)).and_then(|place| {
        read::bytes(
            at + u64::from(place & 0xffff),
            u64::from(place >> 16),
            &mut record.text,
        )
    });
    let text = text.map(|t| Text {
        len: t.len.saturating_sub(1),
        cut: t.cut,
    });
    record.text(text_form::PLAIN, text);
    if kind != kind::RELEASE {
        record.task();
    }
    record.send(ctx);
    0
}

macro_rules! lifecycle {
    ($kind:expr, $tracepoint:literal, $btf:ident, $raw:ident, $plain:ident) => {
        #[cfg(not(feature = "perf"))]
        #[btf_tracepoint(function = $tracepoint)]
        fn $btf(ctx: BtfTracePointContext) -> u32 {
            from_pointers::<Typed>(&ctx, $kind, ctx.arg(0), ctx.arg(1))
        }

        #[raw_tracepoint(tracepoint = $tracepoint)]
        fn $raw(ctx: RawTracePointContext) -> u32 {
            from_pointers::<Probed>(&ctx, $kind, ctx.arg(0), ctx.arg(1))
        }

        #[tracepoint]
        fn $plain(ctx: TracePointContext) -> u32 {
            from_record($kind, &ctx)
        }
    };
}

lifecycle!(
    kind::MKDIR,
    "cgroup_mkdir",
    tp_btf_mkdir,
    raw_tp_mkdir,
    tp_mkdir
);
lifecycle!(
    kind::RMDIR,
    "cgroup_rmdir",
    tp_btf_rmdir,
    raw_tp_rmdir,
    tp_rmdir
);
lifecycle!(
    kind::RELEASE,
    "cgroup_release",
    tp_btf_release,
    raw_tp_release,
    tp_release
);
lifecycle!(
    kind::RENAME,
    "cgroup_rename",
    tp_btf_rename,
    raw_tp_rename,
    tp_rename
);
