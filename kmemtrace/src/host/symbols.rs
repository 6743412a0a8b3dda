//! The kernel's symbols: `/proc/kallsyms`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    ops::ControlFlow,
    str,
};

use super::Root;

/// Of these functions, those that the kernel itself or a module has under just that name.
pub(super) fn functions(root: &Root, functions: &[&'static str]) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    each(root, |_, kind, name| {
        if matches!(kind, b"t" | b"T") {
            found.extend(functions.iter().find(|known| known.as_bytes() == name));
        }
        ControlFlow::Continue(())
    });
    found
}

/// The address of a symbol of the kernel's. `None` if the kernel does not list it (data without `CONFIG_KALLSYMS_ALL`), or
/// does not show addresses (`kernel.kptr_restrict`).
pub fn symbol(root: &Root, name: &str) -> Option<u64> {
    let mut found = None;
    each(root, |address, _, known| {
        if known != name.as_bytes() {
            return ControlFlow::Continue(());
        }
        let address = str::from_utf8(address).ok();
        found = address.and_then(|address| u64::from_str_radix(address, 16).ok());
        ControlFlow::Break(())
    });
    found.filter(|&address| address != 0)
}

/// Calls `take` with the address, type and name of each. Lines are `ADDRESS TYPE NAME`, for a module's with its name behind a
/// tab.
fn each(root: &Root, mut take: impl FnMut(&[u8], &[u8], &[u8]) -> ControlFlow<()>) {
    let Ok(file) = File::open(root.path("/proc/kallsyms")) else {
        return;
    };
    let mut file = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let mut words = line.trim_ascii_end().splitn(3, |&byte| byte == b' ');
        if let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
            && take(address, kind, name).is_break()
        {
            return;
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root(symbols: &[u8]) -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("proc")).unwrap();
        fs::write(directory.path().join("proc/kallsyms"), symbols).unwrap();
        let root = Root::at(directory.path());
        (directory, root)
    }

    #[test]
    fn a_symbol_is_found_by_its_whole_name() {
        let (_directory, root) = root(
            b"ffffffff9cc6cac0 d mem_cgroup_events_index\nffffffff9cc6cb40 d mem_cgroup_stats_index\n0000000000000000 A hidden\nxyz d broken\n",
        );
        assert_eq!(
            symbol(&root, "mem_cgroup_stats_index"),
            Some(0xffff_ffff_9cc6_cb40)
        );
        for absent in ["mem_cgroup_stats", "hidden", "broken", ""] {
            assert_eq!(symbol(&root, absent), None, "{absent}");
        }
    }

    #[test]
    fn garbage_is_no_symbol() {
        let (_directory, root) = root(b"\n\xff\xfe \x00\n  \nffff d\na b c d\n");
        assert_eq!(symbol(&root, "c d"), Some(10));
        assert_eq!(symbol(&root, "d"), None);
    }
}
