//! Of which kind memory is, as `memory.stat` tells.

use std::ops::AddAssign;

use super::Version;

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Page cache of files, without tmpfs.
    pub file: u64,
    /// tmpfs and shared memory.
    pub shmem: u64,
    /// Anonymous memory.
    pub anon: u64,
    /// tmpfs, shared or anonymous memory: it is on the lists of such pages, and nothing tells more.
    pub swap_backed: u64,
    /// Slab objects (v2 alone tells).
    pub slab: u64,
    /// Buffers of sockets (v2 alone tells).
    pub sock: u64,
    /// Kernel memory of all kinds, slab among them (v1 alone tells).
    pub kernel: u64,
    /// Of a kind that nothing tells.
    pub other: u64,
}

impl Kinds {
    /// What a directory's `memory.stat` says of it and all below it; `None` if it says nothing of the kind.
    pub fn of(stat: &[u8], version: Version) -> Option<Self> {
        let [file, shmem, anon, slab, sock, ..] = Stat::parse(stat, version)?.0;
        Some(Self {
            file,
            shmem,
            anon,
            slab,
            sock,
            ..Self::default()
        })
    }

    /// All kinds together.
    pub fn total(self) -> u64 {
        self.all().into_iter().fold(0, u64::saturating_add)
    }

    /// Page cache, tmpfs, anonymous memory and sockets: all but kernel memory and what is of no known kind.
    pub fn listed(self) -> u64 {
        let listed = [
            self.file,
            self.shmem,
            self.anon,
            self.swap_backed,
            self.sock,
        ];
        listed.into_iter().fold(0, u64::saturating_add)
    }

    const fn all(self) -> [u64; 8] {
        [
            self.file,
            self.shmem,
            self.anon,
            self.swap_backed,
            self.slab,
            self.sock,
            self.kernel,
            self.other,
        ]
    }
}

impl AddAssign for Kinds {
    fn add_assign(&mut self, more: Self) {
        let [file, shmem, anon, swap_backed, slab, sock, kernel, other] = more.all();
        for (sum, more) in [
            (&mut self.file, file),
            (&mut self.shmem, shmem),
            (&mut self.anon, anon),
            (&mut self.swap_backed, swap_backed),
            (&mut self.slab, slab),
            (&mut self.sock, sock),
            (&mut self.kernel, kernel),
            (&mut self.other, other),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// By place: page cache of files, tmpfs, anonymous memory, slab, sockets; pages on the lists for files, and for tmpfs and
/// anonymous memory; kernel memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stat(pub(super) [u64; 8]);

const FILE: usize = 0;
const SHMEM: usize = 1;
const ANON: usize = 2;
const SLAB: usize = 3;
const SOCK: usize = 4;
const FILE_LISTS: usize = 5;
const ANON_LISTS: usize = 6;
const KERNEL: usize = 7;

const V1: [(&str, usize); 7] = [
    ("total_cache", FILE),
    ("total_shmem", SHMEM),
    ("total_rss", ANON),
    ("total_inactive_file", FILE_LISTS),
    ("total_active_file", FILE_LISTS),
    ("total_inactive_anon", ANON_LISTS),
    ("total_active_anon", ANON_LISTS),
];
const V2: [(&str, usize); 9] = [
    ("file", FILE),
    ("shmem", SHMEM),
    ("anon", ANON),
    ("slab", SLAB),
    ("sock", SOCK),
    ("inactive_file", FILE_LISTS),
    ("active_file", FILE_LISTS),
    ("inactive_anon", ANON_LISTS),
    ("active_anon", ANON_LISTS),
];

impl Stat {
    /// `None` if it has none of the keys.
    pub(super) fn parse(text: &[u8], version: Version) -> Option<Self> {
        let keys = match version {
            Version::V1 => &V1[..],
            Version::V2 => &V2,
        };
        let mut stat = Self::default();
        let text = String::from_utf8_lossy(text);
        let mut any = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            if let Some((_, at)) = keys.iter().find(|(one, _)| *one == key) {
                let value: u64 = value.trim().parse().ok()?;
                stat.0[*at] = stat.0[*at].saturating_add(value);
                any = true;
            }
        }
        // File cache and tmpfs overlap in both.
        stat.0[FILE] = stat.0[FILE].saturating_sub(stat.0[SHMEM]);
        any.then_some(stat)
    }

    pub(super) fn total(self) -> u64 {
        let kinds = [FILE, SHMEM, ANON, SLAB, SOCK];
        kinds
            .iter()
            .fold(0, |sum: u64, at| sum.saturating_add(self.0[*at]))
    }

    pub(super) const fn set_kernel(&mut self, bytes: u64) {
        self.0[KERNEL] = bytes;
    }

    pub(super) fn subtract(&mut self, child: Self) {
        for (own, child) in self.0.iter_mut().zip(child.0) {
            *own = own.saturating_sub(child);
        }
    }

    /// Of which kinds `total` is; less than `noise` of a kind is not believed.
    pub(super) fn kinds(self, total: u64, noise: u64) -> Kinds {
        let mut left = total;
        let mut take = |bytes: u64| {
            let taken = if bytes > noise { bytes.min(left) } else { 0 };
            left -= taken;
            taken
        };
        let [
            file,
            shmem,
            anon,
            slab,
            sock,
            file_lists,
            anon_lists,
            kernel,
        ] = self.0;
        // The counters first: they are exact.
        let kernel = take(kernel);
        // The lists' lengths are exact up to 4.19 (`lru_zone_size`), where the statistics are not.
        let file = take(file.max(file_lists));
        let swap_backed = anon_lists.saturating_sub(shmem.saturating_add(anon));
        Kinds {
            kernel,
            file,
            shmem: take(shmem),
            anon: take(anon),
            swap_backed: take(swap_backed),
            slab: take(slab),
            sock: take(sock),
            other: left,
        }
    }
}
