//! Whether accounting of kernel memory is compiled in.

use super::Question;
use crate::{
    catalogue::{Message, say},
    diagnose::{Facts, Finding, Group, Verdict, facts::BuiltIn},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "kmem-built-in",
    group: Group::Cause,
    answer: |case| Some(built_in(case.facts)),
};

/// Whether accounting is compiled in.
fn built_in(facts: &Facts) -> Finding {
    match &facts.config {
        Ok(config) => {
            let id = match config.kmem {
                BuiltIn::Yes => say::BUILT_IN,
                BuiltIn::No => say::NOT_BUILT_IN,
            };
            QUESTION
                .finding(Verdict::Ok, Message::new(id))
                .evidence([config.line.evidence()])
        }
        Err(unread) => QUESTION.unknown(unread),
    }
}
