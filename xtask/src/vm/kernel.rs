//! The kernels: which one is asked for, and where it is.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    apt::Apt,
    arch::Arch,
    folder,
    machines::{Flavour, Kind, Release},
    modules,
};
use crate::error::Error;

/// A kernel on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What was asked for, as in `6.1` or `newest`, or the user's folder.
    pub(crate) release: String,
    pub(crate) arch: Arch,
    /// How Debian built it; none for a user's own.
    pub(crate) flavour: Option<Flavour>,
    /// As `uname -r` says it, or the user's folder.
    pub(crate) version: String,
    pub(crate) image: PathBuf,
    /// Modules for the machine's first process to load, in the order of their names.
    pub(crate) modules: Vec<PathBuf>,
}

/// Where Debian's kernels come from: apt, and the folder where earlier runs left some.
pub(crate) struct Store<'a> {
    /// The folder of the kernels.
    pub(crate) kernels: &'a Path,
    /// The folder of apt's lists.
    pub(crate) lists: &'a Path,
    /// Look for newer ones than those of earlier runs.
    pub(crate) update: bool,
    pub(crate) apt: BTreeMap<Arch, Apt>,
}

impl Store<'_> {
    /// Debian's kernel for a machine: from an earlier run, else by apt.
    pub(crate) fn kernel(&mut self, kind: Kind) -> Result<Kernel, Error> {
        let Kind {
            release,
            arch,
            flavour,
            ..
        } = kind;
        let suffix = flavour.suffix(arch);
        let choice = self.kernels.join(format!("{release}{suffix}.choice"));
        if !self.update
            && let Ok(version) = fs::read_to_string(&choice)
        {
            let version = version.trim();
            if let Ok(kernel) = self.unpacked(kind, version) {
                eprintln!("kernel {release}{suffix}: {version}, from an earlier run");
                return Ok(kernel);
            }
        }
        let apt = match self.apt.entry(arch) {
            Entry::Occupied(apt) => apt.into_mut(),
            Entry::Vacant(none) => {
                let lists = self.lists.join(arch.settings().target.debian);
                none.insert(Apt::update(&lists, arch)?)
            }
        };
        let package = choose(&apt.kernels(flavour)?, release, &suffix).ok_or_else(|| {
            Error::new(format!(
                "no suite that apt can reach has a kernel {release}{suffix}"
            ))
            .help("the notes above say what could not be fetched; cargo xtask vm --image DIR boots a kernel of yours")
        })?;
        let version = version_of(&package).to_owned();
        let home = self.kernels.join(&version);
        if image_of(&home, &version).is_err() || modules::tree(&home, &version).is_none() {
            folder(&home)?;
            for part in apt.with_kernel(&package)? {
                apt.unpack(&part, &home)?;
            }
        }
        let kernel = self.unpacked(kind, &version)?;
        fs::write(&choice, format!("{version}\n"))
            .map_err(|cause| Error::file("write", &choice, cause))?;
        eprintln!("kernel {release}{suffix}: {version}, from {package}");
        Ok(kernel)
    }

    /// A kernel that is here, with the modules that its machine takes.
    fn unpacked(&self, kind: Kind, version: &str) -> Result<Kernel, Error> {
        let home = self.kernels.join(version);
        let image = image_of(&home, version)?;
        let tree = modules::tree(&home, version)
            .ok_or_else(|| Error::new(format!("{} has no modules", home.display())))?;
        let to = home.join("to-load");
        folder(&to)?;
        Ok(Kernel {
            release: kind.release.to_string(),
            arch: kind.arch,
            flavour: Some(kind.flavour),
            version: version.to_owned(),
            image,
            modules: modules::prepare(&tree, kind.arch.settings().modules, &to)?,
        })
    }
}

impl Kernel {
    /// Whether it is the kernel of such a machine.
    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        self.release == kind.release.to_string()
            && self.arch == kind.arch
            && self.flavour == Some(kind.flavour)
    }

    /// A kernel of the user's: `vmlinuz*` or `bzImage` in `folder`, and its `modules/*.ko` in the order of their names.
    pub(crate) fn in_folder(folder: &Path, arch: Arch) -> Result<Self, Error> {
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
            arch,
            flavour: None,
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

/// The newest package of a release whose name ends with `suffix`; of one kernel, the signed.
fn choose(packages: &[String], release: Release, suffix: &str) -> Option<String> {
    let prefix = match release {
        Release::Newest | Release::All | Release::Ci => String::new(),
        release => format!("{release}."),
    };
    packages
        .iter()
        .filter(|package| {
            let Some(version) = version_of(package).strip_suffix(suffix) else {
                return false;
            };
            // `linux-image-6.12-cloud-amd64` is no kernel, it leads to one; `...-rt-amd64` ends with `-amd64`, too.
            version.starts_with(&prefix)
                && version
                    .split('-')
                    .next()
                    .is_some_and(|v| v.split('.').count() > 2)
                && !version.ends_with(|last: char| last.is_ascii_alphabetic())
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

    const CLOUD: &str = "-cloud-amd64";

    #[test]
    fn the_newest_kernel_of_a_release_is_chosen() {
        let packages = [
            "linux-image-5.10.0-9-cloud-amd64",
            "linux-image-5.10.0-46-cloud-amd64-unsigned",
            "linux-image-5.10.0-46-cloud-amd64",
            "linux-image-6.1-cloud-amd64",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-57-rt-amd64",
            "linux-image-6.12.9+deb12-arm64-16k",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.95+deb12-cloud-amd64",
            "linux-image-6.12.100+deb12-cloud-amd64-unsigned",
            "linux-image-7.3.4+deb13-cloud-amd64",
        ]
        .map(str::to_owned);
        for (release, suffix, expected) in [
            (Release::V5_10, CLOUD, "linux-image-5.10.0-46-cloud-amd64"),
            (Release::V6_1, CLOUD, "linux-image-6.1.0-56-cloud-amd64"),
            (
                Release::V6_12,
                CLOUD,
                "linux-image-6.12.100+deb12-cloud-amd64-unsigned",
            ),
            (
                Release::Newest,
                CLOUD,
                "linux-image-7.3.4+deb13-cloud-amd64",
            ),
            (Release::V6_1, "-amd64", "linux-image-6.1.0-56-amd64"),
            (
                Release::V6_12,
                "-arm64-16k",
                "linux-image-6.12.9+deb12-arm64-16k",
            ),
        ] {
            assert_eq!(
                choose(&packages, release, suffix).as_deref(),
                Some(expected)
            );
        }
        assert_eq!(choose(&packages, Release::V6_18, CLOUD), None);
        assert_eq!(choose(&packages, Release::V6_12, "-arm64"), None);
        assert_eq!(
            version_of("linux-image-6.12.100+deb12-cloud-amd64-unsigned"),
            "6.12.100+deb12-cloud-amd64"
        );
    }
}
