//! Traces beside a copy of the machine.

use std::fs;

use serde_json::Value;

use super::trees::{Tree, kubelet_only, nokmem};
use crate::harness::Result;

/// Two failed mkdirs and a slab failure, of the node that the trees are of, or of another.
fn trace(tree: &Tree, host: &str) -> std::io::Result<String> {
    let path = tree.path().join("trace.jsonl");
    let lines = [
        format!(
            r#"{{"kind":"header","mono_ns":1000000000,"time":"2026-03-14T12:30:00.000000000Z","schema":1,"version":"0.1.0","source":"bpf","hostname":"{host}","kernel":"3.10.0-1160.el7.x86_64","hierarchy":"v1","grace_ns":30000000000}}"#
        ),
        r#"{"kind":"mkdir_failure","mono_ns":2000000000,"time":"2026-03-14T12:30:01.000000000Z","path":"/kubepods/pod1","errno":12,"pid":7,"comm":"runc"}"#.to_owned(),
        r#"{"kind":"slab_failure","mono_ns":3000000000,"time":"2026-03-14T12:30:02.000000000Z","cache":"dentry(3:c1)"}"#.to_owned(),
        r#"{"kind":"mkdir_failure","mono_ns":4000000000,"time":"2026-03-14T12:30:03.000000000Z","path":"/kubepods/pod2","errno":12,"pid":8,"comm":"runc"}"#.to_owned(),
        r#"{"kind":"mkdir_failure","mono_ns":5000000000,"time":"2026-03-14T12:30:04.000000000Z","path":"/docker/x","errno":11}"#.to_owned(),
    ];
    fs::write(&path, lines.join("\n") + "\n")?;
    Ok(path.to_string_lossy().into_owned())
}

fn finding<'a>(told: &'a Value, id: &str) -> &'a Value {
    let mut findings = told["findings"].as_array().into_iter().flatten();
    findings.find(|one| one["id"] == id).unwrap_or(&Value::Null)
}

pub(super) fn failures() -> Result {
    let tree = nokmem();
    let file = trace(&tree, "node-7")?;
    let (status, told) = tree.diagnose(&["--format", "json", "--trace", &file]);
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!((status, &told["state"]), (1, &"failing".into()), "{told}");
    let mkdir = finding(&told, "mkdir");
    assert_eq!(mkdir["verdict"], "fail", "{told}");
    let lines: Vec<_> = mkdir["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|at| (at["file"] == file, at["line"].as_u64()))
        .collect();
    assert_eq!(lines, [(true, Some(2)), (true, Some(4))], "{told}");
    for (lang, name) in [("en", "trace_en"), ("zh", "trace_zh")] {
        let (_, told) = tree.diagnose(&["--lang", lang, "--trace", &file]);
        let about = |line: &&str| line.contains("trace.jsonl") || line.contains("2026-03-14");
        let told: Vec<_> = told.lines().filter(about).collect();
        let told = told.join("\n").replace(&file, "trace.jsonl");
        insta::assert_snapshot!(name, told);
    }
    Ok(())
}

pub(super) fn of_another_node() -> Result {
    let tree = kubelet_only();
    let file = trace(&tree, "node-8")?;
    let (_, told) = tree.diagnose(&["--format", "json", "--trace", &file]);
    let told: Value = serde_json::from_str(&told)?;
    let trace = finding(&told, "trace");
    assert_eq!(trace["verdict"], "unknown", "{told}");
    assert!(
        trace["says"]
            .as_str()
            .is_some_and(|says| says.contains("node-8")),
        "{told}"
    );
    assert_eq!(finding(&told, "mkdir")["verdict"], "unknown", "{told}");
    Ok(())
}
