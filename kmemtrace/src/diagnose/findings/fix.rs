//! Whether a fix has worked: no level accounts kernel memory any more, a container shows that its runtime does not switch
//! accounting on, and a few memory cgroups made just now leave nothing.

use super::{Question, command_line::memory_option};
use crate::{
    catalogue::{Message, say},
    diagnose::{
        Era, Evidence, Facts, Finding, Group, LevelRow, Origin, Verdict,
        facts::Unread,
        levels::Who,
        proof::{MadeFor, OffProof},
        signs,
    },
    history::{Has, NOKMEM},
    judge::Kept,
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "fix",
    group: Group::Symptom,
    answer: |case| fix(case.facts, case.era, case.levels, case.who),
};

/// The finding, if there was a trial.
fn fix(
    facts: &Facts,
    era: Option<(Era, Origin)>,
    rows: &[LevelRow],
    who: &Result<Who, Unread>,
) -> Option<Finding> {
    let trial = match facts.trial.as_ref()? {
        Ok(trial) => trial,
        Err(unread) => return Some(QUESTION.unknown(unread)),
    };
    let opt_in = era.is_none_or(|(era, _)| era == Era::OptIn);
    let level_on = rows.iter().find(|row| row.on > 0).filter(|_| opt_in);
    let proof = OffProof::of(facts.levels.as_deref().unwrap_or_default());
    let old = facts.count.as_ref().map_or(0, |count| count.staying);
    let ok = |says: Message| (Verdict::Ok, says, None);
    let made = |id| Message::new(id).arg("made", trial.made);
    let (verdict, says, meaning) = if let (Some(row), Ok(_)) = (level_on, who) {
        let says = Message::new(say::FIX_LEVEL_ON)
            .arg("level", Message::new(row.level.message()))
            .arg("on", row.on)
            .arg("directories", row.directories);
        (Verdict::Fail, says, Some(say::FIX_LEVEL_ON_MEANING))
    } else if opt_in && trial.accounted == Some(true) {
        let says = Message::new(say::FIX_INHERITED).arg("place", trial.place.clone());
        (Verdict::Fail, says, None)
    } else if let Some(stayed @ 1..) = trial.stayed {
        let says = made(say::FIX_STILL_LEAKS).arg("stayed", stayed);
        (Verdict::Fail, says, None)
    } else if trial.stayed.is_none() || (opt_in && trial.accounted.is_none()) {
        let meaning = Some(say::FIX_TRIAL_UNKNOWN_MEANING);
        (Verdict::Unknown, made(say::FIX_TRIAL_UNKNOWN), meaning)
    } else if opt_in && !nobody_can(facts) && !proof.is_whole() {
        let says = match (&trial.held_below, proof.missing.first()) {
            (_, Some(MadeFor::Runtime(runtime))) => {
                Message::new(say::FIX_NO_CONTAINER_OF).arg("runtime", runtime.row().title)
            }
            (Some(place), _) => Message::new(say::FIX_NO_CONTAINER_BUT).arg("place", place.clone()),
            (None, _) => Message::new(say::FIX_NO_CONTAINER),
        };
        (Verdict::Unknown, says, Some(say::FIX_NO_CONTAINER_MEANING))
    } else if old > 0 && signs::kept(facts, era) == Kept::No {
        ok(made(say::FIX_OTHER_ZOMBIES).arg("zombies", old))
    } else if old > 0 {
        ok(Message::new(say::FIX_OLD_ZOMBIES).arg("zombies", old))
    } else {
        ok(made(say::FIX_DONE))
    };
    let stayed = match trial.stayed {
        Some(stayed) => made(say::FIX_TRIAL).arg("stayed", stayed),
        None => made(say::FIX_TRIAL_UNTOLD),
    };
    let shown = proof.shown.into_iter().filter(|_| opt_in);
    let evidence = std::iter::once(Evidence::of_file(&trial.place, stayed));
    let evidence = evidence.chain(shown.map(|(_, shown)| shown));
    let finding = QUESTION.finding(verdict, says).evidence(evidence);
    Some(match meaning {
        Some(meaning) => finding.meaning(Message::new(meaning)),
        None => finding,
    })
}

