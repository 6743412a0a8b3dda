//! What a kernel's release tells, where nothing better does.

/// The first release in which a removed memcg gives its id back at once, unless entries in swap hold it:
/// `mem_cgroup_id_put` in `mem_cgroup_css_offline` (73f576c04b94). RHEL 7 has never had that.
pub const FREES_IDS: (u32, u32) = (4, 8);

/// `4.19.0-27-amd64`: 4 and 19.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
