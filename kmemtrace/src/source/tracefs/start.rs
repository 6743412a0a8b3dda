//! How the source starts: an instance made, the hooks switched on, and only then the first walk.

use std::fs::{self, OpenOptions};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    Config, Source,
    directories::Directories,
    instance::Instance,
    pipe::Pipe,
    probes::Probes,
    slabs::Slabs,
    times::{self, Times},
    trace::Trace,
    tracepoints::Tracepoints,
};
use crate::{
    error::Error,
    event::header::HookReport,
    host::{self, Facts, Root, Tracing, Version},
    plan::{self, HookId, Way, WayKind},
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
    /// Makes an instance and switches the hooks on, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Memory cgroups cannot be seen at all. Every other hook may be missing, which [`Source::hooks`] tells.
    pub fn start(facts: &Facts, config: &Config) -> Result<Self, Error> {
        let hierarchy = facts.memory.clone().map_err(|none| {
            Error::new(format!("cannot watch memory cgroups: {none}")).help(none.help())
        })?;
        let tracing = tracing(facts).ok_or_else(|| {
            Error::new("cannot trace: tracefs is not mounted")
                .help("mount -t tracefs nodev /sys/kernel/tracing")
                .help("on kernels before 4.1: mount -t debugfs nodev /sys/kernel/debug")
        })?;
        if !tracing.instances {
            return Err(no_instances(facts, &tracing));
        }
        let mut instance = Instance::create(&tracing.at)?;
        let mut times = prepare(&instance, config)?;
        let root = format!("root == {}", hierarchy.id);
        let mut kmsg = None;
        let plan = plan::plan_tracefs(Some(&tracing), &config.options);
        // Before anything else is switched on: it reads the trace.
        let heard = hears_probes(&mut instance, &tracing);
        let outcomes = outcome::attach(plan, |way, _| {
            if matches!(way.kind, WayKind::Kprobe | WayKind::Kretprobe) {
                heard.clone()?;
            }
            attempt(&mut instance, way, &root, || {
                kmsg = Some(Kmsg::here()?);
                Ok(())
            })
        });
        outcome::sees_cgroups(&outcomes)?;
        let pipe = instance.path("trace_pipe");
        let pipe = Pipe::open(&pipe)
            .map_err(|error| Error::caused(format!("cannot open {}", pipe.display()), &error))?;
        times.mark();
        let by_tracepoints =
            outcome::way_of(&outcomes, HookId::Lifecycle) == Some(WayKind::Tracepoint);
        let by_probe = outcome::way_of(&outcomes, HookId::SlabFailure) == Some(WayKind::Kprobe);
        // Without the names it says less, and that is all.
        let names = by_probe.then(Kmsg::here).and_then(Result::ok);
        let trace = Trace::new(
            pipe,
            instance,
            times,
            Tracepoints::new(hierarchy.id, tracing.id_bytes),
            Probes::new(by_tracepoints),
            Slabs::new(names),
            Directories::new(&hierarchy),
        );
        let mut every = interval(READ);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            outcomes,
            trace,
            upkeep: Upkeep::new(hierarchy, kmsg, Some(config.walk_every)),
            timer: every,
        })
    }
}

/// What tracefs has, if it is mounted.
fn tracing(facts: &Facts) -> Option<Tracing> {
    let at = facts.tracefs.as_ref()?;
    Some(host::tracing(&Root::live(), at, &plan::functions()))
}

/// Whether probes' events come into the instance, as far as that can be tried out.
fn hears_probes(instance: &mut Instance, tracing: &Tracing) -> Result<(), String> {
    let mut functions = plan::TRIAL.iter().filter_map(plan::function);
    if functions.all(|function| tracing.functions.contains(function)) {
        return instance.hears_probes();
    }
    Ok(())
}

/// Without an instance the events would go into everybody's buffer.
fn no_instances(facts: &Facts, tracing: &Tracing) -> Error {
    let at = tracing.at.display();
    let why = fs::read_dir(tracing.at.join("instances")).err();
    let why = why.filter(|error| error.kind() != std::io::ErrorKind::NotFound);
    let error = match why {
        Some(why) => Error::caused(format!("cannot trace in {at}"), &why),
        None if facts.privileges.euid != 0 => {
            Error::new(format!("cannot trace in {at}: not permitted"))
        }
        None => {
            return Error::new(format!(
                "cannot trace: {at} has no instances, and the buffer that all share is left alone"
            ));
        }
    };
    if facts.lockdown.as_deref() == Some("confidentiality") {
        return error.help("boot without lockdown=confidentiality");
    }
    error.help("run it as root, or with sudo")
}

/// Sets the instance up: its clock and its size.
fn prepare(instance: &Instance, config: &Config) -> Result<Times, Error> {
    let failed = |file: &str, error: &std::io::Error| {
        Error::caused(
            format!("cannot set {}", instance.path(file).display()),
            error,
        )
    };
    let offered = fs::read_to_string(instance.path("trace_clock")).unwrap_or_default();
    let clock = times::choose(&offered);
    instance
        .set("trace_clock", clock)
        .map_err(|error| failed("trace_clock", &error))?;
    instance
        .set("buffer_size_kb", &config.buffer_kib.to_string())
        .map_err(|error| failed("buffer_size_kb", &error).help("a smaller buffer may fit"))?;
    if clock == "mono" {
        return Ok(Times::monotonic());
    }
    let marker = OpenOptions::new()
        .write(true)
        .open(instance.path("trace_marker"));
    Ok(Times::marked(marker.ok()))
}

/// Tries one way of a hook. `root` is the filter that keeps other hierarchies out.
fn attempt(
    instance: &mut Instance,
    way: &'static Way,
    root: &str,
    kmsg: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    match way.kind {
        WayKind::Kmsg => kmsg(),
        WayKind::Tracepoint => EVENTS.iter().try_for_each(|event| {
            let event = format!("cgroup/{event}");
            // Lines of other hierarchies are passed over, too, where the kernel does not.
            if let Err(error) = instance.set(&format!("events/{event}/filter"), root) {
                tracing::debug!("the kernel refused the filter of {event}: {error}");
            }
            instance
                .enable(&event)
                .map_err(|error| format!("{event}: cannot be switched on: {error}"))
        }),
        _ => instance.probe(way.programs),
    }
}

/// What `doctor` shows of the hooks where the source cannot start: what the facts say against each way.
pub fn hooks_without_source(facts: &Facts, config: &Config) -> Vec<HookReport> {
    let version = facts
        .memory
        .as_ref()
        .map_or(Version::V2, |hierarchy| hierarchy.version);
    let plan = plan::plan_tracefs(tracing(facts).as_ref(), &config.options);
    outcome::unattached(plan, version)
}
