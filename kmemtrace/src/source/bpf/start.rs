//! How the source starts: the layout resolved, the object loaded, the hooks attached.

use std::{fs, path::Path};

use aya::Btf;
use kmemtrace_common::layout::Layout;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Config, Programs, Source,
    attach::Loading,
    carrier::Carrier,
    demand::Trigger,
    layout,
    losses::Losses,
    walk::{self, Walker},
};
use crate::{
    error::Error,
    event::{header::HookReport, wire::Context},
    host::{self, Hierarchy, HostFacts, KERNEL_TYPES, PageSize, Root, Version},
    plan::{self, HookId, Inputs, Lack, WayKind},
    source::{
        kmsg::Kmsg,
        outcome::{self, HookOutcome},
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
        let layout = resolve(types(facts)?.as_ref(), facts, &hierarchy);
        let plan = plan::plan(Inputs {
            facts,
            layout: &layout,
            options: &config.options,
        });
        raise_memlock();
        let ring_bytes = ring_size(config.ring_bytes);
        let own_types = facts.btf.then(|| Btf::from_sys_fs().ok()).flatten();
        let mut loading = Loading::new(&layout, ring_bytes, own_types);
        let mut kmsg = None;
        let mut outcomes = outcome::attach(plan, |way, before| {
            loading.attempt(way, before, || {
                kmsg = Some(Kmsg::here()?);
                Ok(())
            })
        });
        let (mut ebpf, way) = loading.loaded(&outcomes)?;
        outcome::sees_cgroups(&outcomes)?;
        let trigger = trigger(&outcomes);
        if let Some(walk) = outcomes
            .iter_mut()
            .find(|outcome| outcome.hook.id == HookId::WALK)
        {
            walk.lacks = lacks(&layout, hierarchy.version);
        }
        let context = Context {
            page_bytes: PageSize::running().bytes(),
            release_tells_mkdir_failure: outcome::way_of(&outcomes, HookId::MKDIR_FAILURE)
                == Some(WayKind::Release),
            mount: hierarchy.mount.as_os_str().as_encoded_bytes().to_vec(),
        };
        let carrier = Carrier::open(&mut ebpf, way, ring_bytes)?;
        let drops = ebpf
            .take_map("DROPS")
            .ok_or_else(|| Error::new("the eBPF object has no map DROPS"))?;
        let losses = Losses::new(drops, &ebpf, &outcomes)?;
        let walker = trigger.map(|trigger| Walker::new(&mut ebpf, hierarchy.version, trigger));
        let mut walker = walker.transpose()?;
        match (&facts.given_types, &mut walker) {
            (Some(file), Some(walker)) => walk::check_types(file, walker, &ebpf, &hierarchy)?,
            (Some(file), None) => tracing::warn!(
                "whether the types in {} are this kernel's is not known: it cannot be walked",
                file.display()
            ),
            (None, _) => {}
        }
        let mut timer = interval(READ);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            programs: Programs {
                walker,
                memcgs_alone: outcome::way_of(&outcomes, HookId::MEMCG).is_some(),
                ebpf,
                carrier,
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

/// The kernel's types: its own, or those in a file from outside.
///
/// # Errors
///
/// The file from outside cannot be read, or is no BTF.
pub(super) fn types(facts: &HostFacts) -> Result<Option<btf_rs::Btf>, Error> {
    // Read as a whole first: it is parsed in 100,000 small steps, each a system call on a file.
    let read = |path: &Path| {
        let bytes = fs::read(path).map_err(|cause| Error::file("read", path, cause))?;
        btf_rs::Btf::from_bytes(&bytes).map_err(|cause| {
            Error::caused(format!("{}: not understood as BTF", path.display()), cause)
        })
    };
    if let Some(path) = &facts.given_types {
        return read(path).map(Some).map_err(|error| {
            error.help("`--btf` takes raw BTF of the running kernel: an archive of BTFHub's, unpacked (`tar -xf`), or what `bpftool btf dump` reads")
        });
    }
    let own = facts.btf.then(|| read(Path::new(KERNEL_TYPES)));
    Ok(own.and_then(|types| {
        types
            .map_err(|error| tracing::warn!("cannot read the kernel's BTF: {error}"))
            .ok()
    }))
}

/// How programs on demand run, if the walk can.
pub(super) fn trigger(outcomes: &[HookOutcome]) -> Option<Trigger> {
    Some(match outcome::way_of(outcomes, HookId::WALK)? {
        WayKind::Uprobe => Trigger::Uprobe,
        _ => Trigger::TestRun,
    })
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
    let page = u32::try_from(PageSize::running().bytes()).unwrap_or(1 << 16);
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
            resolve(types(facts).ok().flatten().as_ref(), facts, hierarchy),
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
