//! The only writer to the ring buffer.
//!
//! A record is put together in a per-CPU buffer and copied out at its exact length, so that a path of 60 bytes costs 60
//! bytes of the ring and one of 4 KiB is carried whole. Each kind of record has a buffer of its own: the kernel never
//! runs a program inside itself on one CPU, but one program may interrupt another (a slab failure inside a mkdir).

#![expect(
    unsafe_code,
    reason = "maps are shared with other CPUs; the helpers are unsafe functions"
)]

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE},
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use kmemtrace_common::wire::{HEAD_BYTES, Head, RING_BYTES, TEXT_MAX, flag, kind, text_form};

use crate::read::{TEXT_ROOM, Text};

/// The ring buffer; the collector sets its size.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Records that found no room, by kind.
#[map]
static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(kind::COUNT, 0);

/// Where records are put together, by kind.
#[map]
static SCRATCH: PerCpuArray<Record> = PerCpuArray::with_max_entries(kind::COUNT, 0);

/// A record in the making.
#[repr(C)]
pub(crate) struct Record {
    pub(crate) head: Head,
    pub(crate) text: [u8; TEXT_ROOM],
}

impl Record {
    /// This CPU's buffer for `kind`, its head cleared and stamped with the time.
    #[inline(always)]
    pub(crate) fn new(kind: u32) -> Option<&'static mut Self> {
        // SAFETY: the buffer is this CPU's and this kind's; no other run of a program can hold it (see above).
        let record = unsafe { &mut *SCRATCH.get_ptr_mut(kind)? };
        record.head = Head::ZERO;
        record.head.kind = kind;
        // SAFETY: the helper takes nothing.
        record.head.mono_ns = unsafe { bpf_ktime_get_ns() };
        Some(record)
    }

    /// Adds who is running: the one who asked for a mkdir or rmdir. Not for what kworkers do on others' behalf.
    #[inline(always)]
    pub(crate) fn task(&mut self) {
        self.head.pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        self.head.comm = bpf_get_current_comm().unwrap_or_default();
    }

    /// Says what the text is; `None` leaves the record without one.
    #[inline(always)]
    pub(crate) fn text(&mut self, form: u32, text: Option<Text>) {
        if let Some(text) = text {
            self.head.text_form = form;
            self.head.text_len = text.len;
            if text.cut {
                self.head.flags |= flag::TEXT_CUT;
            }
        } else {
            self.head.text_form = text_form::NONE;
            self.head.flags |= flag::TEXT_CUT;
        }
    }

    /// Hands the record to the collector, or counts it as lost.
    #[inline(always)]
    pub(crate) fn send(&mut self) {
        let mut len = u64::from(self.head.text_len);
        if len > TEXT_MAX as u64 {
            len = TEXT_MAX as u64;
        }
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
        // SAFETY: the record holds HEAD_BYTES + TEXT_ROOM bytes, more than are copied.
        let refused = unsafe {
            generated::bpf_ringbuf_output(
                ring,
                core::ptr::from_mut(self).cast(),
                HEAD_BYTES as u64 + len,
                u64::from(wake),
            )
        };
        if refused != 0
            && let Some(drops) = DROPS.get_ptr_mut(self.head.kind)
        {
            // SAFETY: this CPU's own counter.
            unsafe { *drops += 1 }
        }
    }
}
