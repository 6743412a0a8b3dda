//! Why it is so.

mod configured;
mod pins;

use super::{
    Era, Evidence, Facts, Finding, Group, Origin, Verdict, era,
    facts::{BuiltIn, Mark, Unread},
    levels::{MadeBy, Who},
    symptoms,
    vendor::Maker,
};
use crate::{
    attribution::Runtime,
    catalogue::{Arg, Message, say},
    host::memory_words,
    judge::Kept,
};
pub(super) use configured::{configured, not_in_force};
pub(super) use pins::{kernel_memory, pins, slab_pins};

/// Names of findings.
pub(super) const KERNEL: &str = "kernel";
pub(super) const BUILT_IN: &str = "kmem-built-in";
pub(super) const COMMAND_LINE: &str = "command-line";
pub(super) const ACCOUNTING: &str = "accounting";
pub(super) const PROGRAMS: &str = "programs";
pub(super) const PINS: &str = "pins";
pub(super) const CONFIGURED: &str = "configured";

fn cause(id: &'static str, verdict: Verdict, says: Message) -> Finding {
    Finding::new(id, Group::Cause, verdict, says)
}

/// Which kernel, whose, and what it does with zombies.
pub(super) fn kernel(facts: &Facts, known: Option<(Era, Origin)>, who: Option<&Who>) -> Finding {
    let release = match &facts.kernel {
        Ok(line) => line.text.clone(),
        Err(unread) if known.is_none() => return Finding::unknown(KERNEL, Group::Cause, unread),
        Err(_) => "?".to_owned(),
    };
    let vendor = facts.vendor().map_or_else(
        || Message::new(say::VENDOR_UNTOLD),
        |vendor| {
            // Those who rebuild it keep its mark.
            let id = match vendor.maker {
                Maker::RedHat => say::VENDOR_OR_REBUILD,
                _ => say::VENDOR,
            };
            Message::new(id).arg("vendor", vendor.name)
        },
    );
    let Some((era, origin)) = known else {
        let says = Message::new(say::KERNEL_UNKNOWN).arg("release", release);
        return cause(KERNEL, Verdict::Unknown, says)
            .evidence(facts.kernel.iter().map(super::facts::Line::evidence));
    };
    let kept = symptoms::kept(facts, known);
    // It does no harm where nobody switches accounting on.
    let verdict = match (era, who) {
        (Era::KeepsIds, _) if kept != Kept::No => Verdict::Warn,
        (Era::OptIn, Some(who)) if who.anybody() => Verdict::Warn,
        (Era::OptIn, None) => Verdict::Unknown,
        (Era::OptIn, Some(_)) if !header_tells(facts) => Verdict::Unknown,
        _ => Verdict::Ok,
    };
    let says = Message::new(say::KERNEL_IS)
        .arg("release", release)
        .arg("vendor", vendor);
    cause(KERNEL, verdict, says)
        .meaning(
            Message::new(era.message(kept, era::page_cache_pins(facts, Some(era)))).arg(
                "known",
                Message::new(match origin {
                    _ if kept
                        != Kept::by(facts.kernel.as_ref().ok().map(|line| &line.text[..])) =>
                    {
                        say::KNOWN_BY_COUNT
                    }
                    Origin::Sign => say::KNOWN_BY_SIGN,
                    Origin::Release => say::KNOWN_BY_RELEASE,
                }),
            ),
        )
        .evidence(era::evidence(facts, origin))
}

/// Whether accounting is compiled in.
pub(super) fn built_in(facts: &Facts) -> Finding {
    match &facts.config {
        Ok(config) => {
            let id = match config.kmem {
                BuiltIn::Yes => say::BUILT_IN,
                BuiltIn::No => say::NOT_BUILT_IN,
            };
            cause(BUILT_IN, Verdict::Ok, Message::new(id)).evidence([config.line.evidence()])
        }
        Err(unread) => Finding::unknown(BUILT_IN, Group::Cause, unread),
    }
}

/// The words of the kernel's command line that matter here.
pub(super) fn words(cmdline: &str) -> Vec<&str> {
    memory_words(cmdline).collect()
}

/// Whether `cgroup.memory=` names `what`.
pub(super) fn memory_option(cmdline: &str, what: &str) -> bool {
    words(cmdline)
        .iter()
        .filter_map(|word| word.strip_prefix("cgroup.memory="))
        .any(|list| list.split(',').any(|one| one == what))
}

