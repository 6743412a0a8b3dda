//! How the eBPF crate is built: the commands, their environment and the compiler's flags.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::Error,
    fingerprint::{self, Object, Sidecar},
    toolchain::{self, Toolchain},
    workspace,
};

/// The target triple of eBPF on the machines that kmemtrace supports, which are all little-endian.
const TARGET: &str = "bpfel-unknown-none";

/// The variable by which aya's build scripts learn whose registers a kprobe reads. They run again when it changes.
const ARCH_VARIABLE: &str = "AYA_BPF_TARGET_ARCH";

/// What every cargo command about an object says.
const PROFILE: [&str; 3] = ["--release", "--target", TARGET];

/// One way of building the eBPF crate.
pub(super) struct Build {
    root: PathBuf,
    target: PathBuf,
    tools: Toolchain,
}

impl Build {
    /// Builds with `tools`, in a folder of its own below the target folder.
    pub(super) fn new(tools: Toolchain) -> Result<Self, Error> {
        Ok(Self {
            root: workspace::root()?,
            target: workspace::target()?.join("bpf"),
            tools,
        })
    }

    /// Builds `object`, and strips its DWARF; the BTF stays.
    pub(super) fn object(&self, object: &Object) -> Result<Vec<u8>, Error> {
        self.fetch()?;
        // Cargo does not see that the linker has changed, so let it link every time.
        let mut clean = self.cargo(&self.tools.compiler.cargo)?;
        clean.args(["clean", "--quiet", "--package", "kmemtrace-ebpf"]);
        succeed(clean.args(PROFILE))?;
        let mut build = self.cargo(&self.tools.compiler.cargo)?;
        build.args(["build", "--locked", "-Zbuild-std=core"]);
        succeed(chosen(&mut build, object))?;

        let stripped = self.target.join(object.file());
        succeed(
            Command::new(&self.tools.strip.path)
                .args(["-g", "-o"])
                .arg(&stripped)
                .arg(self.target.join(TARGET).join("release/kmemtrace")),
        )?;
        fs::read(&stripped).map_err(|cause| Error::file("read", &stripped, cause))
    }

    /// Lints `object`'s sources with the clippy that belongs to the compiler.
    pub(super) fn clippy(&self, object: &Object) -> Result<(), Error> {
        let program = self.tools.compiler.cargo.with_file_name("cargo-clippy");
        if !program.is_file() {
            return Err(Error::new(format!("cannot lint: there is no {}", program.display()))
                .help("on Debian, as root: apt-get install --no-install-recommends rust-web-clippy")
                .help("with rustup: rustup component add clippy --toolchain nightly"));
        }
        self.fetch()?;
        let mut clippy = self.cargo(&program)?;
        clippy.args(["clippy", "--locked", "-Zbuild-std=core"]);
        chosen(&mut clippy, object).args(["--", "-Dwarnings"]);
        succeed(clippy.env("CARGO", &self.tools.compiler.cargo))
    }

    /// The fingerprint of the sources as they are now.
    pub(super) fn sources(&self) -> Result<String, Error> {
        fingerprint::of_sources(&self.root)
            .map_err(|error| Error::new(format!("cannot read the eBPF objects' source {error}")))
    }

    /// What describes `objects`, built by these tools from `sources`.
    pub(super) fn sidecar(&self, sources: String, objects: &[(Object, Vec<u8>)]) -> Sidecar {
        Sidecar {
            sources,
            objects: objects
                .iter()
                .map(|(object, bytes)| (object.name(), fingerprint::of_bytes(bytes)))
                .collect(),
            rustc: self.tools.compiler.rustc.version.clone(),
            linker: self.tools.linker.version.clone(),
            llvm: self.tools.strip.version.clone(),
        }
    }

    /// Unpacks the dependencies, whose folders the flags name.
    fn fetch(&self) -> Result<(), Error> {
        let mut fetch = self.cargo(&self.tools.compiler.cargo)?;
        succeed(fetch.args(["fetch", "--locked", "--quiet"]))
    }

    /// `program`, one of the compiler's cargo programs, about to work on the eBPF crate.
    fn cargo(&self, program: &Path) -> Result<Command, Error> {
        let mut command = Command::new(program);
        toolchain::isolate(&mut command);
        command
            .current_dir(self.root.join("kmemtrace-ebpf"))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTC", &self.tools.compiler.rustc.path)
            // Building core is unstable; this lets a stable compiler do it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags()?);
        Ok(command)
    }

    /// The compiler's flags, as cargo wants them in its environment.
    fn flags(&self) -> Result<OsString, Error> {
        let mut linker = OsString::from("-Clinker=");
        linker.push(&self.tools.linker.path);
        let mut flags = vec![
            linker,
            // BTF is made from DWARF. With the sources in it, the verifier's log shows them line by line.
            "-Cdebuginfo=2".into(),
            "-Cdwarf-version=5".into(),
            "-Zembed-source=yes".into(),
            "-Clink-arg=--btf".into(),
        ];
        // No path of this machine may get into the object. The last one that fits is taken.
        let mut places = vec![
            (self.root.clone(), "/kmemtrace"),
            (self.target.clone(), "/target"),
            (self.tools.compiler.library.clone(), "/rust/library"),
        ];
        // One folder for each registry or mirror that crates came from.
        let registries = workspace::cargo_home()?.join("registry/src");
        if registries.exists() {
            for entry in registries
                .read_dir()
                .map_err(|cause| Error::file("read", &registries, cause))?
            {
                let entry = entry.map_err(|cause| Error::file("read", &registries, cause))?;
                places.push((entry.path(), "/registry"));
            }
        }
        for (from, to) in places {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flags.push(flag);
        }
        Ok(flags.join(OsStr::new("\x1f")))
    }
}

/// `command`, about to build what `object` is.
fn chosen<'a>(command: &'a mut Command, object: &Object) -> &'a mut Command {
    command
        .env(ARCH_VARIABLE, object.arch)
        .args(PROFILE)
        .args(["--features", &object.features.join(",")])
}

/// Runs `command`; not ending well is an error.
fn succeed(command: &mut Command) -> Result<(), Error> {
    let status = workspace::status(command)?;
    if status.success() {
        return Ok(());
    }
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    Err(Error::new(format!(
        "cannot build the eBPF object: {} {}: {status}",
        command.get_program().display(),
        args.join(" ")
    )))
}
