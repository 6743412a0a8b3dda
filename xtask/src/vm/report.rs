//! What came of the machines, as a table: for a terminal, and for the README.

use std::fmt;

use super::matrix::{Matrix, Outcome, Row};

/// Around the README's table.
const BEGIN: &str =
    "<!-- kernels: written by `cargo xtask vm --kernel all --record`, from docs/kernels.json -->";
const END: &str = "<!-- end of kernels -->";

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
            "kernel", "cgroup", "source", "passed", "failed", "skipped", "seconds", "result",
            "hooks",
        ];
        let mut table = vec![head.map(str::to_owned)];
        for (machine, row) in rows(self) {
            let count = |of: fn(&Row) -> usize| row.map_or_else(dash, |row| of(row).to_string());
            table.push([
                machine.kernel.clone(),
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

/// The README's table.
fn markdown(matrix: &Matrix) -> String {
    let mut table = "\
| kernel | cgroup | source | hooks by way | passed | failed | skipped |
| --- | --- | --- | --- | --- | --- | --- |
"
    .to_owned();
    for (machine, row) in rows(matrix) {
        let Some(row) = row else { continue };
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            machine.kernel,
            machine.cgroup,
            row.source,
            hooks(row),
            row.passed,
            row.failed,
            row.skipped
        ));
    }
    table
}

/// `readme` with the table in its place; none if it has no place for it.
pub(crate) fn in_readme(readme: &str, matrix: &Matrix) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let table = markdown(matrix);
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
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
            accel: "tcg".to_owned(),
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
kernel    cgroup  source   passed  failed  skipped  seconds  result                hooks
6.1.0-1   v2      bpf      1       0       1        75       ok                    lifecycle: tp_btf, memcg: -
6.1.0-1   v2      tracefs  0       0       1        75       ok
6.1.0-1   v2      any      1       0       0        75       ok
6.12.1+x  v2      -        -       -       -        75       not run: no v1
7         v2      -        -       -       -        0        FAILED: Kernel panic
"
        );
        assert!(matrix().failed());
        let text = serde_json::to_string(&matrix()).unwrap();
        assert_eq!(serde_json::from_str::<Matrix>(&text).unwrap(), matrix());
    }

    #[test]
    fn the_table_takes_its_place_in_a_readme() {
        let readme = format!("# a\n\n{BEGIN}\nold\n{END}\nmore\n");
        let written = in_readme(&readme, &matrix()).unwrap();
        assert_eq!(
            written,
            format!(
                "# a\n\n{BEGIN}\n\n\
                 | kernel | cgroup | source | hooks by way | passed | failed | skipped |\n\
                 | --- | --- | --- | --- | --- | --- | --- |\n\
                 | 6.1.0-1 | v2 | bpf | lifecycle: tp_btf, memcg: - | 1 | 0 | 1 |\n\
                 | 6.1.0-1 | v2 | tracefs |  | 0 | 0 | 1 |\n\
                 | 6.1.0-1 | v2 | any |  | 1 | 0 | 0 |\n\n\
                 {END}\nmore\n"
            )
        );
        assert_eq!(in_readme(&written, &matrix()).as_ref(), Some(&written));
        assert_eq!(in_readme("# a", &matrix()), None);
    }
}
