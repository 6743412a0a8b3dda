//! What can be done: what applies to this node first.

/// The sentences of a remedy are in the catalogue under its name.
macro_rules! remedy {
    ($id:literal, $applies:expr, $why:expr, $commands:expr) => {
        Remedy {
            id: $id,
            applies: $applies,
            title: Message::new(concat!("remedy-", $id)),
            why: $why,
            commands: $commands,
            cost: Message::new(concat!("remedy-", $id, "-cost")),
            risk: Message::new(concat!("remedy-", $id, "-risk")),
            verify: Message::new(concat!("remedy-", $id, "-verify")),
        }
    };
}

mod commands;
mod host;
mod others;

use commands::commands;

use super::{
    Era, Facts, Finding, Origin, State, Verdict, cause,
    era::page_cache_pins,
    facts::{Kinds, Mark},
    levels::{Level, Who},
    symptoms,
};
use crate::{
    catalogue::{Arg, Message},
    history::{self, Has},
    judge::Kept,
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

/// Names of remedies.
const SHRINK: &str = "shrink-caches";
const RECLAIM: &str = "reclaim-memory";
const NOKMEM: &str = "nokmem-boot";
const KUBELET: &str = "kubelet-nokmem";
const RUNC: &str = "runc-nokmem";
const KERNEL: &str = "newer-kernel";
const REBOOT: &str = "reboot";
const SETTING: &str = "runtime-setting";
const UPDATE: &str = "runtime-update";
const REAPER: &str = "memcg-reaper";
const EMPTY: &str = "remove-empty";

/// What is known when remedies are chosen.
struct Case<'a> {
    facts: &'a Facts,
    era: Option<Era>,
    who: Option<&'a Who>,
    state: State,
    kept: Kept,
    /// Zombies are too many to be what removed containers leave for a while.
    many: bool,
}

