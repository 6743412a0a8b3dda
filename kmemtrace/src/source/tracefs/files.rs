//! tracefs' files, written as it wants them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Writes to a file that is there.
pub(super) fn put(path: &Path, value: &str) -> io::Result<()> {
    write(OpenOptions::new().write(true).open(path)?, value)
}

/// Appends a command to `kprobe_events`: opened for anything but appending, the file loses everybody's probes.
pub(super) fn command(tracefs: &Path, command: &str) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .open(tracefs.join("kprobe_events"))?;
    write(file, command)
}

/// Takes a probe away that is switched on nowhere.
pub(super) fn remove_probe(tracefs: &Path, group: &str, name: &str) -> io::Result<()> {
    command(tracefs, &format!("-:{group}/{name}"))
}

/// One call: the kernel takes what it gets as a whole.
fn write(mut file: File, text: &str) -> io::Result<()> {
    let written = file.write(text.as_bytes())?;
    if written < text.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}
