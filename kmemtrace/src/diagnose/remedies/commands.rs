//! What to run, with what is known of this node put in: pure.

use super::{
    Arg, Situation,
    host::{self, HostCommands, RemedyLine},
};
use crate::{
    catalogue::{Message, Sentence, say},
    diagnose::vendor::Maker,
};

pub(super) fn commands<const N: usize>(lines: [&str; N]) -> Vec<Arg> {
    lines.map(Arg::from).to_vec()
}

/// A comment among them.
fn comment(sentence: Sentence) -> Arg {
    Message::new(sentence).into()
}

/// Whether it can stand in a command as it is.
fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    first && chars.all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

/// The version in what a program says, as it stands in the name of its release's tag, and whether something was added to it
/// after a `+`, as in a build between two releases or a distribution's own.
fn release(says: &str) -> Option<(&str, bool)> {
    let words = says.split_whitespace();
    let mut words = words.map(|word| word.trim_end_matches(',').trim_start_matches('v'));
    let version =
        words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))?;
    let (release, added) = match version.split_once('+') {
        Some((release, _)) => (release, true),
        None => (version, false),
    };
    is_word(release).then_some((release, added))
}

impl Situation<'_> {
    fn host(&self) -> &'static HostCommands {
        let release = self.facts.kernel.as_ref().map_or("", |line| &line.text);
        match self.maker() {
            Some(Maker::Wsl) => &host::WSL,
            _ => host::of(self.facts.distribution.as_ref().ok(), release),
        }
    }

    fn maker(&self) -> Option<Maker> {
        self.facts.vendor().map(|vendor| vendor.maker)
    }

    /// A distribution's lines, with what is known of this node put in.
    fn steps(&self, steps: &[RemedyLine]) -> Vec<Arg> {
        let known = self.facts.distribution.as_ref().ok();
        let id = known.map(|known| &known.id[..]).filter(|id| is_word(id));
        let id = id.unwrap_or("DISTRIBUTION");
        let version = known.map_or("", |known| &known.version);
        // `16.04` of Ubuntu's 16.04.6.
        let version = version.split('.').take(2).collect::<Vec<_>>().join(".");
        let fill = |text: &str| {
            text.replace("{efi}", host::efi_directory(id))
                .replace(
                    "{version}",
                    if is_word(&version) {
                        &version
                    } else {
                        "VERSION"
                    },
                )
                .replace("{node}", self.node())
        };
        let lines = steps.iter().filter_map(|step| match *step {
            RemedyLine::Bios(_) if self.facts.efi == Some(true) => None,
            RemedyLine::Efi(_) if self.facts.efi == Some(false) => None,
            RemedyLine::Run(text) | RemedyLine::Bios(text) | RemedyLine::Efi(text) => {
                Some(fill(text).into())
            }
            RemedyLine::Say(sentence) => Some(comment(sentence)),
            RemedyLine::SayRun(sentence, command) => {
                Some(Message::new(sentence).arg("command", command).into())
            }
        });
        lines.collect()
    }

    /// How a word gets onto the kernel's command line here.
    pub(super) fn nokmem_commands(&self) -> Vec<Arg> {
        self.steps(self.host().nokmem)
    }

    /// The version that a program said it is of, as [`release`] has it.
    fn version(&self, name: &str) -> Option<(&str, bool)> {
        let program = self.facts.programs.iter().find(|one| one.name == name)?;
        release(program.version.as_ref().ok()?)
    }

    /// What Kubernetes most likely calls this node: its host name, unless kubelet was told another.
    fn node(&self) -> &str {
        let name = self.facts.hostname.as_deref().filter(|name| is_word(name));
        name.unwrap_or("NODE")
    }

    fn drain(&self) -> Arg {
        format!("kubectl drain {} --ignore-daemonsets", self.node()).into()
    }

    pub(super) fn kubelet_commands(&self) -> Vec<Arg> {
        let version = self.version("kubelet").map(|(version, _)| version);
        let minor = version.and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
        let tag = version.map_or_else(|| "VERSION".to_owned(), |version| format!("v{version}"));
        let mut lines = vec![
            format!("git clone --depth 1 --branch {tag} https://github.com/kubernetes/kubernetes && cd kubernetes").into(),
        ];
        if minor.is_none_or(|minor| minor < 14) {
            lines.push(comment(say::KUBELET_BEFORE));
            lines.push(
                "#   vendor/github.com/opencontainers/runc/libcontainer/cgroups/fs/memory.go"
                    .into(),
            );
            lines.push("#   make kubelet".into());
        }
        if minor.is_none_or(|minor| minor >= 14) {
            lines.push(comment(say::KUBELET_FROM));
            lines.push(
                format!("KUBE_GIT_VERSION={tag} ./build/run.sh make kubelet GOFLAGS=-tags=nokmem")
                    .into(),
            );
        }
        lines.extend([
            self.drain(),
            "systemctl stop kubelet && install -m 755 _output/dockerized/bin/linux/amd64/kubelet /usr/bin/kubelet".into(),
            comment(say::KUBELET_REBOOT),
            "reboot".into(),
        ]);
        lines
    }

    pub(super) fn runc_commands(&self) -> Vec<Arg> {
        let released = self.version("runc").filter(|(_, added)| !added);
        let mut lines = vec![comment(say::RUNC_UPDATE), "runc --version".into()];
        let commit = if let Some((version, _)) = released {
            format!("v{version}")
        } else {
            lines.push(comment(say::RUNC_COMMIT));
            "COMMIT".to_owned()
        };
        lines.extend([
            format!("git clone https://github.com/opencontainers/runc && cd runc && git checkout {commit}").into(),
            r#"make BUILDTAGS="seccomp nokmem""#.into(),
            "install -m 755 runc $(command -v runc || command -v docker-runc)".into(),
            comment(say::RUNC_CONTAINERS),
            "systemctl restart docker containerd".into(),
        ]);
        lines
    }

    pub(super) fn kernel_commands(&self) -> Vec<Arg> {
        self.steps(match self.maker() {
            Some(Maker::ElRepo) => host::ELREPO,
            _ => self.host().newer,
        })
    }

    pub(super) fn reboot_commands(&self) -> Vec<Arg> {
        let uncordon = format!("kubectl uncordon {}", self.node());
        let mut lines = vec![self.drain()];
        lines.extend(self.steps(&[RemedyLine::Run(self.host().reboot)]));
        lines.push(uncordon.into());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_goes_into_a_command_if_it_is_a_version() {
        for (says, told) in [
            ("Kubernetes v1.18.20", Some(("1.18.20", false))),
            ("Kubernetes v1.21.14+k3s1", Some(("1.21.14", true))),
            ("runc version 1.0.0-rc8+dev", Some(("1.0.0-rc8", true))),
            (
                "Docker version 18.09.7, build 2d0083d",
                Some(("18.09.7", false)),
            ),
            ("runc version 1.0;reboot", None),
            ("runc version unknown", None),
            ("", None),
        ] {
            assert_eq!(release(says), told, "{says}");
        }
    }
}
