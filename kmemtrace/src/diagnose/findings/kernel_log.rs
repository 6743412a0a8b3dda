//! Slab allocations that failed, as the kernel log tells.

use super::{Question, before, counts, moment};
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Evidence, Facts, Finding, Group, SHOWN, Verdict, facts::SlabFailures},
    event::klog::Time,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "kernel-log",
    group: Group::Symptom,
    answer: |case| Some(kernel_log(case.facts)),
};

/// Slab allocations that failed.
fn kernel_log(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let verify = Message::new(say::KERNEL_LOG_VERIFY);
    let Some(most) = log.slab.first() else {
        let says = Message::new(say::KERNEL_LOG_CLEAN).arg("records", log.records);
        return QUESTION.finding(Verdict::Ok, says).verify(verify);
    };
    let (all, earlier) = counts(
        log.slab
            .iter()
            .map(|group| (group.before_boot, group.count)),
    );
    let of_cgroup = most.cgroup.clone().map_or_else(
        || Message::new(say::NOTHING),
        |cgroup| Message::new(say::OF_CGROUP).arg("cgroup", cgroup),
    );
    let says = Message::new(say::KERNEL_LOG_FAILURES)
        .arg("failures", all)
        .arg("groups", log.slab.len() as u64)
        .arg("span", span(&log.slab))
        .arg("before", before(earlier, all))
        .arg("cache", most.cache.clone())
        .arg("cgroup", of_cgroup)
        .arg("most", most.count)
        .arg("more", suppressed(log.suppressed));
    let named = log.slab.iter().any(|group| group.cgroup.is_some());
    let meaning = if named {
        say::KERNEL_LOG_LIMIT
    } else {
        say::KERNEL_LOG_FAILURES_MEANING
    };
    QUESTION
        .finding(Verdict::Warn, says)
        .meaning(Message::new(meaning))
        .evidence(log.slab.iter().take(SHOWN).map(failed))
        .verify(verify)
}

/// The first line of a group, and what the lines after it tell.
fn failed(group: &SlabFailures) -> Evidence {
    let cgroup = group
        .cgroup
        .as_ref()
        .map_or_else(String::new, |cgroup| format!("({cgroup})"));
    let sizes = group.sizes.map_or_else(
        || Message::new(say::NOTHING),
        |(size, order)| {
            Message::new(say::KERNEL_LOG_SIZES)
                .arg("size", Arg::Bytes(size))
                .arg("order", order)
        },
    );
    let says = Message::new(say::KERNEL_LOG_GROUP)
        .arg("line", group.line.says.clone())
        .arg("cache", format!("{}{cgroup}", group.cache))
        .arg("count", group.count)
        .arg("sizes", sizes)
        .arg("before", before(u64::from(group.before_boot), 1));
    Evidence {
        says: says.into(),
        ..group.line.clone()
    }
}

/// How many more the log's rate limit held back, if the log says so.
fn suppressed(more: u64) -> Message {
    match more {
        0 => Message::new(say::NOTHING),
        more => Message::new(say::KERNEL_LOG_SUPPRESSED).arg("more", more),
    }
}

/// From the first to the last of all groups where the log has times since boot, else of the largest.
fn span(groups: &[SlabFailures]) -> Message {
    let boot = |time: &Time| match time {
        Time::Boot(ns) => Some(*ns),
        Time::Date(_) | Time::Untold => None,
    };
    let firsts: Option<Vec<_>> = groups.iter().map(|group| boot(&group.first)).collect();
    let lasts: Option<Vec<_>> = groups.iter().map(|group| boot(&group.last)).collect();
    let first = firsts.and_then(|all| all.into_iter().min());
    let last = lasts.and_then(|all| all.into_iter().max());
    match (first, last, groups) {
        (Some(first), Some(last), _) if first != last => Message::new(say::LOG_SPAN_BOOT)
            .arg("first", Arg::Time(first))
            .arg("last", Arg::Time(last)),
        (.., [most, ..]) if most.first != most.last => Message::new(say::LOG_SPAN)
            .arg("first", moment(&most.first))
            .arg("last", moment(&most.last)),
        (.., [most, ..]) => moment(&most.first),
        (.., []) => Message::new(say::LOG_UNTOLD),
    }
}
