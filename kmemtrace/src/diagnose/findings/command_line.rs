//! What the kernel was told at boot.

use super::Question;
use crate::{
    catalogue::{Message, say},
    diagnose::{Facts, Finding, Group, Verdict, levels::Who},
    host::memory_words,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "command-line",
    group: Group::Cause,
    answer: |case| Some(command_line(case.facts, case.who())),
};

/// What the kernel was told at boot.
fn command_line(facts: &Facts, who: Option<&Who>) -> Finding {
    let line = match &facts.cmdline {
        Ok(line) => line,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let words = words(&line.text);
    let nokmem = memory_option(&line.text, "nokmem");
    let ignored = nokmem && who.is_some_and(Who::anybody);
    let (verdict, id) = if ignored {
        (Verdict::Warn, say::COMMAND_LINE_IGNORED)
    } else if nokmem {
        (Verdict::Ok, say::COMMAND_LINE_NOKMEM)
    } else if words.is_empty() {
        (Verdict::Ok, say::COMMAND_LINE_NOTHING)
    } else {
        (Verdict::Ok, say::COMMAND_LINE_WORDS)
    };
    let says = Message::new(id).arg("words", words.join(" "));
    let mut finding = QUESTION.finding(verdict, says).evidence([line.evidence()]);
    if ignored {
        finding = finding.meaning(Message::new(say::COMMAND_LINE_IGNORED_MEANING));
    }
    finding
}

/// The words of the kernel's command line that matter here.
pub(super) fn words(cmdline: &str) -> Vec<&str> {
    memory_words(cmdline).collect()
}

/// Whether `cgroup.memory=` names `what`.
pub(in crate::diagnose) fn memory_option(cmdline: &str, what: &str) -> bool {
    words(cmdline)
        .iter()
        .filter_map(|word| word.strip_prefix("cgroup.memory="))
        .any(|list| list.split(',').any(|one| one == what))
}
