//! What a virtual machine boots: the tests and kmemtrace with their libraries, packed as the kernel's first file system.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{apt, arch::Arch, cpio::Archive, kernel::Kernel};
use crate::{error::Error, workspace};

/// The programs that go into a machine, stripped.
pub(crate) struct Programs {
    /// The binary of the tests, which is also the machine's first process.
    tests: PathBuf,
    kmemtrace: PathBuf,
    /// The shared libraries that they load, each where they look for it.
    libraries: BTreeSet<PathBuf>,
}

impl Programs {
    /// Builds them as `cargo xtask test` does, so that what it has built is not built again, and strips copies in `folder`.
    pub(crate) fn build(folder: &Path, arch: Arch) -> Result<Self, Error> {
        if Arch::own() != Some(arch) {
            return Err(Error::new(format!(
                "cannot build the programs for {arch} on this machine"
            )));
        }
        let mut command = workspace::cargo();
        command
            .args([
                "build",
                "--workspace",
                "--bin",
                "kmemtrace",
                "--test",
                "kmemtrace",
            ])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(workspace::root()?);
        let messages = workspace::output(&mut command)?;
        let tests = stripped(&executable(&messages, "test")?, &folder.join("tests"))?;
        let kmemtrace = stripped(&executable(&messages, "bin")?, &folder.join("kmemtrace"))?;
        let ldd = workspace::output(Command::new("ldd").args([&tests, &kmemtrace]))?;
        let libraries = libraries(&ldd);
        Ok(Self {
            tests,
            kmemtrace,
            libraries,
        })
    }
}

/// Copies a program without its symbols: a small one is loaded faster, and a machine's memory is small.
fn stripped(program: &Path, to: &Path) -> Result<PathBuf, Error> {
    // Of binutils, which the linker is of as well.
    workspace::output(Command::new("strip").arg("-o").args([to, program]))?;
    Ok(to.to_path_buf())
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
        add("bin/busybox", 0o755, &busybox()?)?;
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

/// A static busybox, installed if there is none.
fn busybox() -> Result<PathBuf, Error> {
    // Debian's busybox-static puts it there.
    let path = ["/usr/bin/busybox", "/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists());
    if let Some(path) = path {
        return Ok(path);
    }
    apt::install("busybox-static", "the commands in the machine")?;
    Ok(PathBuf::from("/usr/bin/busybox"))
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
