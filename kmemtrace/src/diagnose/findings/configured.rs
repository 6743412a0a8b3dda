//! What is configured and not in force.

use super::{
    Question,
    command_line::{memory_option, words},
};
use crate::{
    catalogue::{Message, say},
    diagnose::{
        Facts, Finding, Group, Verdict,
        facts::{FileLine, configured_words},
    },
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "configured",
    group: Group::Cause,
    answer: |case| configured(case.facts),
};

/// The finding, if there is anything to say.
fn configured(facts: &Facts) -> Option<Finding> {
    let running = words(&facts.cmdline.as_ref().ok()?.text);
    let lines = facts.configured.kernel.iter();
    let mut missing: Vec<_> = lines
        .filter_map(|line| {
            let mut words = configured_words(&line.text);
            Some((line, words.find(|word| !running.contains(word))?))
        })
        .collect();
    // What the boot loader has already comes first.
    missing.sort_by_key(|(line, _)| !line.at.file().starts_with("/boot/"));
    let (first, _) = missing.first()?;
    let meaning = if first.at.file().starts_with("/boot/") {
        say::CONFIGURED_REBOOT
    } else {
        say::CONFIGURED_MEANING
    };
    let mut named: Vec<&str> = missing.iter().map(|(_, word)| *word).collect();
    named.sort_unstable();
    named.dedup();
    let verdict = if not_in_force(facts, "nokmem").next().is_some() {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    let says = Message::new(say::CONFIGURED_NOT_IN_FORCE)
        .arg("words", named.join(" "))
        .arg("file", first.at.file());
    let finding = QUESTION
        .finding(verdict, says)
        .meaning(Message::new(meaning))
        .evidence(missing.iter().map(|(line, _)| line.evidence()))
        .verify(Message::new(say::CONFIGURED_VERIFY));
    Some(finding)
}

/// The lines that name this option of `cgroup.memory=`, if the running kernel was not given it.
pub(in crate::diagnose) fn not_in_force<'a>(
    facts: &'a Facts,
    option: &'a str,
) -> impl Iterator<Item = &'a FileLine> {
    let running = facts.cmdline.as_ref().map_or("", |line| &line.text);
    let known = facts.cmdline.is_ok() && !memory_option(running, option);
    facts.configured.kernel.iter().filter(move |line| {
        known && configured_words(&line.text).any(|word| memory_option(word, option))
    })
}
