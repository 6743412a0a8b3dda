//! What memory cgroups that were made just now came to.

/// A few memory cgroups, made as kubelet and runc make them, charged, and removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The cgroup that they were made in.
    pub place: String,
    /// How many.
    pub made: u64,
    /// How many of them stayed as zombies; `None` if no two counts agree.
    pub stayed: Option<u64>,
    /// Whether kernel memory was accounted to them, though nobody switched it on: they inherited it. `None` where the
    /// kernel does not tell.
    pub accounted: Option<bool>,
    /// A directory of kubelet's below which removed memory cgroups hold kernel memory, while its own accounting is off: for
    /// these somebody else switched it on.
    pub held_below: Option<String>,
}
