//! One file per logical hook; in each, one thin wrapper per way of attaching. A program's name is `WAY_WHAT`; the
//! collector's hook table names the same programs. [`cgroup`] and [`lists`] have what several hooks share.

mod cgroup;
mod files;
mod lifecycle;
mod lists;
mod memcg;
mod mkdir_failure;
mod objcgs;
mod slab;
mod walk;

/// The wrappers of a function that runs when the collector wants it to: a raw tracepoint that is attached to nothing, for
/// `BPF_PROG_TEST_RUN`, and a uprobe, which sits on a function of the collector's own and runs when that is called. Each run is one
/// RCU read-side section (`__bpf_prog_test_run_raw_tp`, `trace_call_bpf`).
///
/// The function has a name of its own: one that the compiler makes depends on where it is built, and so would the object's bytes.
macro_rules! on_demand {
    ($run:ident, $name:literal, $raw:ident, $uprobe:ident) => {
        #[aya_ebpf::macros::raw_tracepoint(tracepoint = $name)]
        fn $raw(_: aya_ebpf::programs::RawTracePointContext) -> u32 {
            $run()
        }

        #[aya_ebpf::macros::uprobe]
        fn $uprobe(_: aya_ebpf::programs::ProbeContext) -> u32 {
            $run()
        }
    };
}
use on_demand;
