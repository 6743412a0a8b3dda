//! What can be done: what applies to this node first. Each remedy is a row of [`REMEDIES`]. Pure.

mod commands;
mod host;
mod others;

use commands::commands;

use super::{
    Case, Era, Facts, Finding, Level, State, Verdict,
    era::page_cache_pins,
    facts::{Kinds, Mark},
    findings::{accounting, command_line, configured, ids, kernel, mkdir, pins, runtime_log},
    levels::Who,
    signs,
};
use crate::{
    catalogue::{Arg, Message, Sentence, say},
    history::{self, Has},
    judge::{Kept, Signs},
    runtimes::{Accounting, Runtime},
};

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// Its name, which stays the same.
    pub id: &'static str,
    /// Whether it helps on this node; else `why` says why not.
    pub applies: bool,
    /// What it is.
    pub title: Message,
    /// Why it applies here, or why not.
    pub why: Message,
    /// The commands, to be read before they are run; a sentence among them is a comment.
    pub commands: Vec<Arg>,
    /// What it takes: a reboot, a drained node, a rebuild.
    pub cost: Message,
    /// What may go wrong.
    pub risk: Message,
    /// How to see that it worked.
    pub verify: Message,
}

/// A remedy: its name, what is said of it wherever it applies, and what each node makes of it.
struct RemedyRow {
    id: &'static str,
    title: Sentence,
    cost: Sentence,
    risk: Sentence,
    verify: Sentence,
    /// Names of the findings that it helps against.
    helps: &'static [&'static [&'static str]],
    /// The remedy for a node: with why it applies or not, and its commands; none where there is nothing to say of it.
    make: fn(&Situation<'_>, &RemedyRow) -> Vec<Remedy>,
}

impl RemedyRow {
    /// The remedy, with what this node makes of it.
    fn remedy(&self, applies: bool, why: Message, commands: Vec<Arg>) -> Remedy {
        Remedy {
            id: self.id,
            applies,
            title: Message::new(self.title),
            why,
            commands,
            cost: Message::new(self.cost),
            risk: Message::new(self.risk),
            verify: Message::new(self.verify),
        }
    }
}

/// Findings that say that ids are used up, or that memory cgroups cannot be made.
const NO_IDS: &[&str] = &[
    ids::QUESTION.id,
    mkdir::QUESTION.id,
    runtime_log::QUESTION.id,
];
const ACCOUNTING: &[&str] = &[accounting::QUESTION.id];
const COMMAND_LINE: &[&str] = &[command_line::QUESTION.id];

/// All remedies, in the order in which they are tried.
const REMEDIES: &[RemedyRow] = &[
    RemedyRow {
        id: "shrink-caches",
        title: say::REMEDY_SHRINK_CACHES,
        cost: say::REMEDY_SHRINK_CACHES_COST,
        risk: say::REMEDY_SHRINK_CACHES_RISK,
        verify: say::REMEDY_SHRINK_CACHES_VERIFY,
        helps: &[NO_IDS],
        make: |case, row| vec![case.shrink(row)],
    },
    RemedyRow {
        id: "remove-empty",
        title: say::REMEDY_REMOVE_EMPTY,
        cost: say::REMEDY_REMOVE_EMPTY_COST,
        risk: say::REMEDY_REMOVE_EMPTY_RISK,
        verify: say::REMEDY_REMOVE_EMPTY_VERIFY,
        helps: &[NO_IDS],
        make: |case, row| case.remove_empty(row).into_iter().collect(),
    },
    RemedyRow {
        id: "memcg-reaper",
        title: say::REMEDY_MEMCG_REAPER,
        cost: say::REMEDY_MEMCG_REAPER_COST,
        risk: say::REMEDY_MEMCG_REAPER_RISK,
        verify: say::REMEDY_MEMCG_REAPER_VERIFY,
        helps: &[NO_IDS],
        make: |case, row| case.reaper(row).into_iter().collect(),
    },
    RemedyRow {
        id: "runtime-setting",
        title: say::REMEDY_RUNTIME_SETTING,
        cost: say::REMEDY_RUNTIME_SETTING_COST,
        risk: say::REMEDY_RUNTIME_SETTING_RISK,
        verify: say::REMEDY_RUNTIME_SETTING_VERIFY,
        helps: &[NO_IDS, ACCOUNTING],
        make: |case, row| case.settings(row),
    },
    RemedyRow {
        id: "runtime-update",
        title: say::REMEDY_RUNTIME_UPDATE,
        cost: say::REMEDY_RUNTIME_UPDATE_COST,
        risk: say::REMEDY_RUNTIME_UPDATE_RISK,
        verify: say::REMEDY_RUNTIME_UPDATE_VERIFY,
        helps: &[NO_IDS, ACCOUNTING],
        make: |case, row| case.updates(row),
    },
    RemedyRow {
        id: "nokmem-boot",
        title: say::REMEDY_NOKMEM_BOOT,
        cost: say::REMEDY_NOKMEM_BOOT_COST,
        risk: say::REMEDY_NOKMEM_BOOT_RISK,
        verify: say::REMEDY_NOKMEM_BOOT_VERIFY,
        helps: &[NO_IDS, ACCOUNTING, &[configured::QUESTION.id]],
        make: |case, row| vec![case.nokmem(row)],
    },
    RemedyRow {
        id: "kubelet-nokmem",
        title: say::REMEDY_KUBELET_NOKMEM,
        cost: say::REMEDY_KUBELET_NOKMEM_COST,
        risk: say::REMEDY_KUBELET_NOKMEM_RISK,
        verify: say::REMEDY_KUBELET_NOKMEM_VERIFY,
        helps: &[NO_IDS, ACCOUNTING, COMMAND_LINE],
        make: |case, row| vec![case.kubelet(row)],
    },
    RemedyRow {
        id: "runc-nokmem",
        title: say::REMEDY_RUNC_NOKMEM,
        cost: say::REMEDY_RUNC_NOKMEM_COST,
        risk: say::REMEDY_RUNC_NOKMEM_RISK,
        verify: say::REMEDY_RUNC_NOKMEM_VERIFY,
        helps: &[NO_IDS, ACCOUNTING, COMMAND_LINE],
        make: |case, row| vec![case.runc(row)],
    },
    RemedyRow {
        id: "newer-kernel",
        title: say::REMEDY_NEWER_KERNEL,
        cost: say::REMEDY_NEWER_KERNEL_COST,
        risk: say::REMEDY_NEWER_KERNEL_RISK,
        verify: say::REMEDY_NEWER_KERNEL_VERIFY,
        helps: &[NO_IDS, ACCOUNTING, COMMAND_LINE, &[kernel::QUESTION.id]],
        make: |case, row| vec![case.kernel(row)],
    },
    RemedyRow {
        id: "reclaim-memory",
        title: say::REMEDY_RECLAIM_MEMORY,
        cost: say::REMEDY_RECLAIM_MEMORY_COST,
        risk: say::REMEDY_RECLAIM_MEMORY_RISK,
        verify: say::REMEDY_RECLAIM_MEMORY_VERIFY,
        helps: &[NO_IDS],
        make: |case, row| vec![case.reclaim(row)],
    },
    RemedyRow {
        id: "reboot",
        title: say::REMEDY_REBOOT,
        cost: say::REMEDY_REBOOT_COST,
        risk: say::REMEDY_REBOOT_RISK,
        verify: say::REMEDY_REBOOT_VERIFY,
        helps: &[NO_IDS],
        make: |case, row| vec![case.reboot(row)],
    },
];

/// What is known when remedies are chosen.
struct Situation<'a> {
    facts: &'a Facts,
    era: Option<Era>,
    who: Option<&'a Who>,
    state: State,
    kept: Kept,
    /// Zombies are too many to be what removed containers leave for a while.
    many: bool,
}

/// All remedies.
pub(super) fn remedies(case: &Case<'_>, signs: &Signs, state: State) -> Vec<Remedy> {
    let situation = Situation {
        facts: case.facts,
        era: case.era.map(|(era, _)| era),
        who: case.who(),
        state,
        kept: signs.kept,
        many: signs.are_many(),
    };
    let made = REMEDIES.iter().map(|row| (row.make)(&situation, row));
    let mut remedies: Vec<_> = made.flatten().collect();
    // With no id left nothing else helps at once.
    let count = case.facts.count.as_ref();
    if state == State::Exhausted && count.is_ok_and(|count| count.with_caches < 100) {
        remedies.rotate_right(1);
    }
    remedies.sort_by_key(|remedy| !remedy.applies);
    remedies
}

/// The remedies for one finding.
pub(super) fn of_finding(finding: &Finding, remedies: &[Remedy]) -> Vec<&'static str> {
    if finding.verdict < Verdict::Warn {
        return Vec::new();
    }
    let helps = |id: &str| {
        let row = REMEDIES.iter().find(|row| row.id == id);
        row.is_some_and(|row| row.helps.iter().any(|of| of.contains(&finding.id)))
    };
    let applies = remedies.iter().filter(|remedy| remedy.applies);
    applies
        .map(|remedy| remedy.id)
        .filter(|id| helps(id))
        .collect()
}

