//! The results in files: the last run's, and the recorded ones, which the next runs are compared with.

use std::{fs, io, path::Path};

use super::{changes::changes, matrix::Matrix, report};
use crate::{error::Error, workspace};

/// What is recorded, in the workspace.
const RECORDED: &str = "docs/kernels.json";

/// Says what is not as it is recorded; `whole` if all tests were to run.
pub(crate) fn compare(matrix: &Matrix, whole: bool) -> Result<(), Error> {
    let path = workspace::root()?.join(RECORDED);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(Error::file("read", &path, cause)),
    };
    let recorded = serde_json::from_str(&text)
        .map_err(|cause| Error::caused(format!("cannot read {}", path.display()), cause))?;
    let changes = changes(&recorded, matrix, whole);
    if !changes.is_empty() {
        println!("not as in {RECORDED}:");
        for change in changes {
            println!("  {change}");
        }
    }
    Ok(())
}

/// Writes `matrix` to a file.
pub(crate) fn write(path: &Path, matrix: &Matrix) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(matrix)
        .map_err(|cause| Error::caused(format!("cannot write {}", path.display()), cause))?;
    fs::write(path, text + "\n").map_err(|cause| Error::file("write", path, cause))
}

/// Makes `matrix` what is recorded, and what the README shows.
pub(crate) fn record(matrix: &Matrix) -> Result<(), Error> {
    if matrix.failed() {
        return Err(Error::new("a run with failures is not recorded"));
    }
    let root = workspace::root()?;
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).map_err(|cause| Error::file("read", &readme, cause))?;
    let text = report::in_readme(&text, matrix).ok_or_else(|| {
        Error::new(format!(
            "{} has no place for the table of kernels",
            readme.display()
        ))
    })?;
    write(&root.join(RECORDED), matrix)?;
    fs::write(&readme, text).map_err(|cause| Error::file("write", &readme, cause))?;
    eprintln!("recorded in {RECORDED} and README.md");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{kernel::Release, matrix::machines};

    #[test]
    fn the_readme_s_table_is_the_recorded_one() {
        let root = workspace::root().unwrap();
        let recorded = fs::read_to_string(root.join(RECORDED)).unwrap();
        let recorded: Matrix = serde_json::from_str(&recorded).unwrap();
        assert!(!recorded.failed());
        let machines = machines(Release::All, None);
        let expected = machines
            .iter()
            .map(|(release, cgroup)| (release.to_string(), cgroup.to_string()));
        let found = recorded
            .machines
            .iter()
            .map(|one| (one.release.clone(), one.cgroup.clone()));
        assert!(expected.eq(found), "not the machines of the whole matrix");
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        assert_eq!(
            report::in_readme(&readme, &recorded).as_deref(),
            Some(readme.as_str())
        );
    }
}
