//! Pages added up by file: pure.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use kmemtrace_common::files::{File, Page, known};

use crate::event::Path;

/// Of `folio.mapping`: not a file's mapping but anonymous memory (`PAGE_MAPPING_ANON`), or what can be moved without being
/// either.
const ANON: u64 = 1;
const KIND: u64 = 3;

/// The bits of a minor number in the kernel's `dev_t`.
const MINOR_BITS: u32 = 20;

/// A device's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The driver's.
    pub major: u32,
    /// The device's.
    pub minor: u32,
}

/// What names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// Its inode number.
    pub inode: u64,
    /// The device of its file system.
    pub device: Device,
    /// The file system's name: of its block device, or its type's.
    pub fs: Bytes,
    /// The path from the file system's root; one of no directory, as a memfd's, has no `/` at its start. `None` if the kernel
    /// has its name no more.
    pub path: Option<Path>,
    /// It was deleted.
    pub deleted: bool,
    /// It is what is written on this block device, seen without a file system or by the file system itself.
    pub block_device: Option<Device>,
}

/// A file, and how much of it is charged to the memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Its inode, device and path, as the kernel has them.
    pub name: FileName,
    /// How much, in bytes.
    pub bytes: u64,
}

/// What a memcg's pages are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Files with pages in the page cache, those of tmpfs included: most first.
    pub files: Vec<HeldFile>,
    /// Bytes of anonymous memory.
    pub anon_bytes: u64,
    /// Bytes of pages that were of no file any more when it was asked for, or whose inode could not be read.
    pub other_bytes: u64,
    /// All bytes that were looked at.
    pub seen_bytes: u64,
    /// The lists were walked to their ends.
    pub complete: bool,
    /// The CPU time that took.
    pub took: Duration,
}

/// The pages so far.
pub(super) struct PageSums {
    page_bytes: u64,
    /// So many folios are more than there can be.
    most: u64,
    told: u64,
    folios: HashSet<u64>,
    mappings: HashMap<u64, Mapping>,
    anon: u64,
    other: u64,
}

/// One file's pages.
#[derive(Default)]
struct Mapping {
    pages: u64,
    name: Option<FileName>,
}

impl PageSums {
    /// Nothing yet, of a memcg on whose lists the kernel counts so many bytes.
    pub(super) fn new(page_bytes: u64, counted_bytes: u64) -> Self {
        Self {
            page_bytes,
            // Lists that are begun again tell the same folios again.
            most: 10 * (counted_bytes / page_bytes) + 100_000,
            told: 0,
            folios: HashSet::new(),
            mappings: HashMap::new(),
            anon: 0,
            other: 0,
        }
    }

    /// Adds a folio, if it is new; whether its file is to be asked for.
    pub(super) fn add(&mut self, page: &Page) -> bool {
        self.told += 1;
        if !self.folios.insert(page.folio) {
            return false;
        }
        if page.mapping & KIND == ANON {
            self.anon += page.count;
            return false;
        }
        if page.mapping == 0 || page.mapping & KIND != 0 {
            self.other += page.count;
            return false;
        }
        let mapping = self.mappings.entry(page.mapping).or_default();
        mapping.pages += page.count;
        mapping.name.is_none()
    }

    /// Takes what is known of a file that was asked for.
    pub(super) fn named(&mut self, file: &File) {
        if let Some(mapping) = self.mappings.get_mut(&file.mapping) {
            mapping.name = name(file);
        }
    }

    /// Bytes of all folios so far.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.mappings.values().map(|mapping| mapping.pages);
        (files.sum::<u64>() + self.anon + self.other).saturating_mul(self.page_bytes)
    }

    /// Whether far more folios were told than there can be.
    pub(super) fn goes_in_circles(&self) -> bool {
        self.told > self.most
    }

    /// All of it, added up.
    pub(super) fn holdings(self, complete: bool, took: Duration) -> Holdings {
        let seen_bytes = self.bytes();
        let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
        let mut other = self.other;
        let mut files = Vec::new();
        for mapping in self.mappings.into_values() {
            match mapping.name {
                Some(name) => files.push(HeldFile {
                    name,
                    bytes: bytes(mapping.pages),
                }),
                None => other += mapping.pages,
            }
        }
        files.sort_by_key(|file| (Reverse(file.bytes), file.name.inode));
        Holdings {
            files,
            anon_bytes: bytes(self.anon),
            other_bytes: bytes(other),
            seen_bytes,
            complete,
            took,
        }
    }
}

/// What the program told of a file; `None` if the page was no longer of it.
fn name(file: &File) -> Option<FileName> {
    let has = |bit| file.known & bit != 0;
    if !has(known::INODE) {
        return None;
    }
    let text = file.text.get(..file.text_len as usize).unwrap_or_default();
    let fs = file.fs.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(FileName {
        inode: file.inode,
        device: device(file.device),
        fs: Bytes::copy_from_slice(fs),
        path: has(known::NAME)
            .then(|| path(text, has(known::CUT)))
            .flatten(),
        deleted: file.links == 0,
        block_device: Some(device(file.block_device)).filter(|_| file.block_device != 0),
    })
}

const fn device(number: u32) -> Device {
    Device {
        major: number >> MINOR_BITS,
        minor: number & ((1 << MINOR_BITS) - 1),
    }
}

/// The path of names, each ended by a NUL, the leaf's first. The last is the root's, `/` unless the file is in no directory.
fn path(names: &[u8], cut: bool) -> Option<Path> {
    let names = names.strip_suffix(b"\0")?;
    let mut bytes = Vec::with_capacity(names.len() + 3);
    if cut {
        bytes.extend_from_slice(b"...");
    }
    for (at, name) in names.rsplit(|&byte| byte == 0).enumerate() {
        if at > 0 || cut {
            bytes.push(b'/');
        } else if name == b"/" {
            continue;
        }
        bytes.extend_from_slice(name);
    }
    let bytes = bytes.into();
    // The name of an inode that was reached without one, as by a file handle, is a root's.
    Some(Path { bytes, cut }).filter(|path: &Path| !path.bytes.is_empty())
}

#[cfg(test)]
mod tests;
