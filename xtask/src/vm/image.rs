//! What a virtual machine boots: static builds of the tests and of kmemtrace, packed as the kernel's first file system.

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use super::{apt, cpio::Archive, kernel::Kernel};
use crate::{error::Error, workspace};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs that go into a machine.
pub(crate) struct Programs {
    /// The binary of the tests, which is also the machine's first process.
    tests: PathBuf,
    kmemtrace: PathBuf,
}

impl Programs {
    /// Builds them in `target`, a folder of their own: other flags would otherwise undo each other's work.
    pub(crate) fn build(target: &Path) -> Result<Self, Error> {
        let mut command = workspace::cargo();
        command
            .args(["build", "--profile", "vm", "--target", TARGET])
            .args(["--package", "kmemtrace", "--bin", "kmemtrace"])
            .args(["--package", "kmemtrace-tests", "--test", "kmemtrace"])
            .args(["--message-format", "json-render-diagnostics"])
            .env("CARGO_TARGET_DIR", target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir(workspace::root()?)
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|cause| workspace::cannot_start(&command, &cause))?;
        let mut messages = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout
                .read_to_string(&mut messages)
                .map_err(|cause| Error::new(format!("cannot read cargo's messages: {cause}")))?;
        }
        let status = child
            .wait()
            .map_err(|cause| Error::new(format!("cannot wait for cargo build: {cause}")))?;
        if !status.success() {
            return Err(Error::new("cannot build the tests for a virtual machine"));
        }
        Ok(Self {
            tests: executable(&messages, "test")?,
            kmemtrace: executable(&messages, "bin")?,
        })
    }
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
    let failed = |cause: &std::io::Error| Error::file("write", to, cause);
    let file = File::create(to).map_err(|cause| failed(&cause))?;
    let mut archive = Archive::new(BufWriter::new(file));
    let mut add = |path: &str, mode: u32, from: &Path| {
        let content = fs::read(from).map_err(|cause| Error::file("read", from, &cause))?;
        archive
            .file(path, mode, &content)
            .map_err(|cause| failed(&cause))
    };
    add("init", 0o755, &programs.tests)?;
    add("bin/kmemtrace", 0o755, &programs.kmemtrace)?;
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
        .map_err(|cause| failed(&cause))
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
