//! Below which directory most live memory cgroups are, and how many of those are empty: asked where live ones use up the ids.

use std::{
    collections::HashMap,
    io::Read,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{Hierarchy, Root};
use crate::{host, judge};

/// In so many directories it is looked for tasks.
const LOOKED_AT: usize = 70_000;

/// The directory with the most children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// From the hierarchy's root.
    pub path: Vec<u8>,
    /// The whole path on the machine.
    pub place: String,
    /// How many directories it has, not counting those below them.
    pub children: u64,
    /// Of those, without directories of their own.
    pub leaves: u64,
    /// Of those, without tasks; `None` if that cannot be told of any.
    pub empty: Option<u64>,
    /// The age of the oldest and of the youngest of the leaves; `None` of a copy, which does not tell.
    pub age: Option<(Duration, Duration)>,
}

/// Looks, if live memory cgroups use up the ids: one byte of `cgroup.procs` of each of the largest
/// directory's children.
pub fn read(root: &Root, at: &Hierarchy, live: u64) -> Option<Crowd> {
    if !judge::is_crowded(live) {
        return None;
    }
    let mut children: HashMap<Vec<u8>, u64> = HashMap::new();
    host::walk(root, at, &mut |directory| {
        if let Some(parent) = parent(directory.path) {
            *children.entry(parent.to_vec()).or_default() += 1;
        }
    })
    .ok()?;
    let (path, count) = children
        .iter()
        .max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)))?;
    let mut found = Crowd {
        path: path.clone(),
        place: place(at, path),
        children: *count,
        leaves: 0,
        empty: None,
        age: None,
    };
    let mut looked_at = 0;
    host::walk(root, at, &mut |directory| {
        let is_leaf = !children.contains_key(directory.path);
        if looked_at == LOOKED_AT || !is_leaf || parent(directory.path) != Some(path) {
            return;
        }
        looked_at += 1;
        found.leaves += 1;
        if let Some(age) = age(root, &place(at, directory.path)) {
            let (oldest, youngest) = found.age.unwrap_or((age, age));
            found.age = Some((oldest.max(age), youngest.min(age)));
        }
        let mut first = [0];
        let tasks = directory
            .open("cgroup.procs")
            .and_then(|mut file| file.read(&mut first));
        if let Ok(read) = tasks {
            *found.empty.get_or_insert(0) += u64::from(read == 0);
        }
    })
    .ok()?;
    Some(found)
}

fn place(at: &Hierarchy, path: &[u8]) -> String {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    format!("{}{}", at.mount.display(), String::from_utf8_lossy(path))
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    match slash {
        _ if path == b"/" => None,
        0 => Some(b"/"),
        slash => Some(&path[..slash]),
    }
}

/// A directory's time changes when one is made or removed in it: of a leaf it is when it was made.
fn age(root: &Root, place: &str) -> Option<Duration> {
    let made = root
        .is_live()
        .then(|| root.path(Path::new(place)).metadata().ok()?.modified().ok())??;
    SystemTime::now().duration_since(made).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_s_parent() {
        for (path, right) in [
            ("/", None),
            ("/a", Some("/")),
            ("/a/b", Some("/a")),
            ("", None),
        ] {
            assert_eq!(parent(path.as_bytes()), right.map(str::as_bytes), "{path}");
        }
    }
}
