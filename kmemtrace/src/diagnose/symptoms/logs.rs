//! What logs tell: failed slab allocations, processes killed at a memory cgroup's limit, memory cgroups that could not be made.

use std::collections::BTreeMap;

use super::{KERNEL_LOG, MEMCG_OOM, RUNTIME_LOG, symptom};
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{
        Evidence, Facts, Finding, Group, SHOWN, Verdict,
        facts::{Killed, RuntimeLines, SlabFailures},
    },
    event::klog::Time,
    host::MkdirError,
    judge::{Kept, Refused},
};

/// How many more the log's rate limit held back, if the log says so.
fn suppressed(more: u64) -> Message {
    match more {
        0 => Message::new(say::NOTHING),
        more => Message::new(say::KERNEL_LOG_SUPPRESSED).arg("more", more),
    }
}

/// When something happened.
fn moment(time: &Time) -> Message {
    match time {
        Time::Boot(ns) => Message::new(say::LOG_BOOT).arg("time", Arg::Time(*ns)),
        Time::Date(date) => Message::new(say::LOG_DATE).arg("time", date.clone()),
        Time::Untold => Message::new(say::LOG_UNTOLD),
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

/// Slab allocations that failed.
pub(in crate::diagnose) fn kernel_log(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return Finding::unknown(KERNEL_LOG, Group::Symptom, unread),
    };
    let verify = Message::new(say::KERNEL_LOG_VERIFY);
    let Some(most) = log.slab.first() else {
        let says = Message::new(say::KERNEL_LOG_CLEAN).arg("records", log.records);
        return symptom(KERNEL_LOG, Verdict::Ok, says).verify(verify);
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
    symptom(KERNEL_LOG, Verdict::Warn, says)
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

/// Processes killed at a memory cgroup's limit.
pub(in crate::diagnose) fn memcg_oom(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return Finding::unknown(MEMCG_OOM, Group::Symptom, unread),
    };
    let Some(most) = log.killed.first() else {
        return symptom(MEMCG_OOM, Verdict::Ok, Message::new(say::MEMCG_OOM_NONE));
    };
    let (all, earlier) = counts(
        log.killed
            .iter()
            .map(|group| (group.before_boot, group.count)),
    );
    let cgroup: Arg = if most.cgroup.is_empty() {
        Message::new(say::MEMCG_OOM_UNNAMED).into()
    } else {
        most.cgroup.clone().into()
    };
    // What kernel memory filled matters more than how many processes that cost.
    let filled = |group: &Killed| Some((group.cgroup.clone(), group.usage.filled()?));
    let filled = log
        .killed
        .iter()
        .filter_map(filled)
        .max_by_key(|(_, filled)| (filled.by_kernel, filled.kernel));
    let kernel = match &filled {
        Some((cgroup, filled)) => Message::new(match filled.by_kernel {
            true if *cgroup == most.cgroup => say::MEMCG_OOM_KERNEL,
            true => say::MEMCG_OOM_KERNEL_OF,
            false => say::MEMCG_OOM_KERNEL_PART,
        })
        .arg("cgroup", cgroup.clone())
        .arg("kernel", Arg::Bytes(filled.kernel))
        .arg("limit", Arg::Bytes(filled.limit)),
        None => Message::new(say::NOTHING),
    };
    let says = Message::new(say::MEMCG_OOM_KILLED)
        .arg("killed", all)
        .arg("groups", log.killed.len() as u64)
        .arg("cgroup", cgroup)
        .arg("most", most.count)
        .arg("last", moment(&most.last))
        .arg("before", before(earlier, all))
        .arg("kernel", kernel);
    let meaning = match filled {
        Some((_, filled)) if filled.by_kernel => say::MEMCG_OOM_KERNEL_MEANING,
        Some(_) => say::MEMCG_OOM_OWN_MEANING,
        None => say::MEMCG_OOM_MEANING,
    };
    symptom(MEMCG_OOM, Verdict::Warn, says)
        .meaning(Message::new(meaning))
        .evidence(log.killed.iter().take(SHOWN).flat_map(|group| {
            let used = group
                .used
                .clone()
                .filter(|_| group.usage.filled().is_some());
            [Some(group.line.clone()), used].into_iter().flatten()
        }))
}

/// Whether logs tell of memory cgroups that could not be made since boot.
pub(super) fn refused(facts: &Facts) -> Refused {
    let told = facts.runtime.as_ref();
    if told.is_ok_and(|log| log.lines.iter().any(|lines| !lines.before_boot)) {
        Refused::Told
    } else {
        Refused::No
    }
}

/// Memory cgroups that could not be made, as logs tell.
pub(in crate::diagnose) fn runtime_log(facts: &Facts) -> Finding {
    let log = match &facts.runtime {
        Ok(log) => log,
        Err(unread) => return Finding::unknown(RUNTIME_LOG, Group::Symptom, unread),
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
        return symptom(RUNTIME_LOG, Verdict::Ok, says);
    }
    let (all, earlier) = counts(
        log.lines
            .iter()
            .map(|group| (group.before_boot, group.count)),
    );
    let mut files: Vec<_> = log
        .lines
        .iter()
        .map(|lines| &lines.first.file[..])
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
    symptom(RUNTIME_LOG, verdict, says)
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
