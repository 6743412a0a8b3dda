//! The marker that lets the eBPF loader copy these types as bytes.

#![expect(unsafe_code, reason = "aya's Pod is an unsafe marker trait")]

use crate::{
    layout::Layout,
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
