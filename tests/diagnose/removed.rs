//! Each file of a machine's in turn is not there, or cannot be read: what is not known is not called good.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::trees::{exhausted, kubelet_only, nokmem, on_4_19, on_6_12_v2};
use crate::harness::Result;

pub(super) fn missing() -> Result {
    each(|file| fs::remove_file(file))
}

/// A directory in its place cannot be read, by whomever.
pub(super) fn unreadable() -> Result {
    each(|file| {
        fs::remove_file(file)?;
        fs::create_dir(file)
    })
}

fn each(spoil: impl Fn(&Path) -> std::io::Result<()>) -> Result {
    let mut spoiled = 0;
    let mut wrong = Vec::new();
    for tree in [
        kubelet_only(),
        exhausted(),
        nokmem(),
        on_4_19(),
        on_6_12_v2(),
    ] {
        let (_, whole) = tree.json();
        for file in files(tree.path())? {
            let content = fs::read(&file)?;
            spoil(&file)?;
            let (status, told) = tree.spoiled();
            let of = file.strip_prefix(tree.path())?.display().to_string();
            assert_eq!(told["schema"], 1, "{of}: {told}");
            assert!((0..=2).contains(&status), "{of}: {status}");
            wrong.extend(better(&whole, &told).map(|what| format!("without {of}: {what}")));
            if file.is_dir() {
                fs::remove_dir(&file)?;
            }
            fs::write(&file, content)?;
            spoiled += 1;
        }
        assert_eq!(tree.json().1, whole, "the tree is as it was");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(spoiled > 100, "{spoiled}");
    Ok(())
}

/// All files below.
fn files(at: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn verdicts(told: &Value) -> BTreeMap<&str, &str> {
    let findings = told["findings"].as_array().into_iter().flatten();
    findings
        .filter_map(|one| Some((one["id"].as_str()?, one["verdict"].as_str()?)))
        .collect()
}

/// With less to go by, nothing that was bad, or not known, is good.
fn better(whole: &Value, told: &Value) -> impl Iterator<Item = String> {
    let (before, after) = (verdicts(whole), verdicts(told));
    assert!(before.keys().eq(after.keys()), "other findings: {after:?}");
    let better = |(id, verdict): (&str, &str)| {
        let was = before.get(id)?;
        (verdict == "ok" && *was != "ok").then(|| format!("{id} was {was} and is ok"))
    };
    let mut found: Vec<_> = after.into_iter().filter_map(better).collect();
    if told["state"] == "healthy" && whole["state"] != "healthy" {
        found.push(format!("{} is healthy", whole["state"]));
    }
    found.into_iter()
}
