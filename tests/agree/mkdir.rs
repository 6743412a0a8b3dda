//! A memory cgroup that could not be made.

use std::fs;

use serde_json::Value;

use super::{Slab, run, tree};
use crate::harness::{Result, output, program, text};

/// A failed mkdir in a trace: the replay of it, its report and the diagnosis of the node with it say the same, whatever error it was
/// and whether zombies keep their ids there.
pub(super) fn failed() -> Result {
    let (no_memory, no_space) = (Some(12), Some(28));
    for (release, errno, zombies, expected) in [
        ("6.1.0-40-amd64", no_memory, 0, "failing"),
        ("6.1.0-40-amd64", no_space, 0, "failing"),
        ("6.1.0-40-amd64", None, 0, "failing"),
        ("6.1.0-40-amd64", Some(11), 0, "healthy"),
        ("6.1.0-40-amd64", Some(17), 0, "healthy"),
        ("6.1.0-40-amd64", no_memory, 300, "piling-up"),
        ("6.1.0-40-amd64", no_space, 300, "failing"),
        ("4.6.0", no_memory, 0, "failing"),
        ("4.6.0", no_memory, 9, "leaking"),
        ("4.6.0", no_space, 0, "exhausted"),
        ("4.6.0", no_space, 9, "exhausted"),
        ("custom", no_memory, 0, "failing"),
        ("custom", no_space, 0, "exhausted"),
        ("custom", None, 0, "failing"),
    ] {
        let case = format!("{release} {errno:?} {zombies}");
        let directory = tempfile::tempdir()?;
        let node = directory.path().join("node");
        tree(&node, release, Slab::None, zombies, 0, 0)?;
        fs::write(node.join("proc/sys/kernel/hostname"), "node-7\n")?;
        let line = |ms: u64, kind: &str, rest: &str| {
            let time = format!("2026-03-14T12:30:{:02}.{:03}000000Z", ms / 1000, ms % 1000);
            let ns = 1_000_000_000 + ms * 1_000_000;
            format!("{{\"time\":\"{time}\",\"mono_ns\":{ns},\"kind\":\"{kind}\",{rest}}}\n")
        };
        let header = format!(
            r#""schema":1,"version":"0.1.0","source":"bpf","hostname":"node-7","kernel":"{release}","hierarchy":"v1","grace_ns":1000000000"#
        );
        let mut facts = line(0, "header", &header);
        for id in 1..=5 {
            let path = format!(r#""cgroup_id":{id},"memory":true,"path":"/{id}""#);
            facts += &line(1, "present", &path);
        }
        let counts = format!(r#""num_cgroups":{}"#, 5 + zombies);
        let walked = format!(r#""began_mono_ns":1000000000,"directories":5,{counts}"#);
        facts += &line(2, "walked", &walked);
        let errno = errno.map_or_else(String::new, |errno| format!(r#","errno":{errno}"#));
        facts += &line(
            3,
            "mkdir_failure",
            &format!(r#""path":"/kubepods/pod1"{errno}"#),
        );
        facts += &line(9000, "tick", &counts);
        let trace = directory.path().join("trace.jsonl");
        fs::write(&trace, facts)?;
        let trace = trace.to_string_lossy();

        let replayed = output(program(["replay", "--format", "json", &trace]));
        let summary: Value = summary_of(&replayed.stdout)?;
        assert_eq!(summary["state"], expected, "{case}: {summary}");
        let right = i32::from(expected != "healthy");
        // Zombies from before a run are no leak of its own.
        let own = if expected == "piling-up" { 2 } else { right };
        assert_eq!(replayed.status.code(), Some(own), "{case}: replay");
        let args = [
            "diagnose",
            "--no-exec",
            "--format",
            "json",
            "--trace",
            &trace,
        ];
        let (code, told) = run(&args, &node);
        // What accounting adds to that, the others do not look at.
        if !(expected == "healthy" && told["state"] == "at-risk") {
            assert_eq!(told["state"], expected, "{case}: {told}");
            assert_eq!(code, Some(right), "{case}: diagnose");
        }
        let page = output(program(["report", "-o", "-", &trace]));
        let headline = match expected {
            "exhausted" => "EXHAUSTED: ",
            "leaking" => "LEAKING: ",
            "piling-up" => "ZOMBIES: ",
            "failing" => "FAILING: ",
            _ => "no leak seen",
        };
        let page = text(&page.stdout);
        assert!(
            page.contains(&format!("<h1>{headline}")),
            "{case}: no {headline}"
        );
    }
    Ok(())
}

/// The summary at the end of what a run said.
fn summary_of(stdout: &[u8]) -> std::result::Result<Value, serde_json::Error> {
    serde_json::from_str(text(stdout).lines().last().unwrap_or_default())
}
