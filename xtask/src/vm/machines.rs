//! The table of machines: which there are to boot, and which of them a selection takes.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::arch::Arch;

/// A kernel that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    #[value(name = "5.10")]
    V5_10,
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    #[value(name = "6.18")]
    V6_18,
    /// The newest of Debian's backports
    Newest,
    /// Every machine of the matrix, several at once where this machine can bear it
    All,
    /// The machines of the matrix that `.ci/run` boots
    Ci,
}

impl Release {
    /// Whether this is a selection of machines.
    pub(crate) const fn is_many(self) -> bool {
        matches!(self, Self::All | Self::Ci)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
            Self::Newest => "newest",
            Self::All => "all",
            Self::Ci => "ci",
        })
    }
}

/// How Debian builds a kernel.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flavour {
    /// For virtual machines: small, most of it built in
    #[default]
    Cloud,
    /// For any machine: most of it in modules
    Full,
    /// Real-time (`PREEMPT_RT`)
    Rt,
    /// With pages of 16 KiB (aarch64)
    #[value(name = "16k")]
    #[serde(rename = "16k")]
    Pages16k,
}

impl Flavour {
    /// What the names of Debian's packages end with.
    pub(crate) fn suffix(self, arch: Arch) -> String {
        let arch = arch.settings().target.debian;
        match self {
            Self::Cloud => format!("-cloud-{arch}"),
            Self::Full => format!("-{arch}"),
            Self::Rt => format!("-rt-{arch}"),
            Self::Pages16k => format!("-{arch}-16k"),
        }
    }

    /// The size of its pages, in KiB.
    pub(crate) const fn page_kib(self) -> u64 {
        match self {
            Self::Cloud | Self::Full | Self::Rt => 4,
            Self::Pages16k => 16,
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cloud => "cloud",
            Self::Full => "full",
            Self::Rt => "rt",
            Self::Pages16k => "16k",
        })
    }
}

/// How the machine has its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cgroup {
    V1,
    V2,
    /// v1, and v2 without controllers beside it
    Hybrid,
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
        })
    }
}

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) release: Release,
    pub(crate) arch: Arch,
    pub(crate) flavour: Flavour,
    pub(crate) cgroup: Cgroup,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            release,
            arch,
            flavour,
            cgroup,
        } = self;
        write!(f, "{release} {arch} {flavour} {cgroup}")
    }
}

/// Whether `.ci/run` boots a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InCi {
    Yes,
    No,
}

type Row = (Release, Arch, Flavour, Cgroup, InCi);

/// The matrix. Debian builds no memory controller for v1 from 6.12 on, and pages of 16 KiB only from there on.
const MATRIX: [Row; 15] = {
    use {
        Arch::{Aarch64, X86_64},
        Cgroup::{V1, V2},
        Flavour::{Cloud, Full, Pages16k, Rt},
        InCi::{No, Yes},
        Release::{Newest, V5_10, V6_1, V6_12, V6_18},
    };
    [
        (V5_10, X86_64, Cloud, V1, Yes),
        (V5_10, X86_64, Cloud, V2, No),
        (V6_1, X86_64, Cloud, V1, No),
        (V6_1, X86_64, Cloud, V2, Yes),
        (V6_1, X86_64, Full, V2, No),
        (V6_12, X86_64, Cloud, V2, Yes),
        (V6_12, X86_64, Rt, V2, Yes),
        (V6_18, X86_64, Cloud, V2, No),
        (Newest, X86_64, Cloud, V2, Yes),
        (Newest, X86_64, Full, V2, No),
        (V5_10, Aarch64, Cloud, V2, No),
        (V6_1, Aarch64, Cloud, V2, No),
        (V6_12, Aarch64, Cloud, V2, No),
        (V6_12, Aarch64, Pages16k, V2, No),
        (Newest, Aarch64, Cloud, V2, No),
    ]
};

/// Which machines are meant; a property that is not given may be any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Like {
    pub(crate) arch: Option<Arch>,
    pub(crate) flavour: Option<Flavour>,
    pub(crate) cgroup: Option<Cgroup>,
}

/// The machines that are asked for: one of a release; of a selection, those of the matrix that are like it, with the
/// cgroups that are asked for.
pub(crate) fn machines(release: Release, like: Like) -> Vec<Kind> {
    if !release.is_many() {
        return vec![Kind {
            release,
            arch: like.arch.unwrap_or_default(),
            flavour: like.flavour.unwrap_or_default(),
            cgroup: like.cgroup.unwrap_or(Cgroup::V2),
        }];
    }
    let mut found: Vec<Kind> = Vec::new();
    for (of, arch, flavour, cgroup, in_ci) in MATRIX {
        let kind = Kind {
            release: of,
            arch,
            flavour,
            cgroup: like.cgroup.unwrap_or(cgroup),
        };
        let wanted = (release == Release::All || in_ci == InCi::Yes)
            && like.arch.is_none_or(|wanted| wanted == arch)
            && like.flavour.is_none_or(|wanted| wanted == flavour);
        if wanted && !found.contains(&kind) {
            found.push(kind);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn named(release: Release, like: Like) -> Vec<String> {
        let machines = machines(release, like);
        machines.iter().map(Kind::to_string).collect()
    }

    #[test]
    fn every_machine_is_there_once() {
        let all = named(Release::All, Like::default());
        assert_eq!(all.len(), MATRIX.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), MATRIX.len());
        let ci = named(Release::Ci, Like::default());
        assert!(ci.len() < all.len() && ci.iter().all(|one| all.contains(one)));
    }

    #[test]
    fn a_selection_is_narrowed() {
        let like = Like {
            arch: Some(Arch::Aarch64),
            ..Like::default()
        };
        assert_eq!(
            named(Release::All, like),
            [
                "5.10 aarch64 cloud v2",
                "6.1 aarch64 cloud v2",
                "6.12 aarch64 cloud v2",
                "6.12 aarch64 16k v2",
                "newest aarch64 cloud v2",
            ]
        );
        let like = Like {
            flavour: Some(Flavour::Rt),
            ..Like::default()
        };
        assert_eq!(named(Release::All, like), ["6.12 x86_64 rt v2"]);
        let like = Like {
            flavour: Some(Flavour::Cloud),
            arch: Some(Arch::X86_64),
            cgroup: Some(Cgroup::V1),
        };
        assert_eq!(
            named(Release::All, like),
            [
                "5.10 x86_64 cloud v1",
                "6.1 x86_64 cloud v1",
                "6.12 x86_64 cloud v1",
                "6.18 x86_64 cloud v1",
                "newest x86_64 cloud v1",
            ]
        );
        assert_eq!(
            named(Release::V6_1, Like::default()),
            ["6.1 x86_64 cloud v2"]
        );
    }

    #[test]
    fn packages_are_named_as_debian_names_them() {
        for (flavour, arch, suffix) in [
            (Flavour::Cloud, Arch::X86_64, "-cloud-amd64"),
            (Flavour::Full, Arch::X86_64, "-amd64"),
            (Flavour::Rt, Arch::Aarch64, "-rt-arm64"),
            (Flavour::Pages16k, Arch::Aarch64, "-arm64-16k"),
        ] {
            assert_eq!(flavour.suffix(arch), suffix);
        }
    }
}
