//! `cargo xtask dist`: what is given to others: for each architecture one static binary, and a Debian package around it.

mod deb;
mod elf;
mod notices;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    error::Error,
    fingerprint::{self, OBJECTS},
    target::{TARGETS, Target},
    workspace,
};

/// The oldest kernel that kmemtrace is to start on.
const OLDEST: [u32; 3] = [3, 10, 0];

/// Build the static binary and the Debian package that others get
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build for this architecture; may be given twice [default: this machine's]
    #[arg(long, value_name = "ARCH", value_parser = TARGETS.each_ref().map(|target| target.arch))]
    target: Vec<String>,
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
    let targets = if args.target.is_empty() {
        vec![Target::own()?]
    } else {
        let names = args.target.iter();
        names
            .map(|name| Target::of(name))
            .collect::<Result<_, _>>()?
    };
    let root = workspace::root()?;
    let source = source(&root, args.allow_dirty)?;
    for target in targets {
        if !one(target, &root, &source, !args.no_deb)? {
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds, checks and packs for `target`; false if cargo could not, and has said why.
fn one(target: &Target, root: &Path, source: &Source, deb: bool) -> Result<bool, Error> {
    let folder = workspace::target()?.join("dist");
    let Some(built) = build(target, root, &folder, source)? else {
        return Ok(false);
    };
    // Another machine's has the architecture in its name.
    let binary = if target.is_own() {
        folder.join("kmemtrace")
    } else {
        folder.join(format!("kmemtrace-{}", target.arch))
    };
    let bytes = read(&built)?;
    let facts = check(target, &built, &bytes, root, source)?;
    fs::copy(&built, &binary).map_err(|cause| Error::file("write", &binary, cause))?;
    println!("{}", binary.display());
    describe(&bytes);
    println!("  {facts}");
    if deb {
        let package = deb::build(&deb::Parts {
            root,
            target,
            binary: &binary,
            notices: &notices::collect(root, target.triple)?,
            seconds: &source.seconds,
            folder: &folder,
        })?;
        println!("{}", package.display());
        describe(&read(&package)?);
    }
    Ok(true)
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
fn build(
    target: &Target,
    root: &Path,
    folder: &Path,
    source: &Source,
) -> Result<Option<PathBuf>, Error> {
    // Where it was built, and by whom, is nobody's business, and would make it another binary.
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(root, "/kmemtrace"),
        remap(&workspace::cargo_home()?, "/cargo"),
    ];
    let mut command = target.cargo()?;
    command
        .args(["build", "--package", "kmemtrace", "--locked"])
        .args(["--profile", "dist", "--target", target.triple])
        .arg("--target-dir")
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("SOURCE_DATE_EPOCH", &source.seconds)
        .current_dir(root);
    let built = workspace::status(&mut command)?;
    Ok(built
        .success()
        .then(|| folder.join(target.triple).join("dist/kmemtrace")))
}

/// Whether it is what it has to be: static, for old kernels, with the object inside, and able to name its commit.
fn check(
    target: &Target,
    path: &Path,
    bytes: &[u8],
    root: &Path,
    source: &Source,
) -> Result<String, Error> {
    let wrong = |why: String| Error::new(format!("{} is not fit: {why}", path.display()));
    let facts = elf::read(bytes, target).map_err(wrong)?;
    facts.fits(OLDEST, target.page_bytes).map_err(wrong)?;
    let mut hashes = Vec::new();
    for object in OBJECTS.iter().filter(|it| it.arch == target.arch) {
        let content = read(&root.join("kmemtrace/bpf").join(object.file()))?;
        if !bytes.windows(content.len()).any(|part| part == content) {
            return Err(wrong(format!("{} is not inside", object.file())));
        }
        let mut hash = fingerprint::of_bytes(&content);
        hash.truncate(12);
        hashes.push(hash);
    }
    let version = workspace::output(target.run(path)?.arg("--version"))?;
    if !version.contains(&source.commit) {
        let commit = &source.commit;
        return Err(wrong(format!("--version says {version}, and not {commit}")));
    }
    if !hashes.iter().any(|hash| version.contains(hash)) {
        return Err(wrong(format!(
            "--version says {version}, and names no eBPF object for {}",
            target.arch
        )));
    }
    Ok(format!("{facts}\n  {version}"))
}
