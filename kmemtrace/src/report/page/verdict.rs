//! The verdict in one sentence: what [`crate::sink::tail::summary::RunVerdict`] says, in the page's language.

use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    judge::State,
    tracker::Summary,
};

/// The verdict in one sentence.
pub(in crate::report) fn verdict(summary: &Summary, catalogue: &Catalogue) -> String {
    let mut parts = state(summary)
        .into_iter()
        .chain(failed(summary))
        .chain(left(summary));
    let first = parts.next();
    let join = |first, second| {
        let says = Message::new(say::PAGE_VERDICT_THEN).arg("first", first);
        says.arg("second", second)
    };
    let all = first.map(|first| parts.fold(first, join));
    all.map_or_else(String::new, |all| catalogue.text(&all))
}

/// The node's state, and what leaked.
fn state(summary: &Summary) -> Option<Message> {
    let leaked = summary.totals.leaked;
    let state = match summary.state {
        State::Exhausted => Some(say::PAGE_VERDICT_EXHAUSTED),
        State::Crowded => Some(say::PAGE_VERDICT_CROWDED),
        State::Failing => Some(say::PAGE_VERDICT_FAILING),
        State::Leaking if leaked == 0 => Some(say::PAGE_VERDICT_LEAKING),
        State::PilingUp if leaked == 0 => Some(say::PAGE_VERDICT_PILING_UP),
        _ => None,
    };
    let state = state.map(Message::new);
    let leaks = match (leaked, summary.leaks) {
        (0, 0) if state.is_some() => None,
        (0, 0) => Some(Message::new(say::PAGE_VERDICT_NONE)),
        (0, leaks) => Some(Message::new(say::PAGE_VERDICT_NONE_LEFT).arg("leaks", leaks)),
        (leaked, _) => Some(Message::new(say::PAGE_VERDICT_LEAK).arg("leaked", leaked)),
    };
    match (state, leaks) {
        (Some(state), Some(leaks)) => {
            let says = Message::new(say::PAGE_VERDICT_BESIDES).arg("first", state);
            Some(says.arg("second", leaks))
        }
        (state, leaks) => state.or(leaks),
    }
}

fn failed(summary: &Summary) -> Option<Message> {
    let slab = match (summary.slab_failures, summary.slab_failures_suppressed) {
        (0, 0) => None,
        (slab, 0) => Some(Message::new(say::PAGE_VERDICT_SLAB).arg("slab", slab)),
        (slab, more) => {
            let says = Message::new(say::PAGE_VERDICT_SLAB_AT_LEAST);
            Some(says.arg("slab", slab.saturating_add(more)))
        }
    };
    let mkdir = match summary.mkdir_failures {
        0 => None,
        mkdir => Some(Message::new(say::PAGE_VERDICT_MKDIR).arg("mkdir", mkdir)),
    };
    let what = match (slab, mkdir) {
        (Some(slab), Some(mkdir)) => {
            let says = Message::new(say::PAGE_VERDICT_AND).arg("first", slab);
            says.arg("second", mkdir)
        }
        (slab, mkdir) => slab.or(mkdir)?,
    };
    Some(Message::new(say::PAGE_VERDICT_FAILED).arg("what", what))
}

/// What is left and not judged, what it holds, and whether anything is missing.
fn left(summary: &Summary) -> impl Iterator<Item = Message> {
    let unjudged = summary.totals.zombies.saturating_sub(summary.totals.leaked);
    let sentence = match summary.inherited {
        Some(1..) => say::PAGE_VERDICT_LEFT_OR_BEFORE,
        _ => say::PAGE_VERDICT_LEFT,
    };
    let left = (unjudged > 0).then(|| Message::new(sentence).arg("left", unjudged));
    let held = summary.held_bytes.filter(|&held| held > 0);
    let held = held.map(|held| Message::new(say::PAGE_VERDICT_HOLD).arg("held", Arg::Bytes(held)));
    let lost = (summary.gaps > 0).then(|| Message::new(say::PAGE_VERDICT_LOST));
    [left, held, lost].into_iter().flatten()
}
