//! `cargo xtask bpf`: builds the eBPF object from source, or checks the committed one. Its only builder.

mod build;

use std::{fs, io, path::PathBuf, process::ExitCode};

use crate::{
    error::Error,
    fingerprint::{self, Sidecar},
    toolchain::Toolchain,
    workspace,
};
use build::Build;

/// Build the eBPF object from source into kmemtrace/bpf
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build it and compare it with the committed one, which stays as it is
    #[arg(long)]
    check: bool,
    /// Run clippy over the eBPF sources instead
    #[arg(long, conflicts_with = "check")]
    clippy: bool,
}

/// Builds, then writes, compares or lints.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let committed = Committed::open()?;
    let tools = Toolchain::find(committed.sidecar.as_ref())?;
    eprintln!("{tools}");
    let build = Build::new(tools)?;
    if args.clippy {
        build.clippy()?;
    } else {
        let sources = build.sources()?;
        let bytes = build.object()?;
        if sources != build.sources()? {
            return Err(
                Error::new("the eBPF sources changed while they were being built")
                    .help("run it once more"),
            );
        }
        let sidecar = build.sidecar(sources, &bytes);
        let verdict = if args.check {
            committed.compare(&bytes, &sidecar)?;
            "is what its sources build"
        } else {
            committed.write(&bytes, &sidecar)?;
            "written"
        };
        eprintln!(
            "kmemtrace/bpf/{}: {verdict}: {} bytes, sha256 {}",
            fingerprint::OBJECT,
            bytes.len(),
            sidecar.object
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The object in the repository and its sidecar.
struct Committed {
    object: PathBuf,
    lock: PathBuf,
    /// What the lock says; none if there is none, or none that can be read.
    sidecar: Option<Sidecar>,
}

impl Committed {
    fn open() -> Result<Self, Error> {
        let folder = workspace::root()?.join("kmemtrace/bpf");
        let lock = folder.join(fingerprint::SIDECAR);
        let sidecar = match Sidecar::read(&lock) {
            Ok(sidecar) => Some(sidecar),
            Err(error) => {
                eprintln!("note: no usable sidecar: {error}");
                None
            }
        };
        Ok(Self {
            object: folder.join(fingerprint::OBJECT),
            lock,
            sidecar,
        })
    }

    /// Makes `bytes` and `sidecar` the committed ones. Files that are right already stay untouched, for cargo's sake.
    fn write(&self, bytes: &[u8], sidecar: &Sidecar) -> Result<(), Error> {
        for change in self.changed_tools(sidecar) {
            eprintln!("note: {change}");
        }
        for (path, content) in [
            (&self.object, bytes),
            (&self.lock, sidecar.to_string().as_bytes()),
        ] {
            if fs::read(path).is_ok_and(|old| old == content) {
                continue;
            }
            // Another cargo may be reading it.
            let partial = path.with_extension("partial");
            fs::write(&partial, content)
                .and_then(|()| fs::rename(&partial, path))
                .map_err(|cause| Error::file("write", path, cause))?;
        }
        Ok(())
    }

    /// Fails unless `bytes` and `sidecar` are the committed ones.
    fn compare(&self, bytes: &[u8], sidecar: &Sidecar) -> Result<(), Error> {
        let mut differences = Vec::new();
        match fs::read(&self.object) {
            Ok(old) if old == bytes => {}
            Ok(old) => differences.push(format!(
                "{}: {}",
                self.object.display(),
                first_difference(&old, bytes)
            )),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                differences.push(format!("{}: there is none", self.object.display()));
            }
            Err(cause) => return Err(Error::file("read", &self.object, cause)),
        }
        let lock = self.lock.display();
        match &self.sidecar {
            None => differences.push(format!("{lock}: there is no usable one")),
            Some(old) if old.sources != sidecar.sources => {
                differences.push(format!("{lock}: it is for other sources than these"));
            }
            Some(old) if old.object != sidecar.object => {
                differences.push(format!(
                    "{lock}: it is for another object than this build's"
                ));
            }
            Some(_) => {}
        }
        let tools = self.changed_tools(sidecar);
        if differences.is_empty() {
            for change in tools {
                eprintln!("note: the same bytes, although {change}");
            }
            return Ok(());
        }
        let mut error = Error::new(format!(
            "the committed eBPF object is not what its sources build:\n  {}",
            differences.join("\n  ")
        ));
        for change in tools {
            error = error.help(format!("a likely cause: {change}"));
        }
        Err(error.help("rebuild it with `cargo xtask bpf`, and commit kmemtrace/bpf"))
    }

    /// Says which tools are others than those of the committed object.
    fn changed_tools(&self, sidecar: &Sidecar) -> Vec<String> {
        let Some(old) = &self.sidecar else {
            return Vec::new();
        };
        [
            ("the compiler", &old.rustc, &sidecar.rustc),
            ("the linker", &old.linker, &sidecar.linker),
            ("LLVM", &old.llvm, &sidecar.llvm),
        ]
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(what, old, new)| {
            format!("the committed object was built with {what} {old}, this one with {new}")
        })
        .collect()
    }
}

/// Where two objects begin to differ, for people.
fn first_difference(old: &[u8], new: &[u8]) -> String {
    let same = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    format!(
        "{} bytes, this build has {}, and they differ from byte {same} on",
        old.len(),
        new.len()
    )
}
