//! Where the entries of an archive go: below one directory, and through no link.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, symlinkat, unlinkat},
    io::Errno,
};

use super::{NAME, UnpackError};

/// How deep a path may be: the hierarchies on real machines have a dozen levels.
const DEPTH: usize = 256;

/// A directory that is being filled.
pub(super) struct Place {
    top: OwnedFd,
    /// The directory that the last entry went to: its neighbours come next.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Place {
    pub(super) fn new(top: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, top, flags, Mode::empty())?;
        Ok(Self { top, last: None })
    }

    pub(super) fn directory(&mut self, path: &[u8]) -> Result<(), UnpackError> {
        let parts = parts(path)?;
        self.enter(path, &parts)
    }

    pub(super) fn file(&mut self, path: &[u8], content: &mut dyn Read) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let create = || openat(parent, name, flags, mode);
        let file = create().or_else(|error| again(error, parent, name, create));
        let mut file = File::from(file.map_err(|error| at(path, error))?);
        io::copy(content, &mut file)?;
        Ok(())
    }

    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        // Links are in true directories, so that this many `..` lead to the top, and no further. Behind a name there may be
        // no `..`: the name may be a link itself.
        let above = parts(path)?.len().saturating_sub(1);
        let mut steps = target
            .split(|&byte| byte == b'/')
            .filter(|part| *part != b".");
        let ups = steps.by_ref().take_while(|part| *part == b"..").count();
        let leads_out = target.starts_with(b"/")
            || ups > above
            || target.is_empty()
            || target.len() as u64 > NAME
            || steps.any(|part| part == b"..");
        if leads_out {
            return Err(refused(
                path,
                "a symbolic link that may lead out of the archive",
            ));
        }
        let (parent, name) = self.parent(path)?;
        let create = || symlinkat(target, parent, name);
        let made = create().or_else(|error| again(error, parent, name, create));
        Ok(made.map_err(|error| at(path, error))?)
    }

    /// The directory that an entry goes to, and its name.
    fn parent<'a>(&mut self, path: &'a [u8]) -> Result<(&OwnedFd, &'a [u8]), UnpackError> {
        let parts = parts(path)?;
        let Some((name, above)) = parts.split_last() else {
            return Err(refused(path, "no name"));
        };
        self.enter(path, above)?;
        let parent = self.last.as_ref().map_or(&self.top, |(_, last)| last);
        Ok((parent, name))
    }

    /// Goes to a directory, and makes what is not there. A link on the way is an error.
    fn enter(&mut self, path: &[u8], parts: &[&[u8]]) -> Result<(), UnpackError> {
        let joined = parts.join(&b'/');
        if self.last.as_ref().is_some_and(|(last, _)| *last == joined) {
            return Ok(());
        }
        self.last = None;
        for part in parts {
            let here = self.last.as_ref().map_or(&self.top, |(_, last)| last);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = || openat(here, *part, flags, Mode::empty());
            let next = open().or_else(|error| match error {
                Errno::NOENT => {
                    mkdirat(here, *part, Mode::from_raw_mode(0o700))?;
                    open()
                }
                error => Err(error),
            });
            let next = match next {
                Ok(next) => next,
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(refused(path, "below what is not a directory"));
                }
                Err(error) => return Err(at(path, error).into()),
            };
            self.last = Some((joined.clone(), next));
        }
        Ok(())
    }
}

/// An archive may hold a file twice: the later counts. A directory is not replaced.
fn again<T>(
    error: Errno,
    parent: &OwnedFd,
    name: &[u8],
    create: impl Fn() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if error != Errno::EXIST {
        return Err(error);
    }
    unlinkat(parent, name, AtFlags::empty())?;
    create()
}

/// The names in a path.
fn parts(path: &[u8]) -> Result<Vec<&[u8]>, UnpackError> {
    if path.starts_with(b"/") {
        return Err(refused(path, "an absolute path"));
    }
    let names = path.split(|&byte| byte == b'/');
    let parts: Vec<_> = names
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    if parts.contains(&&b".."[..]) {
        return Err(refused(path, "a path with `..`"));
    }
    if parts.len() > DEPTH || path.len() as u64 > NAME || path.contains(&0) {
        return Err(refused(path, "not a path"));
    }
    Ok(parts)
}

fn refused(path: &[u8], problem: &'static str) -> UnpackError {
    let shown = path.get(..200).unwrap_or(path);
    UnpackError::Unsafe {
        path: shown.escape_ascii().to_string(),
        problem,
    }
}

fn at(path: &[u8], error: Errno) -> io::Error {
    super::super::super::parse::about(path.escape_ascii(), error)
}
