//! kmemtrace finds the memory cgroups that a Linux node leaks, while they leak.
//!
//! `ARCHITECTURE.md` has the map and the invariants.

pub mod attribution;
pub mod catalogue;
mod census;
pub mod cli;
pub mod diagnose;
pub mod error;
pub mod event;
pub mod history;
pub mod host;
mod interrupt;
pub mod judge;
pub mod plan;
mod pods;
mod reclaim;
pub mod report;
mod reproduce;
pub mod runtimes;
#[cfg(feature = "schema")]
mod schema;
pub mod sink;
pub mod source;
pub mod text;
pub mod trace;
pub mod tracker;
