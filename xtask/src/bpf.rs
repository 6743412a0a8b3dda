//! `cargo xtask bpf`: builds the eBPF objects from source, or checks the committed ones. Their only builder.

mod build;

use std::{fs, io, path::PathBuf, process::ExitCode};

use crate::{
    error::Error,
    fingerprint::{self, OBJECTS, Object, Sidecar},
    toolchain::Toolchain,
    workspace,
};
use build::Build;

/// Build the eBPF objects from source into kmemtrace/bpf
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build them and compare them with the committed ones, which stay as they are
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
        for object in &OBJECTS {
            build.clippy(object)?;
        }
    } else {
        let sources = build.sources()?;
        let objects = OBJECTS
            .iter()
            .map(|object| build.object(object).map(|bytes| (*object, bytes)))
            .collect::<Result<Vec<_>, _>>()?;
        if sources != build.sources()? {
            return Err(
                Error::new("the eBPF sources changed while they were being built")
                    .help("run it once more"),
            );
        }
        let sidecar = build.sidecar(sources, &objects);
        let verdict = if args.check {
            committed.compare(&objects, &sidecar)?;
            "is what its sources build"
        } else {
            committed.write(&objects, &sidecar)?;
            "written"
        };
        for (object, bytes) in &objects {
            eprintln!(
                "kmemtrace/bpf/{}: {verdict}: {} bytes, sha256 {}",
                object.file(),
                bytes.len(),
                fingerprint::of_bytes(bytes)
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An object and its bytes.
type Built = (Object, Vec<u8>);

/// The objects in the repository and their sidecar.
struct Committed {
    folder: PathBuf,
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
            folder,
            lock,
            sidecar,
        })
    }

    /// Makes `objects` and `sidecar` the committed ones. Files that are right already stay untouched, for cargo's sake.
    fn write(&self, objects: &[Built], sidecar: &Sidecar) -> Result<(), Error> {
        for change in self.changed_tools(sidecar) {
            eprintln!("note: {change}");
        }
        let lock = sidecar.to_string();
        let objects = objects
            .iter()
            .map(|(object, bytes)| (self.folder.join(object.file()), &bytes[..]));
        for (path, content) in objects.chain([(self.lock.clone(), lock.as_bytes())]) {
            if fs::read(&path).is_ok_and(|old| old == content) {
                continue;
            }
            // Another cargo may be reading it.
            let partial = path.with_extension("partial");
            fs::write(&partial, content)
                .and_then(|()| fs::rename(&partial, &path))
                .map_err(|cause| Error::file("write", &path, cause))?;
        }
        Ok(())
    }

    /// Fails unless `objects` and `sidecar` are the committed ones.
    fn compare(&self, objects: &[Built], sidecar: &Sidecar) -> Result<(), Error> {
        let mut differences = Vec::new();
        for (object, bytes) in objects {
            let path = self.folder.join(object.file());
            match fs::read(&path) {
                Ok(old) if old == *bytes => {}
                Ok(old) => differences.push(format!(
                    "{}: {}",
                    path.display(),
                    first_difference(&old, bytes)
                )),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    differences.push(format!("{}: there is none", path.display()));
                }
                Err(cause) => return Err(Error::file("read", &path, cause)),
            }
        }
        let lock = self.lock.display();
        match &self.sidecar {
            None => differences.push(format!("{lock}: there is no usable one")),
            Some(old) if old.sources != sidecar.sources => {
                differences.push(format!("{lock}: it is for other sources than these"));
            }
            Some(old) if old.objects != sidecar.objects => {
                differences.push(format!("{lock}: it is for other objects than this build's"));
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
            "the committed eBPF objects are not what their sources build:\n  {}",
            differences.join("\n  ")
        ));
        for change in tools {
            error = error.help(format!("a likely cause: {change}"));
        }
        Err(error.help("rebuild them with `cargo xtask bpf`, and commit kmemtrace/bpf"))
    }

    /// Says which tools are others than those of the committed objects.
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
            format!("the committed objects were built with {what} {old}, this one with {new}")
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
