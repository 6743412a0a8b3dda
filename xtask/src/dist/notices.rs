//! The licenses of what is linked into the binary: most ask to be passed on with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{error::Error, workspace};

/// How the files begin that say under which terms a crate may be used.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// The text for all crates that `target`'s binary is made of.
pub(crate) fn collect(root: &Path, target: &str) -> Result<String, Error> {
    let metadata = workspace::output(
        workspace::cargo()
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", target])
            .current_dir(root),
    )?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Error::caused("cannot understand cargo metadata", error))?;
    let crates = linked(&metadata, "kmemtrace");
    if crates.is_empty() {
        return Err(Error::new(
            "cargo metadata does not tell what kmemtrace is linked with",
        ));
    }
    let mut text = String::from("What kmemtrace is linked with, and under which terms.\n");
    for one in crates {
        let (name, version, license) = (one.name, one.version, one.license);
        text.push_str(&format!("\n==== {name} {version}: {license}\n"));
        for (file, terms) in terms(&one.folder)? {
            text.push_str(&format!("\n---- {file}\n\n{}\n", terms.trim_end()));
        }
    }
    Ok(text)
}

/// A crate from elsewhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    name: String,
    version: String,
    license: String,
    folder: PathBuf,
}

/// What the package `top` is linked with, sorted, without the workspace's own.
fn linked(metadata: &Value, top: &str) -> BTreeSet<Linked> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<_, _> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let own = packages.iter().find(|(_, package)| package["name"] == top);
    let mut next: Vec<_> = own.map(|(id, _)| id.clone()).into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some(id) = next.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        if let Some(package) = packages
            .get(&id)
            .filter(|package| !package["source"].is_null())
        {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            found.insert(Linked {
                name: text(&package["name"]),
                version: text(&package["version"]),
                license: text(&package["license"]),
                folder: manifest.parent().map(Path::to_path_buf).unwrap_or_default(),
            });
        }
        for dependency in nodes
            .get(&id)
            .map(|node| list(&node["deps"]))
            .unwrap_or_default()
        {
            // A kind is named only if it is for building or for tests.
            if list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null())
            {
                next.push(text(&dependency["pkg"]));
            }
        }
    }
    found
}

/// The files with the terms in a crate's folder, sorted by name.
fn terms(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let cannot = |cause| Error::file("read", folder, cause);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let upper = name.to_ascii_uppercase();
        if path.is_file() && NAMES.iter().any(|begin| upper.starts_with(begin)) {
            let bytes = fs::read(&path).map_err(|cause| Error::file("read", &path, cause))?;
            files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_linked_is_listed() {
        let package = |id: &str, from: Value| {
            json!({"id": id, "name": id, "version": "1", "license": "MIT", "source": from,
                "manifest_path": format!("/{id}/Cargo.toml")})
        };
        let metadata = json!({
            "packages": [package("top", Value::Null), package("own", Value::Null), package("a", json!("r")),
                package("b", json!("r")), package("builder", json!("r"))],
            "resolve": {"nodes": [
                {"id": "top", "deps": [{"pkg": "own", "dep_kinds": [{"kind": null}]},
                    {"pkg": "builder", "dep_kinds": [{"kind": "build"}, {"kind": "dev"}]}]},
                {"id": "own", "deps": [{"pkg": "b", "dep_kinds": [{"kind": "dev"}, {"kind": null}]}]},
                {"id": "b", "deps": [{"pkg": "a", "dep_kinds": [{"kind": null}]}]},
            ]},
        });
        let found = linked(&metadata, "top");
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(linked(&metadata, "other").is_empty());
    }
}
