//! The inode numbers that a machine's cgroup directories had, as a copy of its files tells them.

use std::{collections::HashMap, path::Path};

use super::{
    open::{self, bounded},
    parse::number,
};

/// The file's name, at the root of a copy.
pub(super) const INODES: &str = "cgroup-dirs-inodes.txt";

/// Many times what a machine with all memcg ids in use needs, in bytes.
const MOST: u64 = 32 << 20;

/// Inode numbers by the path within the memory hierarchy.
#[derive(Debug)]
pub(super) struct Inodes(HashMap<Vec<u8>, u64>);

impl Inodes {
    /// Reads `INODE PATH` lines; `None` if there is no such file. A line that is not understood is passed over.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let file = open::file(&directory.join(INODES)).ok()?;
        Some(Self::parse(&bounded(file, MOST).ok()?))
    }

    pub(super) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|&byte| byte == b'\n');
        let pairs = lines.filter_map(|line| {
            let space = line.iter().position(|&byte| byte == b' ')?;
            let path = match line[space + 1..].strip_prefix(b".")? {
                b"" => b"/",
                path => path,
            };
            let absolute = path.starts_with(b"/");
            Some((path.to_vec(), number(&line[..space])?)).filter(|_| absolute)
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<u64> {
        self.0.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_the_hierarchys() {
        let ids = Inodes::parse(
            b"144 .\n212 ./kubepods\nx ./a\n7 b\n\n9 ./with space\n18446744073709551616 ./c",
        );
        for (path, id) in [
            (&b"/"[..], Some(144)),
            (b"/kubepods", Some(212)),
            (b"/with space", Some(9)),
            (b"/a", None),
            (b"b", None),
            (b"/c", None),
        ] {
            assert_eq!(ids.get(path), id, "{}", path.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>, text in "([0-9]{0,22} ?\\.?/?[a\\n]?){0,9}") {
            Inodes::parse(&bytes);
            Inodes::parse(text.as_bytes());
        }
    }
}
