//! Processes killed at a memory cgroup's limit.

use super::{Question, before, counts, moment};
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Facts, Finding, Group, SHOWN, Verdict, facts::Killed},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "memcg-oom",
    group: Group::Symptom,
    answer: |case| Some(memcg_oom(case.facts)),
};

/// Processes killed at a memory cgroup's limit.
fn memcg_oom(facts: &Facts) -> Finding {
    let log = match &facts.log {
        Ok(log) => log,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let Some(most) = log.killed.first() else {
        return QUESTION.finding(Verdict::Ok, Message::new(say::MEMCG_OOM_NONE));
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
    let page = facts.page.ok().map(|page| page.size);
    let filled = |group: &Killed| Some((group.cgroup.clone(), group.usage.filled(page)?));
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
    QUESTION
        .finding(Verdict::Warn, says)
        .meaning(Message::new(meaning))
        .evidence(log.killed.iter().take(SHOWN).flat_map(|group| {
            let used = group
                .used
                .clone()
                .filter(|_| group.usage.filled(page).is_some());
            [Some(group.line.clone()), used].into_iter().flatten()
        }))
}
