//! Findings: each is a file here, with its [`Question`], and a row of [`QUESTIONS`]. Pure.

pub(super) mod accounting;
mod built_in;
pub(super) mod command_line;
pub(super) mod configured;
pub(super) mod fix;
mod free_memory;
pub(super) mod ids;
pub(super) mod kernel;
mod kernel_log;
mod memcg_oom;
pub(super) mod mkdir;
pub(super) mod pins;
mod programs;
pub(super) mod runtime_log;
mod trace;

use super::{
    Case, Evidence, Finding, Group, SHOWN, Verdict,
    facts::{Facts, TracedFailures, Unread},
};
use crate::{
    catalogue::{Arg, Message, say},
    event::klog::Time,
};

/// A question about the node, which a finding answers.
pub(super) struct Question {
    /// The finding's name, which stays the same.
    pub(super) id: &'static str,
    pub(super) group: Group,
    /// The answer, if this node gives rise to the question.
    pub(super) answer: fn(&Case<'_>) -> Option<Finding>,
}

/// All questions, in the order in which their findings are shown.
pub(super) const QUESTIONS: &[Question] = &[
    fix::QUESTION,
    ids::QUESTION,
    mkdir::QUESTION,
    kernel_log::QUESTION,
    memcg_oom::QUESTION,
    runtime_log::QUESTION,
    free_memory::QUESTION,
    trace::QUESTION,
    kernel::QUESTION,
    built_in::QUESTION,
    command_line::QUESTION,
    accounting::QUESTION,
    programs::QUESTION,
    pins::QUESTION,
    configured::QUESTION,
];

impl Question {
    /// A finding that answers it.
    fn finding(&self, verdict: Verdict, says: Message) -> Finding {
        Finding {
            id: self.id,
            group: self.group,
            verdict,
            says,
            meaning: None,
            evidence: Vec::new(),
            remedies: Vec::new(),
            verify: None,
        }
    }

    /// It cannot be answered, since a file cannot be read.
    fn unknown(&self, unread: &Unread) -> Finding {
        let says = Message::new(say::UNREAD)
            .arg("file", unread.file.clone())
            .arg("reason", Arg::from(&unread.reason));
        let reason = Arg::from(&unread.reason);
        self.finding(Verdict::Unknown, says)
            .evidence([Evidence::of_file(&unread.file, reason)])
    }
}

/// Whether `memory.kmem.slabinfo` tells where accounting is off.
fn header_tells(facts: &Facts) -> bool {
    let levels = facts.levels.as_ref().ok();
    levels.is_some_and(|levels| levels.first().is_some_and(|root| root.header_tells))
}

/// How often and when, of all groups.
fn times<T>(says: Message, groups: &[TracedFailures<T>]) -> Message {
    let count: u64 = groups.iter().map(|group| group.count).sum();
    let first = groups.iter().map(|group| group.first_ns).min();
    let last = groups.iter().map(|group| group.last_ns).max();
    says.arg("count", count)
        .arg("first", Arg::Date(first.unwrap_or(0)))
        .arg("last", Arg::Date(last.unwrap_or(0)))
}

/// Where the first and the last of each group stand.
fn firsts_and_lasts<T>(groups: &[TracedFailures<T>]) -> impl Iterator<Item = Evidence> {
    groups.iter().take(SHOWN).flat_map(|group| {
        let last = (group.count > 1).then_some(&group.last);
        [Some(&group.first), last].into_iter().flatten().cloned()
    })
}

/// When something happened.
fn moment(time: &Time) -> Message {
    match time {
        Time::Boot(ns) => Message::new(say::LOG_BOOT).arg("time", Arg::Time(*ns)),
        Time::Date(date) => Message::new(say::LOG_DATE).arg("time", date.clone()),
        Time::Untold => Message::new(say::LOG_UNTOLD),
    }
}

/// How many of all groups, and of those before this boot.
fn counts(groups: impl Iterator<Item = (bool, u64)>) -> (u64, u64) {
    groups.fold((0, 0), |(all, earlier), (before_boot, count)| {
        (all + count, earlier + if before_boot { count } else { 0 })
    })
}

/// How many of all were before this boot, if some were.
fn before(count: u64, all: u64) -> Message {
    match count {
        0 => Message::new(say::NOTHING),
        count if count == all => Message::new(say::LOG_BEFORE_ALL),
        count => Message::new(say::LOG_BEFORE).arg("count", count),
    }
}
