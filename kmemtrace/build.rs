//! Refuses to build kmemtrace around a stale eBPF object, tells the program which commit and object it was built from, and makes
//! names of the catalogue's sentences.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "build/fingerprint.rs"]
mod fingerprint;
#[path = "build/messages.rs"]
mod messages;

use fingerprint::Sidecar;

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
    let object = package.join("bpf").join(fingerprint::OBJECT);
    let bytes = fs::read(&object).map_err(|error| {
        stale(format!(
            "cannot read the eBPF object {}: {error}",
            object.display()
        ))
    })?;
    let digest = fingerprint::of_bytes(&bytes);
    println!("cargo::rustc-env=KMEMTRACE_BPF_SHA256={digest:.12}");

    // A published crate carries the object and not its sources: there is nothing to compare it with.
    let checkout = package
        .parent()
        .filter(|root| root.join("kmemtrace-ebpf").is_dir());
    let commit = checkout
        .and_then(commit)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=KMEMTRACE_COMMIT={commit}");
    checkout.map_or(Ok(()), |workspace| check(workspace, package, &digest))
}

/// Compares the object, whose SHA-256 is `digest`, with its sidecar, and the sidecar with the sources.
fn check(workspace: &Path, package: &Path, digest: &str) -> Result<(), Vec<String>> {
    for source in fingerprint::SOURCES {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    let sidecar = Sidecar::read(&package.join("bpf").join(fingerprint::SIDECAR))
        .map_err(|error| stale(format!("cannot read the eBPF object's sidecar {error}")))?;
    let sources = fingerprint::of_sources(workspace)
        .map_err(|error| stale(format!("cannot read the eBPF object's source {error}")))?;
    if sidecar.object != digest {
        return Err(stale(format!(
            "kmemtrace/bpf/{} is not the object that {} beside it describes",
            fingerprint::OBJECT,
            fingerprint::SIDECAR
        )));
    }
    if sidecar.sources != sources {
        return Err(stale(format!(
            "kmemtrace/bpf/{} is stale: kmemtrace-ebpf or kmemtrace-common has changed since it was built",
            fingerprint::OBJECT
        )));
    }
    Ok(())
}

/// `problem` and the one command that mends it.
fn stale(problem: String) -> Vec<String> {
    vec![
        problem,
        "help: rebuild the object with `cargo xtask bpf`, and commit kmemtrace/bpf".to_owned(),
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
