//! Who made this kernel: one row a vendor.
//!
//! Distributions mark their releases; where others have the same mark, os-release or `/proc/version` has to agree. The kernel's vendor
//! may be another than the distribution's: those of `ELRepo` run on `CentOS`.

use super::{Facts, facts::Distribution};

/// Makers of kernels, as far as kernels or remedies differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// Red Hat and those who rebuild its kernels.
    RedHat,
    /// `ELRepo`, for Red Hat's family.
    ElRepo,
    /// Oracle's Unbreakable Enterprise Kernel.
    Uek,
    /// The kernel of the Windows Subsystem for Linux.
    Wsl,
    /// Any other: the distribution's own.
    Other,
}

/// Who made a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// As it calls itself, with the release of its distribution where that is known by the kernel's.
    pub name: &'static str,
    pub(super) maker: Maker,
}

/// A vendor, and how its kernels are known.
struct VendorRow {
    name: &'static str,
    maker: Maker,
    /// One of them is in the release: `#` is a digit, `$` the end.
    marks: &'static [&'static str],
    who: MarkProof,
}

/// What has to agree with the mark.
enum MarkProof {
    /// Nothing: nobody else has it.
    Mark,
    /// os-release's `ID` or `ID_LIKE` is one of these, or `/proc/version` has the text; the mark alone if neither is known.
    Likely(&'static [&'static str], &'static str),
    /// The same, and the mark alone is not enough.
    Only(&'static [&'static str], &'static str),
}

use Maker::{ElRepo, Other, RedHat, Uek, Wsl};
use MarkProof::{Likely, Mark, Only};

const fn row(
    name: &'static str,
    maker: Maker,
    marks: &'static [&'static str],
    who: MarkProof,
) -> VendorRow {
    VendorRow {
        name,
        maker,
        marks,
        who,
    }
}

/// What Ubuntu's kernels end with.
const UBUNTU: &[&str] = &[
    "#-generic$",
    "#-generic-64k$",
    "#-generic-lpae$",
    "#-lowlatency$",
    "#-lowlatency-64k$",
    "#-virtual$",
    "#-server$",
    "#-aws$",
    "#-aws-64k$",
    "#-aws-fips$",
    "#-azure$",
    "#-azure-fde$",
    "#-azure-fips$",
    "#-gcp$",
    "#-gcp-64k$",
    "#-gcp-fips$",
    "#-gke$",
    "#-gkeop$",
    "#-kvm$",
    "#-oracle$",
    "#-ibm$",
    "#-oem$",
    "#-fips$",
    "#-raspi$",
    "#-raspi2$",
    "#-nvidia$",
    "#-realtime$",
];

const SUSE: &[&str] = &["-default$", "-azure$", "-rt$", "-preempt$", "-pae$"];

const DEBIAN: &[&str] = &[
    "-amd64$",
    "-arm64$",
    "-686$",
    "-686-pae$",
    "-armmp$",
    "-ppc64el$",
    "-powerpc64le$",
    "-s390x$",
];

/// The first that fits: those who build on another's kernel, or on its mark, stand before it.
const ROWS: &[VendorRow] = &[
    row(
        "Microsoft (WSL)",
        Wsl,
        &["-microsoft-standard", "-Microsoft$"],
        Mark,
    ),
    row("ELRepo", ElRepo, &[".elrepo"], Mark),
    row("Oracle (UEK)", Uek, &["uek"], Mark),
    row("CloudLinux", Other, &[".lve#"], Mark),
    row("Virtuozzo", Other, &[".vz#", "stab#"], Mark),
    row("Kylin", Other, &[".kylin", "-kylin", ".ky#"], Mark),
    row(
        "UnionTech UOS",
        Other,
        &[
            ".uel#",
            ".uelc#",
            ".uos",
            "-uos",
            "-amd64-desktop$",
            "-arm64-desktop$",
        ],
        Mark,
    ),
    row("EulerOS", Other, &[".eulerosv#"], Mark),
    row("Huawei Cloud EulerOS", Other, &[".hce#"], Mark),
    row("openEuler", Other, &[".oe#"], Mark),
    row("Anolis OS", Other, &[".an#"], Mark),
    row(
        "Alibaba Cloud Linux",
        Other,
        &[".al#", ".alios#", ".alnx#"],
        Mark,
    ),
    row("TencentOS", Other, &[".tl#", "tlinux"], Mark),
    row("OpenCloudOS", Other, &[".oc#", ".ocs#"], Mark),
    row("Amazon Linux 2023", Other, &[".amzn2023"], Mark),
    row("Amazon Linux 2", Other, &[".amzn2."], Mark),
    row("Amazon Linux 1", Other, &[".amzn1."], Mark),
    row("Azure Linux", Other, &[".azl#", ".cm#"], Mark),
    row("VMware Photon", Other, &[".ph#"], Mark),
    row("Red Hat Enterprise Linux 6", RedHat, &[".el6"], Mark),
    row("Red Hat Enterprise Linux 7", RedHat, &[".el7"], Mark),
    row("Red Hat Enterprise Linux 8", RedHat, &[".el8"], Mark),
    row("Red Hat Enterprise Linux 9", RedHat, &[".el9"], Mark),
    row("Red Hat Enterprise Linux 10", RedHat, &[".el10"], Mark),
    row("Fedora", Other, &[".fc#"], Mark),
    row("Talos", Other, &["-talos"], Mark),
    row("Flatcar", Other, &["-flatcar"], Mark),
    row("CoreOS", Other, &["-coreos"], Mark),
    row("RancherOS", Other, &["-rancher"], Mark),
    row("LinuxKit (Docker Desktop)", Other, &["-linuxkit"], Mark),
    row("Proxmox VE", Other, &["-pve"], Mark),
    row("Kali", Other, &["-kali#"], Mark),
    row("Arch Linux", Other, &["-arch#"], Mark),
    row("Gentoo", Other, &["-gentoo"], Mark),
    row(
        "Bottlerocket",
        Other,
        &[""],
        Only(&["bottlerocket"], "bottlerocket"),
    ),
    row(
        "Container-Optimized OS",
        Other,
        &["+$"],
        Only(&["cos"], "Chromium OS"),
    ),
    row(
        "SUSE Linux Enterprise",
        Other,
        SUSE,
        Only(
            &[
                "sles",
                "sled",
                "sle-micro",
                "sl-micro",
                "sles_sap",
                "suse-microos",
            ],
            "\0",
        ),
    ),
    row(
        "openSUSE",
        Other,
        SUSE,
        Only(
            &[
                "opensuse",
                "opensuse-leap",
                "opensuse-tumbleweed",
                "opensuse-microos",
            ],
            "\0",
        ),
    ),
    row("SUSE", Other, &["-default$"], Likely(&["suse"], "SUSE")),
    row(
        "Ubuntu",
        Other,
        &["#-generic$"],
        Likely(&["ubuntu"], "Ubuntu"),
    ),
    row("Ubuntu", Other, UBUNTU, Only(&["ubuntu"], "Ubuntu")),
    row("Debian", Other, DEBIAN, Likely(&["debian"], "Debian")),
];

