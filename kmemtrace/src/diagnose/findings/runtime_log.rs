//! Memory cgroups that could not be made, as logs tell.

use std::collections::BTreeMap;

use super::{Question, before, counts};
use crate::{
    catalogue::{Message, say},
    diagnose::{Facts, Finding, Group, SHOWN, Verdict, facts::RuntimeLines},
    host::MkdirError,
    judge::Kept,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "runtime-log",
    group: Group::Symptom,
    answer: |case| Some(runtime_log(case.facts)),
};

/// Memory cgroups that could not be made, as logs tell.
fn runtime_log(facts: &Facts) -> Finding {
    let log = match &facts.runtime {
        Ok(log) => log,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let skipped = match &log.skipped[..] {
        [] => Message::new(say::NOTHING),
        [first, ..] => Message::new(say::RUNTIME_LOG_SKIPPED)
            .arg("files", log.skipped.len() as u64)
            .arg("first", first.clone()),
    };
    if log.lines.is_empty() {
        let says = Message::new(say::RUNTIME_LOG_CLEAN)
            .arg("files", log.read.join(", "))
            .arg("skipped", skipped);
        return QUESTION.finding(Verdict::Ok, says);
    }
    let (all, earlier) = counts(
        log.lines
            .iter()
            .map(|group| (group.before_boot, group.count)),
    );
    let mut files: Vec<_> = log
        .lines
        .iter()
        .map(|lines| lines.first.at.file())
        .collect();
    files.dedup();
    let says = Message::new(say::RUNTIME_LOG_ERRORS)
        .arg("failed", all)
        .arg("programs", by_program(&log.lines))
        .arg("files", files.join(", "))
        .arg("before", before(earlier, all))
        .arg("skipped", skipped);
    let shown = log.lines.iter().take(SHOWN).flat_map(|lines| {
        let last = (lines.last != lines.first).then_some(&lines.last);
        [Some(&lines.first), last].into_iter().flatten().cloned()
    });
    // Since the reboot it has not happened again.
    let verdict = if earlier == all {
        Verdict::Warn
    } else {
        Verdict::Fail
    };
    let freed = facts.count.as_ref();
    let freed = freed.is_ok_and(|count| count.kept == Kept::No);
    let meaning = if freed {
        say::RUNTIME_LOG_MEANING_FREED
    } else {
        say::RUNTIME_LOG_MEANING
    };
    QUESTION
        .finding(verdict, says)
        .meaning(Message::new(meaning))
        .evidence(shown)
}

/// `slurmstepd 2 x ENOMEM, 1 x ENOSPC; lxd 2 x ENOSPC`, in whatever language.
fn by_program(lines: &[RuntimeLines]) -> String {
    let mut counts: BTreeMap<&str, BTreeMap<MkdirError, u64>> = BTreeMap::new();
    for lines in lines {
        let errors = counts.entry(&lines.program).or_default();
        *errors.entry(lines.error).or_default() += lines.count;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, errors)| std::cmp::Reverse(errors.values().sum::<u64>()));
    let one = |(program, errors): (&str, BTreeMap<MkdirError, u64>)| {
        let errors: Vec<_> = errors
            .into_iter()
            .map(|(error, count)| format!("{count} x {}", error.as_str()))
            .collect();
        let program = if program.is_empty() { "?" } else { program };
        format!("{program} {}", errors.join(", "))
    };
    let mut shown: Vec<_> = counts.into_iter().map(one).collect();
    if shown.len() > SHOWN {
        shown.truncate(SHOWN);
        shown.push("...".to_owned());
    }
    shown.join("; ")
}
