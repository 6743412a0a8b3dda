//! What came of the machines: for the report, for the file, and for the next run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    arch::Arch,
    kernel::Kernel,
    machines::{Cgroup, Flavour, Kind},
    qemu::{Accel, Ended},
};

/// The sources that kmemtrace is told to watch with, best first; `simulated` is `bpf` on a simulated older kernel.
const SOURCES: [&str; 4] = ["bpf", "simulated", "tracefs", "sysfs"];

/// Tests that are of no one source.
const ANY: &str = "any";

/// What came of all machines of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Matrix {
    pub(crate) machines: Vec<Outcome>,
}

/// What came of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// What was asked for, as in `6.1` or `newest`; the folder of a user's own kernel.
    pub(crate) release: String,
    /// As `uname -r` says it.
    pub(crate) kernel: String,
    pub(crate) arch: Arch,
    /// How Debian built it; none for a user's own kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flavour: Option<Flavour>,
    pub(crate) cgroup: String,
    /// The size of its pages, in KiB, as the guest says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page_kib: Option<u64>,
    /// What ran the guest's instructions: `kvm` or `tcg`.
    pub(crate) accel: Accel,
    /// Which tests were to run: those with this in their names; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<String>,
    pub(crate) seconds: u64,
    /// Why the tests did not run, where that is the kernel's nature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_run: Option<String>,
    /// What failed at the first try, if this is the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
    /// Why this counts as a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    pub(crate) sources: Vec<Row>,
}

/// What came of one source on one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// `bpf`, `tracefs`, `sysfs`, or `any` for the tests that are of no one source.
    pub(crate) source: String,
    /// What `kmemtrace doctor` said there: each hook and the way it is seen, or `-`. None if the source does not start.
    pub(crate) hooks: BTreeMap<String, String>,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) tests: BTreeMap<String, Came>,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Came {
    Passed,
    Failed,
    Skipped,
}

impl Came {
    /// As the tests' own output has it.
    fn of(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Passed),
            "FAILED" => Some(Self::Failed),
            "ignored" => Some(Self::Skipped),
            _ => None,
        }
    }
}

impl Matrix {
    pub(crate) fn failed(&self) -> bool {
        self.machines.iter().any(|one| one.failure.is_some())
    }
}

/// What was booted, and for what.
#[derive(Debug)]
pub(crate) struct Booted<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) cgroup: Cgroup,
    pub(crate) accel: Accel,
    /// The tests with this in their names; none: all.
    pub(crate) only: Option<&'a str>,
}

impl Outcome {
    /// `data` is what the guest sent: what it is, reports of doctor, and each test with its result.
    pub(crate) fn new(booted: &Booted<'_>, ended: &Ended, data: &str) -> Self {
        let kernel = booted.kernel;
        let mut page_kib = None;
        let mut hooks = BTreeMap::new();
        let mut tests: BTreeMap<&str, BTreeMap<String, Came>> = BTreeMap::new();
        for line in data.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if let Some(bytes) = line["page_bytes"].as_u64() {
                page_kib = Some(bytes >> 10);
            }
            if let Some(source) = line["doctor"].as_str() {
                hooks.insert(source.to_owned(), ways(&line["report"]));
            }
            if let (Some(name), Some(came)) = (
                line["test"].as_str(),
                line["result"].as_str().and_then(Came::of),
            ) {
                tests
                    .entry(source_of(name))
                    .or_default()
                    .insert(name.to_owned(), came);
            }
        }
        let sources: Vec<_> = SOURCES
            .into_iter()
            .chain([ANY])
            .filter_map(
                |source| match (hooks.remove(source), tests.remove(source)) {
                    (None, None) => None,
                    (hooks, tests) => Some(Row::new(
                        source,
                        hooks.unwrap_or_default(),
                        tests.unwrap_or_default(),
                    )),
                },
            )
            .collect();
        let excuse = ended.verdict.as_ref().filter(|verdict| verdict.code == 0);
        Self {
            release: kernel.release.clone(),
            kernel: kernel.version.clone(),
            arch: kernel.arch,
            flavour: kernel.flavour,
            cgroup: booted.cgroup.to_string(),
            page_kib,
            accel: booted.accel,
            only: booted.only.map(str::to_owned),
            seconds: ended.took.as_secs(),
            not_run: excuse.and_then(|verdict| verdict.note.clone()),
            first: None,
            failure: failure(ended, &sources).or_else(|| wrong_pages(kernel, page_kib)),
            sources,
        }
    }

    /// Whether both are of one kind of machine.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kind = |one: &Self| {
            (
                one.release.clone(),
                one.arch,
                one.flavour,
                one.cgroup.clone(),
            )
        };
        kind(self) == kind(other)
    }

    /// Whether it is of that kind.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.release == kind.release.to_string()
            && self.arch == kind.arch
            && self.flavour == Some(kind.flavour)
            && self.cgroup == kind.cgroup.to_string()
    }
}

