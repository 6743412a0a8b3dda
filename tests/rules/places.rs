//! Places: that what CONTRIBUTING.md calls a row is one, and nothing else has to know of it.

use kmemtrace::runtimes::RUNTIMES;

use super::{root, sources};
use crate::{cli::verbs, harness::Result};

/// Runtimes that other code names: kubelet's and runc's accounting has findings and remedies of its own, Docker and kubelet say in
/// their own words that a mkdir failed, and podman has a second cgroup in each container's.
const NAMED_ELSEWHERE: [&str; 4] = ["Docker", "Kubelet", "Podman", "Runc"];

pub(super) fn rows() -> Result {
    let mut wrong = Vec::new();
    let files: Vec<_> = sources(&root())
        .into_iter()
        .map(|(file, code)| {
            let inside = file.strip_prefix(root()).unwrap_or(&file);
            (inside.display().to_string(), code)
        })
        .collect();
    let mut only = |name: &str, home: &str, around: &[&str]| {
        let named = files.iter().filter(|(file, code)| {
            let near = around.is_empty() || around.iter().any(|at| file.starts_with(at));
            near && !file.starts_with(home) && code.contains(name)
        });
        wrong.extend(named.map(|(file, _)| format!("{file} names {name}: {home} does")));
    };
    for row in &RUNTIMES {
        let name = format!("{:?}", row.runtime);
        if !NAMED_ELSEWHERE.contains(&name.as_str()) {
            only(&format!("Runtime::{name}"), "runtimes.rs", &[]);
        }
    }
    // Where findings and remedies are told apart. A name without a hyphen is a word that stands for other things, too.
    let told = ["diagnose", "report", "cli/diagnose", "cli/report"];
    let mut ids = 0;
    for (file, code) in &files {
        if !file.starts_with("diagnose/findings/") && file != "diagnose/remedies.rs" {
            continue;
        }
        for line in code.lines() {
            let id = line.trim().strip_prefix("id: \"");
            let Some((id, _)) = id.and_then(|rest| rest.split_once('"')) else {
                continue;
            };
            ids += 1;
            if id.contains('-') {
                only(&format!("\"{id}\""), file, &told);
            }
        }
    }
    for verb in verbs() {
        only(&format!("{verb}::run("), "cli.rs", &["cli"]);
    }
    assert!(
        ids > 20,
        "only {ids} findings and remedies: is the test blind?"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
