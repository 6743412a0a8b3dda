//! How the source starts: a buffer taken, the hooks switched on, and only then the first walk.

use std::fs;

use tokio::time::{MissedTickBehavior, interval};

use super::{
    Config, Source,
    buffer::TraceBuffer,
    directories::Directories,
    probes::Probes,
    slabs::Slabs,
    times::{self, Times},
    trace::TraceReader,
    tracepoints::Tracepoints,
};
use crate::{
    error::Error,
    event::header::HookReport,
    host::{self, HostFacts, Root, SharedBuffer, Tracing, Version},
    plan::{self, HookId, HookPlan, Way, WayKind},
    source::{
        kmsg::Kmsg,
        outcome,
        upkeep::{READ, Upkeep},
    },
};

/// The tracepoints of cgroups' lives.
const EVENTS: [&str; 4] = [
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_release",
    "cgroup_rename",
];

impl Source {
    /// Takes a trace buffer and switches the hooks on, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Memory cgroups cannot be seen at all. Every other hook may be missing, which [`Source::hooks`] tells.
    pub fn start(facts: &HostFacts, config: &Config) -> Result<Self, Error> {
        let hierarchy = facts.memory.clone().map_err(|none| {
            Error::new(format!("cannot watch memory cgroups: {none}")).help(none.help())
        })?;
        let tracing = tracing(facts).ok_or_else(|| {
            Error::new("cannot trace: tracefs is not mounted")
                .help("mount -t tracefs nodev /sys/kernel/tracing")
                .help("on kernels before 4.1: mount -t debugfs nodev /sys/kernel/debug")
        })?;
        let plan = plan::plan_tracefs(Some(&tracing), &config.options);
        let Opened { mut buffer, heard } = open(facts, &tracing, &plan, config)?;
        let mut times = prepare(&mut buffer, config)?;
        let root = format!("root == {}", hierarchy.id);
        let mut kmsg = None;
        let mut outcomes = outcome::attach(plan, |way, _| {
            if matches!(way.kind, WayKind::Kprobe | WayKind::Kretprobe) {
                heard.clone()?;
            }
            attempt(&mut buffer, way, &tracing, &root, || {
                kmsg = Some(Kmsg::here()?);
                Ok(())
            })
        });
        outcome::sees_cgroups(&outcomes)?;
        let tells_skipped = buffer.skipped().is_some();
        for outcome in &mut outcomes {
            let Some(way) = outcome.way else { continue };
            outcome.lacks = plan::trace_lacks(way, &tracing, tells_skipped);
        }
        times.mark(|text| buffer.mark(text));
        let by_tracepoints =
            outcome::way_of(&outcomes, HookId::LIFECYCLE) == Some(WayKind::Tracepoint);
        let by_probe = outcome::way_of(&outcomes, HookId::SLAB_FAILURE) == Some(WayKind::Kprobe);
        // Without the names it says less, and that is all.
        let names = by_probe.then(Kmsg::here).and_then(Result::ok);
        let trace = TraceReader::new(
            hierarchy.clone(),
            buffer,
            times,
            Tracepoints::new(hierarchy.id, tracing.id_bytes),
            Probes::new(by_tracepoints, hierarchy.version),
            Slabs::new(names),
            Directories::new(&hierarchy),
        );
        let mut every = interval(READ);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            outcomes,
            trace,
            upkeep: Upkeep::new(hierarchy, kmsg, config.interval, Some(config.walk_every)),
            timer: every,
        })
    }
}

/// What tracefs has, if it is mounted.
fn tracing(facts: &HostFacts) -> Option<Tracing> {
    let at = facts.tracefs.as_ref()?;
    Some(host::tracing(&Root::live(), at, &plan::functions()))
}

/// A buffer that nothing has been switched on in.
struct Opened {
    buffer: TraceBuffer,
    /// Why probes' events do not come, if they do not.
    heard: Result<(), String>,
}

impl Opened {
    fn new(mut buffer: TraceBuffer) -> Result<Self, Error> {
        buffer.open_pipe()?;
        Ok(Self {
            buffer,
            heard: Ok(()),
        })
    }

    /// Whether probes' events come, if that can be tried out.
    fn try_out(&mut self, tracing: &Tracing) -> Option<bool> {
        let mut functions = plan::TRIAL.iter().filter_map(plan::function);
        if !functions.all(|function| tracing.functions.contains(function)) {
            return None;
        }
        match self.buffer.hears_probes(tracing) {
            Ok(heard) => {
                if !heard {
                    self.heard = Err("probes' events do not come into the trace buffer".to_owned());
                }
                Some(heard)
            }
            Err(reason) => {
                self.heard = Err(reason);
                None
            }
        }
    }
}