/// What is wrong with the size of pages that a guest says it has.
fn wrong_pages(kernel: &Kernel, found: Option<u64>) -> Option<String> {
    let expected = kernel.flavour?.page_kib();
    let found = found?;
    (found != expected).then(|| format!("pages of {found} KiB, expected {expected} KiB"))
}

impl Row {
    fn new(source: &str, hooks: BTreeMap<String, String>, tests: BTreeMap<String, Came>) -> Self {
        let count = |of| tests.values().filter(|came| **came == of).count();
        Self {
            source: source.to_owned(),
            hooks,
            passed: count(Came::Passed),
            failed: count(Came::Failed),
            skipped: count(Came::Skipped),
            tests,
        }
    }
}

/// The source that a test watches with: `live::SOURCE::NAME`.
fn source_of(test: &str) -> &'static str {
    let named = test
        .strip_prefix("live::")
        .and_then(|rest| rest.split_once("::"));
    let named = named.map(|(source, _)| source);
    SOURCES
        .into_iter()
        .find(|source| named == Some(source))
        .unwrap_or(ANY)
}

/// Hook by hook the way that doctor says it is seen; nothing if the source does not start.
fn ways(doctor: &Value) -> BTreeMap<String, String> {
    if !doctor["source"].is_string() {
        return BTreeMap::new();
    }
    let hooks = doctor["hooks"].as_array().into_iter().flatten();
    hooks
        .filter_map(|hook| {
            let way = hook["way"].as_str().unwrap_or("-");
            Some((hook["hook"].as_str()?.to_owned(), way.to_owned()))
        })
        .collect()
}

