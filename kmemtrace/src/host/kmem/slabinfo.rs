//! `memory.kmem.slabinfo`: the slab caches of one memcg.

use rustix::io::Errno;

use super::{
    Directory, FileProblem, Hierarchy, Malformed, Root, SMALL, Version, gone, lines, named, number,
};

/// What a directory's `memory.kmem.slabinfo` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slabinfo {
    /// Kernel memory is accounted to this memcg, and it has caches.
    Active {
        /// How many caches.
        caches: u64,
        /// Pages of the machine's size in all their slabs.
        pages: u64,
    },
    /// Kernel memory is accounted to it, and it has no cache.
    HeaderOnly,
    /// The file is empty: on 4.x there is no cache, from 5.9 on there is never anything (`mem_cgroup_slab_show`).
    Empty,
    /// Kernel memory is not accounted to it: reading it gives `EIO` on 3.10 (`mem_cgroup_slabinfo_read`).
    Inactive,
    /// There is no such file: the kernel is built without slabinfo or without this accounting.
    Absent,
    /// It cannot be read or understood.
    Unknown,
    /// It was not read: the directory has not been there for a minute.
    Young,
    /// It was not read, as nobody asked.
    Unasked,
}

impl Slabinfo {
    /// The file's name.
    pub const FILE: &str = "memory.kmem.slabinfo";

    /// What a snapshot says instead of [`Slabinfo::Young`].
    pub(in crate::host) const NOT_READ: &str = "not read: the cgroup is younger than a minute";

    /// Whether the kernel fills this file at all.
    pub const fn tells(self) -> bool {
        matches!(
            self,
            Self::Active { .. } | Self::HeaderOnly | Self::Inactive
        )
    }
}

/// Whether somebody has to switch the accounting of kernel memory on, as on 3.10: then the root's own slab caches are refused
/// with `EIO`, before anything of them is looked at (`mem_cgroup_slabinfo_read`).
pub fn is_opt_in(root: &Root, hierarchy: &Hierarchy) -> bool {
    if hierarchy.version == Version::V2 {
        return false;
    }
    let file = hierarchy.mount.join(Slabinfo::FILE);
    let Err(error) = root.read(&file) else {
        return false;
    };
    let mut copied = file.into_os_string();
    copied.push(".error");
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
        || root.read(copied).is_ok_and(|text| is_refusal(&text))
}

/// Whether that is what a copy says of the file.
fn is_refusal(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("Input/output error") || text.contains("I/O error")
}

/// Reads it. In a copy of a machine's files, the error that the machine gave is in a file beside.
pub(super) fn read(directory: &Directory<'_>) -> Result<Slabinfo, FileProblem> {
    // The root's is refused before anything of it is looked at.
    let bytes = if directory.parent_id.is_none() {
        directory.read(Slabinfo::FILE, SMALL).map(Some)
    } else {
        directory.read_if_settled(Slabinfo::FILE, SMALL)
    };
    match bytes {
        Ok(None) => Ok(Slabinfo::Young),
        Ok(Some(bytes)) => parse(&bytes).map_err(|(line, problem)| {
            FileProblem::Malformed(Malformed {
                file: named(directory, Slabinfo::FILE).into(),
                line,
                problem,
            })
        }),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            Ok(Slabinfo::Inactive)
        }
        Err(error) if gone(&error) => {
            let error = directory.read("memory.kmem.slabinfo.error", SMALL);
            let text = error.unwrap_or_default();
            Ok(if is_refusal(&text) {
                Slabinfo::Inactive
            } else if text.starts_with(Slabinfo::NOT_READ.as_bytes()) {
                Slabinfo::Young
            } else {
                Slabinfo::Absent
            })
        }
        Err(error) => Err(FileProblem::Read {
            file: named(directory, Slabinfo::FILE),
            error,
        }),
    }
}

/// `NAME ACTIVE_OBJS NUM_OBJS OBJSIZE OBJPERSLAB PAGESPERSLAB : tunables 0 0 0 : slabdata ACTIVE_SLABS NUM_SLABS 0`
/// (`cache_show`), after two lines of header.
pub(super) fn parse(bytes: &[u8]) -> Result<Slabinfo, (usize, &'static str)> {
    let (mut caches, mut sum, mut header) = (0, 0u64, false);
    for (line, text) in lines(bytes) {
        if !header {
            if !text.starts_with(b"slabinfo - version: 2.") {
                return Err((line, "not a slabinfo"));
            }
            header = true;
        } else if !text.starts_with(b"#") {
            let (pages, slabs) = row(text).ok_or((line, "not a cache's row"))?;
            let pages = pages
                .checked_mul(slabs)
                .and_then(|pages| pages.checked_add(sum));
            sum = pages.ok_or((line, "more than can be"))?;
            caches += 1;
        }
    }
    Ok(match (header, caches) {
        (false, _) => Slabinfo::Empty,
        (true, 0) => Slabinfo::HeaderOnly,
        (true, caches) => Slabinfo::Active { caches, pages: sum },
    })
}

/// Pages a slab, and slabs.
fn row(text: &[u8]) -> Option<(u64, u64)> {
    let words = || {
        text.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
    };
    let before_tunables = words().take_while(|word| *word != b":").last();
    let mut slabdata = words().skip_while(|word| *word != b"slabdata").skip(2);
    let slabs = number(slabdata.next()?)?;
    // A row that was cut off in a number has nothing after it.
    slabdata.next()?;
    Some((number(before_tunables?)?, slabs))
}
