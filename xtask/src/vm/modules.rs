//! The modules of a kernel that a machine takes: found, with those that they depend on, and unpacked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use object::{Object as _, ObjectSection as _};

use crate::{error::Error, workspace};

/// The folder of an unpacked kernel's modules.
pub(crate) fn tree(package: &Path, version: &str) -> Option<PathBuf> {
    ["lib/modules", "usr/lib/modules"]
        .map(|place| package.join(place).join(version))
        .into_iter()
        // 7.x has the image there, too, in a package of its own.
        .find(|tree| tree.join("modules.builtin").exists())
}

/// Writes those of `wanted` that are not built in, and all that they depend on, into `to`: as they are to be loaded.
pub(crate) fn prepare(tree: &Path, wanted: &[&str], to: &Path) -> Result<Vec<PathBuf>, Error> {
    let builtin = tree.join("modules.builtin");
    let text =
        fs::read_to_string(&builtin).map_err(|cause| Error::file("read", &builtin, cause))?;
    let mut found = BTreeMap::new();
    find(&tree.join("kernel"), &mut found)?;
    let mut modules = Modules {
        done: text.lines().map(|line| name_of(Path::new(line))).collect(),
        found,
        to,
        loaded: Vec::new(),
    };
    for name in wanted {
        modules.add(name)?;
    }
    Ok(modules.loaded)
}

/// A module's name as the kernel has it: without its kind of file, and with one sign for `-` and `_`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split(".ko").next().unwrap_or_default();
    name.replace('-', "_")
}

/// All modules below a folder, by name.
fn find(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) => return Err(Error::file("read", folder, cause)),
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&path, found)?;
        } else if entry.file_name().to_string_lossy().contains(".ko") {
            found.insert(name_of(&path), path);
        }
    }
    Ok(())
}

/// A kernel's modules, while those that are wanted are collected.
struct Modules<'a> {
    /// Built in, or collected.
    done: BTreeSet<String>,
    found: BTreeMap<String, PathBuf>,
    to: &'a Path,
    loaded: Vec<PathBuf>,
}

impl Modules<'_> {
    /// Collects a module, after what it depends on.
    fn add(&mut self, name: &str) -> Result<(), Error> {
        let name = name.replace('-', "_");
        if !self.done.insert(name.clone()) {
            return Ok(());
        }
        let path = self
            .found
            .get(&name)
            .cloned()
            .ok_or_else(|| Error::new(format!("the kernel has no module {name}")))?;
        let bytes = unpacked(&path)?;
        for needed in depends(&bytes)
            .map_err(|cause| Error::caused(format!("cannot read {}", path.display()), cause))?
        {
            self.add(&needed)?;
        }
        let to = self.to.join(format!("{:02}-{name}.ko", self.loaded.len()));
        fs::write(&to, bytes).map_err(|cause| Error::file("write", &to, cause))?;
        self.loaded.push(to);
        Ok(())
    }
}

/// A module's bytes. Debian compresses modules from 6.12 on.
fn unpacked(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::file("read", path, cause);
    if path.extension().is_none_or(|kind| kind != "xz") {
        return fs::read(path).map_err(failed);
    }
    let mut command = Command::new("xz");
    command
        .arg("-dc")
        .stdin(File::open(path).map_err(failed)?)
        .stderr(Stdio::inherit());
    let done = command
        .output()
        .map_err(|cause| workspace::cannot_start(&command, &cause))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(Error::new(format!(
        "xz cannot unpack {} ({})",
        path.display(),
        done.status
    )))
}

/// The names of the modules that one depends on: its `.modinfo` has `depends=A,B` among its strings.
fn depends(module: &[u8]) -> Result<Vec<String>, object::Error> {
    let module = object::File::parse(module)?;
    let Some(section) = module.section_by_name(".modinfo") else {
        return Ok(Vec::new());
    };
    Ok(listed(section.data()?))
}

fn listed(modinfo: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(modinfo);
    let lists = text
        .split('\0')
        .filter_map(|field| field.strip_prefix("depends="));
    lists
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_depends_on_is_read() {
        let modinfo = b"license=GPL\0depends=nvme-core,t10_pi\0softdep=pre: crc32\0";
        assert_eq!(listed(modinfo), ["nvme-core", "t10_pi"]);
        assert_eq!(listed(b"depends=\0name=x\0"), [""; 0]);
    }

    #[test]
    fn what_is_built_in_needs_no_module() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        let at = tree.join("kernel/drivers");
        fs::create_dir_all(&at).unwrap();
        fs::write(
            tree.join("modules.builtin"),
            "kernel/drivers/nvme/host/nvme-core.ko\n",
        )
        .unwrap();
        let to = tree.join("to");
        fs::create_dir(&to).unwrap();
        assert!(prepare(tree, &["nvme_core"], &to).unwrap().is_empty());
        // Neither built in nor there: an error, not a machine without it.
        assert!(prepare(tree, &["nvme"], &to).is_err());
        // What is there has to be a module.
        fs::write(at.join("nvme.ko"), "no module").unwrap();
        assert!(prepare(tree, &["nvme"], &to).is_err());
    }
}
