//! The kernel log, as it is.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
};

use super::{KMSG, Root};
use crate::host::{files::LARGE, open::bounded};

/// Reads the records that the kernel still has: `PRIO,SEQ,USEC,FLAG;TEXT` lines with indented continuation lines. From a
/// copy of a machine's files, the copy's.
pub(super) fn read(root: &Root, note: &mut dyn FnMut(String)) -> io::Result<Vec<u8>> {
    if let Ok(copied) = std::fs::File::open(root.path(KMSG)) {
        return bounded(copied, LARGE);
    }
    let device = root.path("/dev/kmsg");
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.cast_signed());
    let mut log = options.open(device)?;
    if !log.metadata()?.file_type().is_char_device() {
        return Err(io::Error::other("not a device"));
    }
    let mut text = Vec::new();
    // Longer than any record (`CONSOLE_EXT_LOG_MAX`): a shorter buffer gets EINVAL.
    let mut record = vec![0; 32 << 10];
    while text.len() as u64 <= LARGE {
        match log.read(&mut record) {
            Ok(0) => return Ok(text),
            Ok(length) => text.extend_from_slice(&record[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(text),
            // Overwritten while it was read: on with the oldest that there is.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    note(format!("the kernel log ends after {} MiB", LARGE >> 20));
    Ok(text)
}
