//! The only writer of records: to the ring buffer ([`ring`]), or, in the object for kernels that have none, to a buffer for
//! each processor ([`perf`]).
//!
//! A record is put together in a per-CPU buffer and copied out at its exact length, so that a path of 60 bytes costs 60
//! bytes of room and one of 4 KiB is carried whole. Each kind of record has a buffer of its own: the kernel never
//! runs a program inside itself on one CPU, but one program may interrupt another (a slab failure inside a mkdir).

#![expect(
    unsafe_code,
    reason = "maps are shared with other CPUs; the helpers are unsafe functions"
)]

#[cfg(feature = "perf")]
mod perf;
#[cfg(not(feature = "perf"))]
mod ring;

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::map,
    maps::PerCpuArray,
};
use kmemtrace_common::wire::{HEAD_BYTES, Head, TEXT_MAX, flag, kind, text_form};

#[cfg(feature = "perf")]
use self::perf::output;
#[cfg(not(feature = "perf"))]
use self::ring::output;
use crate::read::{TEXT_ROOM, Text};

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
    pub(crate) fn send(&mut self, ctx: &impl EbpfContext) {
        let mut len = u64::from(self.head.text_len);
        if len > TEXT_MAX as u64 {
            len = TEXT_MAX as u64;
        }
        // The record holds HEAD_BYTES + TEXT_ROOM bytes, more than are copied.
        let refused = output(ctx, self, HEAD_BYTES as u64 + len);
        if refused != 0
            && let Some(drops) = DROPS.get_ptr_mut(self.head.kind)
        {
            // SAFETY: this CPU's own counter.
            unsafe { *drops += 1 }
        }
    }
}
