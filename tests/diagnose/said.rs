//! What is said, by finding and by remedy: a snapshot has one of them, in one language, and what it says of each node. So a new
//! finding, or other words for an old one, change no other snapshot.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::{Tree, all_trees, npd_line};
use crate::{
    field::{self, LANGS},
    harness::Result,
};

/// What is said of one thing, with the nodes of which that is said.
#[derive(Default)]
struct Said(Vec<(String, Vec<String>)>);

impl Said {
    fn add(&mut self, node: &str, text: String) {
        match self.0.iter_mut().find(|(said, _)| *said == text) {
            Some((_, nodes)) => nodes.push(node.to_owned()),
            None => self.0.push((text, vec![node.to_owned()])),
        }
    }

    fn text(&self) -> String {
        let mut all = String::new();
        for (text, nodes) in &self.0 {
            let _ = writeln!(all, "## {}\n{text}", nodes.join(", "));
        }
        all
    }
}

pub(super) fn by_each() -> Result {
    let trees: Vec<(&str, Tree)> = all_trees().collect();
    for (at, lang) in LANGS.into_iter().enumerate() {
        let mut said: BTreeMap<String, Said> = BTreeMap::new();
        for (name, tree) in &trees {
            let (status, told) = tree.json_in(lang);
            take(
                &mut said,
                name,
                status,
                &told,
                &npd_line(tree, lang, status),
            );
        }
        for name in field::names() {
            let told = field::told(name)?;
            let told = &told[at];
            take(
                &mut said,
                name,
                told.status,
                &told.json,
                told.line.trim_end(),
            );
        }
        assert!(said.len() > 20, "{:?}", said.keys());
        for (of, said) in said {
            insta::assert_snapshot!(format!("{of}_{lang}"), said.text());
        }
    }
    Ok(())
}

fn take(said: &mut BTreeMap<String, Said>, node: &str, status: i32, told: &Value, line: &str) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    let mut add = |of: String, text: String| said.entry(of).or_default().add(node, text);
    add(
        "headline".to_owned(),
        format!(
            "{} (exit status {status})\n{}\n{line}\n",
            word(&told["state"]),
            word(&told["headline"]),
        ),
    );
    let mut levels = format!("era {}, ids {}\n", told["era"], told["ids"]);
    for level in list(&told["levels"]) {
        let _ = writeln!(levels, "{level}");
    }
    add("levels".to_owned(), levels);
    for finding in list(&told["findings"]) {
        let mut text = format!(
            "{}: {}\n",
            word(&finding["verdict"]),
            word(&finding["says"])
        );
        for of in ["meaning", "verify"] {
            if let Some(more) = finding[of].as_str() {
                let _ = writeln!(text, "{of}: {more}");
            }
        }
        for evidence in list(&finding["evidence"]) {
            let line = evidence["line"].as_u64();
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            let file = word(&evidence["file"]);
            let _ = writeln!(text, "> {file}{line}: {}", word(&evidence["says"]));
        }
        let remedies: Vec<_> = list(&finding["remedies"]).iter().map(word).collect();
        if !remedies.is_empty() {
            let _ = writeln!(text, "remedies: {}", remedies.join(", "));
        }
        add(format!("finding_{}", word(&finding["id"])), text);
    }
    for remedy in list(&told["remedies"]) {
        let applies = if remedy["applies"] == true {
            "applies"
        } else {
            "does not apply"
        };
        let mut text = format!(
            "{}\n{applies}: {}\n",
            word(&remedy["title"]),
            word(&remedy["why"])
        );
        for command in list(&remedy["commands"]) {
            let _ = writeln!(text, "  {}", word(&command));
        }
        for of in ["cost", "risk", "verify"] {
            let _ = writeln!(text, "{of}: {}", word(&remedy[of]));
        }
        add(format!("remedy_{}", word(&remedy["id"])), text);
    }
}
