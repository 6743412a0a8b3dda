//! The memory hierarchy's directories.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, OFlags, RawDir, fstat, fstatfs, statat},
    io::Errno,
};

use super::{
    Hierarchy, Root, Version,
    open::{self, bounded},
    parse::about,
    slab::listing,
};

/// A directory that a walk came by.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// Its inode number: the cgroup's id on 5.5 and later, on 64-bit machines. In a copy of a machine's files it is the
    /// machine's, if the copy says so (see [`Root::at`]).
    pub id: u64,
    /// Its parent directory's; `None` for the hierarchy's root.
    pub parent_id: Option<u64>,
    /// Its path from the hierarchy's root, which is `/`.
    pub path: &'a [u8],
    /// Whether it has a memcg of its own. v1: always; v2: only below a directory with `memory` in its
    /// `cgroup.subtree_control`, which shows as files `memory.*`.
    pub memory: bool,
    /// Where it is: its parent, and its name in there, or itself and `.`.
    at: BorrowedFd<'a>,
    name: &'a CStr,
    /// After so long it is not just being made any more; `None` in a copy.
    settles: Option<Duration>,
}

impl Directory<'_> {
    /// Opens a file in it, without going through the path.
    ///
    /// # Errors
    ///
    /// As the kernel gives them: `NotFound` or `ENODEV` if the directory is gone by now. A symbolic link is refused.
    pub fn open(&self, file: &str) -> io::Result<File> {
        let name = [self.name.to_bytes(), b"/", file.as_bytes()].concat();
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(open::at(self.at, &name, flags)?.into())
    }

    /// Reads a file that is not safe to read while the directory is being made, if that is at least a minute ago; else
    /// `None`. Of a copy everything is safe to read.
    ///
    /// The directory's own times tell. On 3.10 they are those of its making; on kernfs those at which its inode came into
    /// memory, which is later. A time that is ahead of the clock is not believed.
    ///
    /// # Errors
    ///
    /// As of [`Directory::read`].
    pub fn read_if_settled(&self, file: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(settles) = self.settles else {
            return self.read(file, most).map(Some);
        };
        // What stands under this name may be another one by the time that the file is opened: so the directory first.
        let here = directory(self.at, self.name)?;
        let stat = fstat(&here)?;
        let changed = stat.st_mtime.max(stat.st_ctime);
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        if now.saturating_sub(changed) < settles.as_secs().cast_signed() {
            // Looking for it does not call the kernel's reader.
            statat(&here, file, AtFlags::SYMLINK_NOFOLLOW)?;
            return Ok(None);
        }
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(open::at(&here, file.as_bytes(), flags)?);
        bounded(file, most).map(Some)
    }

    /// Reads a file in it that is no longer than `most` bytes.
    ///
    /// # Errors
    ///
    /// As of [`Directory::open`], or it is longer.
    pub fn read(&self, file: &str, most: u64) -> io::Result<Vec<u8>> {
        bounded(self.open(file)?, most)
    }
}

/// A directory that has been entered and whose children are being visited.
struct OpenDirectory {
    id: u64,
    /// Of the path: its length before this directory's name.
    path_len: usize,
    /// Subdirectories not visited yet.
    children: Vec<(CString, u64)>,
    /// Whether the children have memcgs.
    memory: bool,
}

