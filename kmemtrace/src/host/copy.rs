//! A copy of the files that kmemtrace reads, to be looked at elsewhere.

mod kmsg;
mod slab;

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use super::{
    Directory, Hierarchy, LogFile, POD_LOGS, Root, Slabinfo, Version, config_files, facts,
    files::{BYTES, ENTRIES, FILES, KMSG, MOUNT, NOTE, PROGRAMS, SMALL, V1, V2},
    inodes, logs,
    open::{self, bounded},
    page::RECORDED,
    pods::pod_logs,
    walk,
};

/// How a copy came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, directories and links in it.
    pub entries: u64,
    /// Bytes in its files.
    pub bytes: u64,
    /// Files that could not be read: in their place is `NAME.error`, with the reason.
    pub unread: u64,
    /// Files that were left out, as there are too many or they are too large.
    pub left_out: u64,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// What programs told, for a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramTexts {
    /// The lines of the journal that matter, if it was read.
    pub journal: Vec<LogFile>,
    /// The text of [`super::PROGRAMS`]; none if it is empty.
    pub programs: String,
}

/// Copies the files that kmemtrace reads into an archive, and makes `snapshot.txt` and `cgroup-dirs-inodes.txt` of its own.
/// `seconds` is the time now, since 1970.
///
/// # Errors
///
/// The archive cannot be written. What cannot be read is in it as `NAME.error`.
pub fn copy<W: Write>(
    root: &Root,
    seconds: u64,
    told: &ProgramTexts,
    archive: &mut tar::Builder<W>,
) -> io::Result<Copied> {
    let mut copy = Copy {
        root,
        seconds,
        archive,
        copied: Copied::default(),
    };
    for (path, most) in FILES {
        copy.machine_file(path, most)?;
    }
    for path in config_files(root) {
        copy.machine_file(&path, SMALL)?;
    }
    let facts = facts(root);
    if let Some(kernel) = facts.kernel.filter(|kernel| !kernel.contains('/'))
        && !root.has(Path::new("/proc/config.gz"))
    {
        let boot = format!("/boot/config-{kernel}");
        let modules = format!("/lib/modules/{kernel}/config");
        let at_boot = root.has(Path::new(&boot));
        copy.machine_file(if at_boot { &boot } else { &modules }, SMALL)?;
    }
    // What is in them is nobody's business; their names are the pods'.
    for name in pod_logs(root) {
        copy.directory(&[POD_LOGS.as_bytes(), b"/", &name].concat())?;
    }
    for mount in facts.cgroup_mounts {
        let memory = mount.options.iter().any(|option| option == "memory");
        if mount.version == Version::V2 || memory {
            // The hierarchy's directories, as well as those files, come with the walk.
            let hierarchy = facts.memory.as_ref().ok();
            if hierarchy.is_none_or(|hierarchy| hierarchy.mount != mount.mount) {
                copy.directory(mount.mount.as_os_str().as_bytes())?;
            }
            for file in MOUNT {
                let path = mount.mount.join(file);
                let bytes = open::file(&root.path(&path)).and_then(|file| bounded(file, SMALL));
                copy.file(path.as_os_str().as_bytes(), bytes)?;
            }
        }
    }
    match &facts.memory {
        Ok(hierarchy) => copy.hierarchy(hierarchy)?,
        Err(none) => copy.note(format!("no memory cgroups: {none}")),
    }
    slab::copy(&mut copy)?;
    let log = kmsg::read(root, &mut |note| copy.copied.notes.push(note));
    copy.file(KMSG.as_bytes(), log)?;
    if let Some(lines) = logs::to_copy(root, &told.journal) {
        copy.put_file(logs::COPIED.as_bytes(), &lines)?;
    }
    if !told.programs.is_empty() {
        copy.put_file(PROGRAMS.as_bytes(), told.programs.as_bytes())?;
    }
    copy.finish()
}

/// The kernel log, as `/dev/kmsg` gives it: the records that the kernel still has, or those of a copy. At most 16 MiB.
///
/// # Errors
///
/// It cannot be read. It takes root where `kernel.dmesg_restrict` is set.
pub fn kernel_log(root: &Root) -> io::Result<Vec<u8>> {
    kmsg::read(root, &mut |note| tracing::warn!("{note}"))
}

struct Copy<'a, W: Write> {
    root: &'a Root,
    seconds: u64,
    archive: &'a mut tar::Builder<W>,
    copied: Copied,
}

