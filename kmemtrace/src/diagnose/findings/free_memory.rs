//! Memory that is available: whether it is what lacks.

use super::Question;
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Facts, Finding, Group, Verdict},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "free-memory",
    group: Group::Symptom,
    answer: |case| Some(free_memory(case.facts)),
};

/// Memory that is free, so that it is not what lacks.
fn free_memory(facts: &Facts) -> Finding {
    let memory = match &facts.meminfo {
        Ok(memory) => memory,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let scarce = memory.is_scarce();
    let (verdict, id, meaning) = if scarce {
        (
            Verdict::Warn,
            say::FREE_MEMORY_SCARCE,
            say::FREE_MEMORY_SCARCE_MEANING,
        )
    } else {
        (
            Verdict::Ok,
            say::FREE_MEMORY_PLENTY,
            say::FREE_MEMORY_PLENTY_MEANING,
        )
    };
    let says = Message::new(id)
        .arg("available", Arg::Bytes(memory.available))
        .arg("total", Arg::Bytes(memory.total));
    QUESTION
        .finding(verdict, says)
        .meaning(Message::new(meaning))
        .evidence([memory.line.evidence()])
}
