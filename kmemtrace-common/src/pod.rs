//! The marker that lets the eBPF loader copy these types as bytes.

#![expect(unsafe_code, reason = "aya's Pod is an unsafe marker trait")]

use crate::{
    files::{File, Page},
    layout::Layout,
    lists::ListCursor,
    objcgs::Objcg,
    walk::{Cursor, Node},
    wire::Head,
};

// SAFETY: integers and byte arrays in #[repr(C)], no padding (asserted in `layout`), every bit pattern is a value.
unsafe impl aya::Pod for Layout {}

// SAFETY: as above, asserted in `wire`.
unsafe impl aya::Pod for Head {}

// SAFETY: as above, asserted in `walk`.
unsafe impl aya::Pod for Cursor {}

// SAFETY: as above, asserted in `walk`.
unsafe impl aya::Pod for Node {}

// SAFETY: as above, asserted in `files`.
unsafe impl aya::Pod for Page {}

// SAFETY: as above, asserted in `files`.
unsafe impl aya::Pod for File {}

// SAFETY: as above, asserted in `lists`.
unsafe impl aya::Pod for ListCursor {}

// SAFETY: as above, asserted in `objcgs`.
unsafe impl aya::Pod for Objcg {}
