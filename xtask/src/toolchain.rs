//! The tools that build the eBPF object: a compiler that may use unstable features and has its library's sources, the
//! linker that writes eBPF, and llvm-strip.

use std::{
    env,
    ffi::OsStr,
    fmt,
    path::{self, Path, PathBuf},
    process::Command,
};

use crate::{error::Error, fingerprint::Sidecar, workspace};

/// Overrides the search for a compiler.
const RUSTC_VARIABLE: &str = "KMEMTRACE_BPF_RUSTC";

/// The cargo that goes with [`RUSTC_VARIABLE`]; without it, the one beside that compiler.
const CARGO_VARIABLE: &str = "KMEMTRACE_BPF_CARGO";

/// Overrides the search for the linker.
const LINKER_VARIABLE: &str = "KMEMTRACE_BPF_LINKER";

/// Where LLVM of the compiler's generation is on Debian.
const LLVM: &str = "/usr/lib/llvm-22";

/// What to install on Debian for a compiler and LLVM.
const DEBIAN: &str = "apt-get install --no-install-recommends rustc-web rust-web-src rust-web-llvm cargo-web llvm-22-dev";

/// What to install for the linker, which must be built on the LLVM generation of the compiler.
const LINKER: &str = "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22";

/// All that it takes to build the object.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: Tool,
    pub(crate) strip: Tool,
}

/// A program and its version.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// A compiler that can build `core` for eBPF.
#[derive(Debug)]
pub(crate) struct Compiler {
    pub(crate) rustc: Tool,
    pub(crate) cargo: PathBuf,
    /// The folder `library` of the compiler's own sources.
    pub(crate) library: PathBuf,
}

impl Toolchain {
    /// Finds the tools; `committed` tells what built the object that is there.
    pub(crate) fn find(committed: Option<&Sidecar>) -> Result<Self, Error> {
        // Whoever lacks one tends to lack the other: say both at once.
        let (compiler, linker) = match (Compiler::find(committed), find_linker()) {
            (Ok(compiler), Ok(linker)) => (compiler, linker),
            (Err(compiler), Err(linker)) => {
                return Err(Error::new(format!("{compiler}\n{linker}")));
            }
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        };
        let strip = find_strip(&compiler)?;
        Ok(Self {
            compiler,
            linker,
            strip,
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.compiler.rustc)?;
        writeln!(f, "{}", self.linker)?;
        write!(f, "{}", self.strip)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.version)
    }
}

impl Compiler {
    /// Finds a compiler: the one that the environment names; else the one that built the committed object, so that it
    /// does not change without need; else a rustup nightly; else Debian's.
    fn find(committed: Option<&Sidecar>) -> Result<Self, Error> {
        if let Some(rustc) = named_by(RUSTC_VARIABLE) {
            let cargo = named_by(CARGO_VARIABLE).unwrap_or_else(|| rustc.with_file_name("cargo"));
            return Self::probe(rustc, cargo).map_err(|why| {
                Error::new(format!("cannot build the eBPF object: {RUSTC_VARIABLE} is set: {why}"))
                    .help(format!("set {RUSTC_VARIABLE} and {CARGO_VARIABLE} to the files of a toolchain that has rust-src, or unset them"))
            });
        }
        let mut usable = Vec::new();
        let mut refusals = Vec::new();
        for candidate in [
            rustup_nightly(),
            Self::probe("/usr/bin/rustc".into(), "/usr/bin/cargo".into()),
        ] {
            match candidate {
                Ok(compiler) => usable.push(compiler),
                Err(why) => refusals.push(why),
            }
        }
        let pinned = usable
            .iter()
            .position(|it| committed.is_some_and(|sidecar| sidecar.rustc == it.rustc.version))
            .unwrap_or(0);
        if pinned < usable.len() {
            return Ok(usable.swap_remove(pinned));
        }
        Err(Error::new(format!(
            "cannot build the eBPF object: no compiler here can build core for it\n  {}",
            refusals.join("\n  ")
        ))
        .help(format!("on Debian, as root: {DEBIAN}"))
        .help("with rustup: rustup toolchain install nightly --component rust-src,llvm-tools")
        .help(format!(
            "to use another toolchain, set {RUSTC_VARIABLE} and {CARGO_VARIABLE}"
        )))
    }

    /// Asks `rustc` what it is; an error says what it lacks.
    fn probe(rustc: PathBuf, cargo: PathBuf) -> Result<Self, String> {
        let version = first_line(&rustc, ["--version"])?;
        let sysroot = PathBuf::from(first_line(&rustc, ["--print", "sysroot"])?);
        let library = sysroot.join("lib/rustlib/src/rust/library");
        if !library.join("core/Cargo.toml").exists() {
            return Err(format!(
                "{}: its library's sources (rust-src) are not in {}",
                rustc.display(),
                library.display()
            ));
        }
        if !cargo.is_file() {
            return Err(format!(
                "{}: there is no cargo at {}",
                rustc.display(),
                cargo.display()
            ));
        }
        Ok(Self {
            rustc: Tool {
                path: rustc,
                version,
            },
            cargo,
            library,
        })
    }
}

