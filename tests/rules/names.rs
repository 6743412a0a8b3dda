//! Names: that each means one thing.

use std::{collections::BTreeMap, fs};

use super::{root, sources};
use crate::harness::Result;

/// What several modules may have each of its own, with the same meaning, and what is therefore called by its module.
const PER_MODULE: [&str; 4] = ["Args", "Config", "Options", "Source"];

/// No two types that other files see have one name.
pub(super) fn types() -> Result {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, code) in sources(&root()) {
        let file = file.strip_prefix(root())?.display().to_string();
        // What Perfetto's own format calls them.
        if file == "sink/perfetto/proto.rs" {
            continue;
        }
        for name in code.lines().filter_map(visible_type) {
            if !PER_MODULE.contains(&name) {
                seen.entry(name.to_owned()).or_default().push(file.clone());
            }
        }
    }
    assert!(
        seen.len() > 200,
        "only {} types: is the test blind?",
        seen.len()
    );
    seen.retain(|_, files| files.len() > 1);
    let several: Vec<_> = seen
        .iter()
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(
        several.is_empty(),
        "one name, several types:\n{}",
        several.join("\n")
    );
    Ok(())
}

/// The name of a type that a line defines for other files.
fn visible_type(line: &str) -> Option<&str> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.starts_with("#["));
    let first = words.next()?;
    let visible = first == "pub" || first.starts_with("pub(");
    let kind = words.find(|word| *word != "unsafe")?;
    let name = words.next().filter(|_| visible)?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &name[..end.unwrap_or(name.len())];
    matches!(kind, "struct" | "enum" | "trait" | "union" | "type").then_some(name)
}

/// No comment says only which question it leaves open ("Which.").
pub(super) fn comments() -> Result {
    const OPEN: [&str; 7] = ["How.", "What.", "When.", "Where.", "Which.", "Who.", "Why."];
    let mut empty = Vec::new();
    let mut seen = 0;
    for (file, _) in sources(&root()) {
        let text = fs::read_to_string(&file)?;
        for (line, number) in text.lines().zip(1..) {
            let Some(says) = line.trim_start().strip_prefix("/// ") else {
                continue;
            };
            seen += 1;
            if OPEN.contains(&says) {
                empty.push(format!("{}:{number}: {says}", file.display()));
            }
        }
    }
    assert!(seen > 1000, "only {seen} comments: is the test blind?");
    assert!(empty.is_empty(), "{}", empty.join("\n"));
    Ok(())
}
