//! `kmemtrace doctor`: what kmemtrace can see on this host, hook by hook, and why not more.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Color, Format, Outcome,
    output::{self, Palette},
    source::HookArgs,
};
use crate::{
    event::header::{HookReport, Refusal},
    host::{self, Capability, HostFacts, KERNEL_TYPES},
    interrupt::{Signals, runtime},
    judge::Answer,
    source::{self, SourceKind, bpf, tracefs},
    text::{escape::Name, units::Bytes},
};

/// Arguments of `kmemtrace doctor`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    hooks: HookArgs,
}

/// Attaches everything for a moment and says how it went: 0 if memory cgroups can be watched, else 2.
pub(super) fn run(args: &Args, color: Color) -> Outcome {
    let facts = host::facts(&args.hooks.machine());
    let config = args.hooks.config();
    let kinds = args.hooks.kinds(true);
    let left = tracefs::clean(&facts);
    // Of no interest to those who ask for another source.
    let without_bpf = || {
        if kinds.contains(&SourceKind::Bpf) {
            bpf::hooks_without_source(&facts, &config.bpf)
        } else {
            Vec::new()
        }
    };
    let started = runtime()?.block_on(async {
        // What is attached is to be detached again.
        let _signals = Signals::listen()?;
        source::start(kinds, &facts, &config)
    });
    let host = Host::new(&facts, left);
    let report = match started {
        Ok(started) => Checkup {
            host,
            source: Some(started.source.kind().as_str()),
            unused: args.hooks.unused(&started.source),
            hooks: started.source.hooks(),
            unattached: match started.source.kind() {
                SourceKind::Bpf => Vec::new(),
                SourceKind::Tracefs | SourceKind::Sysfs => without_bpf(),
            },
            refused: started.refused,
            error: None,
        },
        Err(error) => Checkup {
            host,
            source: None,
            unused: None,
            hooks: without_bpf(),
            unattached: Vec::new(),
            refused: Vec::new(),
            error: Some(error.to_string()),
        },
    };
    output::print(&report, args.format, color)?;
    Ok(if report.error.is_none() {
        Answer::Clean
    } else {
        Answer::Unknown
    })
}

/// What doctor found.
#[derive(Debug, Serialize)]
struct Checkup {
    host: Host,
    /// The source that `watch` would use, if given the same `--source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    /// An option that changes nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused: Option<String>,
    /// Better sources, and why each does not work here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refusal>,
    /// How that source sees each hook.
    hooks: Vec<HookReport>,
    /// If it is not eBPF: what the facts say against eBPF's ways of seeing each hook.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unattached: Vec<HookReport>,
    /// Why nothing can be watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The facts as doctor shows them.
#[derive(Debug, Serialize)]
struct Host {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    /// The size of its pages, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_bytes: Option<u64>,
    euid: u32,
    /// Of those that eBPF asks for, the capabilities that this process has.
    capabilities: Vec<&'static str>,
    btf: bool,
    /// A file that has the kernel's types instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_types: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracefs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unprivileged_bpf_disabled: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    /// Why there is no memory hierarchy to watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_memory: Option<String>,
    /// The cgroup versions that are mounted: `v1`, `v2` or both.
    cgroup_versions: Vec<&'static str>,
    /// What killed runs of kmemtrace had left in tracefs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leftovers: Vec<Left>,
}

/// Something that a killed run left in tracefs.
#[derive(Debug, Serialize)]
struct Left {
    name: String,
    /// Doctor removed it.
    removed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<tracefs::Leftover> for Left {
    fn from(left: tracefs::Leftover) -> Self {
        Self {
            name: left.name,
            removed: left.kept.is_none(),
            reason: left.kept,
        }
    }
}

/// The memory hierarchy.
#[derive(Debug, Serialize)]
struct Memory {
    version: &'static str,
    hierarchy_id: u32,
    mount: String,
}

impl Host {
    fn new(facts: &HostFacts, left: Vec<tracefs::Leftover>) -> Self {
        let may = |capability: &Capability| facts.privileges.has(*capability);
        let wanted = [
            Capability::Bpf,
            Capability::Perfmon,
            Capability::SysAdmin,
            Capability::SysResource,
            Capability::DacReadSearch,
        ];
        let mut versions: Vec<_> = facts
            .cgroup_mounts
            .iter()
            .map(|m| m.version.as_str())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        let memory = facts.memory.as_ref();
        Self {
            hostname: facts.hostname.clone(),
            kernel: facts.kernel.clone(),
            page_bytes: facts.page.ok().map(|page| page.size.bytes()),
            euid: facts.privileges.euid,
            capabilities: wanted
                .iter()
                .filter(|c| may(c))
                .map(|c| c.as_str())
                .collect(),
            btf: facts.btf,
            given_types: facts
                .given_types
                .as_ref()
                .map(|path| path.display().to_string()),
            tracefs: facts
                .tracefs
                .as_ref()
                .map(|path| path.display().to_string()),
            lockdown: facts.lockdown.clone(),
            unprivileged_bpf_disabled: facts.unprivileged_bpf_disabled,
            memory: memory.ok().map(|hierarchy| Memory {
                version: hierarchy.version.as_str(),
                hierarchy_id: hierarchy.id,
                mount: hierarchy.mount.display().to_string(),
            }),
            no_memory: memory.err().map(ToString::to_string),
            cgroup_versions: versions,
            leftovers: left.into_iter().map(Left::from).collect(),
        }
    }