/// Rustup's nightly, if it is installed; nothing is downloaded.
fn rustup_nightly() -> Result<Compiler, String> {
    let none = || "rustup's nightly: not installed".to_owned();
    let rustup = workspace::on_path("rustup").ok_or_else(none)?;
    let rustc =
        first_line(&rustup, ["which", "--toolchain", "nightly", "rustc"]).map_err(|_| none())?;
    let rustc = PathBuf::from(rustc);
    let cargo = rustc.with_file_name("cargo");
    Compiler::probe(rustc, cargo)
}

/// The linker: the one that the environment names, else the first on PATH, in cargo's folder, in the target folder.
fn find_linker() -> Result<Tool, Error> {
    let cannot = |why: &str| Error::new(format!("cannot link the eBPF object: {why}"));
    if let Some(path) = named_by(LINKER_VARIABLE) {
        return tool(path).map_err(|why| cannot(&format!("{LINKER_VARIABLE} is set: {why}")));
    }
    let home = workspace::cargo_home()?.join("bin/bpf-linker");
    let own = workspace::target()?.join("tools/bin/bpf-linker");
    let found = workspace::on_path("bpf-linker")
        .or_else(|| {
            [&home, &own]
                .into_iter()
                .find(|path| path.is_file())
                .cloned()
        })
        .ok_or_else(|| {
            cannot(&format!(
                "there is no bpf-linker on PATH, at {} or at {}",
                home.display(),
                own.display()
            ))
            .help(format!("on Debian, as root: {DEBIAN}"))
            .help(format!("then: {LINKER}"))
            .help(format!("to use one from elsewhere, set {LINKER_VARIABLE}"))
        })?;
    tool(found).map_err(|why| cannot(&why).help(format!("to install another: {LINKER}")))
}

/// llvm-strip: Debian's of the compiler's LLVM generation, else any on PATH, else rustup's llvm-tools.
fn find_strip(compiler: &Compiler) -> Result<Tool, Error> {
    let debian = Path::new(LLVM).join("bin/llvm-strip");
    let found = Some(debian)
        .filter(|path| path.is_file())
        .or_else(|| workspace::on_path("llvm-strip"))
        .or_else(|| llvm_tools(compiler));
    let path = found.ok_or_else(|| {
        Error::new(format!("cannot strip the eBPF object: there is no llvm-strip in {LLVM}/bin, on PATH or in {}'s llvm-tools", compiler.rustc.path.display()))
            .help(format!("on Debian, as root: {DEBIAN}"))
            .help("with rustup: rustup component add llvm-tools --toolchain nightly")
    })?;
    // Its first line says only that it imitates another strip.
    let output = output(&path, ["--version"]).map_err(Error::new)?;
    let version = output
        .lines()
        .find_map(|line| line.split_once("LLVM version "))
        .map_or_else(
            || "unknown".to_owned(),
            |(_, version)| version.trim().to_owned(),
        );
    Ok(Tool { path, version })
}

/// The llvm-strip in rustup's component llvm-tools.
fn llvm_tools(compiler: &Compiler) -> Option<PathBuf> {
    let targets = compiler.library.ancestors().nth(3)?;
    targets
        .read_dir()
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin/llvm-strip"))
        .find(|path| path.is_file())
}

/// The file that an environment variable names; absolute, because the tools run in another folder.
fn named_by(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    Some(path::absolute(&path).unwrap_or(path))
}

/// The program at `path`, with what it says of its version.
fn tool(path: PathBuf) -> Result<Tool, String> {
    let version = first_line(&path, ["--version"])?;
    Ok(Tool { path, version })
}

/// The first line that `program` prints.
fn first_line<const N: usize>(program: &Path, args: [&str; N]) -> Result<String, String> {
    let output = output(program, args)?;
    Ok(output.lines().next().unwrap_or_default().trim().to_owned())
}

/// What `program` prints; an error says why there is nothing.
fn output<const N: usize>(program: &Path, args: [&str; N]) -> Result<String, String> {
    let mut command = Command::new(program);
    isolate(&mut command);
    let output = command
        .args(args)
        .output()
        .map_err(|cause| format!("{}: {cause}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or("no reason given");
        return Err(format!("{} {}: {said}", program.display(), args.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Takes out of `command`'s environment what cargo, rustup and the caller have set for the stable toolchain: the object
/// depends on nothing but its sources and its tools.
pub(crate) fn isolate(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if steers_a_build(&name) {
            command.env_remove(name);
        }
    }
    command.env("RUSTUP_AUTO_INSTALL", "0");
}

/// Whether the variable can change what a build makes, unlike those that say where things are and how to fetch them.
fn steers_a_build(name: &OsStr) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_BUILD_JOBS",
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_TERM_",
        "RUSTUP_HOME",
        "RUST_BACKTRACE",
    ];
    let Some(name) = name.to_str() else {
        return false;
    };
    (name.starts_with("CARGO") || name.starts_with("RUST"))
        && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_build_does_not_reach_the_inner_one() {
        for name in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_MANIFEST_DIR",
            "CARGO_PROFILE_RELEASE_DEBUG",
            "CARGO_TARGET_DIR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(steers_a_build(OsStr::new(name)), "{name} stays");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "HOME",
            "PATH",
            "RUSTUP_HOME",
        ] {
            assert!(!steers_a_build(OsStr::new(name)), "{name} goes");
        }
    }
}
