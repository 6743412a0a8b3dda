//! What is mounted where: the cgroup hierarchies and tracefs.

use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::parse::{Malformed, lines, number};

/// The two versions of the cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller (`cgroups(7)`).
    V1,
    /// The unified hierarchy.
    V2,
}

impl Version {
    /// `v1` or `v2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// One mounted cgroup file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// v1 or v2.
    pub version: Version,
    /// Where, under the machine's root.
    pub mount: PathBuf,
    /// The cgroup that is mounted there: `/` if it is the whole hierarchy, or as much of it as this process's cgroup
    /// namespace lets it see; `/..` and so on if it is above that namespace's root.
    pub root: PathBuf,
    /// v1: the controllers and other options of the hierarchy.
    pub options: Vec<String>,
}

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    id: u32,
    parent: u32,
    /// The file system's device, as `major:minor`.
    device: String,
    /// The directory of the file system that is mounted; `/` if it is mounted whole.
    root: PathBuf,
    at: PathBuf,
    kind: String,
    options: String,
}

/// Parses mountinfo (`proc_pid_mountinfo(5)`), line by line.
pub(super) fn parse(mountinfo: &[u8]) -> impl Iterator<Item = Result<Mount, Malformed>> {
    lines(mountinfo).map(|(number, text)| {
        line(text).map_err(|problem| Malformed {
            file: "/proc/self/mountinfo".into(),
            line: number,
            problem,
        })
    })
}

fn line(line: &[u8]) -> Result<Mount, &'static str> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = fields.next().and_then(number).ok_or("no mount id")?;
    let parent = fields
        .next()
        .and_then(number)
        .ok_or("no parent's mount id")?;
    let device = fields.next().ok_or("no device")?;
    let root = path(fields.next().ok_or("no root")?);
    let at = path(fields.next().ok_or("no mount point")?);
    // Optional fields end with a lone dash.
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = rest.next().ok_or("no file system type")?;
    let options = rest.nth(1).unwrap_or_default();
    Ok(Mount {
        id,
        parent,
        device: String::from_utf8_lossy(device).into_owned(),
        root,
        at,
        kind: String::from_utf8_lossy(kind).into_owned(),
        options: String::from_utf8_lossy(options).into_owned(),
    })
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            digits.iter().try_fold(0u32, |value, digit| {
                (b'0'..=b'7')
                    .contains(digit)
                    .then(|| value * 8 + u32::from(digit - b'0'))
            })
        };
        let escaped = if byte == b'\\' {
            after.get(..3).and_then(octal)
        } else {
            None
        };
        if let Some(value) = escaped.and_then(|value| u8::try_from(value).ok()) {
            bytes.push(value);
            rest = &after[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    OsString::from_vec(bytes).into()
}

/// Whether a mount point still leads to its mount, and not to one that was put over it or over a directory above it.
fn visible(mounts: &[Mount], mount: &Mount) -> bool {
    // As the kernel looks a path up: from mount to mount, each time over the first mount point on the way.
    let next = |current: Option<u32>| {
        mounts
            .iter()
            .filter(|other| mount.at.starts_with(&other.at))
            .filter(|other| match current {
                Some(id) => other.parent == id && other.id != id,
                // Where this process's root is: on a mount whose parent it cannot see.
                None => !mounts
                    .iter()
                    .any(|m| m.id == other.parent && m.id != other.id),
            })
            .min_by_key(|other| other.at.as_os_str().len())
            .map(|other| other.id)
    };
    let mut current = None;
    // A file from elsewhere may have a loop of parents.
    for _ in 0..=mounts.len() {
        match next(current) {
            Some(id) => current = Some(id),
            None => break,
        }
    }
    current == Some(mount.id)
}

/// The cgroup file systems among the mounts that can be reached.
pub(super) fn cgroups(mounts: &[Mount]) -> Vec<CgroupMount> {
    mounts
        .iter()
        .filter_map(|mount| {
            let version = match mount.kind.as_str() {
                "cgroup" => Version::V1,
                "cgroup2" => Version::V2,
                _ => return None,
            };
            if !visible(mounts, mount) {
                return None;
            }
            let options = match version {
                Version::V1 => mount.options.split(',').map(str::to_owned).collect(),
                Version::V2 => Vec::new(),
            };
            let (at, root) = (mount.at.clone(), mount.root.clone());
            Some(CgroupMount {
                version,
                mount: at,
                root,
                options,
            })
        })
        .collect()
}

/// Where tracefs is: at its own place rather than at another. debugfs has it too, in a directory that mounts it by itself
/// when it is entered, and that is the only place on 3.10; `exists` says whether there is one.
pub(super) fn tracefs(mounts: &[Mount], exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let of = |kind: &'static str| {
        mounts
            .iter()
            .filter(move |mount| mount.kind == kind && visible(mounts, mount))
    };
    let own = |mount: &&Mount| mount.at == Path::new("/sys/kernel/tracing");
    of("tracefs")
        .find(own)
        .or_else(|| of("tracefs").next())
        .map(|mount| mount.at.clone())
        .or_else(|| {
            of("debugfs")
                .map(|mount| mount.at.join("tracing"))
                .find(|at| exists(at))
        })
}

/// What is mounted, to tell where files can be reached.
#[derive(Debug)]
pub struct Mounts {
    mounts: Vec<Mount>,
    /// Which mounts were found to be visible, or not, by id.
    visible: HashMap<u32, bool>,
}

impl Mounts {
    /// Of what mountinfo says; lines that cannot be understood are passed over.
    pub(super) fn new(mountinfo: &[u8]) -> Self {
        Self {
            mounts: parse(mountinfo).filter_map(Result::ok).collect(),
            visible: HashMap::new(),
        }
    }

    /// Where a file can be reached: one of the device `major:minor`, by its path from that file system's root. `None` if it
    /// is mounted nowhere in this mount namespace.
    pub fn reach(&mut self, device: &str, path: &Path) -> Option<PathBuf> {
        let mut of: Vec<_> = self
            .mounts
            .iter()
            .filter(|mount| mount.device == device && path.starts_with(&mount.root))
            .collect();
        // A file system mounted whole before a directory of it.
        of.sort_by_key(|mount| (mount.root.as_os_str().len(), mount.at.as_os_str().len()));
        let mount = of.into_iter().find(|mount| {
            let seen = self.visible.entry(mount.id);
            *seen.or_insert_with(|| visible(&self.mounts, mount))
        })?;
        let below = path.strip_prefix(&mount.root).ok()?;
        // A file may be mounted alone: its mount point is its path.
        Some(if below.as_os_str().is_empty() {
            mount.at.clone()
        } else {
            mount.at.join(below)
        })
    }
}
