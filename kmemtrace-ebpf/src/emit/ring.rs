//! Records through one ring buffer (5.8 and later).

#![expect(unsafe_code, reason = "the helpers are unsafe functions")]

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE},
    helpers::generated,
    macros::map,
    maps::RingBuf,
};
use kmemtrace_common::wire::RING_BYTES;

use super::Record;

/// The ring buffer; the collector sets its size.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Copies the first `bytes` of a record to the ring; not 0 if there is no room.
#[inline(always)]
pub(super) fn output(_: &impl EbpfContext, record: &mut Record, bytes: u64) -> i64 {
    let ring = (&raw const EVENTS).cast_mut().cast();
    // Waking the collector for an event costs several times the event (an interrupt of its own). It looks by itself
    // many times a second, and is woken only where the ring fills faster than that.
    // SAFETY: the helper only reads the ring's positions.
    let (unread, size) = unsafe {
        (
            generated::bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)),
            generated::bpf_ringbuf_query(ring, u64::from(BPF_RB_RING_SIZE)),
        )
    };
    let wake = if unread > size / 4 {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: the caller's record has that many bytes.
    unsafe {
        generated::bpf_ringbuf_output(
            ring,
            core::ptr::from_mut(record).cast(),
            bytes,
            u64::from(wake),
        )
    }
}
