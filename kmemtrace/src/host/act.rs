//! What is done to a kernel: the verbs that change something do it through this, so that a test can put a kernel of its
//! own behind it (`host::tests::World`).

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Changes to a machine, and its time. Paths are the machine's own: `/sys/fs/cgroup/memory/x`.
pub trait Acts {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory; a cgroup's control files do not count.
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Writes to a file that exists.
    ///
    /// # Errors
    ///
    /// As the kernel gives them; `NotFound` if there is no such file.
    fn write(&self, path: &Path, text: &str) -> io::Result<()>;

    /// Writes dirty pages to disk, so that they can be dropped.
    fn sync(&self);

    /// Waits for this long.
    fn pause(&self, time: Duration);

    /// The time, on the clock by which [`Acts::pause`] waits.
    fn now(&self) -> Instant;
}

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Acts for Live {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        // Without O_CREAT: a control file that this kernel does not have must be an error, not a new file.
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        file.write_all(text.as_bytes())
    }

    fn sync(&self) {
        rustix::fs::sync();
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
