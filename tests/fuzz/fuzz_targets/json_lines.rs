//! A trace: whatever a line gives is written and read again as the same.

#![no_main]

use kmemtrace::event::json::{Content, Item, Line, Reader, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for item in Reader::new(data).flatten() {
        let Item::Event(event) = item else { continue };
        // A year that the time's format has no room for can be read and not written.
        let Ok(line) = serde_json::to_vec(&Line::of(&event)) else {
            continue;
        };
        let parsed = parse(&line, 1).expect("what was written");
        assert_eq!(parsed.content, Content::Event(event));
    }
});
