//! How a step writes.

use std::{fs, io};

/// Writes to a file that has to be there: a shell's `echo` would make it.
pub(super) fn write(file: &std::path::Path, text: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all(text.as_bytes())
}
