//! Logs: the kernel's records, lines and whole files in any form, and failed mkdirs.

#![no_main]

use kmemtrace::{
    event::klog::{LogReader, line, record, records, slab_failure},
    host::{MemoryPaths, failed_mkdir},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = record(data);
    let _ = line(data);
    if let Some(failure) = slab_failure(data) {
        let _ = failure.owned_cache();
    }
    let mut count = 0;
    let tally = records(data, &mut |_, _| count += 1);
    assert!(count <= tally.records);
    let _ = failed_mkdir(data, None, &MemoryPaths::default());
    let mut reader = LogReader::new(data, "log");
    let found = reader.by_ref().flatten().count() as u64;
    let tally = reader.tally();
    assert!(found + tally.skipped <= tally.lines);
});