impl Situation<'_> {
    /// Whether accounting, which somebody switched on, leaks here.
    fn opt_in(&self) -> bool {
        self.era.is_none_or(|era| era == Era::OptIn) && self.who.is_some_and(Who::anybody)
    }

    /// Zombies that keep their ids.
    fn leaking(&self) -> bool {
        matches!(self.state, State::Leaking | State::Exhausted)
    }

    fn shrink(&self, row: &RemedyRow) -> Remedy {
        let with_caches = self
            .facts
            .count
            .as_ref()
            .map_or(0, |count| count.with_caches);
        let held = self
            .facts
            .count
            .as_ref()
            .ok()
            .and_then(|count| count.held_bytes);
        let applies = with_caches > 0 && (self.leaking() || self.many);
        let why = if applies {
            Message::new(say::SHRINK_WHY)
                .arg("zombies", with_caches)
                .arg("held", Arg::Bytes(held.unwrap_or(0)))
        } else {
            Message::new(say::SHRINK_WHY_NOT)
        };
        // Objects that are in use, as cached dentries are, keep a slab; dropping caches first frees more.
        let commands = commands([
            "kmemtrace reclaim",
            "kmemtrace reclaim --apply",
            "kmemtrace reclaim --apply --drop-caches",
        ]);
        row.remedy(applies, why, commands)
    }

    fn nokmem(&self, row: &RemedyRow) -> Remedy {
        let cmdline = self.facts.cmdline.as_ref();
        let given = cmdline.is_ok_and(|line| command_line::memory_option(&line.text, "nokmem"));
        let release = self.facts.kernel.as_ref().map_or("", |line| &line.text);
        let (applies, why) = match (self.era, history::NOKMEM.is_in(release)) {
            (Some(Era::OptIn) | None, _) if given && self.opt_in() => (false, say::NOKMEM_IGNORED),
            (_, _) if given => (false, say::NOKMEM_GIVEN),
            (Some(Era::OptIn | Era::KeepsIds), _) if self.configured() => {
                (true, say::NOKMEM_CONFIGURED)
            }
            (Some(Era::OptIn), Has::Yes) => (
                self.opt_in() || self.leaking(),
                if self.opt_in() || self.leaking() {
                    say::NOKMEM_WHY
                } else {
                    say::NOKMEM_NOTHING_ON
                },
            ),
            // Red Hat's later builds of the same kernel know it.
            (Some(Era::OptIn), _) if self.is_el7() && (self.opt_in() || self.leaking()) => {
                (true, say::NOKMEM_UPDATE)
            }
            (Some(Era::OptIn), Has::No) => (false, say::NOKMEM_TOO_OLD),
            (Some(Era::OptIn) | None, _) => (false, say::NOKMEM_UNTOLD),
            (Some(Era::KeepsIds), _) => (true, say::NOKMEM_WHY),
            (Some(_), _) => (false, say::NOKMEM_NOT_NEEDED),
        };
        row.remedy(applies, Message::new(why), self.boot_commands())
    }

    /// Whether the kernel is a build of RHEL 7's.
    fn is_el7(&self) -> bool {
        let release = self.facts.kernel.as_ref().ok();
        let release = release.and_then(|line| history::Release::parse(&line.text));
        release.is_some_and(|release| matches!(release.build, Some((history::Series::El7, _))))
    }

    /// Whether there are directories that kubelet makes.
    fn has_kubelet(&self) -> bool {
        let levels = self.facts.levels.iter().flatten();
        levels
            .map(|one| Level::of(&one.path))
            .any(Level::is_kubelet_s)
    }

    /// Whether a program that is here was built with nokmem.
    fn marked(&self, runtime: Runtime) -> bool {
        let names = runtime.row().programs;
        let mut programs = self.facts.programs.iter();
        programs
            .any(|one| one.mark == Mark::NoKmem && names.iter().any(|(name, _)| *name == one.name))
    }

    fn kubelet(&self, row: &RemedyRow) -> Remedy {
        let on = self.who.is_some_and(|who| who.kubelet.is_some());
        let perhaps = self.who.is_some_and(|who| who.removed.is_some()) && self.has_kubelet();
        let (applies, why) = if self.era.is_some_and(|era| era != Era::OptIn) {
            (false, say::KUBELET_NOT_NEEDED)
        } else if !on && !perhaps {
            (false, say::KUBELET_NOT_ON)
        } else if self.marked(Runtime::Kubelet) {
            (false, say::KUBELET_MARKED)
        } else if perhaps {
            (true, say::KUBELET_PERHAPS)
        } else {
            (true, say::KUBELET_WHY)
        };
        row.remedy(applies, Message::new(why), self.kubelet_commands())
    }

    fn runc(&self, row: &RemedyRow) -> Remedy {
        // Others that run runc, or have its library in them.
        let by_runc = |runtime: Runtime| runtime.row().accounting == Accounting::ByRunc;
        let runc = |who: &Who| who.runc.is_some() || who.runtimes().any(by_runc);
        let runc = self.who.is_some_and(runc);
        let untold = |who: &Who| {
            let container = who.inherited.is_some() || who.kubelet.is_some();
            (container || who.removed.is_some()) && who.runc_off.is_none()
        };
        let untold = self.who.is_some_and(untold);
        let marked = self.marked(Runtime::Runc);
        let (applies, why) = if self.era.is_some_and(|era| era != Era::OptIn) {
            (false, say::RUNC_NOT_NEEDED)
        } else if runc && marked {
            (false, say::RUNC_MARKED_BUT_ON)
        } else if runc {
            (true, say::RUNC_WHY)
        } else if marked {
            (false, say::RUNC_MARKED)
        } else if untold {
            (true, say::RUNC_PERHAPS)
        } else {
            (false, say::RUNC_NOT_ON)
        };
        row.remedy(applies, Message::new(why), self.runc_commands())
    }

    fn kernel(&self, row: &RemedyRow) -> Remedy {
        let (applies, why) = match self.era {
            _ if self.state == State::Crowded => (false, say::NEWER_KERNEL_CROWDED),
            Some(Era::KeepsIds | Era::OptIn) if self.kept == Kept::No => {
                (self.many || self.opt_in(), say::NEWER_KERNEL_FEWER)
            }
            Some(Era::KeepsIds) => (true, say::NEWER_KERNEL_WHY),
            Some(Era::OptIn) | None
                if self.opt_in() || self.leaking() || self.many || self.state == State::Failing =>
            {
                (true, say::NEWER_KERNEL_WHY)
            }
            Some(Era::OptIn) => (false, say::NEWER_KERNEL_NOTHING_ON),
            Some(Era::FreesIds) if self.many => (true, say::NEWER_KERNEL_FEWER),
            Some(Era::ReparentsSlab) if self.many => (true, say::NEWER_KERNEL_PAGE_CACHE),
            _ => (false, say::NEWER_KERNEL_NOT_NEEDED),
        };
        row.remedy(applies, Message::new(why), self.kernel_commands())
    }

    fn reclaim(&self, row: &RemedyRow) -> Remedy {
        let held = self
            .facts
            .held
            .as_ref()
            .map_or(Kinds::default(), |held| held.sum);
        let walked = self.facts.pinned.as_ref().map_or(0, |pinned| pinned.file);
        let opt_in = self.era == Some(Era::OptIn);
        let slab = pins::slab_pins(self.facts, self.era) == Some(true) && !opt_in;
        let pages = page_cache_pins(self.facts, self.era);
        let zombies = self.facts.count.as_ref().map_or(0, |count| count.staying);
        let applies = (pages || slab) && zombies > 0 && (self.leaking() || self.many);
        let kernel = if slab {
            pins::kernel_memory(self.facts)
        } else {
            0
        };
        let why = match (applies, opt_in) {
            (true, _) if kernel > 0 => say::RECLAIM_WHY_SLAB,
            (true, _) if held == Kinds::default() && walked == 0 => say::RECLAIM_WHY_UNTOLD,
            (true, _) => say::RECLAIM_WHY,
            (false, true) if !pages => say::RECLAIM_NO_USE,
            (false, _) => say::RECLAIM_NOT_NEEDED,
        };
        let why = Message::new(why)
            .arg("kernel", Arg::Bytes(kernel))
            .arg("file", Arg::Bytes(held.file.max(walked)))
            .arg(
                "shmem",
                Arg::Bytes(held.shmem.saturating_add(held.swap_backed)),
            );
        let mut commands = commands([
            "kmemtrace reclaim",
            "kmemtrace reclaim --apply",
            "kmemtrace reclaim --apply --drop-caches",
        ]);
        if kernel > 0 {
            // Dentries and inodes alone.
            commands.push("echo 2 > /proc/sys/vm/drop_caches".into());
        }
        row.remedy(applies, why, commands)
    }

    fn reboot(&self, row: &RemedyRow) -> Remedy {
        // Where ids come back by themselves, a reboot gives none.
        let failing = self.state == State::Failing && self.kept != Kept::No;
        let applies = self.leaking() || failing;
        let capacity = self.facts.count.as_ref().map_or(0, |count| count.capacity);
        let a_day = signs::ids_a_day(self.facts).filter(|_| self.leaking());
        let why = match a_day {
            Some((a_day, traced)) => Message::new(if traced {
                say::REBOOT_WHY_TRACED
            } else {
                say::REBOOT_WHY
            })
            .arg("day", a_day)
            .arg("lasts", Arg::Time(signs::lasts_ns(capacity, a_day))),
            None if applies => Message::new(say::REBOOT_WHY_UNTIMED),
            None => Message::new(say::REBOOT_NOT_NEEDED),
        };
        row.remedy(applies, why, self.reboot_commands())
    }
}