impl Facts {
    /// Who made the kernel, by all that is known of it.
    pub fn vendor(&self) -> Option<Vendor> {
        let release = &self.kernel.as_ref().ok()?.text;
        of(
            release,
            self.built.as_deref(),
            self.distribution.as_ref().ok(),
        )
    }
}

fn of(release: &str, built: Option<&str>, distribution: Option<&Distribution>) -> Option<Vendor> {
    let agrees = |ids: &[&str], text: &str| {
        distribution.is_some_and(|one| one.is(ids))
            || built.is_some_and(|built| built.contains(text))
    };
    let row = ROWS.iter().find(|row| {
        row.marks.iter().any(|mark| has(release, mark))
            && match row.who {
                Mark => true,
                Likely(ids, text) => {
                    agrees(ids, text) || (distribution.is_none() && built.is_none())
                }
                Only(ids, text) => agrees(ids, text),
            }
    });
    row.map(|row| Vendor {
        name: row.name,
        maker: row.maker,
    })
}

/// Whether a mark is anywhere in a release.
fn has(release: &str, mark: &str) -> bool {
    let (release, mark) = (release.as_bytes(), mark.as_bytes());
    (0..=release.len()).any(|at| {
        let mut rest = &release[at..];
        mark.iter().all(|&wanted| {
            let Some((&byte, after)) = rest.split_first() else {
                return wanted == b'$';
            };
            rest = after;
            match wanted {
                b'#' => byte.is_ascii_digit(),
                wanted => byte == wanted,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnose::{Provenance, facts::FileLine};

    fn distribution(ids: &str) -> Option<Distribution> {
        let mut ids = ids.split(' ').map(str::to_owned);
        let id = ids.next().filter(|id| !id.is_empty())?;
        Some(Distribution {
            name: FileLine {
                at: Provenance::Line("/etc/os-release".to_owned(), 1),
                text: id.clone(),
            },
            id,
            like: ids.collect(),
            version: String::new(),
            variant: String::new(),
        })
    }

    /// A release, `ID` and `ID_LIKE`, `/proc/version`, and who made it.
    const CASES: &str = r"
    3.10.0-1160.119.1.el7.x86_64              | centos rhel fedora               |  | Red Hat Enterprise Linux 7
    4.18.0-553.el8_10.x86_64                  | rocky rhel centos fedora         |  | Red Hat Enterprise Linux 8
    5.14.0-427.13.1.el9_4.x86_64              |                                  |  | Red Hat Enterprise Linux 9
    4.18.0-305.el8.x86_64                     | rhcos rhel fedora                |  | Red Hat Enterprise Linux 8
    5.4.17-2136.338.4.2.el7uek.x86_64         | ol fedora                        |  | Oracle (UEK)
    4.1.12-124.48.6.el6uek.x86_64             | ol                               |  | Oracle (UEK)
    3.10.0-1160.el7.x86_64                    | ol fedora                        |  | Red Hat Enterprise Linux 7
    4.4.248-1.el7.elrepo.x86_64               | centos rhel fedora               |  | ELRepo
    5.4.278-1.el7.elrepo.x86_64               |                                  |  | ELRepo
    3.10.0-962.3.2.lve1.5.80.el7.x86_64       | cloudlinux rhel                  |  | CloudLinux
    3.10.0-1160.90.1.vz7.200.7                | virtuozzo rhel                   |  | Virtuozzo
    4.4.0-1096-aws                            | ubuntu debian                    |  | Ubuntu
    4.4.0-1096-aws                            |                                  | Linux version 4.4.0-1096-aws (gcc) #107-Ubuntu SMP | Ubuntu
    4.4.0-1096-aws                            |                                  |  | -
    5.15.0-60-generic                         |                                  |  | Ubuntu
    5.15.0-1050-azure                         | ubuntu debian                    |  | Ubuntu
    5.4.0-1097-gcp                            | ubuntu debian                    |  | Ubuntu
    5.4.0-42-lowlatency                       | linuxmint ubuntu debian          |  | Ubuntu
    5.15.0-60-generic                         | slackware                        | Linux version 5.15.0-60-generic (root@x) #1 SMP | -
    4.4.58-20171215.kylin.server.YUN+-generic | kylin                            |  | Kylin
    4.4.131-20200710.kylin.server-generic     | ubuntu debian                    |  | Kylin
    4.19.90-24.4.v2101.ky10.aarch64           | kylin                            |  | Kylin
    4.19.90-2211.5.0.0178.22.uel20.x86_64     | uos                              |  | UnionTech UOS
    4.19.0-amd64-desktop                      | uos                              |  | UnionTech UOS
    4.19.90-2003.4.0.0036.oe1.x86_64          | openEuler                        |  | openEuler
    5.10.0-60.18.0.50.oe2203.x86_64           | openEuler                        |  | openEuler
    3.10.0-862.14.1.5.h442.eulerosv2r7.x86_64 | euleros rhel fedora centos       |  | EulerOS
    4.19.91-25.8.an8.x86_64                   | anolis rhel fedora centos        |  | Anolis OS
    4.19.91-26.al7.x86_64                     | alinux rhel fedora centos anolis |  | Alibaba Cloud Linux
    3.10.0-327.ali2010.alios7.x86_64          |                                  |  | Alibaba Cloud Linux
    5.10.134-16.1.al8.x86_64                  | alinux rhel fedora centos anolis |  | Alibaba Cloud Linux
    4.14.336-257.562.amzn2.x86_64             | amzn centos rhel fedora          |  | Amazon Linux 2
    4.14.336-180.566.amzn1.x86_64             | amzn rhel fedora                 |  | Amazon Linux 1
    6.1.79-99.167.amzn2023.x86_64             | amzn fedora                      |  | Amazon Linux 2023
    4.4.180-94.127-default                    | sles                             |  | SUSE Linux Enterprise
    4.12.14-122.176-default                   | sles suse                        |  | SUSE Linux Enterprise
    5.3.18-150300.59.60-azure                 | sles suse                        |  | SUSE Linux Enterprise
    5.14.21-150500.55.52-default              | opensuse-leap suse opensuse      |  | openSUSE
    5.3.18-57-default                         |                                  |  | SUSE
    4.19.0-27-amd64                           | debian                           |  | Debian
    6.1.0-18-cloud-amd64                      |                                  | Linux version 6.1.0-18-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian 6.1.76-1 | Debian
    6.1.0-kali5-amd64                         | kali debian                      |  | Kali
    5.15.143-1-pve                            | debian                           |  | Proxmox VE
    4.14.138+                                 | cos                              |  | Container-Optimized OS
    5.10.63-v7l+                              | raspbian debian                  |  | -
    5.15.59                                   | bottlerocket                     |  | Bottlerocket
    6.1.58-talos                              | talos                            |  | Talos
    5.15.86-flatcar                           | flatcar coreos                   |  | Flatcar
    4.19.106-coreos-r1                        | coreos                           |  | CoreOS
    5.15.90.1-microsoft-standard-WSL2         | ubuntu debian                    |  | Microsoft (WSL)
    4.4.0-19041-Microsoft                     | debian                           |  | Microsoft (WSL)
    5.4.119-19.0009.tl3                       | tencentos rhel                   |  | TencentOS
    3.10.107-1-tlinux2-0053                   |                                  |  | TencentOS
    6.8.5-301.fc40.x86_64                     | fedora                           |  | Fedora
    4.19.97-3.ph3                             | photon                           |  | VMware Photon
    6.18.44-fc-v769                           | debian                           |  | -
    6.18.44                                   |                                  |  | -
    3.10.0                                    | centos rhel fedora               |  | -
                                              |                                  |  | -
";

    #[test]
    fn release_distribution_and_version_tell_the_vendor() {
        for row in CASES.trim().lines() {
            let [release, ids, built, told] = row
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            let built = Some(built).filter(|built| !built.is_empty());
            let found = of(release, built, distribution(ids).as_ref());
            assert_eq!(
                found.map_or("-", |found| found.name),
                told,
                "{release} {ids}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(release: String, built: Option<String>, ids in "[a-z ]{0,20}") {
            let _ = of(&release, built.as_deref(), distribution(&ids).as_ref());
        }
    }
}
