//! Whether a memory cgroup can be made.

use super::{Question, firsts_and_lasts, times};
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{Evidence, Facts, Finding, Group, Verdict, signs::traced},
    judge::Refused,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "mkdir",
    group: Group::Symptom,
    answer: |case| Some(mkdir(case.facts)),
};

/// Whether a memory cgroup can be made.
fn mkdir(facts: &Facts) -> Finding {
    let says = Message::new;
    let failed = traced(facts).map_or(&[][..], |traced| &traced.mkdir);
    let finding = match (&facts.probe, failed) {
        (None, []) if facts.is_copy() => {
            QUESTION.finding(Verdict::Unknown, says(say::MKDIR_COPIED))
        }
        (None, []) => QUESTION.finding(Verdict::Unknown, says(say::MKDIR_NOT_TRIED)),
        (None, [most, ..]) => QUESTION
            .finding(
                Verdict::Fail,
                times(says(say::MKDIR_TRACED), failed)
                    .arg("what", Arg::from(&most.what))
                    .arg("place", most.place.clone()),
            )
            .meaning(says(say::MKDIR_TRACED_MEANING))
            .evidence(firsts_and_lasts(failed)),
        (Some(Ok(())), [_, ..]) => QUESTION
            .finding(Verdict::Warn, times(says(say::MKDIR_WORKS_AGAIN), failed))
            .meaning(says(say::MKDIR_TRACED_MEANING))
            .evidence(firsts_and_lasts(failed)),
        (Some(Ok(())), []) => QUESTION.finding(Verdict::Ok, says(say::MKDIR_WORKS)),
        // Not the kernel's: nobody may write there.
        (Some(Err(unread)), []) if Refused::by(unread.reason.errno(), true) == Refused::No => {
            return QUESTION.unknown(unread);
        }
        (Some(Err(unread)), _) => {
            let finding = says(say::MKDIR_FAILS).arg("error", Arg::from(&unread.reason));
            QUESTION
                .finding(Verdict::Fail, finding)
                .meaning(says(say::MKDIR_FAILS_MEANING))
                .evidence([Evidence::of_file(
                    &unread.file,
                    Message::new(say::MKDIR_SAID).arg("error", Arg::from(&unread.reason)),
                )])
                .evidence(firsts_and_lasts(failed))
        }
    };
    let mount = facts.hierarchy.as_ref().map_or_else(
        |_| "/sys/fs/cgroup/memory".to_owned(),
        |at| at.mount.display().to_string(),
    );
    finding.verify(says(say::MKDIR_VERIFY).arg("mount", mount))
}
