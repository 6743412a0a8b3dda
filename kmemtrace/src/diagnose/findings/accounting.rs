//! Whether kernel memory is accounted, and who switched that on.

use super::{Question, command_line::memory_option, header_tells};
use crate::{
    attribution::Runtime,
    catalogue::{Message, say},
    diagnose::{
        Era, Evidence, Facts, Finding, Group, Origin, Verdict,
        facts::{AccountedDirectory, BuiltIn, FileLine, Unread},
        levels::{MadeBy, Who},
        signs,
    },
    judge::Kept,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "accounting",
    group: Group::Cause,
    answer: |case| Some(accounting(case.facts, case.era, case.who)),
};

/// Whether kernel memory is accounted, and who switched that on.
fn accounting(facts: &Facts, era: Option<(Era, Origin)>, who: &Result<Who, Unread>) -> Finding {
    let root = facts.levels.as_ref().ok().and_then(|levels| levels.first());
    if let Some((era, origin)) = era
        && era != Era::OptIn
    {
        return by_default(facts, era, origin);
    }
    let who = match who {
        Ok(who) => who,
        Err(unread) => return QUESTION.unknown(unread),
    };
    let told = header_tells(facts);
    let evidence: Vec<Evidence> = [
        &who.kubelet,
        &who.runc,
        &who.removed,
        &who.inherited,
        &who.kubelet_off,
        &who.runc_off,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    let others = who.others.iter().map(|(_, evidence)| evidence.clone());
    let settings = facts.configured.programs.iter();
    let settings = settings.map(FileLine::evidence);
    let evidence: Vec<Evidence> = others.chain(evidence).chain(settings).collect();
    let (verdict, id, meaning) = match (&who.kubelet, &who.runc) {
        _ if !who.others.is_empty() => (
            Verdict::Warn,
            say::ACCOUNTING_BY,
            say::ACCOUNTING_BY_MEANING,
        ),
        (Some(_), Some(_)) => (
            Verdict::Warn,
            say::ACCOUNTING_BOTH,
            say::ACCOUNTING_BOTH_MEANING,
        ),
        (Some(_), None) if who.runc_off.is_some() => (
            Verdict::Warn,
            say::ACCOUNTING_KUBELET,
            say::ACCOUNTING_KUBELET_NOT_RUNC,
        ),
        (Some(_), None) => (
            Verdict::Warn,
            say::ACCOUNTING_KUBELET,
            say::ACCOUNTING_KUBELET_AND_MAYBE_RUNC,
        ),
        (None, Some(_)) if who.kubelet_off.is_some() => (
            Verdict::Warn,
            say::ACCOUNTING_RUNC,
            say::ACCOUNTING_RUNC_NOT_KUBELET,
        ),
        (None, Some(_)) => (
            Verdict::Warn,
            say::ACCOUNTING_RUNC,
            say::ACCOUNTING_RUNC_MEANING,
        ),
        (None, None) if who.removed.is_some() => (
            Verdict::Warn,
            say::ACCOUNTING_REMOVED,
            say::ACCOUNTING_REMOVED_MEANING,
        ),
        (None, None) if !told => (
            Verdict::Unknown,
            say::ACCOUNTING_UNTOLD,
            say::ACCOUNTING_UNTOLD_MEANING,
        ),
        (None, None) if who.runc_off.is_some() => (
            Verdict::Ok,
            say::ACCOUNTING_NOBODY,
            say::ACCOUNTING_NOBODY_MEANING,
        ),
        (None, None) => (
            Verdict::Ok,
            say::ACCOUNTING_NO_CONTAINER,
            say::ACCOUNTING_NO_CONTAINER_MEANING,
        ),
    };
    QUESTION
        .finding(verdict, Message::new(id).arg("who", names(who)))
        .meaning(Message::new(meaning))
        .evidence(
            root.filter(|_| evidence.is_empty())
                .map(AccountedDirectory::evidence),
        )
        .evidence(evidence)
        .verify(Message::new(say::ACCOUNTING_VERIFY))
}

/// Where nobody has to switch it on.
fn by_default(facts: &Facts, era: Era, origin: Origin) -> Finding {
    let root = facts.levels.as_ref().ok().and_then(|levels| levels.first());
    let nokmem = facts
        .cmdline
        .as_ref()
        .is_ok_and(|line| memory_option(&line.text, "nokmem"));
    let off = nokmem
        || facts
            .config
            .as_ref()
            .is_ok_and(|config| config.kmem == BuiltIn::No);
    let id = match era {
        Era::NotAccounted => say::ACCOUNTING_NONE,
        _ if off => say::ACCOUNTING_OFF,
        _ => say::ACCOUNTING_DEFAULT,
    };
    let leaks = era == Era::KeepsIds && signs::kept(facts, Some((era, origin))) != Kept::No && !off;
    let verdict = if leaks { Verdict::Warn } else { Verdict::Ok };
    QUESTION
        .finding(verdict, Message::new(id))
        .evidence(root.map(AccountedDirectory::evidence))
}

/// All who switched it on, one after the other.
fn names(who: &Who) -> Message {
    let runtime = |runtime| MadeBy::Runtime(runtime).message();
    let kubelet = who.kubelet.iter().map(|_| runtime(Runtime::Kubelet));
    let runc = who.runc.iter().map(|_| runtime(Runtime::Runc));
    let others = who.others.iter().map(|(maker, _)| maker.message());
    Message::list(kubelet.chain(runc).chain(others)).unwrap_or(Message::new(say::NOTHING))
}
