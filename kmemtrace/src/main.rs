//! The `kmemtrace` command.

fn main() {}