/// What the kernel was told at boot.
pub(super) fn command_line(facts: &Facts, who: Option<&Who>) -> Finding {
    let line = match &facts.cmdline {
        Ok(line) => line,
        Err(unread) => return Finding::unknown(COMMAND_LINE, Group::Cause, unread),
    };
    let words = words(&line.text);
    let nokmem = memory_option(&line.text, "nokmem");
    let ignored = nokmem && who.is_some_and(Who::anybody);
    let (verdict, id) = if ignored {
        (Verdict::Warn, say::COMMAND_LINE_IGNORED)
    } else if nokmem {
        (Verdict::Ok, say::COMMAND_LINE_NOKMEM)
    } else if words.is_empty() {
        (Verdict::Ok, say::COMMAND_LINE_NOTHING)
    } else {
        (Verdict::Ok, say::COMMAND_LINE_WORDS)
    };
    let says = Message::new(id).arg("words", words.join(" "));
    let mut finding = cause(COMMAND_LINE, verdict, says).evidence([line.evidence()]);
    if ignored {
        finding = finding.meaning(Message::new(say::COMMAND_LINE_IGNORED_MEANING));
    }
    finding
}

/// Whether `memory.kmem.slabinfo` tells where accounting is off.
fn header_tells(facts: &Facts) -> bool {
    let levels = facts.levels.as_ref().ok();
    levels.is_some_and(|levels| levels.first().is_some_and(|root| root.header_tells))
}

/// All who switched it on, one after the other.
fn names(who: &Who) -> Message {
    let runtime = |runtime| MadeBy::Runtime(runtime).message();
    let kubelet = who.kubelet.iter().map(|_| runtime(Runtime::Kubelet));
    let runc = who.runc.iter().map(|_| runtime(Runtime::Runc));
    let others = who.others.iter().map(|(maker, _)| maker.message());
    Message::list(kubelet.chain(runc).chain(others)).unwrap_or(Message::new(say::NOTHING))
}

/// Whether kernel memory is accounted, and who switched that on.
pub(super) fn accounting(
    facts: &Facts,
    era: Option<(Era, Origin)>,
    who: &Result<Who, Unread>,
) -> Finding {
    let root = facts.levels.as_ref().ok().and_then(|levels| levels.first());
    match era {
        Some((Era::OptIn, _)) | None => {}
        Some((era, origin)) => {
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
            let leaks = era == Era::KeepsIds
                && symptoms::kept(facts, Some((era, origin))) != Kept::No
                && !off;
            let verdict = if leaks { Verdict::Warn } else { Verdict::Ok };
            return cause(ACCOUNTING, verdict, Message::new(id))
                .evidence(root.map(super::facts::Directory::evidence));
        }
    }
    let who = match who {
        Ok(who) => who,
        Err(unread) => return Finding::unknown(ACCOUNTING, Group::Cause, unread),
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
    let settings = settings.map(super::facts::Line::evidence);
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
    cause(ACCOUNTING, verdict, Message::new(id).arg("who", names(who)))
        .meaning(Message::new(meaning))
        .evidence(
            root.filter(|_| evidence.is_empty())
                .map(super::facts::Directory::evidence),
        )
        .evidence(evidence)
        .verify(Message::new(say::ACCOUNTING_VERIFY))
}

/// Versions, and how the programs were built.
pub(super) fn programs(facts: &Facts) -> Finding {
    if facts.programs.is_empty() {
        return cause(PROGRAMS, Verdict::Unknown, Message::new(say::PROGRAMS_NONE));
    }
    let told: Vec<_> = facts.programs.iter().map(|program| program.name).collect();
    let evidence = facts.programs.iter().map(|program| {
        let reason = |unread: &Unread| Arg::from(&unread.reason);
        let version = match &program.version {
            Ok(version) => version.clone().into(),
            Err(unread) => Message::new(say::PROGRAM_VERSION_UNTOLD)
                .arg("reason", reason(unread))
                .into(),
        };
        let says: Arg = match &program.mark {
            Mark::NoKmem => Message::new(say::PROGRAM_MARKED)
                .arg("version", version)
                .into(),
            Mark::None => version,
            Mark::Unread(unread) => Message::new(say::PROGRAM_MARK_UNTOLD)
                .arg("version", version)
                .arg("reason", reason(unread))
                .into(),
        };
        Evidence::of_file(&program.path, says)
    });
    let marked: Vec<_> = facts
        .programs
        .iter()
        .filter(|one| one.mark == Mark::NoKmem)
        .map(|one| one.name)
        .collect();
    let says = if marked.is_empty() {
        Message::new(say::PROGRAMS_FOUND)
    } else {
        Message::new(say::PROGRAMS_MARKED).arg("marked", marked.join(", "))
    };
    cause(PROGRAMS, Verdict::Ok, says.arg("programs", told.join(", "))).evidence(evidence)
}