/// All remedies.
pub(super) fn remedies(
    facts: &Facts,
    era: Option<(Era, Origin)>,
    who: Option<&Who>,
    state: State,
) -> Vec<Remedy> {
    let signs = symptoms::signs(facts, era);
    let case = Case {
        facts,
        era: era.map(|(era, _)| era),
        who,
        state,
        kept: signs.kept,
        many: signs.are_many(),
    };
    let mut remedies = vec![case.shrink()];
    remedies.extend(case.remove_empty());
    remedies.extend(case.reaper());
    remedies.extend(case.runtimes());
    remedies.extend([
        case.nokmem(),
        case.kubelet(),
        case.runc(),
        case.kernel(),
        case.reclaim(),
        case.reboot(),
    ]);
    // With no id left nothing else helps at once.
    if state == State::Exhausted
        && facts
            .count
            .as_ref()
            .is_ok_and(|count| count.with_caches < 100)
    {
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
    let of: &[&str] = match finding.id {
        symptoms::IDS | symptoms::MKDIR | symptoms::RUNTIME_LOG => &[
            SHRINK, EMPTY, REAPER, RECLAIM, REBOOT, SETTING, UPDATE, NOKMEM, KUBELET, RUNC, KERNEL,
        ],
        cause::ACCOUNTING => &[SETTING, UPDATE, NOKMEM, KUBELET, RUNC, KERNEL],
        cause::CONFIGURED => &[NOKMEM],
        cause::KERNEL => &[KERNEL],
        cause::COMMAND_LINE => &[KUBELET, RUNC, KERNEL],
        _ => &[],
    };
    let applies = remedies.iter().filter(|remedy| remedy.applies);
    applies
        .map(|remedy| remedy.id)
        .filter(|id| of.contains(id))
        .collect()
}

impl Case<'_> {
    /// Whether accounting, which somebody switched on, leaks here.
    fn opt_in(&self) -> bool {
        self.era.is_none_or(|era| era == Era::OptIn) && self.who.is_some_and(Who::anybody)
    }

    /// Zombies that keep their ids.
    fn leaking(&self) -> bool {
        matches!(self.state, State::Leaking | State::Exhausted)
    }

    fn shrink(&self) -> Remedy {
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
            Message::new("shrink-why")
                .arg("zombies", with_caches)
                .arg("held", Arg::Bytes(held.unwrap_or(0)))
        } else {
            Message::new("shrink-why-not")
        };
        // Objects that are in use, as cached dentries are, keep a slab; dropping caches first frees more.
        let commands = commands([
            "kmemtrace reclaim",
            "kmemtrace reclaim --apply",
            "kmemtrace reclaim --apply --drop-caches",
        ]);
        remedy!("shrink-caches", applies, why, commands)
    }

    fn nokmem(&self) -> Remedy {
        let cmdline = self.facts.cmdline.as_ref();
        let given = cmdline.is_ok_and(|line| cause::memory_option(&line.text, "nokmem"));
        let release = self.facts.kernel.as_ref().map_or("", |line| &line.text);
        let (applies, why) = match (self.era, history::NOKMEM.is_in(release)) {
            (Some(Era::OptIn) | None, _) if given && self.opt_in() => (false, "nokmem-ignored"),
            (_, _) if given => (false, "nokmem-given"),
            (Some(Era::OptIn | Era::KeepsIds), _) if self.configured() => {
                (true, "nokmem-configured")
            }
            (Some(Era::OptIn), Has::Yes) => (
                self.opt_in() || self.leaking(),
                if self.opt_in() || self.leaking() {
                    "nokmem-why"
                } else {
                    "nokmem-nothing-on"
                },
            ),
            // Red Hat's later builds of the same kernel know it.
            (Some(Era::OptIn), _) if self.is_el7() && (self.opt_in() || self.leaking()) => {
                (true, "nokmem-update")
            }
            (Some(Era::OptIn), Has::No) => (false, "nokmem-too-old"),
            (Some(Era::OptIn) | None, _) => (false, "nokmem-untold"),
            (Some(Era::KeepsIds), _) => (true, "nokmem-why"),
            (Some(_), _) => (false, "nokmem-not-needed"),
        };
        remedy!(
            "nokmem-boot",
            applies,
            Message::new(why),
            self.boot_commands()
        )
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

    fn kubelet(&self) -> Remedy {
        let on = self.who.is_some_and(|who| who.kubelet.is_some());
        let perhaps = self.who.is_some_and(|who| who.removed.is_some()) && self.has_kubelet();
        let (applies, why) = if self.era.is_some_and(|era| era != Era::OptIn) {
            (false, "kubelet-not-needed")
        } else if !on && !perhaps {
            (false, "kubelet-not-on")
        } else if self.marked(Runtime::Kubelet) {
            (false, "kubelet-marked")
        } else if perhaps {
            (true, "kubelet-perhaps")
        } else {
            (true, "kubelet-why")
        };
        remedy!(
            "kubelet-nokmem",
            applies,
            Message::new(why),
            self.kubelet_commands()
        )
    }

    fn runc(&self) -> Remedy {
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
            (false, "runc-not-needed")
        } else if runc && marked {
            (false, "runc-marked-but-on")
        } else if runc {
            (true, "runc-why")
        } else if marked {
            (false, "runc-marked")
        } else if untold {
            (true, "runc-perhaps")
        } else {
            (false, "runc-not-on")
        };
        remedy!(
            "runc-nokmem",
            applies,
            Message::new(why),
            self.runc_commands()
        )
    }

    fn kernel(&self) -> Remedy {
        let (applies, why) = match self.era {
            _ if self.state == State::Crowded => (false, "newer-kernel-crowded"),
            Some(Era::KeepsIds | Era::OptIn) if self.kept == Kept::No => {
                (self.many || self.opt_in(), "newer-kernel-fewer")
            }
            Some(Era::KeepsIds) => (true, "newer-kernel-why"),
            Some(Era::OptIn) | None
                if self.opt_in() || self.leaking() || self.many || self.state == State::Failing =>
            {
                (true, "newer-kernel-why")
            }
            Some(Era::OptIn) => (false, "newer-kernel-nothing-on"),
            Some(Era::FreesIds) if self.many => (true, "newer-kernel-fewer"),
            Some(Era::ReparentsSlab) if self.many => (true, "newer-kernel-page-cache"),
            _ => (false, "newer-kernel-not-needed"),
        };
        remedy!(
            "newer-kernel",
            applies,
            Message::new(why),
            self.kernel_commands()
        )
    }

    fn reclaim(&self) -> Remedy {
        let held = self
            .facts
            .held
            .as_ref()
            .map_or(Kinds::default(), |held| held.sum);
        let walked = self.facts.pinned.as_ref().map_or(0, |pinned| pinned.file);
        let opt_in = self.era == Some(Era::OptIn);
        let slab = cause::slab_pins(self.facts, self.era) == Some(true) && !opt_in;
        let pages = page_cache_pins(self.facts, self.era);
        let zombies = self.facts.count.as_ref().map_or(0, |count| count.staying);
        let applies = (pages || slab) && zombies > 0 && (self.leaking() || self.many);
        let kernel = if slab {
            cause::kernel_memory(self.facts)
        } else {
            0
        };
        let why = match (applies, opt_in) {
            (true, _) if kernel > 0 => "reclaim-why-slab",
            (true, _) if held == Kinds::default() && walked == 0 => "reclaim-why-untold",
            (true, _) => "reclaim-why",
            (false, true) if !pages => "reclaim-no-use",
            (false, _) => "reclaim-not-needed",
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
        remedy!("reclaim-memory", applies, why, commands)
    }

    fn reboot(&self) -> Remedy {
        // Where ids come back by themselves, a reboot gives none.
        let failing = self.state == State::Failing && self.kept != Kept::No;
        let applies = self.leaking() || failing;
        let capacity = self.facts.count.as_ref().map_or(0, |count| count.capacity);
        let a_day = symptoms::ids_a_day(self.facts).filter(|_| self.leaking());
        let why = match a_day {
            Some((a_day, traced)) => Message::new(if traced {
                "reboot-why-traced"
            } else {
                "reboot-why"
            })
            .arg("day", a_day)
            .arg("lasts", Arg::Time(symptoms::lasts_ns(capacity, a_day))),
            None if applies => Message::new("reboot-why-untimed"),
            None => Message::new("reboot-not-needed"),
        };
        remedy!("reboot", applies, why, self.reboot_commands())
    }
}
