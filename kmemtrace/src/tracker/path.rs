//! Paths that change or came in part.

use crate::event::Path;

/// A path that came without its root's end, put together from its parent's and its last name.
pub(super) fn whole(path: &Path, parent: &Path) -> Option<Path> {
    // a path cut at the leaf's end begins at the root
    if !path.cut || path.bytes.starts_with(b"/") || parent.cut {
        return None;
    }
    let slash = path.bytes.iter().rposition(|&byte| byte == b'/')?;
    let parent = parent.bytes.strip_suffix(b"/").unwrap_or(&parent.bytes);
    Some(Path::whole([parent, &path.bytes[slash..]].concat()))
}

/// The path of something below a renamed directory; `None` if it is not below it.
pub(super) fn moved(path: &Path, from: &Path, to: &Path) -> Option<Path> {
    let rest = path
        .bytes
        .strip_prefix(&from.bytes[..])
        .filter(|rest| rest.starts_with(b"/"))?;
    (!from.cut).then(|| Path {
        bytes: [&to.bytes[..], rest].concat().into(),
        cut: path.cut || to.cut,
    })
}
