//! The kernel's symbols: `/proc/kallsyms`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    ops::ControlFlow,
    str,
};

use super::Root;

/// Of these functions, those that the kernel itself or a module has, and the symbols that each has: its own name alone if it
/// has that, else its [clones](is_clone).
pub(super) fn functions(
    root: &Root,
    functions: &[&'static str],
) -> BTreeMap<&'static str, Vec<String>> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    each(root, |_, kind, name| {
        let known = functions
            .iter()
            .filter(|_| matches!(kind, b"t" | b"T"))
            .find(|known| name == known.as_bytes() || is_clone(known, name));
        if let (Some(known), Ok(name)) = (known, str::from_utf8(name)) {
            found.entry(*known).or_default().push(name.to_owned());
        }
        ControlFlow::Continue(())
    });
    for (function, symbols) in &mut found {
        if symbols.iter().any(|symbol| symbol == function) {
            symbols.retain(|symbol| symbol == function);
        }
        symbols.sort_unstable();
        symbols.dedup();
    }
    found
}

/// Whether a symbol is what a compiler made of a function: GCC appends `.constprop.N` where it puts constants in for arguments,
/// `.isra.N` where it changes them, `.part.N` where it keeps a part of the function by itself. So a clone's arguments are not known.
/// What is behind `.cold` is no function: the code that is hardly ever run.
fn is_clone(function: &str, symbol: &[u8]) -> bool {
    let suffix = symbol.strip_prefix(function.as_bytes());
    let Some(mut rest) = suffix.filter(|suffix| !suffix.is_empty()) else {
        return false;
    };
    while !rest.is_empty() {
        let kinds: [&[u8]; 3] = [b".constprop.", b".isra.", b".part."];
        let Some(number) = kinds.iter().find_map(|kind| rest.strip_prefix(*kind)) else {
            return false;
        };
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        if digits == 0 {
            return false;
        }
        rest = &number[digits..];
    }
    true
}

/// The clones (`is_clone`) that the kernel has of a function, if it does not have that under its own name.
pub fn clones(root: &Root, function: &'static str) -> Vec<String> {
    let mut symbols = functions(root, &[function]).remove(function);
    let symbols = symbols.take().unwrap_or_default();
    symbols
        .into_iter()
        .filter(|symbol| symbol != function)
        .collect()
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
    fn a_function_is_found_by_its_clones_as_well() {
        let (_directory, root) = root(
            b"f0 t one.constprop.0\nf1 t one.constprop.1.isra.12\nf2 t one.cold\nf3 t one.constprop.0.cold\n\
              f4 t two\nf5 t two.isra.0\nf6 t two.part.3\n\
              f7 t three.cold.7\nf8 t three.isra\nf9 t three.isra.x\nfa d three.isra.0\nfb t xthree\nfc t threefold.isra.0\n\
              fd t four.part.2\t[module]\n",
        );
        let found = functions(&root, &["one", "two", "three", "four"]);
        let found: Vec<_> = found
            .iter()
            .map(|(function, symbols)| (*function, symbols.join(" ")))
            .collect();
        let expected = [
            ("one", "one.constprop.0 one.constprop.1.isra.12"),
            ("two", "two"),
        ];
        let expected = expected.map(|(function, symbols)| (function, symbols.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(clones(&root, "one").len(), 2);
        assert!(clones(&root, "two").is_empty() && clones(&root, "three").is_empty());
    }

    #[test]
    fn garbage_is_no_symbol() {
        let (_directory, root) = root(b"\n\xff\xfe \x00\n  \nffff d\na b c d\n");
        assert_eq!(symbol(&root, "c d"), Some(10));
        assert_eq!(symbol(&root, "d"), None);
    }
}
