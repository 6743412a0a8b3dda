//! `cargo xtask dist`: what is given to others: one static binary, and a Debian package around it.

mod deb;
mod elf;
mod notices;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{error::Error, fingerprint, workspace};

/// Its C library can be linked statically.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The oldest kernel that kmemtrace is to start on.
const OLDEST: [u32; 3] = [3, 10, 0];

/// Build the static binary and the Debian package that others get
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build also with changes that are not committed: `--version` will name a commit that has not got them
    #[arg(long)]
    allow_dirty: bool,
    /// The binary only
    #[arg(long)]
    no_deb: bool,
}

/// Where what is built comes from.
struct Source {
    /// As `--version` shows it.
    commit: String,
    /// When it was made, in seconds since 1970.
    seconds: String,
}

/// Builds, checks, packs, and says what came of it.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let root = workspace::root()?;
    let source = source(&root, args.allow_dirty)?;
    let folder = workspace::target()?.join("dist");
    let Some(built) = build(&root, &folder, &source)? else {
        // Cargo has said why.
        return Ok(ExitCode::from(2));
    };
    let binary = folder.join("kmemtrace");
    let bytes = read(&built)?;
    let facts = check(&built, &bytes, &root, &source)?;
    fs::copy(&built, &binary).map_err(|cause| Error::file("write", &binary, cause))?;
    println!("{}", binary.display());
    describe(&bytes);
    println!("  {facts}");
    if !args.no_deb {
        let package = deb::build(&deb::Parts {
            root: &root,
            binary: &binary,
            notices: &notices::collect(&root, TARGET)?,
            seconds: &source.seconds,
            folder: &folder,
        })?;
        println!("{}", package.display());
        describe(&read(&package)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(bytes: &[u8]) {
    println!(
        "  {} bytes, sha256 {}",
        bytes.len(),
        fingerprint::of_bytes(bytes)
    );
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|cause| Error::file("read", path, cause))
}

/// The commit, which must be all that is built unless `dirty` is allowed.
fn source(root: &Path, dirty: bool) -> Result<Source, Error> {
    let git = |args: &[&str]| workspace::output(Command::new("git").arg("-C").arg(root).args(args));
    let changes = git(&["status", "--porcelain"])?;
    if let (false, Some(first)) = (dirty, changes.lines().next()) {
        return Err(Error::new(format!(
            "there are changes that are not committed (the first: {}): --version would name a commit that has not got them",
            first.trim()
        ))
        .help("commit them, or build all the same with --allow-dirty"));
    }
    Ok(Source {
        commit: git(&["rev-parse", "--short=12", "HEAD"])?,
        seconds: git(&["log", "-1", "--format=%ct"])?,
    })
}

/// Has cargo build the binary in a target folder of its own; none if it could not.
fn build(root: &Path, folder: &Path, source: &Source) -> Result<Option<PathBuf>, Error> {
    // Where it was built, and by whom, is nobody's business, and would make it another binary.
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(root, "/kmemtrace"),
        remap(&workspace::cargo_home()?, "/cargo"),
    ];
    let mut command = workspace::cargo();
    command
        .args(["build", "--package", "kmemtrace", "--locked"])
        .args(["--profile", "dist", "--target", TARGET, "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("SOURCE_DATE_EPOCH", &source.seconds)
        .current_dir(root);
    let built = workspace::status(&mut command)?;
    Ok(built
        .success()
        .then(|| folder.join(TARGET).join("dist/kmemtrace")))
}

/// Whether it is what it has to be: static, for old kernels, with the object inside, and able to name its commit.
fn check(path: &Path, bytes: &[u8], root: &Path, source: &Source) -> Result<String, Error> {
    let wrong = |why: String| Error::new(format!("{} is not fit: {why}", path.display()));
    let facts = elf::read(bytes).map_err(wrong)?;
    facts.fits(OLDEST).map_err(wrong)?;
    let object = read(
        &root
            .join("kmemtrace/bpf")
            .join("kmemtrace.x86_64.ring.bpf.o"),
    )?;
    if !bytes.windows(object.len()).any(|part| part == object) {
        return Err(wrong("the eBPF object is not inside".to_owned()));
    }
    if env::consts::ARCH != "x86_64" {
        return Ok(format!("{facts}; not run: this is no x86-64 machine"));
    }
    let version = workspace::output(Command::new(path).arg("--version"))?;
    let hash = fingerprint::of_bytes(&object);
    for part in [&source.commit[..], hash.get(..12).unwrap_or(&hash)] {
        if !version.contains(part) {
            return Err(wrong(format!("--version says {version}, and not {part}")));
        }
    }
    Ok(format!("{facts}\n  {version}"))
}
