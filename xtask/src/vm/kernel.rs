//! The kernels: which one is asked for, and where it is.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::{apt::Apt, folder};
use crate::error::Error;

/// A kernel that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    #[value(name = "5.10")]
    V5_10,
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    #[value(name = "6.18")]
    V6_18,
    /// The newest of Debian's backports
    Newest,
    /// Each of them, several at once where this machine can bear it
    All,
}

impl Release {
    /// All of them, oldest first.
    pub(crate) const EACH: [Self; 5] = [
        Self::V5_10,
        Self::V6_1,
        Self::V6_12,
        Self::V6_18,
        Self::Newest,
    ];
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
            Self::Newest => "newest",
            Self::All => "all",
        })
    }
}

/// A kernel on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What was asked for, as in `6.1` or `newest`, or the user's folder.
    pub(crate) release: String,
    /// As `uname -r` says it, or the user's folder.
    pub(crate) version: String,
    pub(crate) image: PathBuf,
    /// Modules for the machine's first process to load.
    pub(crate) modules: Vec<PathBuf>,
}

impl Kernel {
    /// Debian's kernel of a release: from `kernels`, where an earlier run may have left it, else by apt.
    pub(crate) fn of(
        release: Release,
        kernels: &Path,
        apt: &mut Option<Apt>,
        lists: &Path,
        update: bool,
    ) -> Result<Self, Error> {
        let choice = kernels.join(format!("{release}.choice"));
        if !update && let Ok(version) = fs::read_to_string(&choice) {
            let version = version.trim();
            if let Ok(image) = image_of(&kernels.join(version), version) {
                eprintln!("kernel {release}: {version}, from an earlier run");
                return Ok(Self::new(release, version, image));
            }
        }
        let apt = match apt {
            Some(apt) => apt,
            None => apt.insert(Apt::update(lists)?),
        };
        let package = choose(&apt.kernels()?, release).ok_or_else(|| {
            Error::new(format!(
                "no suite that apt can reach has a cloud kernel {release}"
            ))
            .help("the notes above say what could not be fetched; cargo xtask vm --image DIR boots a kernel of yours")
        })?;
        let version = version_of(&package).to_owned();
        let home = kernels.join(&version);
        if image_of(&home, &version).is_err() {
            folder(&home)?;
            apt.unpack(&apt.with_kernel(&package)?, &home)?;
        }
        let image = image_of(&home, &version)?;
        fs::write(&choice, format!("{version}\n"))
            .map_err(|cause| Error::file("write", &choice, cause))?;
        eprintln!("kernel {release}: {version}, from {package}");
        Ok(Self::new(release, &version, image))
    }

    fn new(release: Release, version: &str, image: PathBuf) -> Self {
        Self {
            release: release.to_string(),
            version: version.to_owned(),
            image,
            modules: Vec::new(),
        }
    }

    /// A kernel of the user's: `vmlinuz*` or `bzImage` in `folder`, and its `modules/*.ko` in the order of their names.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, Error> {
        let mut modules: Vec<_> = match fs::read_dir(folder.join("modules")) {
            Ok(entries) => entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|kind| kind == "ko"))
                .collect(),
            Err(_) => Vec::new(),
        };
        modules.sort();
        let name = folder.display().to_string();
        Ok(Self {
            release: name.clone(),
            version: name,
            image: image_in(folder)
                .map_err(|error| error.help("--image takes a folder with vmlinuz or bzImage"))?,
            modules,
        })
    }
}

/// The kernel image in an unpacked package.
fn image_of(package: &Path, version: &str) -> Result<PathBuf, Error> {
    // 7.x has it beside its modules.
    image_in(&package.join("boot"))
        .or_else(|_| image_in(&package.join("usr/lib/modules").join(version)))
}

/// The kernel image in a folder.
fn image_in(folder: &Path) -> Result<PathBuf, Error> {
    let is_image = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz") || name == "bzImage"
    };
    let mut images: Vec<_> = fs::read_dir(folder)
        .map_err(|cause| Error::file("read", folder, cause))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_image)
        .collect();
    images.sort();
    images.into_iter().next().ok_or_else(|| {
        let cause = io::Error::other("neither vmlinuz* nor bzImage is in it");
        Error::file("find a kernel in", folder, cause)
    })
}

/// What `uname -r` says in a package's kernel.
fn version_of(package: &str) -> &str {
    let name = package.strip_prefix("linux-image-").unwrap_or(package);
    name.strip_suffix("-unsigned").unwrap_or(name)
}

/// The newest package of a release; of one kernel, the signed.
fn choose(packages: &[String], release: Release) -> Option<String> {
    let prefix = match release {
        Release::Newest | Release::All => String::new(),
        release => format!("{release}."),
    };
    packages
        .iter()
        .filter(|package| {
            let version = version_of(package);
            // `linux-image-6.12-cloud-amd64` is no kernel, it leads to one.
            version.starts_with(&prefix)
                && version
                    .split('-')
                    .next()
                    .is_some_and(|v| v.split('.').count() > 2)
        })
        .max_by_key(|package| {
            (
                natural(version_of(package)),
                !package.ends_with("-unsigned"),
            )
        })
        .cloned()
}

/// A version as one compares it: numbers by value, the text between them as text.
fn natural(version: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = version;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest[..digits].parse().unwrap_or(0);
        rest = &rest[digits..];
        let text = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        parts.push((number, rest[..text].to_owned()));
        rest = &rest[text..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_of_a_release_is_chosen() {
        let packages = [
            "linux-image-5.10.0-9-cloud-amd64",
            "linux-image-5.10.0-46-cloud-amd64-unsigned",
            "linux-image-5.10.0-46-cloud-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.95+deb12-cloud-amd64",
            "linux-image-6.12.100+deb12-cloud-amd64-unsigned",
            "linux-image-7.3.4+deb13-cloud-amd64",
        ]
        .map(str::to_owned);
        for (release, expected) in [
            (Release::V5_10, "linux-image-5.10.0-46-cloud-amd64"),
            (Release::V6_1, "linux-image-6.1.0-56-cloud-amd64"),
            (
                Release::V6_12,
                "linux-image-6.12.100+deb12-cloud-amd64-unsigned",
            ),
            (Release::Newest, "linux-image-7.3.4+deb13-cloud-amd64"),
        ] {
            assert_eq!(choose(&packages, release).as_deref(), Some(expected));
        }
        assert_eq!(choose(&packages, Release::V6_18), None);
        assert_eq!(
            version_of("linux-image-6.12.100+deb12-cloud-amd64-unsigned"),
            "6.12.100+deb12-cloud-amd64"
        );
    }
}
