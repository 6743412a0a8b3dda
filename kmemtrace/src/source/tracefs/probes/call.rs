//! A task in `cgroup_mkdir`, and the path that it is making, by the names that the probes read there.

use bytes::Bytes;

use crate::event::{Path, Task};

/// The new directory's name, and those of six directories above it.
const LEVELS: usize = 7;

/// A task in `cgroup_mkdir`.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) since_ns: u64,
    pub(super) task: Option<Task>,
    pub(super) arg: Option<u64>,
    pub(super) memcg: Option<Result<u64, i32>>,
    names: [CallName; LEVELS],
}

/// A name, from the new directory's on upwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum CallName {
    /// Its probe's line has not come.
    #[default]
    Untold,
    /// There is none: above the root, or it could not be read.
    None,
    Some(Bytes),
}

/// How many levels above the new directory the name is that this event tells.
pub(super) fn level(event: &[u8]) -> Option<usize> {
    if event == b"mkdir" {
        return Some(0);
    }
    match event.strip_prefix(b"up")? {
        [digit @ b'1'..=b'6'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

impl Call {
    pub(super) fn new(since_ns: u64, task: Option<Task>) -> Self {
        Self {
            since_ns,
            task,
            arg: None,
            memcg: None,
            names: Default::default(),
        }
    }

    /// Whether the task is still at the function's entry, as far as this level goes.
    pub(super) fn is_entering(&self, level: usize) -> bool {
        self.arg.is_none()
            && self.memcg.is_none()
            && self.names.get(level) == Some(&CallName::Untold)
    }

    pub(super) fn enter(&mut self, level: usize, name: Option<Bytes>) {
        if let Some(known) = self.names.get_mut(level) {
            *known = name.map_or(CallName::None, CallName::Some);
        }
    }

    /// The new directory's own name.
    pub(super) fn name(&self) -> Option<&[u8]> {
        match &self.names[0] {
            CallName::Some(name) => Some(name),
            _ => None,
        }
    }

    /// Its path: whole if the names reach up to the root, else cut where they end.
    pub(super) fn path(&self) -> Option<Path> {
        let mut parts = vec![self.name()?];
        let mut cut = true;
        for name in &self.names[1..] {
            match name {
                // The root's: of a kernfs node, of a dentry.
                CallName::Some(name) if matches!(&name[..], b"" | b"/") => {
                    cut = false;
                    break;
                }
                CallName::Some(name) if !name.contains(&b'/') => parts.push(name),
                _ => break,
            }
        }
        let mut bytes = if cut { b"...".to_vec() } else { Vec::new() };
        for part in parts.into_iter().rev() {
            bytes.push(b'/');
            bytes.extend_from_slice(part);
        }
        Some(Path {
            bytes: bytes.into(),
            cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[Option<&'static str>]) -> Option<(String, bool)> {
        let mut call = Call::new(0, None);
        for (level, name) in names.iter().enumerate() {
            assert!(call.is_entering(level));
            call.enter(level, name.map(Bytes::from));
            assert!(!call.is_entering(level));
        }
        let path = call.path()?;
        Some((String::from_utf8_lossy(&path.bytes).into_owned(), path.cut))
    }

    #[test]
    fn a_path_is_whole_where_the_names_reach_the_root() {
        let whole = |path: &str| Some((path.to_owned(), false));
        let cut = |path: &str| Some((path.to_owned(), true));
        let dentries = [
            Some("c1"),
            Some("pod"),
            Some("kubepods"),
            Some("/"),
            Some("/"),
        ];
        assert_eq!(path(&dentries), whole("/kubepods/pod/c1"));
        let nodes = [Some("c1"), Some("pod"), Some(""), None, None, None, None];
        assert_eq!(path(&nodes), whole("/pod/c1"));
        assert_eq!(path(&[Some("x"), Some("/")]), whole("/x"));
        assert_eq!(path(&[Some("x")]), cut(".../x"));
        assert_eq!(
            path(&[Some("x"), Some("y"), None, Some("/")]),
            cut(".../y/x")
        );
        assert_eq!(path(&[Some("x"), Some("a/b"), Some("/")]), cut(".../x"));
        assert_eq!(path(&[Some("7"); 7]), cut(".../7/7/7/7/7/7/7"));
        assert_eq!(path(&[None, Some("y"), Some("/")]), None);
    }

    #[test]
    fn events_have_levels() {
        assert_eq!(level(b"mkdir"), Some(0));
        assert_eq!(level(b"up1"), Some(1));
        assert_eq!(level(b"up6"), Some(6));
        for other in [&b"up"[..], b"up0", b"up7", b"up11", b"mkdir_return"] {
            assert_eq!(level(other), None);
        }
    }
}
