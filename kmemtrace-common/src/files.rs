//! What one run of the walk of a memcg's pages finds ([`Page`]), and what there is to know of a file ([`File`]).

use crate::wire::{NAME_BYTES, TEXT_MAX};

/// The most steps that one run does, and so the most folios that it finds. A power of two.
pub const STEPS: usize = 128;

/// Bytes of the name that a super block goes by (`super_block.s_id`).
pub const FS_BYTES: usize = 32;

/// Bits of [`File::known`].
pub mod known {
    /// The page is still of that mapping, and its inode could be read.
    pub const INODE: u32 = 1 << 0;
    /// The inode has a name: `text` has it, and those of the directories above.
    pub const NAME: u32 = 1 << 1;
    /// The text does not reach the file system's root.
    pub const CUT: u32 = 1 << 2;
}

/// A folio on a list.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub folio: u64,
    /// `folio.mapping`, the lowest two bits of which say whether that is one.
    pub mapping: u64,
    /// How many pages it has.
    pub count: u64,
}

/// What a run found: the first [`crate::lists::ListCursor::found`] of these.
pub type Pages = [Page; STEPS];

/// A file that has a page in the page cache: the collector asks for it by the first three fields, the rest is the answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// The memcg that holds the page.
    pub css: u64,
    /// The page's folio.
    pub folio: u64,
    /// Its mapping.
    pub mapping: u64,
    /// `inode.i_ino`
    pub inode: u64,
    /// `super_block.s_dev`, as the kernel writes it: the major number above 20 bits of minor.
    pub device: u32,
    /// `inode.i_rdev`, of the inode of a block device.
    pub block_device: u32,
    /// `inode.i_nlink`: 0 if it was deleted.
    pub links: u32,
    /// Bits of [`known`].
    pub known: u32,
    /// Bytes of `text`.
    pub text_len: u32,
    /// Nothing.
    pub reserved: u32,
    /// `super_block.s_id`
    pub fs: [u8; FS_BYTES],
    /// The name, then those of the directories above it, each ended by a NUL.
    pub text: [u8; TEXT_MAX + NAME_BYTES],
}

impl File {
    /// Asks for the file of a mapping, by a page of it.
    pub const fn asked(css: u64, folio: u64, mapping: u64) -> Self {
        Self {
            css,
            folio,
            mapping,
            inode: 0,
            device: 0,
            block_device: 0,
            links: 0,
            known: 0,
            text_len: 0,
            reserved: 0,
            fs: [0; FS_BYTES],
            text: [0; TEXT_MAX + NAME_BYTES],
        }
    }
}

const _: () = {
    assert!(size_of::<Page>() == 3 * 8, "padding");
    assert!(
        size_of::<File>() == 4 * 8 + 6 * 4 + FS_BYTES + TEXT_MAX + NAME_BYTES,
        "padding"
    );
    assert!(STEPS.is_power_of_two());
};
