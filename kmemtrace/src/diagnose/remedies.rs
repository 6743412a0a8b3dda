//! What can be done: what applies to this node first.

use super::{
    Arg, Era, Facts, Finding, Message, Origin, State, Verdict, cause, era::el7_build, facts::Mark,
    levels::Who, symptoms,
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

/// The first el7 build that is known to understand `cgroup.memory=nokmem`: it is in the source of 1127, and not in 514's.
const NOKMEM_BUILD: u32 = 1127;

/// What is known when remedies are chosen.
struct Case<'a> {
    facts: &'a Facts,
    era: Option<Era>,
    who: Option<&'a Who>,
    state: State,
}

/// All remedies.
pub(super) fn remedies(
    facts: &Facts,
    era: Option<(Era, Origin)>,
    who: Option<&Who>,
    state: State,
) -> Vec<Remedy> {
    let case = Case {
        facts,
        era: era.map(|(era, _)| era),
        who,
        state,
    };
    let mut remedies = vec![
        case.shrink(),
        case.nokmem(),
        case.kubelet(),
        case.runc(),
        case.kernel(),
        case.reclaim(),
        case.reboot(),
    ];
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
        symptoms::IDS | symptoms::MKDIR | symptoms::RUNTIME_LOG => {
            &[SHRINK, RECLAIM, REBOOT, NOKMEM, KUBELET, RUNC, KERNEL]
        }
        cause::ACCOUNTING => &[NOKMEM, KUBELET, RUNC, KERNEL],
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

fn commands<const N: usize>(lines: [&str; N]) -> Vec<Arg> {
    lines.map(Arg::from).to_vec()
}

/// A comment among them.
fn comment(id: &'static str) -> Arg {
    Message::new(id).into()
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
        let applies = with_caches > 0 && (self.leaking() || self.state == State::PilingUp);
        let why = if applies {
            Message::new("shrink-why")
                .arg("zombies", with_caches)
                .arg("held", Arg::Bytes(held.unwrap_or(0)))
        } else {
            Message::new("shrink-why-not")
        };
        let commands = commands(["kmemtrace reclaim", "kmemtrace reclaim --apply"]);
        remedy!("shrink-caches", applies, why, commands)
    }

    fn nokmem(&self) -> Remedy {
        let cmdline = self.facts.cmdline.as_ref();
        let given = cmdline.is_ok_and(|line| cause::memory_option(&line.text, "nokmem"));
        let release = self.facts.kernel.as_ref().map_or("", |line| &line.text);
        let (applies, why) = match (self.era, el7_build(release)) {
            (Some(Era::OptIn) | None, _) if given && self.opt_in() => (false, "nokmem-ignored"),
            (_, _) if given => (false, "nokmem-given"),
            (Some(Era::OptIn), Some(build)) if build >= NOKMEM_BUILD => (
                self.opt_in() || self.leaking(),
                if self.opt_in() || self.leaking() {
                    "nokmem-why"
                } else {
                    "nokmem-nothing-on"
                },
            ),
            (Some(Era::OptIn), Some(_)) => (false, "nokmem-too-old"),
            (Some(Era::OptIn) | None, None | Some(_)) => (false, "nokmem-untold"),
            (Some(Era::KeepsIds), _) => (true, "nokmem-why"),
            (Some(_), _) => (false, "nokmem-not-needed"),
        };
        remedy!(
            "nokmem-boot",
            applies,
            Message::new(why),
            self.nokmem_commands()
        )
    }

    /// How a word gets onto the kernel's command line here.
    fn nokmem_commands(&self) -> Vec<Arg> {
        let known = self.facts.distribution.as_ref().ok();
        let id = known.map_or("DISTRIBUTION", |known| &known.id);
        let append =
            r#"sed -i 's/^GRUB_CMDLINE_LINUX="/&cgroup.memory=nokmem /' /etc/default/grub"#;
        if known.is_some_and(|known| !known.red_hat) {
            let make = if matches!(id, "debian" | "ubuntu") {
                "update-grub"
            } else {
                "grub2-mkconfig -o /boot/grub2/grub.cfg"
            };
            return commands([append, make, "reboot"]);
        }
        let mut lines = commands(["grubby --update-kernel=ALL --args=cgroup.memory=nokmem"]);
        let or = Message::new("nokmem-without-grubby").arg("command", append);
        lines.push(or.into());
        if self.facts.efi != Some(false) {
            lines.push(format!("#   EFI:  grub2-mkconfig -o /boot/efi/EFI/{id}/grub.cfg").into());
        }
        if self.facts.efi != Some(true) {
            lines.push("#   BIOS: grub2-mkconfig -o /boot/grub2/grub.cfg".into());
        }
        lines.push("reboot".into());
        lines
    }

    /// Whether a program that is here was built with nokmem.
    fn marked(&self, names: &[&str]) -> bool {
        let mut programs = self
            .facts
            .programs
            .iter()
            .filter(|one| names.contains(&one.name));
        programs.any(|one| one.mark == Mark::NoKmem)
    }

    fn version(&self, name: &str) -> Option<&str> {
        let program = self.facts.programs.iter().find(|one| one.name == name)?;
        let words = program.version.as_ref().ok()?.split_whitespace();
        let digits = |word: &&str| {
            let word = word.strip_prefix('v').unwrap_or(word);
            word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
        };
        words.map(|word| word.trim_end_matches(',')).find(digits)
    }

    fn kubelet(&self) -> Remedy {
        let version = self.version("kubelet");
        let minor = version.and_then(|version| {
            let minor = version.trim_start_matches('v').split('.').nth(1)?;
            minor.parse::<u32>().ok()
        });
        let tag = version.map_or_else(
            || "VERSION".to_owned(),
            |version| format!("v{}", version.trim_start_matches('v')),
        );
        let on = self.who.is_some_and(|who| who.kubelet.is_some());
        let (applies, why) = if self.era.is_some_and(|era| era != Era::OptIn) {
            (false, "kubelet-not-needed")
        } else if !on {
            (false, "kubelet-not-on")
        } else if self.marked(&["kubelet"]) {
            (false, "kubelet-marked")
        } else {
            (true, "kubelet-why")
        };
        let mut lines = vec![
            format!("git clone --depth 1 --branch {tag} https://github.com/kubernetes/kubernetes && cd kubernetes").into(),
        ];
        if minor.is_none_or(|minor| minor < 14) {
            lines.push(comment("kubelet-before"));
            lines.push(
                "#   vendor/github.com/opencontainers/runc/libcontainer/cgroups/fs/memory.go"
                    .into(),
            );
            lines.push("#   make kubelet".into());
        }
        if minor.is_none_or(|minor| minor >= 14) {
            lines.push(comment("kubelet-from"));
            lines.push(
                format!("KUBE_GIT_VERSION={tag} ./build/run.sh make kubelet GOFLAGS=-tags=nokmem")
                    .into(),
            );
        }
        lines.extend(commands([
            "kubectl drain NODE --ignore-daemonsets",
            "systemctl stop kubelet && install -m 755 _output/dockerized/bin/linux/amd64/kubelet /usr/bin/kubelet",
        ]));
        lines.extend([comment("kubelet-reboot"), "reboot".into()]);
        remedy!("kubelet-nokmem", applies, Message::new(why), lines)
    }

    fn runc(&self) -> Remedy {
        let runc = self.who.is_some_and(|who| who.runc.is_some());
        let inherited = self
            .who
            .is_some_and(|who| who.inherited.is_some() && who.runc_off.is_none());
        let marked = self.marked(&["runc", "docker-runc"]);
        let (applies, why) = if self.era.is_some_and(|era| era != Era::OptIn) {
            (false, "runc-not-needed")
        } else if runc && marked {
            (false, "runc-marked-but-on")
        } else if runc {
            (true, "runc-why")
        } else if marked {
            (false, "runc-marked")
        } else if inherited || (self.opt_in() && self.who.is_some_and(|who| who.runc_off.is_none()))
        {
            (true, "runc-perhaps")
        } else {
            (false, "runc-not-on")
        };
        let lines = vec![
            comment("runc-update"),
            "runc --version".into(),
            comment("runc-commit"),
            "git clone https://github.com/opencontainers/runc && cd runc && git checkout COMMIT"
                .into(),
            r#"make BUILDTAGS="seccomp nokmem""#.into(),
            "install -m 755 runc $(command -v runc || command -v docker-runc)".into(),
            comment("runc-containers"),
            "systemctl restart docker containerd".into(),
        ];
        remedy!("runc-nokmem", applies, Message::new(why), lines)
    }

    fn kernel(&self) -> Remedy {
        let (applies, why) = match self.era {
            Some(Era::KeepsIds) => (true, "newer-kernel-why"),
            Some(Era::OptIn) | None if self.opt_in() || self.leaking() => {
                (true, "newer-kernel-why")
            }
            Some(Era::OptIn) => (false, "newer-kernel-nothing-on"),
            Some(Era::FreesIds | Era::ReparentsSlab) if self.state == State::PilingUp => {
                (true, "newer-kernel-fewer")
            }
            _ => (false, "newer-kernel-not-needed"),
        };
        let red_hat = self
            .facts
            .distribution
            .as_ref()
            .is_ok_and(|known| known.red_hat);
        let lines = if red_hat {
            vec![
                comment("newer-kernel-el7"),
                "yum --enablerepo=elrepo-kernel install kernel-lt && grub2-set-default 0".into(),
                "reboot".into(),
            ]
        } else {
            vec![comment("newer-kernel-install"), "reboot".into()]
        };
        remedy!("newer-kernel", applies, Message::new(why), lines)
    }

    fn reclaim(&self) -> Remedy {
        let held = self.facts.held.as_ref().ok();
        let walked = self.facts.pinned.as_ref().map_or(0, |pinned| pinned.file);
        let bytes = held.map_or(0, |held| held.sum.file).max(walked);
        let pins = self
            .era
            .is_some_and(|era| era.page_cache_pins() && era != Era::OptIn);
        let zombies = self.facts.count.as_ref().map_or(0, |count| count.staying);
        let applies = pins && zombies > 0 && self.state == State::PilingUp;
        let why = if applies {
            Message::new("reclaim-why")
                .arg("file", Arg::Bytes(bytes))
                .arg("shmem", Arg::Bytes(held.map_or(0, |held| held.sum.shmem)))
        } else if self.era == Some(Era::OptIn) {
            Message::new("reclaim-no-use")
        } else {
            Message::new("reclaim-not-needed")
        };
        let commands = commands([
            "kmemtrace reclaim",
            "kmemtrace reclaim --apply",
            "kmemtrace reclaim --apply --drop-caches",
        ]);
        remedy!("reclaim-memory", applies, why, commands)
    }

    fn reboot(&self) -> Remedy {
        let applies = self.leaking() || self.state == State::Failing;
        let capacity = self.facts.count.as_ref().map_or(0, |count| count.capacity);
        let a_day = symptoms::ids_a_day(self.facts);
        let why = match a_day.filter(|_| applies) {
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
        let commands = commands([
            "kubectl drain NODE --ignore-daemonsets",
            "reboot",
            "kubectl uncordon NODE",
        ]);
        remedy!("reboot", applies, why, commands)
    }
}
