//! kmemtrace's eBPF programs: they report which memory cgroup, when, who and how much, and decide nothing beyond
//! "is this the memory hierarchy".
//!
//! Each file in [`hooks`] is one logical hook with a thin wrapper for each way of attaching it; [`emit`] alone writes
//! into the ring buffer, [`read`] alone reads kernel memory.

#![no_std]
#![no_main]

mod emit;
mod hooks;
mod read;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel's word for who may call its GPL-only helpers.
#[expect(unsafe_code, reason = "a section name is an unsafe attribute")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
