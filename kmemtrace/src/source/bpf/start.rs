//! How the source starts: the layout resolved, the object loaded, the hooks attached.

use std::path::Path;

use aya::{Btf, maps::RingBuf};
use kmemtrace_common::layout::Layout;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    Config, READ, Source,
    attach::{self, Outcome},
    layout,
    losses::Losses,
    ring::Ring,
};
use crate::{
    error::Error,
    event::{header::HookReport, wire::Context},
    host::{Facts, Hierarchy, Version},
    plan::{self, HookId, Inputs, WayKind},
    source::{
        clock::{self, Clock},
        kmsg::Kmsg,
    },
};

impl Source {
    /// Loads and attaches, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Memory cgroups cannot be seen at all. Every other hook may be missing, which [`Source::hooks`] tells.
    pub fn start(facts: &Facts, config: &Config) -> Result<Self, Error> {
        let hierarchy = facts.memory.clone().map_err(|none| {
            Error::new(format!("cannot watch memory cgroups: {none}")).help(none.help())
        })?;
        if let Some((reason, help)) = plan::no_bpf(facts) {
            return Err(Error::new(format!("cannot use eBPF: {reason}")).help(help));
        }
        let layout = resolve(facts, &hierarchy);
        let plan = plan::plan(Inputs {
            facts,
            layout: &layout,
            options: &config.options,
        });
        raise_memlock();
        let mut ebpf = attach::load(&layout, ring_size(config.ring_bytes))?;
        let types = if facts.btf {
            Btf::from_sys_fs().ok()
        } else {
            None
        };
        let mut kmsg = None;
        let outcomes = attach::attach(&mut ebpf, plan, types.as_ref(), || {
            let log = Kmsg::open(Path::new("/dev/kmsg"));
            kmsg = Some(log.map_err(|error| format!("cannot read /dev/kmsg: {error}"))?);
            Ok(())
        });
        let unseen = outcomes
            .iter()
            .find(|outcome| outcome.hook.id == HookId::Lifecycle && outcome.way.is_none());
        if let Some(outcome) = unseen {
            return Err(cannot_see(outcome));
        }
        let context = Context {
            page_bytes: rustix::param::page_size() as u64,
            release_tells_mkdir_failure: attach::way_of(&outcomes, HookId::MkdirFailure)
                == Some(WayKind::Release),
            mount: hierarchy.mount.as_os_str().as_encoded_bytes().to_vec(),
        };
        let map = |name: &str| Error::new(format!("the eBPF object has no map {name}"));
        let ring = ebpf.take_map("EVENTS").ok_or_else(|| map("EVENTS"))?;
        let ring = RingBuf::try_from(ring)
            .map_err(|error| Error::caused("cannot map the ring buffer", &error))?;
        let ring = Ring::new(ring)
            .map_err(|error| Error::caused("cannot wait for the ring buffer", &error))?;
        let drops = ebpf.take_map("DROPS").ok_or_else(|| map("DROPS"))?;
        let losses = Losses::new(drops, &ebpf, &outcomes)?;
        let mut timer = interval(READ);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            _ebpf: ebpf,
            outcomes,
            ring,
            losses,
            kmsg,
            context,
            hierarchy,
            clock: Clock::now(),
            timer,
            whole_until_ns: clock::mono_ns(),
            walk_owed: true,
            walked: None,
            unsettled: None,
            checked: Instant::now(),
            ticked: Instant::now(),
        })
    }
}

/// Where the fields are that the programs read, as far as this kernel tells.
fn resolve(facts: &Facts, hierarchy: &Hierarchy) -> Layout {
    let types = facts
        .btf
        .then(|| btf_rs::Btf::from_file("/sys/kernel/btf/vmlinux"));
    let types = types.and_then(|types| {
        types
            .map_err(|error| tracing::warn!("cannot read the kernel's BTF: {error}"))
            .ok()
    });
    layout::resolve(types.as_ref(), facts.tracefs.as_deref(), hierarchy.id)
}

/// A ring buffer's size is a power of two and whole pages.
fn ring_size(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    bytes.clamp(page, 1 << 30).next_power_of_two()
}

/// Before 5.11 maps count against this limit, whose default is small; where it cannot be raised, loading says so.
fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!("cannot raise RLIMIT_MEMLOCK: {error}");
    }
}

/// No way of seeing memory cgroups worked.
fn cannot_see(outcome: &Outcome) -> Error {
    let reasons = outcome.refused.iter();
    let lines: Vec<_> = reasons
        .map(|refusal| format!("\n  {}: {}", refusal.way, refusal.reason))
        .collect();
    let lines = lines.concat();
    Error::new(format!(
        "cannot see {}: no way of attaching works here{lines}",
        outcome.hook.unseen
    ))
    .help("`kmemtrace doctor` says what this host has and what is missing")
}

/// What `doctor` shows of the hooks where the source cannot start: what the facts say against each way.
pub fn hooks_without_source(facts: &Facts, config: &Config) -> Vec<HookReport> {
    let (layout, version) = match &facts.memory {
        Ok(hierarchy) => (resolve(facts, hierarchy), hierarchy.version),
        Err(_) => (Layout::UNKNOWN, Version::V2),
    };
    let plan = plan::plan(Inputs {
        facts,
        layout: &layout,
        options: &config.options,
    });
    plan.into_iter()
        .map(|row| {
            Outcome {
                hook: row.hook,
                way: None,
                refused: row.refused,
            }
            .report(version)
        })
        .collect()
}
