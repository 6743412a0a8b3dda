//! `--root`: a copy of some machine's files instead of this machine, as a directory or as an archive.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    error::Error,
    host::{
        Root,
        archive::{Unpacked, unpack},
        uptime_ns,
    },
    text::escape::Name,
};

/// Which machine's files to read.
#[derive(clap::Args, Debug)]
pub(super) struct RootArg {
    /// Read a copy of some machine's /proc and /sys instead: a directory, or an archive (.tar, .tar.gz, .tar.zst) such as
    /// `kmemtrace snapshot` makes. If it holds several copies, add `:` and the directory of the one that is meant. A copy
    /// is looked at once
    #[arg(long, value_name = "COPY")]
    root: Option<PathBuf>,
}

/// Where the kernel's types are, for a kernel that does not tell them itself.
#[derive(clap::Args, Debug, Default)]
pub(super) struct TypesArg {
    /// The types of the running kernel (raw BTF, as `BTFHub` has it), if there is no /sys/kernel/btf/vmlinux. They tell
    /// where the fields are that eBPF programs read
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
}

impl TypesArg {
    /// The machine with these types.
    pub(super) fn of(&self, root: Root) -> Root {
        root.with_types(self.btf.clone())
    }
}

/// The machine, for as long as its files are needed.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) root: Root,
    /// It is this one, as it is now.
    pub(super) live: bool,
    /// Where an archive was unpacked: removed in the end.
    _unpacked: Option<TempDir>,
}

impl RootArg {
    /// The machine that is meant; this one with these types.
    pub(super) fn open(&self, types: &TypesArg) -> Result<Machine, Error> {
        let Some(given) = &self.root else {
            return Ok(Machine {
                root: types.of(Root::live()),
                live: true,
                _unpacked: None,
            });
        };
        let (mut roots, unpacked) = copies(given, |file, unpacked, inside| {
            Ok(vec![choose(file, unpacked, inside)?])
        })?;
        Ok(Machine {
            // There is one: it was chosen, or there is an error.
            root: roots.pop().unwrap_or_else(|| Root::at(given)),
            live: false,
            _unpacked: unpacked,
        })
    }
}

/// Copies of one machine's files, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pub(super) roots: Vec<Root>,
    /// Where archives were unpacked: removed in the end.
    unpacked: Vec<TempDir>,
}

impl Copies {
    /// All copies that are given; of an archive that holds several, all of them.
    pub(super) fn open(given: &[PathBuf]) -> Result<Self, Error> {
        let mut all = Self::default();
        for given in given {
            let (roots, unpacked) = copies(given, |file, unpacked, inside| {
                if inside.as_os_str().is_empty() && unpacked.snapshots.len() > 1 {
                    return Ok(unpacked.snapshots.clone());
                }
                Ok(vec![choose(file, unpacked, inside)?])
            })?;
            all.roots.extend(roots);
            all.unpacked.extend(unpacked);
        }
        // Those that do not tell their time stay where they were given.
        if all.roots.iter().all(|root| uptime_ns(root).is_some()) {
            all.roots.sort_by_key(uptime_ns);
        }
        Ok(all)
    }
}

/// The copies behind one `--root`: `which` chooses among those of an archive.
fn copies(
    given: &Path,
    which: impl Fn(&Path, &Unpacked, &Path) -> Result<Vec<PathBuf>, Error>,
) -> Result<(Vec<Root>, Option<TempDir>), Error> {
    let (file, inside) = split(given);
    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|error| Error::caused(format!("cannot read {}", name(&file)), error))?;
    if metadata.is_dir() {
        return Ok((vec![Root::at(file.join(inside))], None));
    }
    let directory = TempDir::with_prefix("kmemtrace-").map_err(|error| {
        Error::caused("cannot make a directory to unpack in", error).help("set TMPDIR to one")
    })?;
    let unpacked = unpack(&file, directory.path()).map_err(|refused| {
        Error::caused(format!("cannot unpack {}", name(&file)), refused)
            .help("--root takes a directory, or a .tar, .tar.gz or .tar.zst archive")
    })?;
    if unpacked.passed_over > 0 {
        tracing::warn!(
            "{}: passed over {} entries that are neither files nor directories nor symbolic links",
            name(&file),
            unpacked.passed_over
        );
    }
    let snapshots = which(&file, &unpacked, &inside)?;
    let roots = snapshots
        .iter()
        .map(|at| Root::at(directory.path().join(at)));
    Ok((roots.collect(), Some(directory)))
}

/// `FILE:SUBDIR`, unless there is a file of that name.
fn split(given: &Path) -> (PathBuf, PathBuf) {
    let bytes = given.as_os_str().as_bytes();
    let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    match bytes.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !given.exists() && path(&bytes[..colon]).exists() => {
            (path(&bytes[..colon]), path(&bytes[colon + 1..]))
        }
        _ => (given.to_path_buf(), PathBuf::new()),
    }
}

/// The one copy in the archive, or the one that ends with what was asked for.
fn choose(file: &Path, unpacked: &Unpacked, inside: &Path) -> Result<PathBuf, Error> {
    let all = &unpacked.snapshots;
    let of: Vec<_> = all
        .iter()
        .filter(|snapshot| inside.as_os_str().is_empty() || snapshot.ends_with(inside))
        .collect();
    let list = |error: Error, of: &[&PathBuf]| {
        let most = of.iter().take(20);
        most.fold(error, |error, snapshot| {
            error.help(format!("--root {}:{}", name(file), name(snapshot)))
        })
    };
    match (&of[..], all.len()) {
        ([one], _) => Ok((*one).clone()),
        (_, 0) => Err(Error::new(format!(
            "{} holds no copy of a machine's files: no directory `proc`",
            name(file)
        ))
        .help("`kmemtrace snapshot -o FILE.tar.zst` makes one")),
        ([], _) => {
            let all: Vec<_> = all.iter().collect();
            let error = format!("{} holds no copy {}", name(file), name(inside));
            Err(list(Error::new(error), &all))
        }
        (several, _) => {
            let error = format!("{} holds {} copies: say which", name(file), several.len());
            Err(list(Error::new(error), several))
        }
    }
}

fn name(path: &Path) -> Name<'_> {
    Name::whole(path.as_os_str().as_bytes())
}
