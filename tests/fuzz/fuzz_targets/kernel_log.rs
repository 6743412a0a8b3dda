//! The kernel log: a record, a line of a file, and a whole file.

#![no_main]

use kmemtrace::event::klog::{LogReader, line, record, slab_failure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = record(data);
    let _ = line(data);
    if let Some(failure) = slab_failure(data) {
        let _ = failure.owned_cache();
    }
    let mut reader = LogReader::new(data, "log");
    let found = reader.by_ref().flatten().count() as u64;
    let tally = reader.tally();
    assert!(found + tally.skipped <= tally.lines);
});