/// Walks all directories of the hierarchy, parents before children, and counts them.
///
/// Depth first, with one open directory: down by the child's name, up by `..`, so that neither the depth nor the length of
/// the path is limited by the call stack, by `PATH_MAX` or by how many files may be open. A directory that is removed
/// meanwhile is passed over. On a cgroup file system a directory without subdirectories, as its link count tells
/// (`kernfs_refresh_inode` keeps it at subdirectories plus two), is not opened at all.
///
/// Every walk looks at every directory: what an earlier one saw cannot be used again. Seen on 6.18, v1 and v2 alike:
///
/// * The modification time stays as it was when a child is made or removed; it is the time at which the inode came into
///   memory, and changes when that is dropped and comes again. The kernel keeps a time only for a directory that has had its
///   mode, owner or an extended attribute set (`kernfs_add_one` and `__kernfs_remove` look for `kernfs_node.iattr`).
/// * The link count is that of the direct children: one made and one removed leave it, and so does all that happens deeper.
/// * Both are in the inode, so that a directory has to be looked at to tell that it need not be; for one without
///   subdirectories, as most are, that is all that is done anyway.
///
/// # Errors
///
/// The root cannot be opened, or a directory cannot be read for another reason than that it is gone; the error names it.
pub fn walk(
    root: &Root,
    hierarchy: &Hierarchy,
    each: &mut dyn FnMut(Directory<'_>),
) -> io::Result<u64> {
    let v1 = hierarchy.version == Version::V1;
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut path = Vec::with_capacity(4096);
    let mount = root.path(&hierarchy.mount);
    let mut here = listing::directory(CWD, mount.as_os_str().as_encoded_bytes())?;
    let links_count = counts_links(&here);
    let id = root.recorded_id(b"/");
    let id = id.map_or_else(|| fstat(&here).map(|stat| stat.st_ino), Ok)?;
    each(Directory {
        id,
        parent_id: None,
        path: b"/",
        memory: true,
        at: here.as_fd(),
        name: c".",
        settles: root.settles,
    });
    let mut count = 1;
    let mut levels = vec![OpenDirectory::enter(&here, id, 0, v1, &mut buffer)?];
    while let Some(level) = levels.last_mut() {
        let Some((name, id)) = level.children.pop() else {
            let left = level.path_len;
            levels.pop();
            if !levels.is_empty() {
                // Works in a removed directory, too. kernfs does not move directories to another parent.
                here =
                    directory(&here, c"..").map_err(|error| about(path.escape_ascii(), error))?;
            }
            path.truncate(left);
            continue;
        };
        let (parent_id, memory, path_len) = (level.id, level.memory, path.len());
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
        let stat = statat(&here, &name, AtFlags::SYMLINK_NOFOLLOW);
        let Some(stat) = unless_gone(&path, stat)? else {
            path.truncate(path_len);
            continue;
        };
        let id = root.recorded_id(&path).unwrap_or(id);
        each(Directory {
            id,
            parent_id: Some(parent_id),
            path: &path,
            memory,
            at: here.as_fd(),
            name: &name,
            settles: root.settles,
        });
        count += 1;
        let leaf = links_count && stat.st_nlink == 2;
        if !leaf
            && let Some(child) = unless_gone(&path, directory(&here, &name))?
            && let entered = OpenDirectory::enter(&child, id, path_len, v1, &mut buffer)
            && let Some(level) = unless_gone(&path, entered)?
        {
            levels.push(level);
            here = child;
        } else {
            path.truncate(path_len);
        }
    }
    Ok(count)
}

impl OpenDirectory {
    /// Lists a directory's subdirectories.
    fn enter(
        here: &OwnedFd,
        id: u64,
        path_len: usize,
        v1: bool,
        buffer: &mut Vec<u8>,
    ) -> rustix::io::Result<Self> {
        let mut children = Vec::new();
        let mut entries = RawDir::new(here, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." && is_directory(here, name, entry.file_type()) {
                children.push((name.to_owned(), entry.ino()));
            }
        }
        let memory = v1 || (!children.is_empty() && gives_memory(here));
        Ok(Self {
            id,
            path_len,
            children,
            memory,
        })
    }
}

/// Not every file system under a copy of a machine's files tells the type in the listing.
fn is_directory(here: &OwnedFd, name: &CStr, listed: FileType) -> bool {
    match listed {
        FileType::Unknown => statat(here, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        listed => listed == FileType::Directory,
    }
}

/// Whether this is a cgroup file system: others need not count subdirectories as links.
fn counts_links(here: &OwnedFd) -> bool {
    const CGROUP_SUPER_MAGIC: u32 = 0x0027_e0eb;
    const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;
    fstatfs(here)
        .is_ok_and(|fs| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&(fs.f_type as u32)))
}

/// v2: whether the children of a directory have memcgs: `memory` is in its `cgroup.subtree_control`.
fn gives_memory(here: &OwnedFd) -> bool {
    let file = open::at(here, b"cgroup.subtree_control", OFlags::empty());
    let mut text = Vec::new();
    // A directory that is gone has no children to tell about.
    file.is_ok_and(|file| File::from(file).read_to_end(&mut text).is_ok())
        && text
            .split(u8::is_ascii_whitespace)
            .any(|name| name == b"memory")
}

fn directory(at: impl AsFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    listing::directory(at, name.to_bytes())
}

/// `None` for what was removed between being seen and being looked at.
fn unless_gone<T>(path: &[u8], result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(error) => Err(about(path.escape_ascii(), error)),
    }
}