/// Where accounting is opt-in: whether an option that this kernel knows keeps everybody from switching it on.
fn nobody_can(facts: &Facts) -> bool {
    let knows = facts.kernel.as_ref().ok();
    let knows = knows.is_some_and(|release| NOKMEM.is_in(&release.text) == Has::Yes);
    let nokmem = facts.cmdline.as_ref();
    knows && nokmem.is_ok_and(|line| memory_option(&line.text, "nokmem"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::Sentence,
        diagnose::{
            diagnose,
            facts::{MemcgCount, ReadOptions, Trial},
        },
        host::tests::root,
    };

    const AT: &str = "/sys/fs/cgroup/memory";

    const OFF: &str = "memory.kmem.slabinfo.error";
    const ON: &str = "memory.kmem.slabinfo";

    /// 3.10 with `kubepods` and containers, accounted or not, some old zombies, and a trial: the verdict and what it says.
    fn fixed(
        (kubepods, containers): (&str, &[&str]),
        cmdline: &str,
        old: u64,
        trial: Trial,
    ) -> (Verdict, Sentence) {
        let mut directories = vec![("/kubepods".to_owned(), kubepods)];
        for (number, container) in containers.iter().enumerate() {
            let pod = format!("/kubepods/pod{number}");
            directories.push((pod.clone(), kubepods));
            directories.push((format!("{pod}/c{number}"), container));
        }
        fixed_with(&directories, cmdline, old, trial)
    }

    /// The same with any directories.
    fn fixed_with(
        directories: &[(String, &str)],
        cmdline: &str,
        old: u64,
        trial: Trial,
    ) -> (Verdict, Sentence) {
        let text = "slabinfo - version: 2.1\n# Input/output error\n";
        let mut files = vec![
            (
                "/proc/self/mountinfo".to_owned(),
                "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("/proc/cgroups".into(), "memory\t4\t2\t1\n"),
            (
                "/proc/sys/kernel/osrelease".into(),
                "3.10.0-1160.el7.x86_64\n",
            ),
            ("/proc/cmdline".into(), cmdline),
            (format!("{AT}/{OFF}"), text),
        ];
        for (directory, file) in directories {
            files.push((format!("{AT}{directory}/{file}"), text));
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (&path[..], *text))
            .collect();
        let (_directory, root) = root(&files);
        let count = MemcgCount {
            live: 2,
            staying: old,
            zombies_min: old,
            capacity: 65_535,
            ..MemcgCount::default()
        };
        let mut facts = Facts::read(&root, ReadOptions::default(), Ok(count));
        facts.trial = Some(Ok(trial));
        let diagnosis = diagnose(&facts);
        let finding = diagnosis
            .findings
            .iter()
            .find(|one| one.id == QUESTION.id)
            .unwrap();
        assert_eq!(diagnosis.fix, Some(finding.verdict));
        assert_eq!(diagnosis.headline, finding.says);
        assert!(finding.verdict != Verdict::Unknown || finding.meaning.is_some());
        (finding.verdict, finding.says.sentence)
    }

    fn trial(stayed: Option<u64>, accounted: Option<bool>) -> Trial {
        Trial {
            place: format!("{AT}/kubepods"),
            made: 10,
            stayed,
            accounted,
            held_below: None,
        }
    }

    #[test]
    fn a_fix_is_believed_when_a_container_shows_it_and_nothing_stays() {
        use Verdict::{Fail, Ok, Unknown};
        let clean = || trial(Some(0), Some(false));
        let held = || Trial {
            held_below: Some(format!("{AT}/kubepods/pod0")),
            ..clean()
        };
        let off = (OFF, &[OFF][..]);
        let nokmem = "cgroup.memory=nokmem\n";
        for (levels, cmdline, old, trial, right) in [
            (off, "quiet\n", 0, clean(), (Ok, say::FIX_DONE)),
            (off, "quiet\n", 7, clean(), (Ok, say::FIX_OLD_ZOMBIES)),
            (off, "quiet\n", 7, held(), (Ok, say::FIX_OLD_ZOMBIES)),
            // No container lives: runc may switch it on for the next one.
            (
                (OFF, &[]),
                "quiet\n",
                0,
                clean(),
                (Unknown, say::FIX_NO_CONTAINER),
            ),
            (
                (OFF, &[]),
                "quiet\n",
                7,
                clean(),
                (Unknown, say::FIX_NO_CONTAINER),
            ),
            (
                (OFF, &[]),
                "quiet\n",
                7,
                held(),
                (Unknown, say::FIX_NO_CONTAINER_BUT),
            ),
            ((OFF, &[]), nokmem, 0, clean(), (Ok, say::FIX_DONE)),
            (off, nokmem, 7, clean(), (Ok, say::FIX_OLD_ZOMBIES)),
            (
                off,
                "quiet\n",
                0,
                trial(None, Some(false)),
                (Unknown, say::FIX_TRIAL_UNKNOWN),
            ),
            (
                off,
                "quiet\n",
                0,
                trial(Some(0), None),
                (Unknown, say::FIX_TRIAL_UNKNOWN),
            ),
            (
                off,
                "quiet\n",
                0,
                trial(Some(3), Some(false)),
                (Fail, say::FIX_STILL_LEAKS),
            ),
            (
                off,
                "quiet\n",
                0,
                trial(Some(0), Some(true)),
                (Fail, say::FIX_INHERITED),
            ),
            (
                (OFF, &[OFF, ON]),
                "quiet\n",
                0,
                clean(),
                (Fail, say::FIX_LEVEL_ON),
            ),
            (
                (ON, &[]),
                nokmem,
                0,
                trial(Some(0), Some(true)),
                (Fail, say::FIX_LEVEL_ON),
            ),
        ] {
            let case = format!("{levels:?} {cmdline} {old} {trial:?}");
            assert_eq!(fixed(levels, cmdline, old, trial), right, "{case}");
        }
    }

    /// Of the runtime that a container is of, it says something, and of no other.
    #[test]
    fn another_runtimes_container_proves_nothing() {
        use Verdict::{Ok, Unknown};
        let id = |digit: char| String::from(digit).repeat(64);
        let docker = format!("/docker/{}", id('a'));
        let podman = format!("/machine.slice/libpod-{}.scope", id('b'));
        let pod = "/kubepods.slice/kubepods-pod1.slice";
        let crio = format!("{pod}/crio-{}.scope", id('c'));
        let conmon = format!("{pod}/crio-conmon-{}.scope", id('c'));
        let job = "/slurm/uid_1/job_7";
        let done = (Ok, say::FIX_DONE);
        let unknown = (Unknown, say::FIX_NO_CONTAINER);
        let none_of = (Unknown, say::FIX_NO_CONTAINER_OF);
        let cases: [(&[&str], _); 13] = [
            (&[], unknown),
            (&[&docker], done),
            (&["/docker"], unknown),
            (&[&docker, "/docker", &podman], done),
            (&["/kubepods.slice", &podman], unknown),
            (&["/kubepods", pod, &docker], unknown),
            (&[pod, &conmon], unknown),
            (&[pod, &crio, &conmon], done),
            (&[pod, &crio, &docker], done),
            (&[&docker, "/slurm", "/slurm/uid_1"], none_of),
            (&[&docker, "/slurm", "/slurm/uid_1", job], done),
            (&["/slurm", job], done),
            (&["/lxc/a", "/system.slice/x.service"], unknown),
        ];
        for (directories, right) in cases {
            let off = directories.iter().map(|path| ((*path).to_owned(), OFF));
            let off: Vec<_> = off.collect();
            let told = fixed_with(&off, "quiet\n", 0, trial(Some(0), Some(false)));
            assert_eq!(told, right, "{directories:?}");
        }
        // One that is there and of which nothing is known, as it is younger than a minute.
        let young = [(docker, OFF), (podman, "cgroup.procs")];
        let told = fixed_with(&young, "quiet\n", 0, trial(Some(0), Some(false)));
        assert_eq!(told, none_of);
    }
}
