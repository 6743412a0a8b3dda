//! What is charged to a memory cgroup, by a process of its own that goes from one to the next.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

/// A kind of kernel object, or of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Names that were looked for and are not there: on 3.10 they pin
    #[default]
    Dentries,
    /// Empty files on a disk: their inodes
    Inodes,
    /// Files on a disk with 64 KiB each: page cache
    PageCache,
    /// Files with 64 KiB each in /dev/shm
    Tmpfs,
    /// Open sockets
    Sockets,
}

/// So many names are looked for, and so many inodes made, in each cgroup.
const OBJECTS: usize = 50;

/// What is in a file: 64 KiB.
static CONTENT: [u8; 64 << 10] = [b'x'; 64 << 10];

impl Workload {
    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dentries => "dentries",
            Self::Inodes => "inodes",
            Self::PageCache => "page-cache",
            Self::Tmpfs => "tmpfs",
            Self::Sockets => "sockets",
        }
    }

    /// Below which directory files are made.
    pub(crate) fn directory(self, given: &Path) -> PathBuf {
        match self {
            Self::Tmpfs => PathBuf::from("/dev/shm"),
            _ => given.to_owned(),
        }
    }

    /// Makes it, in the cgroup that this process is in; what has to stay open is returned.
    fn make(self, at: &Path) -> io::Result<Option<UnixDatagram>> {
        match self {
            Self::Dentries => {
                for n in 0..OBJECTS {
                    // Nobody has made it. A directory of its own would be an inode as well.
                    let _ = fs::metadata(at.with_extension(n.to_string()));
                }
            }
            Self::Inodes => {
                fs::create_dir(at)?;
                for n in 0..OBJECTS {
                    File::create(at.join(n.to_string()))?;
                }
            }
            Self::PageCache => {
                let mut file = File::create(at)?;
                file.write_all(&CONTENT)?;
                // Until it is written, its pages cannot be given back.
                file.sync_all()?;
            }
            Self::Tmpfs => fs::write(at, CONTENT)?,
            Self::Sockets => return UnixDatagram::unbound().map(Some),
        }
        Ok(None)
    }
}

/// The one that all of them are in. It is removed last: that makes the kernel give back what processors keep of any cgroup
/// below it (`mem_cgroup_css_offline` calls `drain_all_stock`), which would pin the last few.
pub(crate) fn together(base: &Path) -> PathBuf {
    base.join("all")
}

/// The cgroup of a number: its name is found again in the names of slab caches.
pub(crate) fn leaf(base: &Path, number: u64) -> PathBuf {
    let name = base.file_name().unwrap_or_default().to_string_lossy();
    together(base).join(format!("{name}-{number}"))
}

/// Goes through the cgroups, makes what is wanted in each, says so, and keeps what is open until stdin ends.
pub(crate) fn run(base: &Path, count: u64, workload: Workload, files: &Path) -> io::Result<()> {
    // The root of the hierarchy: on v2 tasks cannot be in between.
    let above = base.ancestors().skip(1);
    let home = above
        .take_while(|at| at.join("cgroup.procs").exists())
        .last();
    let home = home.ok_or_else(|| io::Error::other("the cgroup is in no hierarchy"))?;
    let join = |cgroup: &Path| fs::write(cgroup.join("cgroup.procs"), "0");
    join(home)?;
    // What this program needs from disk for the first time is not to be charged to the first cgroup.
    let rehearsal = files.join("rehearsal");
    drop(workload.make(&rehearsal)?);
    let mut kept = Vec::new();
    let mut out = io::stdout().lock();
    for number in 0..count {
        join(&leaf(base, number))?;
        kept.extend(workload.make(&files.join(number.to_string()))?);
        join(home)?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    // The other end is closed when it is time to end.
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    drop(kept);
    Ok(())
}
