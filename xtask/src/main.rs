//! kmemtrace build tasks.
fn main() {}
