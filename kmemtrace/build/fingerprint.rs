//! Ties the committed eBPF objects to the sources and the tools they were built from.
//!
//! Shared by kmemtrace's build script, which refuses a stale object, and by `cargo xtask bpf`, which makes fresh ones.
//! It must not depend on kmemtrace itself: a stale object never stands in the way of its own remedy.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

/// The sidecar's file name, beside the objects.
pub(crate) const SIDECAR: &str = "kmemtrace.bpf.lock";

/// One of the committed objects, in `kmemtrace/bpf`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    /// The processor whose registers its kprobes read, as Rust's `target_arch` names it.
    pub(crate) arch: &'static str,
    /// How records get to kmemtrace.
    pub(crate) carrier: &'static str,
    /// The features of the eBPF crate that it is built with.
    pub(crate) features: &'static [&'static str],
}

/// All objects: one for each architecture and each carrier.
pub(crate) const OBJECTS: [Object; 4] = [
    Object::new("x86_64", "ring", &[]),
    Object::new("x86_64", "perf", &["perf"]),
    Object::new("aarch64", "ring", &[]),
    Object::new("aarch64", "perf", &["perf"]),
];

impl Object {
    const fn new(
        arch: &'static str,
        carrier: &'static str,
        features: &'static [&'static str],
    ) -> Self {
        Self {
            arch,
            carrier,
            features,
        }
    }

    /// Its name in the sidecar.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.arch, self.carrier)
    }

    /// Its file's name.
    pub(crate) fn file(&self) -> String {
        format!("kmemtrace.{}.bpf.o", self.name())
    }
}

/// What decides the objects' bytes, from the workspace's root: files, and folders with all they hold.
pub(crate) const SOURCES: [&str; 5] = [
    "kmemtrace-common/Cargo.toml",
    "kmemtrace-common/src",
    "kmemtrace-ebpf/Cargo.lock",
    "kmemtrace-ebpf/Cargo.toml",
    "kmemtrace-ebpf/src",
];

/// What the committed objects were built from, and with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// SHA-256 over the [`SOURCES`].
    pub(crate) sources: String,
    /// SHA-256 of each object, by its name, in the order of [`OBJECTS`].
    pub(crate) objects: Vec<(String, String)>,
    /// The compiler, in its own words.
    pub(crate) rustc: String,
    /// The linker, in its own words; it writes the eBPF instructions and the BTF.
    pub(crate) linker: String,
    /// The LLVM of llvm-strip, which on Debian is the LLVM that the linker runs on.
    pub(crate) llvm: String,
}

impl fmt::Display for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sources,
            objects,
            rustc,
            linker,
            llvm,
        } = self;
        writeln!(
            f,
            "# Written by `cargo xtask bpf` with the objects beside it; not for editing."
        )?;
        writeln!(f, "sources = \"{sources}\"")?;
        for (name, digest) in objects {
            writeln!(f, "object.{name} = \"{digest}\"")?;
        }
        writeln!(f, "rustc = \"{rustc}\"")?;
        writeln!(f, "linker = \"{linker}\"")?;
        writeln!(f, "llvm = \"{llvm}\"")
    }
}

impl FromStr for Sidecar {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .and_then(|(_, value)| value.trim().strip_prefix('"')?.strip_suffix('"'))
                .map(str::to_owned)
                .ok_or_else(|| format!("no `{key} = \"...\"` line"))
        };
        Ok(Self {
            sources: value("sources")?,
            objects: OBJECTS
                .iter()
                .map(|object| {
                    let name = object.name();
                    value(&format!("object.{name}")).map(|digest| (name, digest))
                })
                .collect::<Result<_, _>>()?,
            rustc: value("rustc")?,
            linker: value("linker")?,
            llvm: value("llvm")?,
        })
    }
}

impl Sidecar {
    /// Reads the sidecar at `path`.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
        text.parse().map_err(|why| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {why}", path.display()),
            )
        })
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// The SHA-256 over the path and the content of each of the [`SOURCES`] under `workspace`, in hexadecimal.
pub(crate) fn of_sources(workspace: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(workspace, source.into(), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let path = workspace.join(&file);
        let content = fs::read(&path).map_err(|error| at(&path, &error))?;
        hash.update(file.as_os_str().as_encoded_bytes());
        // The zero and the length keep one file's end apart from the next one's beginning.
        hash.update([0]);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex(hash))
}

/// Adds `relative` to `files`: itself, or what it holds if it is a folder.
fn collect(workspace: &Path, relative: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let path = workspace.join(&relative);
    if !path.is_dir() {
        files.push(relative);
        return Ok(());
    }
    for entry in fs::read_dir(&path).map_err(|error| at(&path, &error))? {
        let name = entry.map_err(|error| at(&path, &error))?.file_name();
        // What editors leave beside the file that is open.
        let bytes = name.as_encoded_bytes();
        if !bytes.starts_with(b".") && !bytes.ends_with(b"~") {
            collect(workspace, relative.join(name), files)?;
        }
    }
    Ok(())
}

fn hex(hash: Sha256) -> String {
    let digits = hash
        .finalize()
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// `error` with the path that it is about, which the standard library leaves out.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_reads_back_what_it_says() {
        let sidecar = Sidecar {
            sources: of_bytes(b"sources"),
            objects: OBJECTS
                .iter()
                .map(|object| (object.name(), of_bytes(object.name().as_bytes())))
                .collect(),
            rustc: "rustc 1.96.0 (a = b)".to_owned(),
            linker: "bpf-linker 0.13.0".to_owned(),
            llvm: "22.1.8".to_owned(),
        };
        assert_eq!(sidecar.to_string().parse(), Ok(sidecar));
    }

    #[test]
    fn no_two_objects_share_a_name_and_each_architecture_has_each_carrier() {
        let names: std::collections::BTreeSet<_> = OBJECTS.iter().map(Object::file).collect();
        assert_eq!(names.len(), OBJECTS.len());
        for arch in OBJECTS {
            for carrier in OBJECTS {
                let file = format!("kmemtrace.{}.{}.bpf.o", arch.arch, carrier.carrier);
                assert!(names.contains(&file), "{file}");
            }
        }
    }

    #[test]
    fn a_sidecar_without_a_line_names_the_line() {
        let text = "sources = \"1\"\nobject.x86_64.ring = \"2\"\nobject.x86_64.perf = 3\n";
        assert_eq!(
            text.parse::<Sidecar>(),
            Err("no `object.x86_64.perf = \"...\"` line".to_owned())
        );
    }

    #[test]
    fn the_digest_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc"), abc);
    }
}
