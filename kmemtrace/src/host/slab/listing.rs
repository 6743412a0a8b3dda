//! Listing a directory with the types that the listing has: no stat for each name.

use std::{
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{AtFlags, FileType, OFlags, RawDir, statat};

use crate::host::open;

/// A name in a directory.
pub(in crate::host) struct ListedName<'a> {
    pub(in crate::host) name: &'a [u8],
    pub(in crate::host) inode: u64,
    pub(in crate::host) kind: NameKind,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum NameKind {
    Directory,
    Link,
    Other,
}

/// Opens a directory; a link is not followed.
pub(in crate::host) fn directory(at: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    open::at(at, name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

/// Tells all names but `.` and `..`.
pub(in crate::host) fn each(
    directory: &OwnedFd,
    tell: &mut dyn FnMut(ListedName<'_>),
) -> rustix::io::Result<()> {
    let mut buffer = Vec::with_capacity(128 << 10);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        tell(ListedName {
            name: name.to_bytes(),
            inode: entry.ino(),
            kind: kind(directory, name, entry.file_type()),
        });
    }
    Ok(())
}

/// Not every file system under a copy of a machine's files tells the type in the listing.
fn kind(directory: &OwnedFd, name: &CStr, listed: FileType) -> NameKind {
    let kind = match listed {
        FileType::Unknown => statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(listed, |stat| FileType::from_raw_mode(stat.st_mode)),
        listed => listed,
    };
    match kind {
        FileType::Directory => NameKind::Directory,
        FileType::Symlink => NameKind::Link,
        _ => NameKind::Other,
    }
}
