//! How programs are built for each architecture: the compiler, the linker, their environment, and what Debian has of them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use object::elf::{EM_AARCH64, EM_X86_64};

use crate::{error::Error, toolchain, workspace};

/// An architecture that kmemtrace is built for.
#[derive(Debug)]
pub(crate) struct Target {
    /// As Rust and `uname -m` name it.
    pub(crate) arch: &'static str,
    /// As Debian names it.
    pub(crate) debian: &'static str,
    /// Its C library can be linked statically.
    pub(crate) triple: &'static str,
    /// As ELF files name it.
    pub(crate) machine: u16,
    /// The largest pages that its kernels have.
    pub(crate) page_bytes: u64,
    /// How the names of the GNU tools for it begin.
    gnu: &'static str,
    /// How Debian's packages with these tools name it.
    package: &'static str,
}

/// All of them.
pub(crate) const TARGETS: [Target; 2] = [
    Target {
        arch: "x86_64",
        debian: "amd64",
        triple: "x86_64-unknown-linux-gnu",
        machine: EM_X86_64,
        page_bytes: 4 << 10,
        gnu: "x86_64-linux-gnu",
        package: "x86-64-linux-gnu",
    },
    Target {
        arch: "aarch64",
        debian: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        machine: EM_AARCH64,
        page_bytes: 64 << 10,
        gnu: "aarch64-linux-gnu",
        package: "aarch64-linux-gnu",
    },
];

impl Target {
    /// The one of that name, as Rust or Debian has it.
    pub(crate) fn of(name: &str) -> Result<&'static Self, Error> {
        TARGETS
            .iter()
            .find(|target| target.arch == name || target.debian == name)
            .ok_or_else(|| {
                Error::new(format!(
                    "kmemtrace cannot be built for {name}: only for {}",
                    TARGETS.each_ref().map(|target| target.arch).join(" and ")
                ))
            })
    }

    /// This machine's own.
    pub(crate) fn own() -> Result<&'static Self, Error> {
        Self::of(env::consts::ARCH)
    }

    pub(crate) fn is_own(&self) -> bool {
        self.arch == env::consts::ARCH
    }

    /// Cargo, about to build for this target. The caller says what, and `--target`.
    pub(crate) fn cargo(&self) -> Result<Command, Error> {
        if self.is_own() {
            return Ok(workspace::cargo());
        }
        let linker = self.linker()?;
        let mut command = self.compiler()?;
        let name = self.triple.replace('-', "_");
        command
            .env(
                format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()),
                &linker,
            )
            // zstd's, which is C.
            .env(format!("CC_{name}"), &linker);
        Ok(command)
    }

    /// A compiler that has the standard library for this target: the one that runs, else Debian's.
    fn compiler(&self) -> Result<Command, Error> {
        if has_library(Path::new("rustc"), self.triple) {
            return Ok(workspace::cargo());
        }
        let debian = Path::new("/usr/bin");
        let (rustc, cargo) = (debian.join("rustc"), debian.join("cargo"));
        if cargo.is_file() && has_library(&rustc, self.triple) {
            let mut command = Command::new(cargo);
            toolchain::isolate(&mut command);
            command.env("RUSTC", rustc);
            return Ok(command);
        }
        Err(self.missing("no compiler here has Rust's library for it"))
    }

    /// The C compiler for this target, which is also the linker; it must find its C library.
    fn linker(&self) -> Result<PathBuf, Error> {
        let name = format!("{}-gcc", self.gnu);
        let linker = workspace::on_path(&name)
            .ok_or_else(|| self.missing(&format!("there is no {name} on PATH")))?;
        // It says a path if it finds the file, else only the name.
        let library = workspace::output(Command::new(&linker).arg("-print-file-name=libc.a"))?;
        if Path::new(&library).is_absolute() {
            Ok(linker)
        } else {
            Err(self.missing(&format!("{name} has no C library")))
        }
    }

    /// The program that takes the symbols out of a file.
    pub(crate) fn strip(&self) -> PathBuf {
        let own = workspace::on_path("strip").filter(|_| self.is_own());
        own.unwrap_or_else(|| format!("{}-strip", self.gnu).into())
    }

    /// `program`, built for this target, about to run on this machine: by itself, or by qemu.
    pub(crate) fn run(&self, program: &Path) -> Result<Command, Error> {
        if self.is_own() {
            return Ok(Command::new(program));
        }
        let name = format!("qemu-{}-static", self.arch);
        let qemu = workspace::on_path(&name)
            .ok_or_else(|| self.missing(&format!("there is no {name} on PATH")))?;
        let mut command = Command::new(qemu);
        command.arg(program);
        Ok(command)
    }

    fn missing(&self, what: &str) -> Error {
        let Self {
            arch,
            debian,
            package,
            triple,
            ..
        } = self;
        Error::new(format!("cannot build for {arch} on this machine: {what}"))
            .help(format!("on Debian, as root: dpkg --add-architecture {debian}; apt-get update"))
            .help(format!("then: apt-get install --no-install-recommends rustc-web cargo-web libstd-rust-web-dev:{debian} gcc-{package} libc6-dev-{debian}-cross qemu-user-static"))
            .help(format!("with rustup instead of Debian's Rust: rustup target add {triple}"))
    }
}

/// Whether `rustc` has the standard library for `triple`.
fn has_library(rustc: &Path, triple: &str) -> bool {
    let printed = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", triple])
        .output();
    let Ok(printed) = printed else { return false };
    let folder = String::from_utf8_lossy(&printed.stdout);
    let Ok(entries) = Path::new(folder.trim()).read_dir() else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("libstd-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_both_names_and_no_other() {
        for target in &TARGETS {
            for name in [target.arch, target.debian] {
                assert_eq!(Target::of(name).unwrap().triple, target.triple);
            }
        }
        let why = Target::of("s390x").unwrap_err().to_string();
        assert!(why.contains("x86_64 and aarch64"), "{why}");
    }

    #[test]
    fn every_target_has_its_objects() {
        for target in &TARGETS {
            let mut objects = crate::fingerprint::OBJECTS.iter();
            assert!(objects.any(|object| object.arch == target.arch));
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_install() {
        let why = TARGETS[1].missing("x").to_string();
        for part in [
            "cannot build for aarch64",
            "dpkg --add-architecture arm64",
            "libstd-rust-web-dev:arm64",
            "gcc-aarch64-linux-gnu",
            "libc6-dev-arm64-cross",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}
