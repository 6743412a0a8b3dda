//! The memcg's own life, whatever becomes of its directory: `mem_cgroup_css_online`, `_offline`, `_released`, `_free`,
//! each with a `struct cgroup_subsys_state *`. On v2, writing `-memory` to `cgroup.subtree_control` ends memcgs that only
//! these see.

use aya_ebpf::{EbpfContext, macros::kprobe, programs::ProbeContext};
#[cfg(not(feature = "perf"))]
use aya_ebpf::{macros::fentry, programs::FEntryContext};
use kmemtrace_common::wire::{kind, text_form};

#[cfg(not(feature = "perf"))]
use crate::read::Typed;
use crate::{
    emit::Record,
    hooks::cgroup,
    read::{self, Access, Probed, layout},
};

#[inline(always)]
fn from_css<A: Access>(ctx: &impl EbpfContext, kind: u32, css: u64) -> u32 {
    let Some(record) = Record::new(kind) else {
        return 0;
    };
    let cgroup = A::pointer(css, layout!(css_cgroup)).unwrap_or(0);
    let kn = A::pointer(cgroup, layout!(cgroup_kn)).unwrap_or(0);
    cgroup::directory::<A>(record, kn);
    cgroup::memcg::<A>(record, css);
    let path = read::components(kn, &mut record.text, 0);
    record.text(text_form::COMPONENTS, path);
    if kind == kind::CSS_ONLINE {
        // `online_css` runs in whoever makes the directory or writes `+memory`; the other two in kworkers.
        record.task();
    }
    record.send(ctx);
    0
}

macro_rules! memcg {
    ($kind:expr, $function:literal, $fentry:ident, $kprobe:ident) => {
        #[cfg(not(feature = "perf"))]
        #[fentry(function = $function)]
        fn $fentry(ctx: FEntryContext) -> u32 {
            from_css::<Typed>(&ctx, $kind, ctx.arg(0))
        }

        #[kprobe(function = $function)]
        fn $kprobe(ctx: ProbeContext) -> u32 {
            from_css::<Probed>(&ctx, $kind, ctx.arg(0).unwrap_or(0))
        }
    };
}

memcg!(
    kind::CSS_ONLINE,
    "mem_cgroup_css_online",
    fentry_online,
    kprobe_online
);
memcg!(
    kind::CSS_OFFLINE,
    "mem_cgroup_css_offline",
    fentry_offline,
    kprobe_offline
);
memcg!(
    kind::CSS_FREE,
    "mem_cgroup_css_free",
    fentry_free,
    kprobe_free
);
memcg!(
    kind::CSS_FREE,
    "mem_cgroup_css_released",
    fentry_released,
    kprobe_released
);
