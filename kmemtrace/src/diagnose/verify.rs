//! Whether a fix has worked: no level accounts kernel memory any more, and a few memory cgroups made just now leave nothing.

use super::{
    Era, Evidence, Facts, Finding, Group, LevelRow, Message, Origin, Verdict, facts::Unread,
    levels::Who,
};

/// The name of the finding.
pub(super) const FIX: &str = "fix";

/// A few memory cgroups, made as kubelet and runc make them, charged, and removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The cgroup that they were made in.
    pub place: String,
    /// How many.
    pub made: u64,
    /// How many of them stayed as zombies.
    pub stayed: u64,
    /// Whether kernel memory was accounted to them, though nobody switched it on: they inherited it. `None` where the
    /// kernel does not tell.
    pub accounted: Option<bool>,
}

/// The finding, if there was a trial.
pub(super) fn fix(
    facts: &Facts,
    era: Option<(Era, Origin)>,
    rows: &[LevelRow],
    who: &Result<Who, Unread>,
) -> Option<Finding> {
    let trial = match facts.trial.as_ref()? {
        Ok(trial) => trial,
        Err(unread) => return Some(Finding::unknown(FIX, Group::Symptom, unread)),
    };
    let opt_in = era.is_none_or(|(era, _)| era == Era::OptIn);
    let level_on = rows.iter().find(|row| row.on > 0).filter(|_| opt_in);
    let old = facts.count.as_ref().map_or(0, |count| count.staying);
    let (verdict, says) = if let (Some(row), Ok(_)) = (level_on, who) {
        let says = Message::new("fix-level-on")
            .arg("level", Message::new(row.level.message()))
            .arg("on", row.on)
            .arg("directories", row.directories);
        (Verdict::Fail, says)
    } else if opt_in && trial.accounted == Some(true) {
        let says = Message::new("fix-inherited").arg("place", trial.place.clone());
        (Verdict::Fail, says)
    } else if trial.stayed > 0 {
        let says = Message::new("fix-still-leaks")
            .arg("stayed", trial.stayed)
            .arg("made", trial.made);
        (Verdict::Fail, says)
    } else if old > 0 && !era.is_none_or(|(era, _)| era.keeps_ids()) {
        let says = Message::new("fix-other-zombies")
            .arg("made", trial.made)
            .arg("zombies", old);
        (Verdict::Ok, says)
    } else if old > 0 {
        (
            Verdict::Ok,
            Message::new("fix-old-zombies").arg("zombies", old),
        )
    } else {
        (
            Verdict::Ok,
            Message::new("fix-done").arg("made", trial.made),
        )
    };
    let evidence = Evidence::of_file(
        &trial.place,
        Message::new("fix-trial")
            .arg("made", trial.made)
            .arg("stayed", trial.stayed),
    );
    let finding = Finding::new(FIX, Group::Symptom, verdict, says).evidence([evidence]);
    Some(match level_on {
        Some(_) if verdict == Verdict::Fail => {
            finding.meaning(Message::new("fix-level-on-meaning"))
        }
        _ => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{
            diagnose,
            facts::{Count, Options},
        },
        host::tests::root,
    };

    const AT: &str = "/sys/fs/cgroup/memory";

    /// 3.10 with `kubepods`, accounted or not, some old zombies, and a trial: the verdict and what it says.
    fn fixed(kubepods: &str, old: u64, trial: Trial) -> (Verdict, &'static str) {
        let (_directory, root) = root(&[
            (
                "/proc/self/mountinfo",
                "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("/proc/cgroups", "memory\t4\t2\t1\n"),
            (
                &format!("{AT}/memory.kmem.slabinfo.error"),
                "Input/output error\n",
            ),
            (
                &format!("{AT}/kubepods/{kubepods}"),
                "slabinfo - version: 2.1\n# Input/output error\n",
            ),
        ]);
        let count = Count {
            live: 2,
            staying: old,
            zombies_min: old,
            capacity: 65_535,
            ..Count::default()
        };
        let mut facts = Facts::read(&root, Options::default(), Ok(count));
        facts.trial = Some(Ok(trial));
        let diagnosis = diagnose(&facts);
        let finding = diagnosis.findings.iter().find(|one| one.id == FIX).unwrap();
        assert_eq!(diagnosis.fix, Some(finding.verdict));
        assert_eq!(diagnosis.headline, finding.says);
        (finding.verdict, finding.says.id)
    }

    fn trial(stayed: u64, accounted: Option<bool>) -> Trial {
        Trial {
            place: format!("{AT}/kubepods"),
            made: 10,
            stayed,
            accounted,
        }
    }

    #[test]
    fn a_fix_is_believed_when_nothing_accounts_and_nothing_stays() {
        let off = "memory.kmem.slabinfo.error";
        assert_eq!(
            fixed(off, 0, trial(0, Some(false))),
            (Verdict::Ok, "fix-done")
        );
        assert_eq!(
            fixed(off, 7, trial(0, Some(false))),
            (Verdict::Ok, "fix-old-zombies")
        );
        assert_eq!(
            fixed(off, 0, trial(3, Some(false))),
            (Verdict::Fail, "fix-still-leaks")
        );
        assert_eq!(
            fixed(off, 0, trial(0, Some(true))),
            (Verdict::Fail, "fix-inherited")
        );
        let on = "memory.kmem.slabinfo";
        assert_eq!(
            fixed(on, 0, trial(0, Some(true))),
            (Verdict::Fail, "fix-level-on")
        );
    }
}
