//! Where every file and directory of the machine's is opened and read, so that tests can count what a look costs.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::fs::{Mode, OFlags, openat};

/// Opens a file to be read.
pub(super) fn file(path: &Path) -> io::Result<File> {
    count::opened(path.as_os_str().as_encoded_bytes());
    File::open(path)
}

/// Opens a name in a directory, to be read.
pub(super) fn at(directory: impl AsFd, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    count::opened(name);
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// Reads all there is, if that is no more than `most` bytes.
pub(super) fn bounded(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    count::read(bytes.len());
    if bytes.len() as u64 > most {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, format!("longer than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(not(test))]
mod count {
    pub(super) fn opened(_: &[u8]) {}
    pub(super) fn read(_: usize) {}
}

#[cfg(test)]
pub(crate) use count::counted;

#[cfg(test)]
mod count {
    use std::cell::RefCell;

    /// What was opened and read.
    #[derive(Debug, Default)]
    pub(crate) struct OpenCount {
        /// The files and directories, as they were named.
        pub(crate) opened: Vec<String>,
        pub(crate) bytes: usize,
    }

    thread_local! {
        static COUNT: RefCell<Option<OpenCount>> = const { RefCell::new(None) };
    }

    /// Does something, and counts what it opens and reads in this thread.
    pub(crate) fn counted<T>(what: impl FnOnce() -> T) -> (T, OpenCount) {
        COUNT.set(Some(OpenCount::default()));
        let done = what();
        (done, COUNT.take().unwrap_or_default())
    }

    pub(super) fn opened(name: &[u8]) {
        COUNT.with_borrow_mut(|count| {
            if let Some(count) = count {
                count
                    .opened
                    .push(String::from_utf8_lossy(name).into_owned());
            }
        });
    }

    pub(super) fn read(bytes: usize) {
        COUNT.with_borrow_mut(|count| {
            if let Some(count) = count {
                count.bytes += bytes;
            }
        });
    }
}
