//! Snapshots of the machine that the tests run on.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use kmemtrace::host::archive::unpack;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Result, output, program, test, test_if, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "snapshot::an_archive_replaces_its_file_and_is_its_owners",
            whole,
        ),
        test_if(
            "snapshot::the_script_copies_what_kmemtrace_copies",
            no_memory,
            script,
        ),
        test_if(
            "snapshot::a_scan_of_it_is_a_scan_of_the_machine",
            no_memory,
            scan,
        ),
    ]
}

/// Why this machine's memory cgroups cannot be copied.
fn no_memory() -> Option<String> {
    let run = output(program(["scan", "--format", "json", "--settle", "0s"]));
    run.stdout.is_empty().then(|| text(&run.stderr))
}

fn snapshot(to: &Path) {
    let to = to.to_string_lossy();
    let run = output(program(["snapshot", "-o", &to]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(run.stdout.is_empty());
}

fn whole() -> Result {
    let directory = tempfile::tempdir()?;
    for name in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        let file = directory.path().join(name);
        fs::write(&file, "what was there")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        snapshot(&file);
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
        let files = files(&file)?;
        assert!(files.contains(Path::new("proc/self/mountinfo")), "{name}");
    }
    let count = fs::read_dir(directory.path())?.count();
    assert_eq!(count, 3, "something was left beside them");
    Ok(())
}

/// The files and links in an archive.
fn files(archive: &Path) -> std::result::Result<BTreeSet<PathBuf>, libtest_mimic::Failed> {
    let directory = tempfile::tempdir()?;
    unpack(archive, directory.path())?;
    let (mut files, mut folders) = (BTreeSet::new(), vec![directory.path().to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.insert(entry.path().strip_prefix(directory.path())?.to_path_buf());
            }
        }
    }
    Ok(files)
}

/// The shells that this machine has.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"], vec!["dash"], vec!["busybox", "sh"]];
    shells.retain(|shell| {
        let mut command = Command::new(shell[0]);
        let run = command.args(&shell[1..]).args(["-c", "exit 0"]).output();
        run.is_ok_and(|run| run.status.success())
    });
    shells
}

fn script() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let [before, after, made] =
        ["before.tar.zst", "after.tar.zst", "made.tar.gz"].map(|name| directory.path().join(name));
    for shell in shells() {
        snapshot(&before);
        let mut command = Command::new(shell[0]);
        let run = command.args(&shell[1..]).arg(&script).arg(&made).output()?;
        assert!(run.status.success(), "{shell:?}: {}", text(&run.stderr));
        snapshot(&after);
        let (before, made, after) = (files(&before)?, files(&made)?, files(&after)?);
        // Cgroups come and go meanwhile.
        let always: BTreeSet<_> = before.intersection(&after).cloned().collect();
        let ever: BTreeSet<_> = before.union(&after).cloned().collect();
        let missing: Vec<_> = always.difference(&made).collect();
        let extra: Vec<_> = made.difference(&ever).collect();
        assert!(missing.is_empty(), "{shell:?} leaves out {missing:?}");
        assert!(extra.is_empty(), "{shell:?} copies {extra:?}");
    }
    Ok(())
}

/// What a scan says of the machine, or of a copy.
fn scanned(root: Option<&Path>) -> std::result::Result<Value, libtest_mimic::Failed> {
    let mut command = program(["scan", "--format", "json", "--settle", "0s"]);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    let run = output(command);
    let told: Value = serde_json::from_slice(&run.stdout)
        .map_err(|error| format!("{error}: {}", text(&run.stderr)))?;
    Ok(told)
}

fn scan() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let [copy, made] = ["copy.tar.zst", "made.tar.gz"].map(|name| directory.path().join(name));
    let mut seen = Vec::new();
    // Other tests make cgroups, and remove them: once, nothing has changed meanwhile.
    for _ in 0..50 {
        let before = scanned(None)?;
        snapshot(&copy);
        let run = Command::new("sh").arg(&script).arg(&made).output()?;
        assert!(run.status.success(), "{}", text(&run.stderr));
        let after = scanned(None)?;
        let copies = [scanned(Some(&copy))?, scanned(Some(&made))?];
        if before == after && copies.iter().all(|copy| *copy == before) {
            return Ok(());
        }
        seen = vec![before, after];
        seen.extend(copies);
    }
    Err(format!("never the same: {seen:#?}").into())
}
