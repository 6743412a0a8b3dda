//! Whose live containers show that kernel-memory accounting is not switched on for the next one: pure.
//!
//! A container shows it of the runtime that made it, and of no other: Podman's says nothing of what kubelet's runtime does, and
//! nothing of Slurm.

use super::{Evidence, Level, facts::AccountedDirectory, levels::MadeBy};
use crate::{
    attribution::owner,
    runtimes::{Accounting, Runtime},
};

/// Whose containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeFor {
    /// Pods: the runtime that kubelet works with.
    Pods,
    /// Others: this runtime.
    Runtime(Runtime),
    /// A container's id is all that is known.
    Unknown,
}

/// What the directories show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OffProof {
    /// A container with accounting off of each that has one.
    pub(super) shown: Vec<(MadeFor, Evidence)>,
    /// Who makes containers here, may switch accounting on for them, and has none that shows that it does not.
    pub(super) missing: Vec<MadeFor>,
}

impl OffProof {
    /// What these directories show.
    pub(super) fn of(levels: &[AccountedDirectory]) -> Self {
        let mut proof = Self::default();
        let mut all = Vec::new();
        for directory in levels {
            let Some((maker, is_container)) = maker(&directory.path) else {
                continue;
            };
            if !all.contains(&maker) {
                all.push(maker);
            }
            let off = is_container && directory.accounted() == Some(false);
            if off && !proof.shows(maker) {
                proof.shown.push((maker, directory.evidence()));
            }
        }
        all.retain(|maker| !proof.shows(*maker));
        proof.missing = all;
        proof
    }

    fn shows(&self, maker: MadeFor) -> bool {
        self.shown.iter().any(|(known, _)| *known == maker)
    }

    /// Whether all that make containers here have shown it, one at least.
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && !self.shown.is_empty()
    }
}

/// Who makes containers at or below this directory and may switch accounting on for them, and whether it is a container.
fn maker(path: &[u8]) -> Option<(MadeFor, bool)> {
    let leaf = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    // Made by systemd or the monitor itself, not by the runtime.
    if leaf.windows(6).any(|part| part == b"conmon") {
        return None;
    }
    let level = Level::of(path);
    if level.is_kubelet_s() {
        return Some((MadeFor::Pods, false));
    }
    if level == Level::Container {
        return Some((MadeFor::Pods, true));
    }
    match MadeBy::of(path) {
        MadeBy::Runtime(runtime) => {
            let own = owner(path).runtime == Some(runtime);
            match runtime.row().accounting {
                Accounting::No => None,
                // A directory for containers stays when they are gone.
                Accounting::ByRunc if !own => None,
                _ => Some((MadeFor::Runtime(runtime), own)),
            }
        }
        _ if level.is_runc_s() => Some((MadeFor::Unknown, true)),
        _ => None,
    }
}
