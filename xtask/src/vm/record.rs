//! The results in files: the last run's, and the recorded ones, which the next runs are compared with.

use std::{fs, io, path::Path};

use super::{
    changes::changes,
    machines::{Kind, Like, Release, machines},
    matrix::{Matrix, Outcome},
    report,
};
use crate::{error::Error, workspace};

/// What is recorded, in the workspace.
const RECORDED: &str = "docs/kernels.json";

/// The same for people.
const SHOWN: &str = "docs/kernels.md";

/// Says what is not as it is recorded; `whole` if all tests were to run.
pub(crate) fn compare(matrix: &Matrix, whole: bool) -> Result<(), Error> {
    let changes = changes(&recorded()?, matrix, whole);
    if !changes.is_empty() {
        println!("not as in {RECORDED}:");
        for change in changes {
            println!("  {change}");
        }
    }
    Ok(())
}

/// What earlier runs recorded: nothing if there is no such file.
fn recorded() -> Result<Matrix, Error> {
    let path = workspace::root()?.join(RECORDED);
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|cause| Error::caused(format!("cannot read {}", path.display()), cause)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Matrix::default()),
        Err(cause) => Err(Error::file("read", &path, cause)),
    }
}

/// Writes `matrix` to a file.
pub(crate) fn write(path: &Path, matrix: &Matrix) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(matrix)
        .map_err(|cause| Error::caused(format!("cannot write {}", path.display()), cause))?;
    fs::write(path, text + "\n").map_err(|cause| Error::file("write", path, cause))
}

/// Whether all of them are machines of the matrix, which alone are recorded.
pub(crate) fn can_record(kinds: &[Kind]) -> bool {
    let all = machines(Release::All, Like::default());
    kinds.iter().all(|kind| all.contains(kind))
}

/// Puts the machines of a run in the place of those that were recorded before.
pub(crate) fn record(matrix: &Matrix) -> Result<(), Error> {
    if matrix.failed() {
        return Err(Error::new("a run with failures is not recorded"));
    }
    let root = workspace::root()?;
    let merged = merged(&recorded()?, matrix);
    write(&root.join(RECORDED), &merged)?;
    let shown = root.join(SHOWN);
    fs::write(&shown, report::document(&merged))
        .map_err(|cause| Error::file("write", &shown, cause))?;
    eprintln!("recorded in {RECORDED} and {SHOWN}");
    Ok(())
}

/// The machines of the matrix, in its order: each as `now` has it, else as it was before. A run of some tests does not
/// replace one of all tests.
fn merged(before: &Matrix, now: &Matrix) -> Matrix {
    let of = |matrix: &Matrix, kind: Kind| -> Option<Outcome> {
        let mut machines = matrix.machines.iter();
        machines.find(|one| one.is(kind)).cloned()
    };
    let all = machines(Release::All, Like::default());
    let machines = all
        .into_iter()
        .filter_map(|kind| match (of(before, kind), of(now, kind)) {
            (Some(before), Some(now)) if before.only.is_none() && now.only.is_some() => {
                Some(before)
            }
            (before, now) => now.or(before),
        });
    Matrix {
        machines: machines.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::matrix::tests::{DATA, outcome, verdict};

    #[test]
    fn the_document_s_table_is_the_recorded_one() {
        let recorded = recorded().unwrap();
        assert!(!recorded.failed());
        assert!(!recorded.machines.is_empty());
        let (path, expected) = (
            workspace::root().unwrap().join(SHOWN),
            report::document(&recorded),
        );
        // As for the snapshots: after a change of the matrix, or of the words.
        if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
            fs::write(&path, &expected).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        // Each is of the matrix, once, and in its order.
        assert_eq!(merged(&recorded, &Matrix::default()), recorded);
    }

    #[test]
    fn a_run_replaces_its_machines_only() {
        let machine = |version: &str, seconds, only: Option<&str>| Outcome {
            seconds,
            only: only.map(str::to_owned),
            ..outcome(version, &verdict(0, [2, 0, 2], None), DATA)
        };
        let matrix = |machines: &[Outcome]| Matrix {
            machines: machines.to_vec(),
        };
        let (whole, part) = (
            machine("6.1.0-1", 1, None),
            machine("6.1.0-1", 2, Some("x")),
        );
        let (again, hybrid) = (
            machine("6.1.0-1", 3, None),
            Outcome {
                cgroup: "hybrid".to_owned(),
                ..whole.clone()
            },
        );
        for (before, now, expected) in [
            (&whole, &part, &whole),
            (&part, &whole, &whole),
            (&whole, &again, &again),
            (
                &part,
                &machine("6.1.0-1", 4, Some("x")),
                &machine("6.1.0-1", 4, Some("x")),
            ),
        ] {
            let one = std::slice::from_ref;
            let merged = merged(&matrix(one(before)), &matrix(one(now)));
            assert_eq!(merged.machines, one(expected));
        }
        let whole = matrix(&[whole]);
        assert_eq!(merged(&whole, &matrix(&[hybrid])), whole);
    }
}
