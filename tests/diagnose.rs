//! `kmemtrace diagnose` on copies of machines: recordings, and small trees that are made here, one for each cause.

mod held;
mod removed;
mod said;
mod traced;
mod trees;

use std::{collections::BTreeSet, fs, path::Path};

use kmemtrace::host::archive::unpack;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Result, data, output, program, test};
use trees::{
    Kmem, Tree, both, exhausted, kubelet_only, nokmem, nokmem_ignored, on_4_19, on_5_10,
    on_6_12_v2, runc_only,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("diagnose::recordings_of_3_10", recordings_3_10),
        test("diagnose::recordings_of_4_14", recordings_4_14),
        test("diagnose::each_finding_and_remedy_says", said::by_each),
        test("diagnose::whole_as_people_read_it", whole),
        test(
            "diagnose::a_file_that_is_missing_is_not_ok",
            removed::missing,
        ),
        test(
            "diagnose::a_file_that_cannot_be_read_is_not_ok",
            removed::unreadable,
        ),
        test("diagnose::a_trace_is_evidence", traced::failures),
        test(
            "diagnose::a_trace_of_another_node_is_none",
            traced::of_another_node,
        ),
        test("diagnose::what_zombies_hold_on_4_19", held::on_4_19),
        test("diagnose::what_zombies_hold_on_5_4", held::on_5_4),
        test("diagnose::json_is_as_documented", documented),
        test("diagnose::names_do_not_reach_the_terminal", hostile),
    ]
}

/// The copies of machines that are made here, by cause.
fn all_trees() -> impl Iterator<Item = (&'static str, Tree)> {
    type Made = fn() -> Tree;
    let made: [(&str, Made); 10] = [
        ("kubelet_only", kubelet_only),
        ("runc_only", runc_only),
        ("both", both),
        ("nokmem", nokmem),
        ("nokmem_ignored", nokmem_ignored),
        ("on_4_19", on_4_19),
        ("on_5_10", on_5_10),
        ("on_6_12_v2", on_6_12_v2),
        ("exhausted", exhausted),
        ("nothing", Tree::new),
    ];
    made.into_iter().map(|(name, tree)| (name, tree()))
}

/// The whole of one, with its layout.
fn whole() -> Result {
    for lang in ["en", "zh"] {
        let (status, told) = both().diagnose(&["--lang", lang]);
        insta::assert_snapshot!(
            format!("both_{lang}"),
            format!("{told}exit status {status}")
        );
    }
    Ok(())
}

/// The line for node-problem-detector, if it is as that wants it.
fn npd_line(tree: &Tree, lang: &str, status: i32) -> String {
    let (ended, line) = tree.diagnose(&["--format", "npd", "--lang", lang]);
    assert_eq!(ended, status, "{line}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
    let line = line.trim_end();
    assert!(line.len() <= 80 && line.len() > 10, "{line}");
    line.to_owned()
}

/// What a recording comes to: the exit status, the state, and the verdicts of `ids` and `accounting`.
fn recording(name: &str, expected: &[(&str, i32, &str, &str, &str)]) -> Result {
    let directory = tempfile::tempdir()?;
    unpack(
        &data(&format!("recordings/{name}.tar.zst")),
        directory.path(),
    )?;
    for (copy, status, state, ids, accounting) in expected {
        let root = directory.path().join(name).join(copy);
        let mut command = program(["diagnose", "--format", "json", "--root"]);
        let run = output({
            command.arg(&root);
            command
        });
        let told: Value = serde_json::from_slice(&run.stdout)?;
        let verdict = |id: &str| {
            let findings = told["findings"].as_array().into_iter().flatten();
            let mut found = findings.filter(|one| one["id"] == id);
            found
                .next()
                .and_then(|one| one["verdict"].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            (
                run.status.code(),
                told["state"].as_str(),
                &verdict("ids")[..],
                &verdict("accounting")[..]
            ),
            (Some(*status), Some(*state), *ids, *accounting),
            "{name}/{copy}: {told}"
        );
    }
    Ok(())
}

fn recordings_3_10() -> Result {
    recording(
        "el7-514-control",
        &[
            ("before", 0, "healthy", "ok", "ok"),
            ("after-loop", 0, "healthy", "ok", "ok"),
            ("end", 0, "healthy", "ok", "ok"),
        ],
    )?;
    recording(
        "el7-514-one-container",
        &[
            ("00-before", 0, "healthy", "ok", "ok"),
            ("01-made-kmem-off", 0, "healthy", "ok", "ok"),
            ("02-kmem-on-idle", 1, "at-risk", "ok", "warn"),
            ("03-live", 1, "at-risk", "ok", "warn"),
            // There is no container any more, but it left slab caches below a pod that has none.
            ("05-after-rmdir", 1, "leaking", "fail", "warn"),
        ],
    )?;
    recording(
        "el7-514-leaked-100",
        &[
            ("before", 1, "at-risk", "ok", "warn"),
            ("after-loop", 1, "leaking", "fail", "warn"),
            ("after-shrink", 1, "at-risk", "ok", "warn"),
        ],
    )?;
    recording(
        "el7-514-exhausted",
        &[("exhausted", 1, "exhausted", "fail", "warn")],
    )?;
    recording(
        "el7-514-slub-failure",
        &[("02-more", 1, "at-risk", "ok", "warn")],
    )
}

fn recordings_4_14() -> Result {
    recording(
        "k414-leaked-100",
        &[
            ("before", 0, "healthy", "ok", "ok"),
            ("after-loop", 1, "piling-up", "warn", "ok"),
            ("after-shrink", 0, "healthy", "ok", "ok"),
        ],
    )
}

/// The names of all fields.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                fields(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

fn documented() -> Result {
    let (status, told) = kubelet_only().json();
    assert_eq!((status, &told["schema"]), (1, &1.into()));
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&told)?);
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnosis.md"))?;
    let mut found = BTreeSet::new();
    fields(&told, &mut found);
    let findings = told["findings"].as_array().into_iter().flatten();
    found.extend(
        findings
            .filter_map(|one| one["id"].as_str())
            .map(str::to_owned),
    );
    assert!(found.len() > 35, "{found:?}");
    for name in found {
        assert!(
            manual.contains(&format!("`{name}`")),
            "docs/diagnosis.md lacks {name}"
        );
    }
    let example = manual
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    serde_json::from_str::<Value>(example.unwrap_or_default())?;
    Ok(())
}

fn hostile() -> Result {
    let tree = kubelet_only();
    tree.put("/proc/cmdline", "cgroup.memory=\x1b[31m\u{202e}\n")
        .put("/proc/sys/kernel/osrelease", "3.10.0\x1b]0;x\x07\n")
        .put("/proc/sys/kernel/hostname", "node-7;reboot\n")
        .put(
            "/var/log/messages",
            "mkdir /sys/fs/cgroup/memory/\x1b[2J: cannot allocate memory\n",
        )
        .cgroup("/kubepods/pod\x1b[1m", Kmem::Off, 0);
    let (_, told) = tree.diagnose(&[]);
    let hidden = |c: &char| *c != '\n' && kmemtrace::text::escape::is_hidden(*c);
    assert_eq!(told.chars().find(hidden), None, "{told}");
    assert!(told.contains(r"\x1b[2J"), "{told}");
    assert!(told.contains("kubectl drain NODE "), "{told}");
    Ok(())
}
