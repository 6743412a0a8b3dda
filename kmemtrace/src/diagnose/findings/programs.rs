//! Versions of kubelet and the runtimes, and how they were built.

use super::Question;
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{
        Evidence, Facts, Finding, Group, Verdict,
        facts::{Mark, Unread},
    },
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "programs",
    group: Group::Cause,
    answer: |case| Some(programs(case.facts)),
};

/// Versions, and how the programs were built.
fn programs(facts: &Facts) -> Finding {
    if facts.programs.is_empty() {
        return QUESTION.finding(Verdict::Unknown, Message::new(say::PROGRAMS_NONE));
    }
    let told: Vec<_> = facts.programs.iter().map(|program| program.name).collect();
    let evidence = facts.programs.iter().map(|program| {
        let reason = |unread: &Unread| Arg::from(&unread.reason);
        let version = match &program.version {
            Ok(version) => version.clone().into(),
            Err(unread) => Message::new(say::PROGRAM_VERSION_UNTOLD)
                .arg("reason", reason(unread))
                .into(),
        };
        let says: Arg = match &program.mark {
            Mark::NoKmem => Message::new(say::PROGRAM_MARKED)
                .arg("version", version)
                .into(),
            Mark::None => version,
            Mark::Unread(unread) => Message::new(say::PROGRAM_MARK_UNTOLD)
                .arg("version", version)
                .arg("reason", reason(unread))
                .into(),
        };
        Evidence::of_file(&program.path, says)
    });
    let marked: Vec<_> = facts
        .programs
        .iter()
        .filter(|one| one.mark == Mark::NoKmem)
        .map(|one| one.name)
        .collect();
    let says = if marked.is_empty() {
        Message::new(say::PROGRAMS_FOUND)
    } else {
        Message::new(say::PROGRAMS_MARKED).arg("marked", marked.join(", "))
    };
    QUESTION
        .finding(Verdict::Ok, says.arg("programs", told.join(", ")))
        .evidence(evidence)
}
