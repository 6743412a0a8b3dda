//! The only place that reads kernel memory. Pointers that the verifier knows the type of are read by plain loads
//! ([`Typed`]), all others through `bpf_probe_read_kernel` ([`Probed`]). Neither faults on a bad pointer.

#![expect(unsafe_code, reason = "the kernel's helpers are unsafe functions")]

use core::hint::black_box;

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_buf, generated};
use kmemtrace_common::{
    layout::{ABSENT, Layout},
    wire::{NAME_BYTES, TEXT_MAX},
};

/// Filled in by the collector before loading; the verifier knows its values as constants.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;

/// One field of the injected layout.
macro_rules! layout {
    ($field:ident) => {
        $crate::read::volatile(core::mem::offset_of!(
            kmemtrace_common::layout::Layout,
            $field
        ))
    };
}
pub(crate) use layout;

/// Reads a field of a map's only value behind a pointer, or writes one, each time anew.
macro_rules! shared {
    ($value:expr, $field:ident) => {
        // SAFETY: the map's only value; whoever else wrote to it would be another run of this program.
        unsafe { (&raw const (*$value).$field).read_volatile() }
    };
    ($value:expr, $field:ident = $new:expr) => {{
        let new = $new;
        // SAFETY: as above.
        unsafe { (&raw mut (*$value).$field).write_volatile(new) }
    }};
}
pub(crate) use shared;

/// Reads the field of [`LAYOUT`] at `offset`, so that the compiler cannot fold in the value it has at build time.
#[inline(always)]
pub(crate) fn volatile(offset: usize) -> u32 {
    // SAFETY: `layout!` gives the offset of one of the fields, all of them u32.
    unsafe {
        (&raw const LAYOUT)
            .cast::<u8>()
            .add(offset)
            .cast::<u32>()
            .read_volatile()
    }
}

/// A way of reading a field behind a kernel pointer.
pub(crate) trait Access {
    /// Reads a `T` at `base + offset`; `None` if the field is absent or the pointer is NULL or bad.
    fn field<T: Copy>(base: u64, offset: u32) -> Option<T>;

    /// A pointer field that is not NULL.
    #[inline(always)]
    fn pointer(base: u64, offset: u32) -> Option<u64> {
        Self::field::<u64>(base, offset).filter(|&p| p != 0)
    }
}

/// By a helper, whatever the pointer.
pub(crate) struct Probed;

/// By a plain load, which saves the call: for pointers whose type the verifier knows, and pointers read through them. The
/// kernel turns a load that faults into zero.
#[cfg(not(feature = "perf"))]
pub(crate) struct Typed;

impl Access for Probed {
    #[inline(always)]
    fn field<T: Copy>(base: u64, offset: u32) -> Option<T> {
        if offset == ABSENT || base == 0 {
            return None;
        }
        // SAFETY: the helper checks the address; T is an integer in every call.
        unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
    }
}

#[cfg(not(feature = "perf"))]
impl Access for Typed {
    #[inline(always)]
    fn field<T: Copy>(base: u64, offset: u32) -> Option<T> {
        if offset == ABSENT || base == 0 {
            return None;
        }
        // SAFETY: the verifier checks that a field of this width is there, and refuses the program if not.
        Some(unsafe { ((base + u64::from(offset)) as *const T).read_volatile() })
    }
}

/// The number of a directory: its `struct kernfs_node *`'s id, which is its inode's number.
#[inline(always)]
pub(crate) fn directory_id<A: Access>(kn: u64) -> Option<u64> {
    if layout!(kn_ino) != ABSENT {
        return A::field::<u32>(kn, layout!(kn_ino)).map(u64::from);
    }
    A::field(kn, layout!(kn_id))
}

/// Room for a record's text, and for one more name than fits, so that a copy of up to [`NAME_BYTES`] never needs its
/// length checked first.
pub(crate) const TEXT_ROOM: usize = TEXT_MAX + NAME_BYTES;

/// Text read from the kernel: how many bytes, and whether it was longer.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) len: u32,
    pub(crate) cut: bool,
}

/// Copies the NUL-terminated string at `src`, without its NUL.
#[inline(always)]
pub(crate) fn string(src: u64, text: &mut [u8; TEXT_ROOM], user: bool) -> Option<Text> {
    let dst = text.as_mut_ptr().cast();
    // SAFETY: the helpers write at most TEXT_MAX bytes into `text` and check the source themselves.
    let n = unsafe {
        if user {
            generated::bpf_probe_read_user_str(dst, TEXT_MAX as u32, src as *const _)
        } else {
            generated::bpf_probe_read_kernel_str(dst, TEXT_MAX as u32, src as *const _)
        }
    };
    if n < 1 || n > TEXT_MAX as i64 {
        return None;
    }
    Some(Text {
        len: n as u32 - 1,
        cut: n == TEXT_MAX as i64,
    })
}

