//! Which kernel, whose, and what it does with zombies.

use super::{Question, header_tells};
use crate::{
    catalogue::{Message, say},
    diagnose::{
        Era, Facts, Finding, Group, Origin, Verdict, era, facts::FileLine, levels::Who, signs,
        vendor::Maker,
    },
    judge::Kept,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "kernel",
    group: Group::Cause,
    answer: |case| Some(kernel(case.facts, case.era, case.who())),
};

/// Which kernel, whose, and what it does with zombies.
fn kernel(facts: &Facts, known: Option<(Era, Origin)>, who: Option<&Who>) -> Finding {
    let release = match &facts.kernel {
        Ok(line) => line.text.clone(),
        Err(unread) if known.is_none() => return QUESTION.unknown(unread),
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
        return QUESTION
            .finding(Verdict::Unknown, says)
            .evidence(facts.kernel.iter().map(FileLine::evidence));
    };
    let kept = signs::kept(facts, known);
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
    QUESTION
        .finding(verdict, says)
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
