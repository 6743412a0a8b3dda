//! Where events come from. A source reports facts and judges nothing.

pub mod bpf;
mod clock;
mod kmsg;
mod outcome;
pub mod tracefs;
mod upkeep;
