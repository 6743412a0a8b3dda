//! What changed in kernels about removed memory cgroups, and which kernels have each change: one table.
//!
//! A release is two numbers and much that they do not say: stable series took fixes back, vendors took more and kept their numbers.
//! So the answer may be "unknown", and what the running system shows comes first (`judge::Kept::shown`, `diagnose::era`).
//! `docs/kernels-history.md` is generated from this table.

mod releases;
mod table;

pub use releases::{Release, Series};
pub use table::{
    ACCOUNTING, ACCOUNTS_ALL, CHANGES, FREES_IDS, NOKMEM, PAGE_CACHE_PINS, REPARENTS_PAGES,
    REPARENTS_SLAB, SLABINFO_HEADER, document,
};

/// Whether a kernel has a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Its release does not tell.
    Unknown,
}

/// A change, and which kernels have it.
#[derive(Debug)]
pub struct KernelChange {
    /// Its name in this program.
    pub id: &'static str,
    /// What changed, for the document.
    pub what: &'static str,
    /// The commit, or what else it rests on.
    pub commit: &'static str,
    /// The first mainline release with it; `None` if it was never there.
    pub mainline: Option<(u32, u32)>,
    /// The oldest release to which it was sent as a fix.
    pub sent_to: Option<(u32, u32)>,
    /// Stable releases that are known to have it, from this patch level on.
    pub stable: &'static [(u32, u32, u32)],
    /// Vendors' builds that are known.
    pub builds: &'static [Builds],
    /// How the running system shows it.
    pub shown: &'static str,
}

/// What is known of one vendor's series of builds.
#[derive(Debug)]
pub struct Builds {
    /// Which series.
    pub series: Series,
    /// The first build that is known to have the change; `None` if none has.
    pub from: Option<u32>,
    /// The last build that is known not to have it; `None` if none lacks it.
    pub lacks: Option<u32>,
}

impl KernelChange {
    /// Whether a kernel of this release has it.
    pub fn is_in(&self, release: &str) -> Has {
        let Some(release) = Release::parse(release) else {
            return Has::Unknown;
        };
        let known = release.build.and_then(|(series, build)| {
            let builds = self.builds.iter().find(|one| one.series == series)?;
            Some(builds.has(build))
        });
        if let Some(has) = known {
            return has;
        }
        // A series that took its name from an older base has what its base has; what else it took is in the rows.
        if self.mainline.is_some_and(|from| release.version >= from) {
            return Has::Yes;
        }
        if self.sent_to.is_none_or(|from| release.version < from) {
            return Has::No;
        }
        let (major, minor) = release.version;
        let from = self
            .stable
            .iter()
            .find(|one| (one.0, one.1) == (major, minor));
        match (from, release.patch.filter(|_| release.follows_stable)) {
            (Some((_, _, from)), Some(patch)) if patch >= *from => Has::Yes,
            (Some(_), Some(_)) | (None, Some(0)) => Has::No,
            _ => Has::Unknown,
        }
    }
}

impl Builds {
    fn has(&self, build: u32) -> Has {
        match (self.from, self.lacks) {
            (Some(from), _) if build >= from => Has::Yes,
            (_, Some(lacks)) if build <= lacks => Has::No,
            (None, None) => Has::No,
            _ => Has::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
