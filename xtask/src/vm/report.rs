//! What came of the machines: a table for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Cgroup, console, kernel::Kernel, qemu::Ended};

/// What came of one machine.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kernel: String,
    pub(crate) cgroup: Cgroup,
    /// What `kmemtrace doctor` said there: each hook and the way it is seen, or `-`.
    hooks: Vec<(String, String)>,
    /// The source that `kmemtrace watch` would take there.
    source: Option<String>,
    ended: Ended,
}

impl Row {
    /// `data` is what the guest sent: the doctor's report.
    pub(crate) fn new(kernel: &Kernel, cgroup: Cgroup, ended: Ended, data: &str) -> Self {
        let doctor: Value = data
            .lines()
            .find_map(|line| serde_json::from_str(line).ok())
            .unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let hooks = doctor["hooks"].as_array().into_iter().flatten();
        Self {
            kernel: kernel.version.clone(),
            cgroup,
            hooks: hooks
                .filter_map(|hook| {
                    let way = text(&hook["way"]).unwrap_or_else(|| "-".to_owned());
                    Some((text(&hook["hook"])?, way))
                })
                .collect(),
            source: text(&doctor["source"]),
            ended,
        }
    }

    /// Why the tests did not run, where that is the kernel's nature.
    fn excuse(&self) -> Option<&str> {
        let verdict = self.ended.verdict.as_ref()?;
        (verdict.code == 0).then_some(verdict.note.as_deref())?
    }

    /// Why this counts as a failure.
    pub(crate) fn failure(&self) -> Option<String> {
        let Some(verdict) = &self.ended.verdict else {
            let trouble = self.ended.trouble.as_deref();
            return Some(trouble.unwrap_or("no verdict").to_owned());
        };
        if let Some(trouble) = &self.ended.trouble {
            return Some(trouble.clone());
        }
        match (verdict.failed, verdict.code) {
            (0, 0) if verdict.passed == 0 && verdict.note.is_none() => {
                Some("no test ran".to_owned())
            }
            (0, 0) => None,
            (0, code) => Some(match &verdict.note {
                Some(note) => note.clone(),
                None => format!("the tests ended with status {code}"),
            }),
            (1, _) => Some("1 test failed".to_owned()),
            (failed, _) => Some(format!("{failed} tests failed")),
        }
    }

    /// Shows how the console ended, if it has not been understood.
    pub(crate) fn show_tail(&self) {
        if self.ended.verdict.is_none() || self.ended.trouble.is_some() {
            super::show_tail(&self.ended);
        }
    }

    fn json(&self) -> Value {
        let verdict = self.ended.verdict.clone().unwrap_or_default();
        let lines = self.ended.lines.iter().map(String::as_str);
        let tests: Value = console::results(lines).into_iter().collect();
        let hooks: Value = self.hooks.iter().cloned().collect();
        json!({
            "kernel": self.kernel,
            "cgroup": self.cgroup.to_string(),
            "source": self.source,
            "hooks": hooks,
            "passed": verdict.passed,
            "failed": verdict.failed,
            "skipped": verdict.skipped,
            "tests": tests,
            "not_run": self.excuse(),
            "failure": self.failure(),
            "seconds": self.ended.took.as_secs(),
        })
    }
}

/// All machines of a run.
#[derive(Debug, Default)]
pub(crate) struct Report(pub(crate) Vec<Row>);

impl Report {
    pub(crate) fn failed(&self) -> bool {
        self.0.iter().any(|row| row.failure().is_some())
    }

    /// For `last.json`.
    pub(crate) fn json(&self, accel: &str) -> Value {
        let rows: Vec<_> = self.0.iter().map(Row::json).collect();
        json!({ "accel": accel, "machines": rows })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "kernel", "cgroup", "passed", "failed", "skipped", "seconds", "result", "hooks",
        ];
        let mut table = vec![head.map(str::to_owned)];
        for row in &self.0 {
            let verdict = row.ended.verdict.clone();
            let count = |of: fn(&console::Verdict) -> u64| {
                verdict
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |verdict| of(verdict).to_string())
            };
            let hooks: Vec<_> = row
                .hooks
                .iter()
                .map(|(hook, way)| format!("{hook}: {way}"))
                .collect();
            table.push([
                row.kernel.clone(),
                row.cgroup.to_string(),
                count(|verdict| verdict.passed),
                count(|verdict| verdict.failed),
                count(|verdict| verdict.skipped),
                row.ended.took.as_secs().to_string(),
                match (row.failure(), row.excuse()) {
                    (Some(failure), _) => format!("FAILED: {failure}"),
                    (None, Some(excuse)) => format!("not run: {excuse}"),
                    (None, None) => "ok".to_owned(),
                },
                hooks.join(", "),
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

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use console::Verdict;

    const DOCTOR: &str = r#"{"source":"bpf","hooks":[{"hook":"lifecycle","way":"tp_btf"},{"hook":"slab failure","way":null}]}"#;

    fn row(version: &str, ended: Ended, data: &str) -> Row {
        let kernel = Kernel {
            version: version.to_owned(),
            image: PathBuf::new(),
            modules: Vec::new(),
        };
        Row::new(&kernel, Cgroup::V2, ended, data)
    }

    fn verdict(code: i32, passed: u64, failed: u64, note: Option<&str>) -> Ended {
        Ended {
            verdict: Some(Verdict {
                code,
                passed,
                failed,
                skipped: 3,
                note: note.map(str::to_owned),
            }),
            took: Duration::from_secs(75),
            ..Ended::default()
        }
    }

    #[test]
    fn the_table_says_what_came_of_each() {
        let dead = Ended {
            trouble: Some("Kernel panic".to_owned()),
            ..Ended::default()
        };
        let report = Report(vec![
            row("6.1.0-1", verdict(0, 14, 0, None), DOCTOR),
            row("6.12.1+x", verdict(0, 0, 0, Some("no v1")), ""),
            row("7", dead, ""),
        ]);
        assert_eq!(
            report.to_string(),
            "\
kernel    cgroup  passed  failed  skipped  seconds  result                hooks
6.1.0-1   v2      14      0       3        75       ok                    lifecycle: tp_btf, slab failure: -
6.12.1+x  v2      0       0       3        75       not run: no v1
7         v2      -       -       -        0        FAILED: Kernel panic
"
        );
        assert!(report.failed());
        let json = report.json("tcg");
        assert_eq!(
            json["machines"][0]["hooks"],
            json!({ "lifecycle": "tp_btf", "slab failure": "-" })
        );
        assert_eq!(json["machines"][1]["not_run"], "no v1");
        assert_eq!(json["machines"][2]["failure"], "Kernel panic");
    }

    #[test]
    fn nothing_passes_that_did_not_run() {
        for (ended, failure) in [
            (verdict(0, 1, 0, None), None),
            (verdict(0, 0, 0, None), Some("no test ran")),
            (verdict(0, 0, 0, Some("cannot")), None),
            (verdict(2, 0, 0, Some("no /proc")), Some("no /proc")),
            (verdict(101, 5, 2, None), Some("2 tests failed")),
            (
                verdict(139, 0, 0, None),
                Some("the tests ended with status 139"),
            ),
            (Ended::default(), Some("no verdict")),
        ] {
            let row = row("1", ended, "");
            assert_eq!(row.failure().as_deref(), failure, "{row:?}");
        }
    }
}