/// Copies `len` bytes at `src`, at most [`TEXT_MAX`].
#[inline(always)]
pub(crate) fn bytes(src: u64, len: u64, text: &mut [u8; TEXT_ROOM]) -> Option<Text> {
    let cut = len > TEXT_MAX as u64;
    let len = if cut { TEXT_MAX as u64 } else { len };
    // SAFETY: at most TEXT_MAX bytes into a larger buffer; the helper checks the source.
    let n = unsafe {
        generated::bpf_probe_read_kernel(text.as_mut_ptr().cast(), len as u32, src as *const _)
    };
    (n == 0).then_some(Text {
        len: len as u32,
        cut,
    })
}

/// The deepest path that is rebuilt; of a deeper one, the collector has the parents. The verifier follows every
/// round of the loop, for each program that has it.
const DEPTH: usize = 64;

/// Appends the names from the directory `kn` up to the root, each with its NUL, to the `len` bytes already in `text`
/// (`kernfs_path_from_node_locked` without its lock: a rename in the middle can mix an old and a new name).
#[inline(always)]
pub(crate) fn components(mut kn: u64, text: &mut [u8; TEXT_ROOM], len: u32) -> Option<Text> {
    let mut len = u64::from(len);
    for _ in 0..DEPTH {
        let parent: u64 = Probed::field(kn, layout!(kn_parent))?;
        if parent == 0 {
            return Some(Text {
                len: len as u32,
                cut: false,
            });
        }
        let name = Probed::pointer(kn, layout!(kn_name))?;
        if len > (TEXT_MAX - NAME_BYTES) as u64 {
            break;
        }
        len += append(name, text, len)?;
        kn = parent;
    }
    Some(Text {
        len: len as u32,
        cut: true,
    })
}

/// Appends a name with its NUL to the `len` bytes already in `text`, of which there must be room for: how many bytes it has.
#[inline(always)]
fn append(src: u64, text: &mut [u8; TEXT_ROOM], len: u64) -> Option<u64> {
    // SAFETY: `len` plus NAME_BYTES is within `text`; the helper checks the source.
    let n = unsafe {
        generated::bpf_probe_read_kernel_str(
            text.as_mut_ptr().add(len as usize).cast(),
            NAME_BYTES as u32,
            src as *const _,
        )
    };
    (1..=NAME_BYTES as i64).contains(&n).then_some(n as u64)
}

/// The deepest path of a file that is rebuilt: nothing else has the part that is cut off.
const FOLDERS: usize = 256;

/// Writes the names from a dentry up to its file system's root, whose own is among them, each with its NUL (`dentry_path`
/// without its locks: a rename in the middle can mix old and new names).
#[inline(always)]
pub(crate) fn names(mut dentry: u64, text: &mut [u8; TEXT_ROOM]) -> Option<Text> {
    let mut len = 0;
    for _ in 0..FOLDERS {
        let name = Probed::pointer(dentry, layout!(dentry_name))?;
        let parent = Probed::pointer(dentry, layout!(dentry_parent))?;
        // The compiler must not know how it came to be: up to 6.1 the verifier sees no other bounds than the next line's.
        len = black_box(len);
        if len > (TEXT_MAX - NAME_BYTES) as u64 {
            break;
        }
        len += append(name, text, len)?;
        if parent == dentry {
            return Some(Text {
                len: len as u32,
                cut: false,
            });
        }
        dentry = parent;
    }
    Some(Text {
        len: len as u32,
        cut: true,
    })
}

/// Copies one directory's name with its NUL: the first of a path's [`components`].
#[inline(always)]
pub(crate) fn name(src: u64, text: &mut [u8; TEXT_ROOM]) -> Option<u32> {
    // SAFETY: NAME_BYTES fit; the helper checks the source.
    let n = unsafe {
        generated::bpf_probe_read_kernel_str(
            text.as_mut_ptr().cast(),
            NAME_BYTES as u32,
            src as *const _,
        )
    };
    (1..=NAME_BYTES as i64).contains(&n).then_some(n as u32)
}

/// Fills `start` with the bytes at `src`.
#[inline(always)]
pub(crate) fn prefix(src: u64, start: &mut [u8]) -> Option<()> {
    // SAFETY: the helper checks the source.
    unsafe { bpf_probe_read_kernel_buf(src as *const u8, start) }.ok()
}

/// Copies a map's value out of the map.
#[inline(always)]
pub(crate) fn copied<T: Copy>(value: *const T) -> T {
    // SAFETY: a pointer that a map lookup returned stays readable while the program runs; a value torn by a concurrent
    // update would be another thread's, and threads use keys of their own.
    unsafe { *value }
}
