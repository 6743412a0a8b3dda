//! What a distribution calls things: how a word gets onto its kernel's command line, and how it gets a newer kernel.

use super::super::facts::Distribution;
use crate::catalogue::{Sentence, say};

/// A line of a remedy. `{id}`, `{efi}`, `{version}` and `{node}` stand for the distribution's `ID`, its directory in the EFI system
/// partition, its version's first two numbers and the node's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum RemedyLine {
    /// A command, or a comment that is one in every language.
    Run(&'static str),
    /// The same where the machine was not started by EFI, or that is not known.
    Bios(&'static str),
    /// The same where it was, or that is not known.
    Efi(&'static str),
    /// A comment of the catalogue.
    Say(Sentence),
    /// One with this command in it.
    SayRun(Sentence, &'static str),
}

use RemedyLine::{Bios, Efi, Run, Say, SayRun};

/// How a distribution does things.
#[derive(Debug)]
pub(super) struct HostCommands {
    /// `ID` or `ID_LIKE` is one of these.
    ids: &'static [&'static str],
    only: Only,
    /// How `cgroup.memory=nokmem` gets onto the command line.
    pub(super) nokmem: &'static [RemedyLine],
    /// How a newer kernel is installed.
    pub(super) newer: &'static [RemedyLine],
    /// How it is rebooted.
    pub(super) reboot: &'static str,
}

/// Which of those with an `ID`.
#[derive(Debug)]
enum Only {
    All,
    /// `VARIANT_ID` is one of these.
    Variant(&'static [&'static str]),
    /// `VERSION_ID` begins with one of these.
    Version(&'static [&'static str]),
    /// The kernel's release has this in it.
    Kernel(&'static str),
}

const REBOOT: &str = "reboot";

const GRUB: RemedyLine =
    Run(r#"sed -i 's/^GRUB_CMDLINE_LINUX="/&cgroup.memory=nokmem /' /etc/default/grub"#);

const GRUBBY: RemedyLine = Run("grubby --update-kernel=ALL --args=cgroup.memory=nokmem");

/// Where grubby may be missing, and EFI machines have a configuration of their own: Red Hat's family up to 7.
const GRUBBY_OR_GRUB: &[RemedyLine] = &[
    GRUBBY,
    SayRun(
        say::NOKMEM_WITHOUT_GRUBBY,
        r#"sed -i 's/^GRUB_CMDLINE_LINUX="/&cgroup.memory=nokmem /' /etc/default/grub"#,
    ),
    Efi("#   EFI:  grub2-mkconfig -o /boot/efi/EFI/{efi}/grub.cfg"),
    Bios("#   BIOS: grub2-mkconfig -o /boot/grub2/grub.cfg"),
    Run("reboot"),
];

const GRUB2: &[RemedyLine] = &[
    GRUB,
    Run("grub2-mkconfig -o /boot/grub2/grub.cfg"),
    Run("reboot"),
];

const UPDATE_GRUB: &[RemedyLine] = &[GRUB, Run("update-grub"), Run("reboot")];

const DNF: &[RemedyLine] = &[Run("dnf upgrade kernel"), Run("reboot")];

const YUM: &[RemedyLine] = &[Run("yum update kernel"), Run("reboot")];

pub(super) const ELREPO: &[RemedyLine] = &[
    Run("yum --enablerepo=elrepo-kernel install kernel-lt && grub2-set-default 0"),
    Run("reboot"),
];

const EL7: &[RemedyLine] = &[
    Say(say::NEWER_KERNEL_EL7),
    Run("yum --enablerepo=elrepo-kernel install kernel-lt && grub2-set-default 0"),
    Run("reboot"),
];

const UEK7: &[RemedyLine] = &[
    Run("yum --enablerepo=ol7_UEKR6 install kernel-uek"),
    Run("reboot"),
];

const UEK: &[RemedyLine] = &[Run("dnf upgrade kernel-uek"), Run("reboot")];

const INSTALL: &[RemedyLine] = &[Say(say::NEWER_KERNEL_INSTALL), Run("reboot")];

/// A kernel's command line is Windows's to set, whatever the distribution.
pub(super) const WSL: HostCommands = HostCommands {
    ids: &[],
    only: Only::All,
    nokmem: &[
        Say(say::NOKMEM_WSL),
        Run("#   kernelCommandLine=cgroup.memory=nokmem"),
        Run("wsl.exe --shutdown"),
    ],
    newer: &[Run("wsl.exe --update"), Run("wsl.exe --shutdown")],
    reboot: "wsl.exe --shutdown",
};

/// Where nothing is known of the distribution: most nodes are of Red Hat's family.
pub(super) const UNKNOWN: HostCommands = host(&[], Only::All, GRUBBY_OR_GRUB, INSTALL);

/// A distribution without a row.
pub(super) const OTHER: HostCommands = host(
    &[],
    Only::All,
    &[
        Say(say::NOKMEM_OTHER),
        GRUB,
        Run("grub-mkconfig -o /boot/grub/grub.cfg"),
        Run("reboot"),
    ],
    INSTALL,
);

const fn host(
    ids: &'static [&'static str],
    only: Only,
    nokmem: &'static [RemedyLine],
    newer: &'static [RemedyLine],
) -> HostCommands {
    HostCommands {
        ids,
        only,
        nokmem,
        newer,
        reboot: REBOOT,
    }
}

/// The first that fits: images and what differs from its family stand before the family.
const HOSTS: &[HostCommands] = &[
    HostCommands {
        ids: &["bottlerocket"],
        only: Only::All,
        nokmem: &[
            Run(
                r#"apiclient set --json '{"settings":{"boot":{"kernel-parameters":{"cgroup.memory":["nokmem"]},"reboot-to-reconcile":true}}}'"#,
            ),
            Run("apiclient reboot"),
        ],
        newer: &[
            Run("apiclient update check"),
            Run("apiclient update apply --reboot"),
        ],
        reboot: "apiclient reboot",
    },
    HostCommands {
        ids: &["talos"],
        only: Only::All,
        nokmem: &[
            Run(
                r#"talosctl --nodes {node} patch machineconfig --patch '{"machine":{"install":{"extraKernelArgs":["cgroup.memory=nokmem"]}}}'"#,
            ),
            Say(say::NOKMEM_TALOS),
            Run("talosctl --nodes {node} upgrade --image IMAGE"),
        ],
        newer: &[
            Say(say::NEWER_KERNEL_IMAGE),
            Run("talosctl --nodes {node} upgrade --image IMAGE"),
        ],
        reboot: "talosctl --nodes {node} reboot",
    },
    host(
        &["cos"],
        Only::All,
        &[Say(say::NOKMEM_COS)],
        &[Say(say::NEWER_KERNEL_IMAGE)],
    ),
    host(
        &["flatcar", "coreos"],
        Only::All,
        &[
            Run(
                r#"echo 'set linux_append="$linux_append cgroup.memory=nokmem"' >> /usr/share/oem/grub.cfg"#,
            ),
            Run("reboot"),
        ],
        &[Run("update_engine_client -update"), Run("reboot")],
    ),
    host(
        &["rhcos"],
        Only::All,
        &[
            Say(say::NOKMEM_OPENSHIFT),
            Run("rpm-ostree kargs --append=cgroup.memory=nokmem"),
            Run("reboot"),
        ],
        &[Say(say::NEWER_KERNEL_OPENSHIFT)],
    ),
    host(
        &["fedora", "rhel", "centos"],
        Only::Variant(&[
            "coreos",
            "atomic.host",
            "atomic",
            "iot",
            "silverblue",
            "kinoite",
        ]),
        &[
            Run("rpm-ostree kargs --append=cgroup.memory=nokmem"),
            Run("reboot"),
        ],
        &[Run("rpm-ostree upgrade"), Run("reboot")],
    ),
    host(
        &["sle-micro", "sl-micro", "suse-microos"],
        Only::All,
        &[GRUB, Run("transactional-update grub.cfg"), Run("reboot")],
        &[Run("transactional-update migration"), Run("reboot")],
    ),
    host(
        &["opensuse-microos", "opensuse-leap-micro", "opensuse-aeon"],
        Only::All,
        &[GRUB, Run("transactional-update grub.cfg"), Run("reboot")],
        &[Run("transactional-update dup"), Run("reboot")],
    ),
    host(
        &["ubuntu-core"],
        Only::All,
        &[
            Run(r#"snap set system system.kernel.cmdline-append="cgroup.memory=nokmem""#),
            Run("reboot"),
        ],
        &[Say(say::NEWER_KERNEL_IMAGE)],
    ),
    host(
        &["nixos"],
        Only::All,
        &[
            Say(say::NOKMEM_NIXOS),
            Run(r#"#   boot.kernelParams = [ "cgroup.memory=nokmem" ];"#),
            Run("nixos-rebuild boot"),
            Run("reboot"),
        ],
        INSTALL,
    ),
    host(
        &["sles", "sled", "sles_sap"],
        Only::All,
        GRUB2,
        &[
            Say(say::NEWER_KERNEL_SERVICE_PACK),
            Run("zypper migration"),
            Run("reboot"),
        ],
    ),
    host(
        &["opensuse-tumbleweed"],
        Only::All,
        GRUB2,
        &[Run("zypper dup"), Run("reboot")],
    ),
    host(
        &["suse", "opensuse", "opensuse-leap"],
        Only::All,
        GRUB2,
        INSTALL,
    ),
    host(
        &["amzn"],
        Only::Version(&["201"]),
        &[
            Run(r"sed -i '/^[[:space:]]*kernel /s/$/ cgroup.memory=nokmem/' /boot/grub/grub.conf"),
            Run("reboot"),
        ],
        &[Say(say::NEWER_KERNEL_AL1)],
    ),
    host(
        &["amzn"],
        Only::Version(&["2023"]),
        &[GRUBBY, Run("reboot")],
        DNF,
    ),
    host(
        &["amzn"],
        Only::All,
        GRUB2,
        &[
            Run("amazon-linux-extras install kernel-5.10"),
            Run("reboot"),
        ],
    ),
    host(&["ol"], Only::Version(&["7"]), GRUBBY_OR_GRUB, UEK7),
    host(&["ol"], Only::Kernel("uek"), &[GRUBBY, Run("reboot")], UEK),
    // Kylin up to 4.0 builds on Ubuntu; its server from V10 on has RPMs.
    host(&["kylin"], Only::Kernel("generic"), UPDATE_GRUB, INSTALL),
    host(&["uos"], Only::Kernel("desktop"), UPDATE_GRUB, INSTALL),
    host(&["deepin"], Only::All, UPDATE_GRUB, INSTALL),
    host(
        &[
            "alinux",
            "anolis",
            "openEuler",
            "kylin",
            "uos",
            "tencentos",
            "tlinux",
            "opencloudos",
            "euleros",
            "hce",
        ],
        Only::All,
        GRUBBY_OR_GRUB,
        YUM,
    ),
    host(
        &["rhel", "centos", "fedora"],
        Only::Version(&["6", "7"]),
        GRUBBY_OR_GRUB,
        EL7,
    ),
    host(
        &["rhel", "centos", "fedora"],
        Only::All,
        &[GRUBBY, Run("reboot")],
        DNF,
    ),
    host(
        &["ubuntu"],
        Only::Version(&["14.04"]),
        UPDATE_GRUB,
        &[
            Say(say::NEWER_KERNEL_UBUNTU_RELEASE),
            Run("do-release-upgrade"),
            Run("reboot"),
        ],
    ),
    host(
        &["ubuntu"],
        Only::Version(&["16.04", "18.04", "20.04", "22.04", "24.04"]),
        UPDATE_GRUB,
        &[
            Say(say::NEWER_KERNEL_UBUNTU),
            Run("apt-get install linux-generic-hwe-{version}"),
            Run("reboot"),
        ],
    ),
    host(&["ubuntu"], Only::All, UPDATE_GRUB, INSTALL),
    host(
        &["debian"],
        Only::Version(&["7", "8", "9", "10", "11", "12", "13"]),
        UPDATE_GRUB,
        &[
            Say(say::NEWER_KERNEL_BACKPORTS),
            Run(
                r#"apt-get install -t "$(. /etc/os-release; echo "$VERSION_CODENAME")-backports" "linux-image-$(dpkg --print-architecture)""#,
            ),
            Run("reboot"),
        ],
    ),
    host(&["debian"], Only::All, UPDATE_GRUB, INSTALL),
];

/// How things are done here.
pub(super) fn of(distribution: Option<&Distribution>, release: &str) -> &'static HostCommands {
    let Some(distribution) = distribution else {
        return &UNKNOWN;
    };
    let fits = |host: &&HostCommands| {
        distribution.is(host.ids)
            && match host.only {
                Only::All => true,
                Only::Variant(ids) => ids.contains(&&distribution.variant[..]),
                Only::Version(starts) => starts
                    .iter()
                    .any(|start| distribution.version.starts_with(start)),
                Only::Kernel(part) => release.contains(part),
            }
    };
    HOSTS.iter().find(fits).unwrap_or(&OTHER)
}

/// Its directory in the EFI system partition.
pub(super) fn efi_directory(id: &str) -> &str {
    match id {
        "rhel" | "ol" => "redhat",
        id => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Provenance, facts::FileLine};

    fn distribution(ids: &str, version: &str, variant: &str) -> Distribution {
        let mut ids = ids.split(' ').map(str::to_owned);
        Distribution {
            id: ids.next().unwrap(),
            like: ids.collect(),
            name: FileLine {
                at: Provenance::Line("/etc/os-release".to_owned(), 1),
                text: String::new(),
            },
            version: version.to_owned(),
            variant: variant.to_owned(),
        }
    }

    fn lines(steps: &[RemedyLine]) -> String {
        let line = |step: &RemedyLine| match *step {
            Run(text) | Bios(text) | Efi(text) | SayRun(_, text) => text.to_owned(),
            Say(sentence) => format!("{sentence:?}"),
        };
        steps.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// `ID` and `ID_LIKE`, `VERSION_ID`, `VARIANT_ID`, release, and what is in the lines for the command line and a newer kernel.
    const CASES: &str = r"
    centos rhel fedora               | 7       |        | 3.10.0-1160.el7                  | grubby                        | kernel-lt
    centos rhel fedora               | 7       |        | 3.10.0-1160.el7                  | EFI/{efi}                     | kernel-lt
    rocky rhel centos fedora         | 8.9     |        | 4.18.0-513.el8                   | grubby                        | dnf
    fedora                           | 39      | coreos | 6.8.5-301.fc40                   | rpm-ostree kargs              | rpm-ostree upgrade
    rhcos rhel fedora                | 4.12    | coreos | 4.18.0-372.el8                   | rpm-ostree                    | openshift
    ol fedora                        | 7.9     |        | 4.14.35-1902.el7uek              | grubby                        | UEKR6
    ubuntu debian                    | 16.04   |        | 4.4.0-1096-aws                   | update-grub                   | linux-generic-hwe
    ubuntu debian                    | 14.04   |        | 3.13.0-85-generic                | update-grub                   | do-release-upgrade
    debian                           | 9       |        | 4.9.0-7-amd64                    | update-grub                   | backports
    sles suse                        | 12.3    |        | 4.4.180-94.127-default           | /boot/grub2/grub.cfg          | zypper migration
    sle-micro suse                   | 5.2     |        | 5.3.18-default                   | transactional-update grub.cfg | migration
    opensuse-microos suse opensuse   | 2024    |        | 6.7-default                      | transactional-update          | dup
    amzn centos rhel fedora          | 2       |        | 4.14.336.amzn2                   | grub2-mkconfig                | amazon-linux-extras
    amzn fedora                      | 2023    |        | 6.1.79.amzn2023                  | grubby                        | dnf
    amzn rhel fedora                 | 2018.03 |        | 4.14.336.amzn1                   | grub.conf                     | newer-kernel-al1
    alinux rhel fedora centos anolis | 2.1903  |        | 4.19.91-26.al7                   | grubby                        | yum update
    openEuler                        | 20.03   |        | 4.19.90.oe1                      | grubby                        | yum update
    kylin                            | 4.0.2   |        | 4.4.58.kylin.server.YUN+-generic | update-grub                   | install
    kylin                            | V10     |        | 4.19.90.ky10.aarch64             | grubby                        | yum update
    bottlerocket                     | 1.11    |        | 5.15.59                          | apiclient                     | apiclient update
    talos                            | v1.5    |        | 6.1.58-talos                     | extraKernelArgs               | upgrade
    flatcar coreos                   | 3374    |        | 5.15.86-flatcar                  | oem/grub.cfg                  | update_engine_client
    cos                              | 89      |        | 5.4.144+                         | nokmem-cos                    | image
    alpine                           | 3.19    |        | 6.6.7-0-lts                      | nokmem-other                  | install
";

    #[test]
    fn each_distribution_has_its_own_commands() {
        for row in CASES.trim().lines() {
            let [ids, version, variant, release, nokmem, newer] = row
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            let host = of(Some(&distribution(ids, version, variant)), release);
            let (told, newest) = (lines(host.nokmem), lines(host.newer));
            assert!(told.contains(nokmem), "{ids}: {told}");
            assert!(newest.contains(newer), "{ids}: {newest}");
        }
        assert!(lines(of(None, "").nokmem).contains("grubby"));
        assert_eq!(efi_directory("ol"), "redhat");
    }
}