    fn rows(&self) -> Vec<(&'static str, bool, String)> {
        let none = || "none".to_owned();
        let unknown = || "unknown".to_owned();
        let caps = if self.capabilities.is_empty() {
            none()
        } else {
            self.capabilities.join(", ")
        };
        let mut rows = vec![
            ("privileges", !self.capabilities.is_empty(), format!("uid {}, capabilities {caps}", self.euid)),
            (
                "page size",
                self.page_bytes.is_some(),
                self.page_bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string()),
            ),
            (
                "memory cgroups",
                self.memory.is_some(),
                match (&self.memory, &self.no_memory) {
                    (Some(m), _) => format!("{} at {} (hierarchy {})", m.version, m.mount, m.hierarchy_id),
                    (None, why) => why.clone().unwrap_or_else(none),
                },
            ),
            ("cgroup versions", !self.cgroup_versions.is_empty(), self.cgroup_versions.join(" and ")),
            (
                "BTF",
                self.btf || self.given_types.is_some(),
                match &self.given_types {
                    _ if self.btf => KERNEL_TYPES.to_owned(),
                    Some(file) => format!("{file} (the kernel does not tell its types itself)"),
                    None => "none: memcg ids, failed mkdirs and long paths cannot be read; --btf FILE gives it"
                        .to_owned(),
                },
            ),
            (
                "tracefs",
                self.tracefs.is_some(),
                self.tracefs.clone().unwrap_or_else(|| {
                    "not mounted: plain tracepoints cannot be used (mount -t tracefs nodev /sys/kernel/tracing)"
                        .to_owned()
                }),
            ),
            (
                "lockdown",
                self.lockdown.as_deref() != Some("confidentiality"),
                self.lockdown.clone().unwrap_or_else(none),
            ),
        ];
        rows.extend(self.leftovers.iter().map(|left| {
            let name = &left.name;
            let says = match &left.reason {
                None => format!("removed {name}: a killed run had left it"),
                Some(reason) => format!("cannot remove {name}, which a killed run left: {reason}"),
            };
            ("left behind", left.removed, says)
        }));
        rows
    }
}

impl output::Printed for Checkup {
    fn text(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        let shown = |text: &'_ str| Name::whole(text.as_bytes()).to_string();
        let kernel = shown(self.host.kernel.as_deref().unwrap_or("an unknown kernel"));
        let seen = self.hooks.iter().filter(|hook| hook.way.is_some()).count();
        if let Some(error) = &self.error {
            writeln!(
                out,
                "{}: nothing can be watched on this host ({kernel})",
                palette.bad("NO")
            )?;
            for line in error.lines() {
                writeln!(out, "  {}", shown(line))?;
            }
        } else {
            let of = self.hooks.len();
            let (mark, by) = match self.source {
                Some("bpf") => (palette.good("ok"), "by eBPF"),
                Some("tracefs") => (palette.warn("ok"), "by the kernel's own tracing"),
                _ => (palette.warn("ok"), "by polling alone"),
            };
            writeln!(
                out,
                "{mark}: memory cgroups can be watched {by} on this host ({kernel}); {seen} of {of} hooks are seen"
            )?;
            for Refusal { way, reason } in &self.refused {
                writeln!(out, "  not by {way}: {}", shown(reason))?;
            }
            if let Some(unused) = &self.unused {
                writeln!(out, "  {}", shown(unused))?;
            }
        }
        writeln!(out, "\nhost")?;
        for (name, fine, value) in self.host.rows() {
            let mark = if fine {
                palette.good("ok")
            } else {
                palette.warn("--")
            };
            writeln!(out, "  {mark}  {name:<16} {}", shown(&value))?;
        }
        writeln!(out, "\nhooks")?;
        hook_rows(out, palette, &self.hooks)?;
        if !self.unattached.is_empty() {
            writeln!(out, "\nhooks by eBPF")?;
            hook_rows(out, palette, &self.unattached)?;
        }
        Ok(())
    }
}

fn hook_rows(out: &mut dyn Write, palette: Palette, hooks: &[HookReport]) -> io::Result<()> {
    let shown = |text: &'_ str| Name::whole(text.as_bytes()).to_string();
    for hook in hooks {
        let (mark, way) = match &hook.way {
            Some(way) => (palette.good("ok"), way.as_str()),
            None if hook.lost.is_none() => (palette.good("ok"), "not needed here"),
            None => (palette.warn("--"), "no way works"),
        };
        writeln!(out, "  {mark}  {:<16} {way}", hook.hook)?;
        if let Some(lost) = &hook.lost {
            writeln!(out, "      {:<16} not seen: {lost}", "")?;
        }
        for Refusal { way, reason } in &hook.refused {
            writeln!(out, "      {:<16} not {way}: {}", "", shown(reason))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Hierarchy, Root, Version};

    #[test]
    fn names_from_outside_do_not_reach_the_terminal() {
        let mut facts = host::facts(&Root::at("/nonexistent"));
        facts.kernel = Some("6.1\x1b[31m".to_owned());
        facts.tracefs = Some("/mnt/\x1b]0;t\x07".into());
        facts.memory = Ok(Hierarchy {
            version: Version::V1,
            id: 4,
            mount: "/mnt/a\nb\u{202e}".into(),
        });
        let report = Checkup {
            host: Host::new(
                &facts,
                vec![tracefs::Leftover {
                    name: "/mnt/\x1b[1m".to_owned(),
                    kept: None,
                }],
            ),
            source: None,
            unused: None,
            refused: Vec::new(),
            hooks: Vec::new(),
            unattached: Vec::new(),
            error: Some("cannot read /mnt/\x1b[2J".to_owned()),
        };
        let mut out = Vec::new();
        output::Printed::text(&report, &mut out, Palette::new(false)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let hidden = |c: char| c != '\n' && crate::text::escape::is_hidden(c);
        assert_eq!(text.chars().find(|c| hidden(*c)), None, "{text}");
        for shown in [
            r"6.1\x1b[31m",
            r"/mnt/a\x0ab\u{202e} (hierarchy 4)",
            r"/mnt/\x1b[2J",
            r"/mnt/\x1b[1m: a killed run had left it",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }
}