/// Why a machine that ended so counts as a failure.
fn failure(ended: &Ended, sources: &[Row]) -> Option<String> {
    let Some(verdict) = &ended.verdict else {
        let trouble = ended.trouble.as_deref();
        return Some(trouble.unwrap_or("no verdict").to_owned());
    };
    if let Some(trouble) = &ended.trouble {
        return Some(trouble.clone());
    }
    let sum = |of: fn(&Row) -> usize| sources.iter().map(of).sum::<usize>() as u64;
    let sent = [
        sum(|row| row.passed),
        sum(|row| row.failed),
        sum(|row| row.skipped),
    ];
    let counted = [verdict.passed, verdict.failed, verdict.skipped];
    match (verdict.failed, verdict.code) {
        (0, 0) if verdict.passed == 0 && verdict.note.is_none() => Some("no test ran".to_owned()),
        (0, 0) if sent != counted => Some(format!(
            "the machine sent the results of {} tests, and counted {}",
            sent.iter().sum::<u64>(),
            counted.iter().sum::<u64>()
        )),
        (0, 0) => None,
        (0, code) => Some(match &verdict.note {
            Some(note) => note.clone(),
            None => format!("the tests ended with status {code}"),
        }),
        (1, _) => Some("1 test failed".to_owned()),
        (failed, _) => Some(format!("{failed} tests failed")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::vm::console::Verdict;

    /// What a guest sends: the source that starts, the one that does not, and tests of both and of none.
    pub(crate) const DATA: &str = r#"
{"page_bytes":4096}
{"doctor":"bpf","report":{"source":"bpf","hooks":[{"hook":"lifecycle","way":"tp_btf"},{"hook":"memcg","way":null}]}}
{"doctor":"tracefs","report":{"hooks":[{"hook":"lifecycle","way":"tracepoint"}],"error":"no tracefs"}}
{"test":"live::bpf::a","result":"ok"}
{"test":"live::bpf::b","result":"ignored"}
{"test":"live::tracefs::a","result":"ignored"}
{"test":"live::agree","result":"ok"}
{"test":"live::torn","resu
"#;

    pub(crate) fn outcome(version: &str, ended: &Ended, data: &str) -> Outcome {
        let kernel = Kernel {
            release: version.chars().take(3).collect(),
            arch: Arch::X86_64,
            flavour: Some(Flavour::Cloud),
            version: version.to_owned(),
            image: PathBuf::new(),
            modules: Vec::new(),
        };
        let booted = Booted {
            kernel: &kernel,
            cgroup: Cgroup::V2,
            accel: Accel::Tcg,
            only: None,
        };
        Outcome::new(&booted, ended, data)
    }

    pub(crate) fn verdict(
        code: i32,
        [passed, failed, skipped]: [u64; 3],
        note: Option<&str>,
    ) -> Ended {
        Ended {
            verdict: Some(Verdict {
                code,
                passed,
                failed,
                skipped,
                note: note.map(str::to_owned),
            }),
            took: Duration::from_secs(75),
            ..Ended::default()
        }
    }

    #[test]
    fn tests_are_counted_by_source() {
        let outcome = outcome("6.1.0-1", &verdict(0, [2, 0, 2], None), DATA);
        assert_eq!(outcome.failure, None);
        let rows: Vec<_> = outcome
            .sources
            .iter()
            .map(|row| {
                (
                    row.source.as_str(),
                    row.passed,
                    row.skipped,
                    row.hooks.len(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [("bpf", 1, 1, 2), ("tracefs", 0, 1, 0), ("any", 1, 0, 0)]
        );
        assert_eq!(outcome.sources[0].hooks["memcg"], "-");
        assert_eq!(source_of("live::sysfs::x"), "sysfs");
        assert_eq!(source_of("live::sysfs_x"), "any");
        assert_eq!(source_of("live::other::x"), "any");
    }

    #[test]
    fn nothing_passes_that_did_not_run() {
        let torn = "the machine sent the results of 4 tests, and counted 5";
        for (ended, expected) in [
            (verdict(0, [2, 0, 2], None), None),
            (verdict(0, [3, 0, 2], None), Some(torn)),
            (verdict(0, [0, 0, 4], None), Some("no test ran")),
            (verdict(2, [0; 3], Some("no /proc")), Some("no /proc")),
            (verdict(101, [1, 2, 1], None), Some("2 tests failed")),
            (
                verdict(139, [2, 0, 2], None),
                Some("the tests ended with status 139"),
            ),
            (Ended::default(), Some("no verdict")),
        ] {
            let outcome = outcome("1", &ended, DATA);
            assert_eq!(outcome.failure.as_deref(), expected, "{ended:?}");
        }
        let other = DATA.replace("4096", "16384");
        let wrong = outcome("1", &verdict(0, [2, 0, 2], None), &other);
        assert_eq!(
            wrong.failure.as_deref(),
            Some("pages of 16 KiB, expected 4 KiB")
        );
        let excused = outcome("1", &verdict(0, [0; 3], Some("no v1")), "");
        assert_eq!(
            (excused.failure, excused.not_run.as_deref()),
            (None, Some("no v1"))
        );
    }
}
