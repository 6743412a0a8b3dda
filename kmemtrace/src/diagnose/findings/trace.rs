//! What recorded traces tell of slab allocations.

use super::{Question, firsts_and_lasts, times};
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Facts, Finding, Group, Verdict},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "trace",
    group: Group::Symptom,
    answer: |case| trace(case.facts),
};

/// The finding, if traces were given: what they say of slab allocations, or why they cannot be read.
fn trace(facts: &Facts) -> Option<Finding> {
    let traced = match facts.traced.as_ref()? {
        Ok(traced) => traced,
        Err(unread) => return Some(QUESTION.unknown(unread)),
    };
    let says = |id| {
        Message::new(id)
            .arg("watched", Arg::Time(traced.watched_ns))
            .arg("files", traced.files.join(", "))
    };
    let Some(most) = traced.slab.first() else {
        return Some(QUESTION.finding(Verdict::Ok, says(say::TRACE_CLEAN)));
    };
    let says = times(says(say::TRACE_SLAB), &traced.slab)
        .arg("cache", most.what.clone())
        .arg("most", most.count);
    Some(
        QUESTION
            .finding(Verdict::Warn, says)
            .meaning(Message::new(say::TRACE_SLAB_MEANING))
            .evidence(firsts_and_lasts(&traced.slab)),
    )
}
