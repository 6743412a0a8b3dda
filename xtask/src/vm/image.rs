//! What a virtual machine boots: the tests and kmemtrace with their libraries, packed as the kernel's first file system.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    apt::{self, Apt},
    arch::Arch,
    cpio::Archive,
    kernel::Kernel,
};
use crate::{error::Error, workspace};

/// The programs that go into a machine, stripped.
pub(crate) struct Programs {
    arch: Arch,
    /// Where they are.
    folder: PathBuf,
    /// The binary of the tests, which is also the machine's first process.
    tests: PathBuf,
    kmemtrace: PathBuf,
    /// The shared libraries that they load, each where they look for it.
    libraries: BTreeSet<PathBuf>,
}

impl Programs {
    /// Builds them, and strips copies in `folder`. For this machine's architecture as `cargo xtask test` does, so that what
    /// it has built is not built again; for another one statically, as its libraries are not here.
    pub(crate) fn build(folder: &Path, arch: Arch) -> Result<Self, Error> {
        let target = arch.settings().target;
        let mut command = target.cargo()?;
        command
            .args(["build", "--workspace"])
            .args(["--bin", "kmemtrace", "--test", "kmemtrace"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(workspace::root()?);
        if !target.is_own() {
            command
                .args(["--target", target.triple, "--target-dir"])
                // Of its own, so that builds for this machine need not wait for it.
                .arg(workspace::target()?.join("cross"))
                .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
                // It would only be stripped.
                .env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        let messages = workspace::output(&mut command)?;
        let stripped = |kind: &str, name: &str| {
            let (program, to) = (executable(&messages, kind)?, folder.join(name));
            // A small one is loaded faster, and a machine's memory is small.
            workspace::output(Command::new(target.strip()).arg("-o").args([&to, &program]))?;
            Ok::<_, Error>(to)
        };
        let (tests, kmemtrace) = (stripped("test", "tests")?, stripped("bin", "kmemtrace")?);
        let libraries = if target.is_own() {
            libraries(&workspace::output(
                Command::new("ldd").args([&tests, &kmemtrace]),
            )?)
        } else {
            BTreeSet::new()
        };
        Ok(Self {
            arch,
            folder: folder.to_path_buf(),
            tests,
            kmemtrace,
            libraries,
        })
    }

    /// A static busybox: this machine's, installed if there is none, or the other architecture's, from its package.
    fn busybox(&self) -> Result<PathBuf, Error> {
        // Debian's busybox-static puts it there.
        let places = ["usr/bin/busybox", "bin/busybox"];
        let find = |root: &Path| {
            places
                .map(|place| root.join(place))
                .into_iter()
                .find(|path| path.exists())
        };
        let is_own = Arch::own() == Some(self.arch);
        let root = if is_own { Path::new("/") } else { &self.folder };
        if let Some(path) = find(root) {
            return Ok(path);
        }
        if is_own {
            apt::install("busybox-static", "the commands in the machine")?;
        } else {
            let lists = workspace::target()?
                .join("vm/apt")
                .join(self.arch.settings().target.debian);
            Apt::update(&lists, self.arch)?.unpack("busybox-static", root)?;
        }
        find(root).ok_or_else(|| Error::new("busybox-static has no busybox"))
    }
}

/// The files that ldd names: `NAME => PATH (ADDRESS)`, and for the loader `PATH (ADDRESS)`.
fn libraries(ldd: &str) -> BTreeSet<PathBuf> {
    ldd.lines()
        .filter_map(|line| {
            let words = line.split_whitespace();
            words.rev().find(|word| word.starts_with('/'))
        })
        .filter(|path| !path.ends_with(':'))
        .map(PathBuf::from)
        .collect()
}

/// The executable of a kind that cargo says it built.
fn executable(messages: &str, kind: &str) -> Result<PathBuf, Error> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message["target"]["kind"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|k| k == kind))
        })
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| Error::new(format!("cargo build named no executable of kind {kind}")))
}

/// Writes the file system of a machine that is to do what `plan` says.
pub(crate) fn write(
    to: &Path,
    programs: &Programs,
    kernel: &Kernel,
    plan: &Value,
    with_busybox: bool,
) -> Result<(), Error> {
    let failed = |cause: std::io::Error| Error::file("write", to, cause);
    let file = File::create(to).map_err(failed)?;
    let mut archive = Archive::new(BufWriter::new(file));
    let mut add = |path: &str, mode: u32, from: &Path| {
        let content = fs::read(from).map_err(|cause| Error::file("read", from, cause))?;
        archive.file(path, mode, &content).map_err(failed)
    };
    add("init", 0o755, &programs.tests)?;
    add("bin/kmemtrace", 0o755, &programs.kmemtrace)?;
    for library in &programs.libraries {
        let path = library.to_string_lossy();
        add(path.trim_start_matches('/'), 0o755, library)?;
    }
    if with_busybox {
        add("bin/busybox", 0o755, &programs.busybox()?)?;
    }
    for module in &kernel.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        add(&format!("modules/{name}"), 0o644, module)?;
    }
    archive
        // The first process has its output there before it can mount anything.
        .device("dev/console", 0o600, (5, 1))
        .and_then(|()| archive.file("kmemtrace-vm.json", 0o644, plan.to_string().as_bytes()))
        .and_then(|()| archive.finish())
        .and_then(|output| output.into_inner().map_err(std::io::Error::from))
        .map(|_| ())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_that_ldd_names() {
        let ldd = "/t/vm/tests:\n\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n/t/vm/kmemtrace:\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(ldd), expected.map(PathBuf::from).into());
        assert!(libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn cargo_s_messages_name_the_executables() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/t/vm/kmemtrace"}
not json
{"reason":"compiler-artifact","target":{"kind":["test"]},"executable":"/t/vm/deps/kmemtrace-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "test").unwrap(),
            Path::new("/t/vm/deps/kmemtrace-1")
        );
        assert_eq!(
            executable(messages, "bin").unwrap(),
            Path::new("/t/vm/kmemtrace")
        );
        assert!(executable(messages, "example").is_err());
    }
}
