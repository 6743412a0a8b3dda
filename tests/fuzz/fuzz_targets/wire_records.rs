//! The eBPF programs' records.

#![no_main]

use bytes::Bytes;
use kmemtrace::event::wire::{Context, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&flags, record)) = data.split_first() else {
        return;
    };
    let context = Context {
        page_bytes: 4096,
        release_tells_mkdir_failure: flags & 1 != 0,
        mount: b"/sys/fs/cgroup/memory".to_vec(),
    };
    let _ = decode(&Bytes::copy_from_slice(record), &context);
});
