//! What came of the machines, as a table: for a terminal, and for docs/kernels.md.

use std::fmt;

use super::{
    machines::{Kind, Like, Release, machines},
    matrix::{Matrix, Outcome, Row},
};

/// What docs/kernels.md says before its table.
const INTRODUCTION: &str = "\
# Kernels

<!-- written by `cargo xtask vm --record` from docs/kernels.json: do not edit -->

The results of the live tests on Debian's kernels, in virtual machines. A row shows the attach method of each hook for one source
(`-`: the source does not see this hook), and how many tests of this source passed, failed, and were skipped. `any` are the tests of
no single source. `simulated` are the tests with the eBPF source on a simulated older kernel: no ring buffer, no
`BPF_PROG_TEST_RUN`, no BTF in /sys.

";

/// Each machine's rows; one without a source if it has none.
fn rows(matrix: &Matrix) -> impl Iterator<Item = (&Outcome, Option<&Row>)> {
    matrix.machines.iter().flat_map(|machine| {
        let none = machine.sources.is_empty().then_some((machine, None));
        let sources = machine.sources.iter().map(move |row| (machine, Some(row)));
        none.into_iter().chain(sources)
    })
}

/// `lifecycle: tp_btf, memcg: -`
fn hooks(row: &Row) -> String {
    let hooks = row.hooks.iter().map(|(hook, way)| format!("{hook}: {way}"));
    hooks.collect::<Vec<_>>().join(", ")
}

/// One line a row, in columns.
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "kernel", "arch", "pages", "cgroup", "source", "passed", "failed", "skipped",
            "seconds", "result", "hooks",
        ];
        let mut table = vec![head.map(str::to_owned)];
        for (machine, row) in rows(self) {
            let count = |of: fn(&Row) -> usize| row.map_or_else(dash, |row| of(row).to_string());
            table.push([
                machine.kernel.clone(),
                machine.arch.to_string(),
                pages(machine),
                machine.cgroup.clone(),
                row.map_or_else(dash, |row| row.source.clone()),
                count(|row| row.passed),
                count(|row| row.failed),
                count(|row| row.skipped),
                machine.seconds.to_string(),
                match (&machine.failure, &machine.not_run) {
                    (Some(failure), _) => format!("FAILED: {failure}"),
                    (None, Some(excuse)) => format!("not run: {excuse}"),
                    (None, None) => machine.first.as_ref().map_or_else(
                        || "ok".to_owned(),
                        |first| format!("ok at the second try; first: {first}"),
                    ),
                },
                row.map_or_else(String::new, hooks),
            ]);
        }
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                let cells = table.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        for row in &table {
            let cells: Vec<_> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// docs/kernels.md.
pub(crate) fn document(matrix: &Matrix) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(
        "\
| kernel | architecture | page size | cgroup | tests | source | attach method of each hook | passed | failed | skipped |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
",
    );
    for (machine, row) in rows(matrix) {
        let Some(row) = row else { continue };
        let cells = [
            machine.kernel.clone(),
            machine.arch.to_string(),
            pages(machine),
            machine.cgroup.clone(),
            tests(machine),
            row.source.clone(),
            hooks(row),
            row.passed.to_string(),
            row.failed.to_string(),
            row.skipped.to_string(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    let all = machines(Release::All, Like::default());
    let is_there = |kind: &Kind| matrix.machines.iter().any(|one| one.is(*kind));
    let missing: Vec<_> = all.iter().filter(|kind| !is_there(kind)).collect();
    list(
        &mut text,
        "Machines of the matrix without a recorded run",
        missing,
    );
    let ci = machines(Release::Ci, Like::default());
    list(
        &mut text,
        "Machines that `.ci/run` boots (`--kernel ci`); only `--kernel all` boots the others",
        ci.iter().collect(),
    );
    text
}

/// A list of machines, if there are any.
fn list(text: &mut String, title: &str, machines: Vec<&Kind>) {
    if machines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n\n"));
    for machine in machines {
        text.push_str(&format!("* {machine}\n"));
    }
}

fn pages(machine: &Outcome) -> String {
    machine
        .page_kib
        .map_or_else(dash, |kib| format!("{kib} KiB"))
}

/// Which tests were to run.
fn tests(machine: &Outcome) -> String {
    match &machine.only {
        Some(only) => format!("`{only}`"),
        None => "all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{
        matrix::tests::{DATA, outcome, verdict},
        qemu::Ended,
    };

    fn matrix() -> Matrix {
        let dead = Ended {
            trouble: Some("Kernel panic".to_owned()),
            ..Ended::default()
        };
        Matrix {
            machines: vec![
                outcome("6.1.0-1", &verdict(0, [2, 0, 2], None), DATA),
                outcome("6.12.1+x", &verdict(0, [0; 3], Some("no v1")), ""),
                outcome("7", &dead, ""),
            ],
        }
    }

    #[test]
    fn the_table_says_what_came_of_each() {
        assert_eq!(
            matrix().to_string(),
            "\
kernel    arch    pages  cgroup  source   passed  failed  skipped  seconds  result                hooks
6.1.0-1   x86_64  4 KiB  v2      bpf      1       0       1        75       ok                    lifecycle: tp_btf, memcg: -
6.1.0-1   x86_64  4 KiB  v2      tracefs  0       0       1        75       ok
6.1.0-1   x86_64  4 KiB  v2      any      1       0       0        75       ok
6.12.1+x  x86_64  -      v2      -        -       -       -        75       not run: no v1
7         x86_64  -      v2      -        -       -       -        0        FAILED: Kernel panic
"
        );
        assert!(matrix().failed());
        let text = serde_json::to_string(&matrix()).unwrap();
        assert_eq!(serde_json::from_str::<Matrix>(&text).unwrap(), matrix());
    }

    #[test]
    fn the_document_has_a_row_a_source_and_names_what_is_missing() {
        let text = document(&matrix());
        let table: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            table[2..],
            [
                "| 6.1.0-1 | x86_64 | 4 KiB | v2 | all | bpf | lifecycle: tp_btf, memcg: - | 1 | 0 | 1 |",
                "| 6.1.0-1 | x86_64 | 4 KiB | v2 | all | tracefs |  | 0 | 0 | 1 |",
                "| 6.1.0-1 | x86_64 | 4 KiB | v2 | all | any |  | 1 | 0 | 0 |",
            ]
        );
        let (_, rest) = text.split_once("without a recorded run:").unwrap();
        let (missing, ci) = rest.split_once("(`--kernel ci`)").unwrap();
        assert!(!missing.contains("* 6.1 x86_64 cloud v2\n"), "{missing}");
        assert!(missing.contains("* 6.1 x86_64 cloud v1\n"), "{missing}");
        assert!(ci.contains("* 6.1 x86_64 cloud v2\n"), "{ci}");
    }
}
