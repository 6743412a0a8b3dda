//! The kernel's own counts of memory cgroups.

use std::io;

use super::{
    Hierarchy, Root, Version,
    controllers::memory_row,
    parse::{Malformed, about, lines, number, small},
};
use crate::event::Counts;

/// What the kernel counts at this moment: on v1 in `/proc/cgroups`, on v2 in the root's `cgroup.stat`. A count that it does
/// not have is `None`.
///
/// # Errors
///
/// The file cannot be read or understood; the error names it.
pub fn counts(root: &Root, hierarchy: &Hierarchy) -> io::Result<Counts> {
    match hierarchy.version {
        Version::V1 => {
            let cgroups = root.read("/proc/cgroups");
            let row = memory_row(&cgroups.map_err(|error| about("/proc/cgroups", error))?)?;
            Ok(Counts {
                num_cgroups: row.map(|row| row.num_cgroups),
                ..Counts::default()
            })
        }
        Version::V2 => {
            let mount = root.path(&hierarchy.mount);
            match small(&mount.join("cgroup.stat")) {
                Ok(stat) => Ok(Counts {
                    dying: value(&stat, b"nr_dying_descendants")?,
                    dying_memory: value(&stat, b"nr_dying_subsys_memory")?,
                    ..Counts::default()
                }),
                // The kernel has had this file since 4.14.
                Err(error) if error.kind() == io::ErrorKind::NotFound && mount.is_dir() => {
                    Ok(Counts::default())
                }
                Err(error) => {
                    let file = hierarchy.mount.join("cgroup.stat");
                    Err(about(file.display(), error))
                }
            }
        }
    }
}

/// The value of a key in a flat-keyed file.
fn value(stat: &[u8], key: &[u8]) -> Result<Option<u64>, Malformed> {
    let found = lines(stat)
        .find_map(|(line, text)| Some((line, text.strip_prefix(key)?.strip_prefix(b" ")?)));
    let Some((line, value)) = found else {
        return Ok(None);
    };
    number(value).map(Some).ok_or(Malformed {
        file: "cgroup.stat".into(),
        line,
        problem: "no number",
    })
}
