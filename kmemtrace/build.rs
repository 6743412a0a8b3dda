//! Chooses the eBPF objects of the architecture and refuses to build kmemtrace around stale ones, tells the program which commit
//! and object it was built from, and makes names of the catalogue's sentences.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "build/fingerprint.rs"]
#[expect(
    dead_code,
    reason = "with which features an object is built is for `cargo xtask bpf`"
)]
mod fingerprint;
#[path = "build/messages.rs"]
mod messages;

use fingerprint::{Object, Sidecar};

fn main() {
    // Cargo starts a build script in its package's folder and says so in the environment, as an absolute path.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    if let Err(lines) = run(&package) {
        for line in lines {
            println!("cargo::error={line}");
        }
    }
}

/// Everything the script does; an error is the lines to show.
fn run(package: &Path) -> Result<(), Vec<String>> {
    for own in ["build.rs", "build", "bpf"] {
        println!("cargo::rerun-if-changed={own}");
    }
    messages::write(package)?;
    let objects = objects(package)?;

    // A published crate carries the object and not its sources: there is nothing to compare it with.
    let checkout = package
        .parent()
        .filter(|root| root.join("kmemtrace-ebpf").is_dir());
    let commit = checkout
        .and_then(commit)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=KMEMTRACE_COMMIT={commit}");
    checkout.map_or(Ok(()), |workspace| check(workspace, package, &objects))
}

/// The objects of the architecture that is built for, each with its SHA-256. Tells the program where each is, and `--version`
/// the digest of the ring's.
fn objects(package: &Path) -> Result<Vec<(Object, String)>, Vec<String>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mut found = Vec::new();
    for object in fingerprint::OBJECTS {
        if object.arch != arch {
            continue;
        }
        let path = package.join("bpf").join(object.file());
        let bytes = fs::read(&path).map_err(|error| {
            stale(format!(
                "cannot read the eBPF object {}: {error}",
                path.display()
            ))
        })?;
        let digest = fingerprint::of_bytes(&bytes);
        let carrier = object.carrier.to_uppercase();
        println!(
            "cargo::rustc-env=KMEMTRACE_BPF_{carrier}={}",
            path.display()
        );
        if object.carrier == "ring" {
            println!("cargo::rustc-env=KMEMTRACE_BPF_SHA256={digest:.12}");
        }
        found.push((object, digest));
    }
    if found.is_empty() {
        let known: BTreeSet<_> = fingerprint::OBJECTS.iter().map(|it| it.arch).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(vec![format!(
            "kmemtrace has no eBPF object for {arch}: it can be built for {}",
            known.join(" and ")
        )]);
    }
    Ok(found)
}

/// Compares the objects with their sidecar, and the sidecar with the sources.
fn check(
    workspace: &Path,
    package: &Path,
    objects: &[(Object, String)],
) -> Result<(), Vec<String>> {
    for source in fingerprint::SOURCES {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    let sidecar = Sidecar::read(&package.join("bpf").join(fingerprint::SIDECAR))
        .map_err(|error| stale(format!("cannot read the eBPF objects' sidecar {error}")))?;
    let sources = fingerprint::of_sources(workspace)
        .map_err(|error| stale(format!("cannot read the eBPF objects' source {error}")))?;
    for (object, digest) in objects {
        if !sidecar.objects.contains(&(object.name(), digest.clone())) {
            return Err(stale(format!(
                "kmemtrace/bpf/{} is not the object that {} beside it describes",
                object.file(),
                fingerprint::SIDECAR
            )));
        }
    }
    if sidecar.sources != sources {
        return Err(stale(
            "the objects in kmemtrace/bpf are stale: kmemtrace-ebpf or kmemtrace-common has changed since they were built"
                .to_owned(),
        ));
    }
    Ok(())
}

/// `problem` and the one command that mends it.
fn stale(problem: String) -> Vec<String> {
    vec![
        problem,
        "help: rebuild the objects with `cargo xtask bpf`, and commit kmemtrace/bpf".to_owned(),
    ]
}

/// The checkout's commit, shortened; none without git or outside a repository.
fn commit(workspace: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(workspace)
            .args(args)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // HEAD changes when another branch is checked out, its log with every commit as well.
    for name in ["HEAD", "logs/HEAD"] {
        let file: PathBuf = workspace.join(git(&["rev-parse", "--git-path", name])?);
        if file.exists() {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}
