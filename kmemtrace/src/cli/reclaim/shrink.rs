//! Slab caches of removed memory cgroups, told to give back what they do not use.

use std::{fs, io};

use crate::host::{self, Root};

/// Writes 1 to the `shrink` file of each cache whose memory cgroup's name begins so; how many there were.
pub(in crate::cli) fn of_leaves(root: &Root, name: &[u8]) -> u64 {
    let memcgs = host::slab_memcgs(root);
    let own = memcgs
        .with_cache()
        .filter(|(_, memcg)| memcg.leaf.starts_with(name));
    let mut written = 0;
    for cache in own.flat_map(|(_, memcg)| &memcg.caches) {
        let file = root.path(host::slab_cache(cache)).join("shrink");
        written += u64::from(write(&file, "1").is_ok());
    }
    written
}

/// Writes to a file that has to be there: a shell's `echo` would make it.
pub(super) fn write(file: &std::path::Path, text: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all(text.as_bytes())
}
