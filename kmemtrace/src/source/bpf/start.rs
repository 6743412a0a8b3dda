//! How the source starts: the layout resolved, the object loaded, the hooks attached.

use std::fs;

use aya::{Btf, maps::RingBuf};
use kmemtrace_common::layout::Layout;
use tokio::time::{MissedTickBehavior, interval};

use super::{Config, Programs, Source, attach, layout, losses::Losses, ring::Ring, walk::Walker};
use crate::{
    error::Error,
    event::{header::HookReport, wire::Context},
    host::{self, Hierarchy, HostFacts, Root, Version},
    plan::{self, HookId, Inputs, Lack, WayKind},
    source::{
        kmsg::Kmsg,
        outcome,
        upkeep::{READ, Upkeep},
    },
};

impl Source {
    /// Loads and attaches, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Memory cgroups cannot be seen at all. Every other hook may be missing, which [`Source::hooks`] tells.
    pub fn start(facts: &HostFacts, config: &Config) -> Result<Self, Error> {
        let hierarchy = facts.memory.clone().map_err(|none| {
            Error::new(format!("cannot watch memory cgroups: {none}")).help(none.help())
        })?;
        if let Some((reason, help)) = plan::no_bpf(facts) {
            return Err(Error::new(format!("cannot use eBPF: {reason}")).help(help));
        }
        let layout = resolve(types(facts).as_ref(), facts, &hierarchy);
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
        let mut outcomes = outcome::attach(plan, |way, before| {
            attach::attempt(&mut ebpf, way, types.as_ref(), before, || {
                kmsg = Some(Kmsg::here()?);
                Ok(())
            })
        });
        outcome::sees_cgroups(&outcomes)?;
        let walks = outcome::way_of(&outcomes, HookId::WALK).is_some();
        if let Some(walk) = outcomes
            .iter_mut()
            .find(|outcome| outcome.hook.id == HookId::WALK)
        {
            walk.lacks = lacks(&layout, hierarchy.version);
        }
        let context = Context {
            page_bytes: rustix::param::page_size() as u64,
            release_tells_mkdir_failure: outcome::way_of(&outcomes, HookId::MKDIR_FAILURE)
                == Some(WayKind::Release),
            mount: hierarchy.mount.as_os_str().as_encoded_bytes().to_vec(),
        };
        let map = |name: &str| Error::new(format!("the eBPF object has no map {name}"));
        let ring = ebpf.take_map("EVENTS").ok_or_else(|| map("EVENTS"))?;
        let ring = RingBuf::try_from(ring)
            .map_err(|error| Error::caused("cannot map the ring buffer", error))?;
        let ring = Ring::new(ring)
            .map_err(|error| Error::caused("cannot wait for the ring buffer", error))?;
        let drops = ebpf.take_map("DROPS").ok_or_else(|| map("DROPS"))?;
        let losses = Losses::new(drops, &ebpf, &outcomes)?;
        let walker = walks.then(|| Walker::new(&mut ebpf, hierarchy.version));
        let walker = walker.transpose()?;
        let mut timer = interval(READ);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            programs: Programs {
                walker,
                memcgs_alone: outcome::way_of(&outcomes, HookId::MEMCG).is_some(),
                ebpf,
                ring,
                losses,
                context,
            },
            outcomes,
            upkeep: Upkeep::new(hierarchy, kmsg, config.interval, None),
            timer,
        })
    }
}

/// Where the fields are that the programs read, as far as this kernel tells.
pub(super) fn resolve(
    types: Option<&btf_rs::Btf>,
    facts: &HostFacts,
    hierarchy: &Hierarchy,
) -> Layout {
    layout::resolve(
        types,
        facts.tracefs.as_deref(),
        hierarchy.id,
        host::numa_nodes(&Root::live()),
        |name| host::symbol(&Root::live(), name),
    )
}

/// The kernel's types.
pub(super) fn types(facts: &HostFacts) -> Option<btf_rs::Btf> {
    // Read as a whole first: it is parsed in 100,000 small steps, each a system call on a file.
    let types = facts.btf.then(|| {
        let bytes = fs::read("/sys/kernel/btf/vmlinux").map_err(|cause| cause.to_string())?;
        btf_rs::Btf::from_bytes(&bytes).map_err(|cause| cause.to_string())
    });
    types?
        .map_err(|cause| tracing::warn!("cannot read the kernel's BTF: {cause}"))
        .ok()
}

/// What the walk cannot tell here, in words.
fn lacks(layout: &Layout, version: Version) -> Option<String> {
    let lacks = plan::walk_lacks(layout, version).into_iter();
    let lines: Vec<_> = lacks
        .map(|Lack { what, why }| format!("{what} ({why})"))
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A ring buffer's size is a power of two and whole pages.
pub(super) fn ring_size(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    bytes.clamp(page, 1 << 30).next_power_of_two()
}

/// Before 5.11 maps count against this limit, whose default is small; where it cannot be raised, loading says so.
pub(super) fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!("cannot raise RLIMIT_MEMLOCK: {error}");
    }
}

/// What `doctor` shows of the hooks where the source cannot start: what the facts say against each way.
pub fn hooks_without_source(facts: &HostFacts, config: &Config) -> Vec<HookReport> {
    let (layout, version) = match &facts.memory {
        Ok(hierarchy) => (
            resolve(types(facts).as_ref(), facts, hierarchy),
            hierarchy.version,
        ),
        Err(_) => (Layout::UNKNOWN, Version::V2),
    };
    let plan = plan::plan(Inputs {
        facts,
        layout: &layout,
        options: &config.options,
    });
    outcome::unattached(plan, version)
}
