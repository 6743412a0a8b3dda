//! What a kernel does with a memcg that is removed while things are charged to it.

use serde::Serialize;

use super::{Evidence, Facts};
use crate::{
    catalogue::{Sentence, say},
    history::{self, Has, KernelChange, Release},
    host::{SlabLayout, Slabinfo},
    judge::Kept,
};

/// What became of zombies over the years. Read in the kernel's history; each commit is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Era {
    /// Before 3.8: kernel memory is not accounted to memcgs.
    NotAccounted,
    /// 3.8 to 4.4, and RHEL 7's 3.10: accounted where somebody switches it on, and then zombies stay. Up to 3.18 they keep their
    /// ids, later where the fix of 4.8 was not taken back.
    OptIn,
    /// 4.5 to 4.7: accounted by default; zombies keep their ids unless the fix of 4.8 was taken back.
    KeepsIds,
    /// 4.8 to 5.2: ids are given back at rmdir (73f576c04b94); slab caches pin zombies, and so does page cache.
    FreesIds,
    /// 5.3 to 7.0: slab goes to the parent at rmdir (fb2f2b0adb98, bf4f059954dc); page cache pins zombies.
    ReparentsSlab,
    /// 7.1 and later: page cache goes to the parent as well. Sockets, swap and writeback still pin.
    ReparentsAll,
}

impl Era {
    /// Its name in the catalogue.
    pub(super) const fn message(self, kept: Kept, page_cache_pins: bool) -> Sentence {
        match self {
            Self::NotAccounted => say::ERA_NOT_ACCOUNTED,
            Self::OptIn => match kept {
                Kept::Yes if page_cache_pins => say::ERA_OPT_IN_PAGE_CACHE,
                Kept::Yes => say::ERA_OPT_IN,
                Kept::No => say::ERA_OPT_IN_FREES_IDS,
                Kept::Unknown => say::ERA_OPT_IN_UNTOLD,
            },
            Self::KeepsIds => match kept {
                Kept::Yes => say::ERA_KEEPS_IDS,
                Kept::No => say::ERA_FREES_IDS,
                Kept::Unknown => say::ERA_DEFAULT_UNTOLD,
            },
            Self::FreesIds => say::ERA_FREES_IDS,
            Self::ReparentsSlab => say::ERA_REPARENTS_SLAB,
            Self::ReparentsAll => say::ERA_REPARENTS_ALL,
        }
    }
}

/// How the era is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By what the kernel does here.
    Sign,
    /// By the release alone.
    Release,
}

/// What this kernel does with zombies: by what it shows, else by its release.
pub(super) fn era(facts: &Facts) -> Option<(Era, Origin)> {
    let root = facts.levels.as_ref().ok().and_then(|levels| levels.first());
    let inactive = root.is_some_and(|root| root.slabinfo == Slabinfo::Inactive);
    if inactive || facts.layout == Some(SlabLayout::TopLevel) {
        return Some((Era::OptIn, Origin::Sign));
    }
    let release = &facts.kernel.as_ref().ok()?.text;
    let era = by_release(release)?;
    // RHEL 8's 4.18 has what came with 5.3.
    if era == Era::FreesIds && facts.reparents.is_some() {
        return Some((Era::ReparentsSlab, Origin::Sign));
    }
    Some((era, Origin::Release))
}

/// What a release alone tells.
fn by_release(release: &str) -> Option<Era> {
    Release::parse(release)?;
    let has = |change: &KernelChange| change.is_in(release) == Has::Yes;
    // The latest that it has.
    let eras = [
        (&history::REPARENTS_PAGES, Era::ReparentsAll),
        (&history::REPARENTS_SLAB, Era::ReparentsSlab),
    ];
    let era = eras.iter().find(|(change, _)| has(change));
    Some(match era {
        Some((_, era)) => *era,
        None if has(&history::ACCOUNTS_ALL) && has(&history::FREES_IDS) => Era::FreesIds,
        None if has(&history::ACCOUNTS_ALL) => Era::KeepsIds,
        None if has(&history::ACCOUNTING) => Era::OptIn,
        None => Era::NotAccounted,
    })
}

/// Whether page cache of a removed memcg pins it.
pub(super) fn page_cache_pins(facts: &Facts, era: Option<Era>) -> bool {
    match era {
        Some(Era::OptIn | Era::KeepsIds) => {
            let release = facts.kernel.as_ref().ok();
            release.is_some_and(|line| history::PAGE_CACHE_PINS.is_in(&line.text) == Has::Yes)
        }
        Some(Era::FreesIds | Era::ReparentsSlab) => true,
        Some(Era::NotAccounted | Era::ReparentsAll) | None => false,
    }
}

/// What the era is known by.
pub(super) fn evidence(facts: &Facts, origin: Origin) -> Vec<Evidence> {
    let mut evidence: Vec<_> = facts
        .kernel
        .iter()
        .map(super::facts::FileLine::evidence)
        .collect();
    if let Some(reparents) = facts.reparents.as_ref().filter(|_| origin == Origin::Sign) {
        evidence.push(reparents.clone());
    } else if origin == Origin::Sign
        && let Some(root) = facts.levels.as_ref().ok().and_then(|levels| levels.first())
    {
        evidence.push(root.evidence());
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_tells_the_era() {
        for (release, era) in [
            ("2.6.32-754.el6.x86_64", Era::NotAccounted),
            ("3.10.0", Era::OptIn),
            ("3.10.0-1160.119.1.el7.x86_64", Era::OptIn),
            ("4.4.0-210-generic", Era::OptIn),
            ("4.7.0", Era::KeepsIds),
            ("4.18.0-553.el8.x86_64", Era::ReparentsSlab),
            ("4.18.0-80.el8.x86_64", Era::FreesIds),
            ("4.4.248-1.el7.elrepo.x86_64", Era::OptIn),
            ("4.19.0-27-amd64", Era::FreesIds),
            ("5.2", Era::FreesIds),
            ("5.10.0-33-amd64", Era::ReparentsSlab),
            ("7.0.1", Era::ReparentsSlab),
            ("7.1.0-rc1", Era::ReparentsAll),
        ] {
            assert_eq!(by_release(release), Some(era), "{release}");
        }
        for none in ["", "linux", "6", "-1.2"] {
            assert_eq!(by_release(none), None, "{none}");
        }
    }
}
