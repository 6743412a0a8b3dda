//! Records through a perf buffer for each processor, for kernels without ring buffers (before 5.8).

#![expect(unsafe_code, reason = "the helpers are unsafe functions")]

use aya_ebpf::{
    EbpfContext, bindings::BPF_F_CURRENT_CPU, helpers::generated, macros::map,
    maps::PerfEventByteArray,
};

use super::Record;

/// The buffers, by processor; the collector opens them.
#[map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new(0);

/// Copies the first `bytes` of a record to this processor's buffer; not 0 if there is no room, or no buffer.
#[inline(always)]
pub(super) fn output(ctx: &impl EbpfContext, record: &mut Record, bytes: u64) -> i64 {
    // SAFETY: the caller's record has that many bytes.
    unsafe {
        generated::bpf_perf_event_output(
            ctx.as_ptr(),
            (&raw const EVENTS).cast_mut().cast(),
            BPF_F_CURRENT_CPU,
            core::ptr::from_mut(record).cast(),
            bytes,
        )
    }
}
