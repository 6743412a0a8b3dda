//! Where events come from. A source reports facts and judges nothing.

mod account;
pub mod bpf;
mod clock;
mod kmsg;
mod outcome;
mod records;
pub mod sysfs;
pub mod tracefs;
mod upkeep;

use crate::{
    error::Error,
    event::{
        Event, Stamp, Wanted,
        header::{HookReport, Refusal},
    },
    host::HostFacts,
    plan::{HookId, WayKind},
};

/// The sources, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// eBPF programs.
    Bpf,
    /// The kernel's own tracing.
    Tracefs,
    /// Polling /proc and /sys.
    Sysfs,
}

impl SourceKind {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Bpf, Self::Tracefs, Self::Sysfs];

    /// The name in output and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::Tracefs => "tracefs",
            Self::Sysfs => "sysfs",
        }
    }
}

/// What the sources are started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// For eBPF.
    pub bpf: bpf::Config,
    /// For the kernel's own tracing.
    pub tracefs: tracefs::Config,
    /// For polling.
    pub sysfs: sysfs::Config,
}

/// A source in force.
#[expect(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Source {
    /// eBPF programs.
    Bpf(bpf::Source),
    /// The kernel's own tracing.
    Tracefs(tracefs::Source),
    /// Polling /proc and /sys.
    Sysfs(sysfs::Source),
}

/// A source, and the better ones that do not work here.
pub struct Started {
    /// The source.
    pub source: Source,
    /// The others, and why not.
    pub refused: Vec<Refusal>,
}

/// Starts the first of these sources that works here, within a tokio runtime.
///
/// # Errors
///
/// None of them works: the last one's reason, and the others'.
pub fn start(kinds: &[SourceKind], facts: &HostFacts, config: &Config) -> Result<Started, Error> {
    let mut refused = Vec::new();
    let mut last = None;
    for kind in kinds {
        match Source::start(*kind, facts, config) {
            Ok(source) => return Ok(Started { source, refused }),
            Err(error) => {
                refused.push(Refusal {
                    way: kind.as_str().to_owned(),
                    // One line, as the others.
                    reason: error.reason().replace("\n  ", "; "),
                });
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new("no source was asked for")))
}

/// Why the option to trace the mkdir system calls changes nothing, if that is so: `hooks` are those of a source of this kind that
/// was started with it.
pub fn mkdir_syscalls_unused(kind: SourceKind, hooks: &[HookReport]) -> Option<String> {
    let name = HookId::MKDIR_FAILURE.as_str();
    let hook = hooks.iter().find(|hook| hook.hook == name);
    let syscalls = WayKind::Syscalls.as_str();
    let way = hook.and_then(|hook| hook.way.as_deref());
    if way == Some(syscalls) {
        return None;
    }
    let refused = hook.and_then(|hook| {
        let mut refused = hook.refused.iter();
        refused.find(|refusal| refusal.way == syscalls)
    });
    let why = match (refused, kind, way) {
        (Some(refusal), ..) => refusal.reason.clone(),
        (None, SourceKind::Bpf, Some(way)) => format!("{way} sees failed mkdirs, and more of them"),
        _ => format!("the source {} does not use it", kind.as_str()),
    };
    Some(format!("--mkdir-syscalls changes nothing: {why}"))
}

impl Source {
    fn start(kind: SourceKind, facts: &HostFacts, config: &Config) -> Result<Self, Error> {
        Ok(match kind {
            SourceKind::Bpf => Self::Bpf(bpf::Source::start(facts, &config.bpf)?),
            SourceKind::Tracefs => Self::Tracefs(tracefs::Source::start(facts, &config.tracefs)?),
            SourceKind::Sysfs => Self::Sysfs(sysfs::Source::start(facts, &config.sysfs)?),
        })
    }

    /// Which it is.
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Bpf(_) => SourceKind::Bpf,
            Self::Tracefs(_) => SourceKind::Tracefs,
            Self::Sysfs(_) => SourceKind::Sysfs,
        }
    }

    /// How each hook is seen.
    pub fn hooks(&self) -> Vec<HookReport> {
        match self {
            Self::Bpf(source) => source.hooks(),
            Self::Tracefs(source) => source.hooks(),
            Self::Sysfs(source) => source.hooks(),
        }
    }

    /// This moment, on the clock that the events' times are on.
    pub fn now(&self) -> Stamp {
        match self {
            Self::Bpf(source) => source.now(),
            Self::Tracefs(source) => source.now(),
            Self::Sysfs(source) => source.now(),
        }
    }

    /// What is wanted from now on, beside what is told anyway: counts come faster, or a walk is made. Polling looks at everything
    /// as it is.
    pub fn want(&mut self, wanted: Wanted) {
        match self {
            Self::Bpf(source) => source.want(wanted),
            Self::Tracefs(source) => source.want(wanted),
            Self::Sysfs(source) => source.want(wanted),
        }
    }

    /// Waits for the next events and appends them. Cancel-safe: what was not appended is not lost.
    ///
    /// # Errors
    ///
    /// What the events come from cannot be read.
    pub async fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        match self {
            Self::Bpf(source) => source.next(events).await,
            Self::Tracefs(source) => source.next(events).await,
            Self::Sysfs(source) => source.next(events).await,
        }
    }

    /// Whether one look at what is there has shown all: of copies of a machine's files, when all have been looked at.
    pub fn has_looked(&self) -> bool {
        match self {
            Self::Bpf(_) | Self::Tracefs(_) => true,
            Self::Sysfs(source) => source.is_done() || source.is_live(),
        }
    }

    /// Whatever is left, at the end of a run.
    ///
    /// # Errors
    ///
    /// What the events come from cannot be read.
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        match self {
            Self::Bpf(source) => source.finish(events),
            Self::Tracefs(source) => source.finish(events),
            Self::Sysfs(source) => source.finish(events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_changes_nothing_is_told() {
        let hook = |way: Option<&str>, refused: &[&str]| {
            let refused = refused.iter().map(|reason| Refusal {
                way: "syscalls".to_owned(),
                reason: (*reason).to_owned(),
            });
            vec![HookReport {
                hook: "mkdir failure".to_owned(),
                way: way.map(str::to_owned),
                refused: refused.collect(),
                lost: None,
            }]
        };
        let told = |kind, hooks: &[HookReport]| mkdir_syscalls_unused(kind, hooks);
        assert_eq!(told(SourceKind::Bpf, &hook(Some("syscalls"), &[])), None);
        let better = told(SourceKind::Bpf, &hook(Some("fexit"), &[])).unwrap();
        assert!(better.contains("changes nothing: fexit sees"), "{better}");
        let refused = told(
            SourceKind::Bpf,
            &hook(Some("release"), &["requires tracefs"]),
        )
        .unwrap();
        assert!(refused.contains("requires tracefs"), "{refused}");
        for (kind, hooks) in [
            (SourceKind::Tracefs, hook(Some("kretprobe"), &[])),
            (SourceKind::Sysfs, hook(None, &[])),
            (SourceKind::Sysfs, Vec::new()),
        ] {
            let unused = told(kind, &hooks).unwrap();
            assert!(unused.contains("does not use it"), "{unused}");
        }
    }
}
