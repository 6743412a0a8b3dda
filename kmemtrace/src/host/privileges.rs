//! What this process may do.

use super::parse::{Malformed, lines, number};

/// What this process may do, from `/proc/self/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The effective user id; `u32::MAX`, which no user has, if it cannot be read.
    pub euid: u32,
    /// The effective capabilities (`CapEff`), a bit each.
    pub capabilities: u64,
}

/// A capability (`capabilities(7)`) that something here depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To read what the files' permissions keep to others.
    DacReadSearch = 2,
    /// Everything before 5.8.
    SysAdmin = 21,
    /// To lock memory past the limit: maps count against it before 5.11.
    SysResource = 24,
    /// To trace, since 5.8.
    Perfmon = 38,
    /// To load eBPF programs, since 5.8.
    Bpf = 39,
}

impl Capability {
    /// The kernel's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

impl Privileges {
    /// Whether the process has a capability.
    pub const fn has(self, capability: Capability) -> bool {
        self.capabilities & (1 << capability as u32) != 0
    }
}

impl Default for Privileges {
    /// What is not known counts as not permitted.
    fn default() -> Self {
        Self {
            euid: u32::MAX,
            capabilities: 0,
        }
    }
}

/// Parses `/proc/PID/status`.
pub(super) fn parse(status: &[u8]) -> Result<Privileges, Malformed> {
    let mut privileges = Privileges::default();
    for (line, text) in lines(status) {
        let wrong = |problem| Malformed {
            file: "/proc/self/status".into(),
            line,
            problem,
        };
        if let Some(ids) = text.strip_prefix(b"Uid:") {
            // real, effective, saved, file system
            let mut ids = ids
                .split(u8::is_ascii_whitespace)
                .filter(|id| !id.is_empty());
            let effective = ids.nth(1).and_then(number);
            privileges.euid = effective.ok_or(wrong("no effective user id"))?;
        } else if let Some(mask) = text.strip_prefix(b"CapEff:") {
            let mask = std::str::from_utf8(mask).ok();
            privileges.capabilities = mask
                .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
                .ok_or(wrong("no mask of capabilities"))?;
        }
    }
    Ok(privileges)
}
