//! What kmemtrace's eBPF programs and its collector share: the records in the ring buffer ([`wire`]), what the
//! kernel walk finds ([`walk`], [`lists`], [`files`], [`objcgs`]) and the layout of the running kernel that the collector injects into the programs before
//! they are loaded ([`layout`]).
//!
//! Everything here is integers and byte arrays with no implicit padding, so that a record means the same on both sides
//! whatever the compiler; sizes and offsets are asserted when either side is compiled.

#![cfg_attr(not(feature = "user"), no_std)]

pub mod files;
pub mod layout;
pub mod lists;
pub mod objcgs;
#[cfg(feature = "user")]
mod pod;
pub mod walk;
pub mod wire;
