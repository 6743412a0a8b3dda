//! A trace's file, plain or packed: it is read to its end whatever is in it.

#![no_main]

use kmemtrace::trace::Trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut trace) = Trace::new("trace", data) else {
        return;
    };
    let mut errors = 0;
    for item in &mut trace {
        errors += u64::from(item.is_err());
    }
    // Each error is a line, but for one that ends the file.
    assert!(errors <= trace.tally().lines + 1);
});
