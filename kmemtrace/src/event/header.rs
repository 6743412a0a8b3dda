//! The first line of every trace: what it was taken on, and with what.

use serde::{Deserialize, Serialize};

/// The version of the JSON lines' schema that this program writes.
pub const SCHEMA: u32 = 1;

/// What a trace says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Header {
    /// The schema's version: [`SCHEMA`].
    pub schema: u32,
    /// kmemtrace's version.
    pub version: String,
    /// The source: `bpf`, `tracefs` or `sysfs`.
    pub source: String,
    /// Better sources, and why each is not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// The node's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The kernel's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The size of its pages, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<u64>,
    /// The words of the kernel's command line that matter to memory cgroups; empty if it has none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<Vec<String>>,
    /// Which file of its run this is, if the run has several: absent from the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// On a later file: when its run began, in nanoseconds of `CLOCK_MONOTONIC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_mono_ns: Option<u64>,
    /// `/proc/sys/kernel/random/boot_id`: `CLOCK_MONOTONIC` values of two boots are not comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// `v1` or `v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<String>,
    /// The grace time in nanoseconds: verdicts in this trace were reached with it.
    pub grace_ns: u64,
    /// The hooks, and how each is seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookReport>,
}

impl Header {
    /// Whether the facts come from polls, which see no memcg freed and not every one made.
    pub fn is_polled(&self) -> bool {
        self.source == "sysfs"
    }
}

/// How one hook is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HookReport {
    /// The hook, as the plan's table names it.
    pub hook: String,
    /// The way in force; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Better ways, and why each is not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// What cannot be seen on this way that a better one would show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// A way that is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// The way.
    pub way: String,
    /// Why not.
    pub reason: String,
}
