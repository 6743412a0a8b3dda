//! What logs tell: failed slab allocations, processes killed at a memory cgroup's limit, memory cgroups that could not be made.

use std::collections::BTreeMap;

use super::{KERNEL_LOG, MEMCG_OOM, RUNTIME_LOG, SHOWN, symptom};
use crate::{
    diagnose::{Arg, Facts, Finding, Group, Message, Verdict, facts::RuntimeLines},
    host::MkdirError,
    judge::Refused,
};

/// How many more the log's rate limit held back, if the log says so.
fn suppressed(more: u64) -> Message {
    match more {
        0 => Message::new("nothing"),
        more => Message::new("kernel-log-suppressed").arg("more", more),
    }
}

/// Slab allocations that failed.
pub(in crate::diagnose) fn kernel_log(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return Finding::unknown(KERNEL_LOG, Group::Symptom, unread),
    };
    let verify = Message::new("kernel-log-verify");
    let Some(most) = log.slab.first() else {
        let says = Message::new("kernel-log-clean").arg("records", log.records);
        return symptom(KERNEL_LOG, Verdict::Ok, says).verify(verify);
    };
    let failures: u64 = log.slab.iter().map(|group| group.count).sum();
    let first = log
        .slab
        .iter()
        .map(|group| group.first_ns)
        .min()
        .unwrap_or(0);
    let last = log
        .slab
        .iter()
        .map(|group| group.last_ns)
        .max()
        .unwrap_or(0);
    let cgroup = most.cgroup.clone().map_or_else(
        || Message::new("nothing"),
        |cgroup| Message::new("of-cgroup").arg("cgroup", cgroup),
    );
    let says = Message::new("kernel-log-failures")
        .arg("failures", failures)
        .arg("groups", log.slab.len() as u64)
        .arg("first", Arg::Time(first))
        .arg("last", Arg::Time(last))
        .arg("cache", most.cache.clone())
        .arg("cgroup", cgroup)
        .arg("most", most.count)
        .arg("more", suppressed(log.suppressed));
    let named = log.slab.iter().any(|group| group.cgroup.is_some());
    let meaning = if named {
        "kernel-log-limit"
    } else {
        "kernel-log-failures-meaning"
    };
    let evidence = log.slab.iter().take(SHOWN).map(|group| {
        let mut evidence = group.line.evidence();
        let cgroup = group
            .cgroup
            .as_ref()
            .map_or_else(String::new, |cgroup| format!("({cgroup})"));
        evidence.says = Message::new("kernel-log-group")
            .arg("line", evidence.says)
            .arg("cache", format!("{}{cgroup}", group.cache))
            .arg("count", group.count)
            .into();
        evidence
    });
    symptom(KERNEL_LOG, Verdict::Warn, says)
        .meaning(Message::new(meaning))
        .evidence(evidence)
        .verify(verify)
}

/// Processes killed at a memory cgroup's limit.
pub(in crate::diagnose) fn memcg_oom(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return Finding::unknown(MEMCG_OOM, Group::Symptom, unread),
    };
    let Some(most) = log.killed.first() else {
        return symptom(MEMCG_OOM, Verdict::Ok, Message::new("memcg-oom-none"));
    };
    let killed: u64 = log.killed.iter().map(|group| group.count).sum();
    let last = log
        .killed
        .iter()
        .map(|group| group.last_ns)
        .max()
        .unwrap_or(0);
    let says = Message::new("memcg-oom-killed")
        .arg("killed", killed)
        .arg("groups", log.killed.len() as u64)
        .arg("cgroup", most.cgroup.clone())
        .arg("most", most.count)
        .arg("last", Arg::Time(last));
    symptom(MEMCG_OOM, Verdict::Warn, says)
        .meaning(Message::new("memcg-oom-meaning"))
        .evidence(
            log.killed
                .iter()
                .take(SHOWN)
                .map(|group| group.line.evidence()),
        )
}

/// Whether logs tell of memory cgroups that could not be made.
pub(super) fn refused(facts: &Facts) -> Refused {
    let told = facts.runtime.as_ref();
    if told.is_ok_and(|log| !log.lines.is_empty()) {
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
    if log.lines.is_empty() {
        let files = log.read.join(", ");
        return symptom(
            RUNTIME_LOG,
            Verdict::Ok,
            Message::new("runtime-log-clean").arg("files", files),
        );
    }
    let failed: u64 = log.lines.iter().map(|lines| lines.count).sum();
    let mut files: Vec<_> = log
        .lines
        .iter()
        .map(|lines| &lines.first.file[..])
        .collect();
    files.dedup();
    let says = Message::new("runtime-log-errors")
        .arg("failed", failed)
        .arg("programs", by_program(&log.lines))
        .arg("files", files.join(", "));
    let shown = log.lines.iter().take(SHOWN).flat_map(|lines| {
        let last = (lines.last != lines.first).then_some(&lines.last);
        [Some(&lines.first), last].into_iter().flatten().cloned()
    });
    symptom(RUNTIME_LOG, Verdict::Fail, says)
        .meaning(Message::new("runtime-log-meaning"))
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