impl<W: Write> Copy<'_, W> {
    fn machine_file(&mut self, path: &str, most: u64) -> io::Result<()> {
        let read = |path: &str| {
            let file = open::file(&self.root.path(path));
            file.and_then(|file| bounded(file, most))
        };
        let mut bytes = read(path);
        if bytes.as_ref().is_err_and(gone)
            && let Ok(error) = read(&format!("{path}.error"))
        {
            bytes = Err(first_error(&error));
        }
        self.file(path.as_bytes(), bytes)
    }

    fn hierarchy(&mut self, hierarchy: &Hierarchy) -> io::Result<()> {
        let files = match hierarchy.version {
            Version::V1 => &V1[..],
            Version::V2 => &V2[..],
        };
        let (mut inodes, mut odd) = (Vec::new(), 0u64);
        let mut done = Ok(());
        let (root, mount) = (self.root, hierarchy.mount.as_os_str().as_bytes());
        let walked = walk(root, hierarchy, &mut |directory| {
            if done.is_err() {
                return;
            }
            let path = directory.path.strip_suffix(b"/").unwrap_or(directory.path);
            if path.contains(&b'\n') {
                odd += 1;
            } else {
                inodes.extend_from_slice(format!("{} .", directory.id).as_bytes());
                inodes.extend_from_slice(path);
                inodes.push(b'\n');
            }
            done = self.cgroup(&directory, &[mount, path].concat(), files);
        });
        done?;
        if let Err(error) = walked {
            self.note(format!("the cgroup directories are not all there: {error}"));
        }
        if odd > 0 {
            let inodes = inodes::INODES;
            self.note(format!("{inodes} leaves out {odd} paths with a newline"));
        }
        self.put_file(inodes::INODES.as_bytes(), &inodes)
    }

    fn cgroup(
        &mut self,
        directory: &Directory<'_>,
        place: &[u8],
        files: &[&str],
    ) -> io::Result<()> {
        self.directory(place)?;
        for name in files {
            // The root's are there already.
            if directory.parent_id.is_none() && MOUNT.contains(name) {
                continue;
            }
            let mut bytes = if *name == Slabinfo::FILE && directory.parent_id.is_some() {
                let read = directory.read_if_settled(name, SMALL);
                read.and_then(|bytes| bytes.ok_or_else(|| io::Error::other(Slabinfo::NOT_READ)))
            } else {
                directory.read(name, SMALL)
            };
            if bytes.as_ref().is_err_and(gone)
                && let Ok(error) = directory.read(&format!("{name}.error"), SMALL)
            {
                bytes = Err(first_error(&error));
            }
            self.file(&[place, b"/", name.as_bytes()].concat(), bytes)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Copied> {
        let copied = &self.copied;
        let mut text = format!(
            "kmemtrace snapshot, format 1\nmade by kmemtrace {} at {} seconds since 1970\n",
            env!("CARGO_PKG_VERSION"),
            self.seconds
        );
        if let Ok(page) = self.root.page() {
            let (bytes, by) = (page.size.bytes(), page.by.as_str());
            let _ = writeln!(text, "{RECORDED}{bytes} bytes (by {by})");
        }
        let _ = writeln!(text, "could not be read (NAME.error): {}", copied.unread);
        let _ = writeln!(text, "left out: {}", copied.left_out);
        for note in &copied.notes {
            let _ = writeln!(text, "note: {note}");
        }
        // It is there in any case.
        let mut header = self.header(tar::EntryType::Regular);
        header.set_size(text.len() as u64);
        self.archive
            .append_data(&mut header, NOTE, text.as_bytes())?;
        self.copied.entries += 1;
        Ok(self.copied)
    }

    fn note(&mut self, note: String) {
        if !self.copied.notes.contains(&note) {
            self.copied.notes.push(note);
        }
    }

    /// A file, or what reading it came to. One that is not there, or no more, is left out.
    fn file(&mut self, path: &[u8], bytes: io::Result<Vec<u8>>) -> io::Result<()> {
        match bytes {
            Ok(bytes) => self.put_file(path, &bytes),
            Err(error) if gone(&error) => Ok(()),
            Err(error) => {
                self.copied.unread += 1;
                let text = format!("{error}\n");
                self.put_file(&[path, b".error"].concat(), text.as_bytes())
            }
        }
    }

    fn put_file(&mut self, path: &[u8], bytes: &[u8]) -> io::Result<()> {
        if !self.room(bytes.len() as u64) {
            return Ok(());
        }
        let mut header = self.header(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        self.archive.append_data(&mut header, relative(path), bytes)
    }

    fn directory(&mut self, path: &[u8]) -> io::Result<()> {
        if !self.room(0) {
            return Ok(());
        }
        let mut header = self.header(tar::EntryType::Directory);
        header.set_size(0);
        self.archive
            .append_data(&mut header, relative(path), io::empty())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        if !self.room(0) {
            return Ok(());
        }
        let mut header = self.header(tar::EntryType::Symlink);
        header.set_size(0);
        let target = Path::new(OsStr::from_bytes(target));
        self.archive
            .append_link(&mut header, relative(path), target)
    }

    /// Whether there is room for one entry more.
    fn room(&mut self, bytes: u64) -> bool {
        let copied = &mut self.copied;
        let fits = copied.entries < ENTRIES && copied.bytes + bytes <= BYTES;
        if fits {
            copied.entries += 1;
            copied.bytes += bytes;
        } else {
            if copied.left_out == 0 {
                let most = BYTES >> 20;
                let note = format!("a snapshot ends at {ENTRIES} entries or {most} MiB");
                copied.notes.push(note);
            }
            copied.left_out += 1;
        }
        fits
    }

    /// Whoever gets it can read it, and nobody owns it.
    fn header(&self, kind: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(match kind {
            tar::EntryType::Directory => 0o755,
            tar::EntryType::Symlink => 0o777,
            _ => 0o644,
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.seconds);
        header
    }
}

/// An archive's paths begin at its root.
fn relative(path: &[u8]) -> &Path {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    Path::new(OsStr::from_bytes(path))
}

/// A copy of a copy has the errors that the first one met.
fn first_error(text: &[u8]) -> io::Error {
    io::Error::other(String::from_utf8_lossy(text).trim_end().to_owned())
}

/// Not there, or no longer.
fn gone(error: &io::Error) -> bool {
    let code = |errno: rustix::io::Errno| Some(errno.raw_os_error());
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == code(rustix::io::Errno::NODEV)
}

#[cfg(test)]
mod tests;
