//! What recorded traces add to the symptoms.

use super::{
    Evidence, Facts, Finding, Group, SHOWN, Verdict,
    facts::{Traced, TracedFailures},
};
use crate::catalogue::{Arg, Message, say};

/// The name of the finding.
pub(super) const TRACE: &str = "trace";

/// What the traces say, if some were given and could be read.
pub(super) fn traced(facts: &Facts) -> Option<&Traced> {
    facts.traced.as_ref()?.as_ref().ok()
}

/// How often and when, of all groups.
pub(super) fn times<T>(says: Message, groups: &[TracedFailures<T>]) -> Message {
    let count: u64 = groups.iter().map(|group| group.count).sum();
    let first = groups.iter().map(|group| group.first_ns).min();
    let last = groups.iter().map(|group| group.last_ns).max();
    says.arg("count", count)
        .arg("first", Arg::Date(first.unwrap_or(0)))
        .arg("last", Arg::Date(last.unwrap_or(0)))
}

/// Where the first and the last of each group stand.
pub(super) fn firsts_and_lasts<T>(groups: &[TracedFailures<T>]) -> impl Iterator<Item = Evidence> {
    groups.iter().take(SHOWN).flat_map(|group| {
        let last = (group.count > 1).then_some(&group.last);
        [Some(&group.first), last].into_iter().flatten().cloned()
    })
}

/// The finding, if traces were given: what they say of slab allocations, or why they cannot be read.
pub(super) fn trace(facts: &Facts) -> Option<Finding> {
    let traced = match facts.traced.as_ref()? {
        Ok(traced) => traced,
        Err(unread) => return Some(Finding::unknown(TRACE, Group::Symptom, unread)),
    };
    let says = |id| {
        Message::new(id)
            .arg("watched", Arg::Time(traced.watched_ns))
            .arg("files", traced.files.join(", "))
    };
    let Some(most) = traced.slab.first() else {
        return Some(Finding::new(
            TRACE,
            Group::Symptom,
            Verdict::Ok,
            says(say::TRACE_CLEAN),
        ));
    };
    let says = times(says(say::TRACE_SLAB), &traced.slab)
        .arg("cache", most.what.clone())
        .arg("most", most.count);
    Some(
        Finding::new(TRACE, Group::Symptom, Verdict::Warn, says)
            .meaning(Message::new(say::TRACE_SLAB_MEANING))
            .evidence(firsts_and_lasts(&traced.slab)),
    )
}
