//! Files by patterns.

use std::fs;

use super::Root;

/// The files that match a pattern, in the order of their names, at most so many. `*` stands for any part of a name that does not
/// begin with a dot.
pub(super) fn matches(root: &Root, pattern: &str, most: usize) -> Vec<String> {
    let mut found = vec![String::new()];
    for part in pattern.split('/').skip(1) {
        let below = |directory: &String| -> Vec<String> {
            if !part.contains('*') {
                return vec![format!("{directory}/{part}")];
            }
            let entries = fs::read_dir(root.path(directory)).into_iter().flatten();
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let fits = |name: &String| {
                // The names stand before a colon in a snapshot, one a line.
                !name.starts_with('.') && !name.contains([':', '\n']) && wildcard(part, name)
            };
            names
                .filter(fits)
                .map(|name| format!("{directory}/{name}"))
                .collect()
        };
        found = found.iter().flat_map(below).collect();
    }
    found.retain(|path| root.path(path).is_file());
    found.sort_unstable();
    found.truncate(most);
    found
}

/// Whether a name is as a pattern says.
pub(super) fn wildcard(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    name.strip_prefix(first).is_some_and(|name| {
        let starts = (0..=name.len()).filter(|&at| name.is_char_boundary(at));
        starts.into_iter().any(|at| wildcard(rest, &name[at..]))
    })
}