/// Takes an instance, or the buffer that all share where probes' events come into that one only.
fn open(
    facts: &HostFacts,
    tracing: &Tracing,
    plan: &[HookPlan],
    config: &Config,
) -> Result<Opened, Error> {
    let why = if config.shared {
        "the buffer that all share is asked for".to_owned()
    } else if plan::buffer(tracing.instances, None, plan) == plan::Buffer::Instance {
        let mut opened = Opened::new(TraceBuffer::instance(&tracing.at)?)?;
        let heard = opened.try_out(tracing);
        if plan::buffer(tracing.instances, heard, plan) == plan::Buffer::Instance {
            return Ok(opened);
        }
        "this kernel writes probes' events into the buffer that all share".to_owned()
    } else {
        not_permitted(facts, tracing)?
    };
    tracing::debug!("using the shared trace buffer: {why}");
    let buffer = TraceBuffer::shared(&tracing.at, |held| {
        let shared = host::shared_buffer(&Root::live(), &tracing.at);
        plan::refuse_shared(&SharedBuffer { held, ..shared }).map_or(Ok(()), Err)
    });
    let buffer = buffer.map_err(|reason| {
        Error::new(format!(
            "cannot trace: {why}, and that is left alone: {reason}"
        ))
        .help("end what uses it, or poll (--source sysfs)")
    })?;
    let mut opened = Opened::new(buffer)?;
    // What others left in it is not about now.
    let skipped = opened.buffer.skip();
    skipped.map_err(|error| {
        let at = opened.buffer.path("trace_pipe");
        Error::file("read", &at, error)
    })?;
    opened.try_out(tracing);
    Ok(opened)
}

/// Why there are no instances; an error if nothing at all may be traced.
fn not_permitted(facts: &HostFacts, tracing: &Tracing) -> Result<String, Error> {
    let at = tracing.at.display();
    let why = fs::read_dir(tracing.at.join("instances")).err();
    let why = why.filter(|error| error.kind() != std::io::ErrorKind::NotFound);
    let error = match why {
        Some(why) => Error::caused(format!("cannot trace in {at}"), why),
        None if facts.privileges.euid != 0 => {
            Error::new(format!("cannot trace in {at}: not permitted"))
        }
        None => {
            return Ok(format!(
                "{at} has no instances, but only the buffer that all share"
            ));
        }
    };
    if facts.lockdown.as_deref() == Some("confidentiality") {
        return Err(error.help("boot without lockdown=confidentiality"));
    }
    Err(error.help("run it as root, or with sudo"))
}

/// Sets an instance up: its clock and its size. The shared buffer is taken as it is.
fn prepare(buffer: &mut TraceBuffer, config: &Config) -> Result<Times, Error> {
    let failed = |file: &str, error: std::io::Error| Error::file("set", &buffer.path(file), error);
    let offered = fs::read_to_string(buffer.path("trace_clock")).unwrap_or_default();
    let is_mono = if buffer.is_shared() {
        offered.contains("[mono]")
    } else {
        let clock = if config.marks {
            "global"
        } else {
            times::choose(&offered)
        };
        buffer
            .set("trace_clock", clock)
            .map_err(|error| failed("trace_clock", error))?;
        buffer
            .set("buffer_size_kb", &config.buffer_kib.to_string())
            .map_err(|error| failed("buffer_size_kb", error).help("a smaller buffer may fit"))?;
        clock == "mono"
    };
    if is_mono {
        return Ok(Times::monotonic());
    }
    buffer.open_marker();
    Ok(Times::marked())
}

/// Tries one way of a hook. `root` is the filter that keeps other hierarchies out.
fn attempt(
    buffer: &mut TraceBuffer,
    way: &'static Way,
    tracing: &Tracing,
    root: &str,
    kmsg: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    match way.kind {
        WayKind::Kmsg => kmsg(),
        WayKind::Tracepoint => EVENTS.iter().try_for_each(|event| {
            let event = format!("cgroup/{event}");
            // Lines of other hierarchies are passed over, too, where the kernel does not; the filter of the shared buffer
            // is everybody's.
            if !buffer.is_shared()
                && let Err(error) = buffer.set(&format!("events/{event}/filter"), root)
            {
                tracing::debug!("the kernel refused the filter of {event}: {error}");
            }
            buffer
                .enable(&event)
                .map_err(|error| format!("{event}: cannot be switched on: {error}"))
        }),
        _ => buffer.probe(way.programs, tracing),
    }
}

/// What `doctor` shows of the hooks where the source cannot start: what the facts say against each way.
pub fn hooks_without_source(facts: &HostFacts, config: &Config) -> Vec<HookReport> {
    let version = facts
        .memory
        .as_ref()
        .map_or(Version::V2, |hierarchy| hierarchy.version);
    let plan = plan::plan_tracefs(tracing(facts).as_ref(), &config.options);
    outcome::unattached(plan, version)
}
