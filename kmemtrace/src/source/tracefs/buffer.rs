//! The trace buffer that events come into: an instance of our own, or the one that the whole machine shares; the probes
//! that feed it, and their end.
//!
//! Everything bears the number of the process that made it, `instances/kmemtrace-PID` and the group `kmemtrace_PID` in
//! `kprobe_events`, and is removed when the buffer drops. A process that was killed leaves it behind; the next one
//! removes it. The kernel refuses to remove an instance of which a file is open (`EBUSY`), so a living one is safe even
//! where its number says nothing, as between pid namespaces. For the same reason the buffer itself keeps the files that
//! stay open, `trace_pipe` and `trace_marker`: it closes them before it removes the instance.
//!
//! Of the shared buffer no setting is changed, neither its clock nor its size nor a filter: our events are switched on in
//! it, and off at the end. (The kernel gives it its full size when the first event is, if it has the small one of the boot:
//! `7 (expanded: 1408)`.) Its run has a [`Claim`], so that no other kmemtrace comes to read it.

mod probes;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use super::{
    files,
    leftovers::{self, Claim, GROUP, PREFIX, SHARED},
    pipe::TracePipe,
};
use crate::error::Error;

/// How many instances one number may have: in several pid namespaces it may be taken.
const NAMES: u32 = 16;

/// How often it is said that the shared buffer is switched off.
const REMIND: Duration = Duration::from_mins(1);

/// A buffer; its drop removes what was made for it.
#[derive(Debug)]
pub(super) struct TraceBuffer {
    tracefs: PathBuf,
    at: PathBuf,
    group: String,
    probes: Vec<String>,
    /// The kernel counts as skipped what a probe could not read.
    counts_faults: bool,
    open: Open,
    shared: Option<SharedUse>,
}

/// Its files that stay open.
#[derive(Debug, Default)]
struct Open {
    pipe: Option<TracePipe>,
    marker: Option<File>,
}

/// What belongs to the use of the shared buffer.
#[derive(Debug)]
struct SharedUse {
    _claim: Claim,
    /// Events that are not our probes', switched on by us.
    events: Vec<String>,
    /// Since when it has been switched off, as far as that was said.
    off: Option<Instant>,
}

impl TraceBuffer {
    /// Removes what killed runs left behind, and makes an instance.
    pub(super) fn instance(tracefs: &Path) -> Result<Self, Error> {
        leftovers::clean(tracefs);
        let instances = tracefs.join("instances");
        let pid = process::id();
        for n in 0..NAMES {
            let number = match n {
                0 => pid.to_string(),
                n => format!("{pid}.{n}"),
            };
            let at = instances.join(format!("{PREFIX}{number}"));
            match fs::create_dir(&at) {
                Ok(()) => {
                    return Ok(Self {
                        tracefs: tracefs.to_owned(),
                        at,
                        group: format!("{GROUP}{}", number.replace('.', "_")),
                        probes: Vec::new(),
                        counts_faults: false,
                        open: Open::default(),
                        shared: None,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let kind = error.kind();
                    let failed = Error::file("make", &at, error);
                    return Err(match kind {
                        io::ErrorKind::PermissionDenied => {
                            failed.help("run it as root, or with sudo")
                        }
                        _ => failed,
                    });
                }
            }
        }
        Err(Error::new(format!(
            "cannot make an instance in {}: all names for process {pid} are taken",
            instances.display()
        )))
    }

    /// Takes the shared buffer, which nobody else may use, and removes what killed runs left in it. The error is the reason.
    pub(super) fn shared(
        tracefs: &Path,
        unused: impl FnOnce(bool) -> Result<(), String>,
    ) -> Result<Self, String> {
        let claim = Claim::take(tracefs)
            .map_err(|error| format!("{} cannot be locked: {error}", tracefs.display()))?;
        if let Some(claim) = &claim {
            leftovers::clean_shared(tracefs, claim, &mut |name, removed| match removed {
                Ok(()) => tracing::info!("removed {name}, which a killed run left"),
                Err(error) => tracing::warn!("cannot remove {name}: {error}"),
            });
        }
        unused(claim.is_none())?;
        let Some(claim) = claim else {
            return Err("another kmemtrace uses it".to_owned());
        };
        Ok(Self {
            tracefs: tracefs.to_owned(),
            at: tracefs.to_owned(),
            group: format!("{SHARED}{}", process::id()),
            probes: Vec::new(),
            counts_faults: false,
            open: Open::default(),
            shared: Some(SharedUse {
                _claim: claim,
                events: Vec::new(),
                off: None,
            }),
        })
    }

    /// Whether it is the one that all share.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Where one of its files is.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.at.join(file)
    }

    /// Opens `trace_pipe`: the buffer is in use from then on.
    pub(super) fn open_pipe(&mut self) -> Result<(), Error> {
        let at = self.path("trace_pipe");
        let pipe = TracePipe::open(&at).map_err(|error| {
            let busy = error.kind() == io::ErrorKind::ResourceBusy;
            let failed = Error::file("open", &at, error);
            if self.is_shared() && busy {
                return failed.help("somebody else reads it");
            }
            failed
        })?;
        self.open.pipe = Some(pipe);
        Ok(())
    }

    /// Hands over some lines, without their newlines; returns whether there were any bytes.
    pub(super) fn read(&mut self, each: impl FnMut(&[u8])) -> io::Result<bool> {
        let pipe = self.open.pipe.as_mut();
        pipe.map_or(Ok(false), |pipe| pipe.read(each))
    }

    /// Passes over what others left in it.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        self.open.pipe.as_mut().map_or(Ok(()), TracePipe::skip)
    }

    /// Opens `trace_marker`, if it can be opened.
    pub(super) fn open_marker(&mut self) {
        let marker = OpenOptions::new()
            .write(true)
            .open(self.path("trace_marker"));
        self.open.marker = marker.ok();
    }

    /// Writes a line of our own into the buffer. One that does not arrive changes nothing.
    pub(super) fn mark(&mut self, text: &[u8]) {
        if let Some(marker) = &mut self.open.marker {
            let _ = marker.write(text);
        }
    }

    /// Writes to one of its files.
    pub(super) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        files::put(&self.path(file), value)
    }

    /// Switches one of the kernel's own events on.
    pub(super) fn enable(&mut self, event: &str) -> io::Result<()> {
        self.set(&format!("events/{event}/enable"), "1")?;
        if let Some(shared) = &mut self.shared {
            shared.events.push(event.to_owned());
        }
        Ok(())
    }

    /// A probe's event: the kernel shows its name, not its group.
    fn event(&self, probe: &str) -> String {
        format!("{0}/{0}_{probe}", self.group)
    }

    /// The name of an event that was switched on here, without the group; `None` for other people's.
    pub(super) fn ours<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        let probe = event.strip_prefix(self.group.as_bytes());
        if let Some(probe) = probe.and_then(|rest| rest.strip_prefix(b"_")) {
            return Some(probe);
        }
        let is = |ours: &String| ours.rsplit('/').next().map(str::as_bytes) == Some(event);
        match &self.shared {
            Some(shared) => shared.events.iter().any(is).then_some(event),
            // Nobody else has switched anything on.
            None => Some(event),
        }
    }

    /// Whether a line that cannot be understood may be an event of ours.
    pub(super) fn may_be_ours(&self, line: &[u8]) -> bool {
        let mut names = vec![self.group.as_bytes()];
        let Some(shared) = &self.shared else {
            return true;
        };
        let events = shared.events.iter();
        names.extend(events.filter_map(|event| Some(event.rsplit('/').next()?.as_bytes())));
        let has = |name: &[u8]| line.windows(name.len()).any(|text| text == name);
        names.into_iter().any(has)
    }

    /// Whether the shared buffer was switched off, or our events in it, or on again: what happened meanwhile is lost.
    /// While it is off, the answer is yes once in a while.
    pub(super) fn was_disturbed(&mut self) -> bool {
        let reads = |file: &str| {
            let text = fs::read_to_string(self.path(file)).unwrap_or_default();
            text.trim_end() == "1"
        };
        let Some(shared) = &self.shared else {
            return false;
        };
        let events = shared.events.iter().cloned();
        let probes = (!self.probes.is_empty()).then(|| self.group.clone());
        let on = reads("tracing_on")
            && events
                .chain(probes)
                .all(|event| reads(&format!("events/{event}/enable")));
        let Some(shared) = &mut self.shared else {
            return false;
        };
        match (on, shared.off) {
            (true, None) => false,
            (true, Some(_)) => {
                shared.off = None;
                tracing::warn!("the shared trace buffer is switched on again");
                true
            }
            (false, Some(said)) if said.elapsed() < REMIND => false,
            (false, _) => {
                shared.off = Some(Instant::now());
                tracing::warn!(
                    "somebody has switched the shared trace buffer off, or our events in it: nothing is seen"
                );
                true
            }
        }
    }

    /// Whether the last look found it switched off.
    pub(super) fn is_off(&self) -> bool {
        self.shared
            .as_ref()
            .is_some_and(|shared| shared.off.is_some())
    }
}

impl Drop for TraceBuffer {
    fn drop(&mut self) {
        self.open = Open::default();
        match &self.shared {
            // Its events go with it; a probe that is switched on nowhere can go as well.
            None => match leftovers::remove_instance(&self.at) {
                Ok(()) => {
                    for name in std::mem::take(&mut self.probes) {
                        self.remove(&name);
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        "cannot remove {}: {error}\nhelp: `kmemtrace doctor` removes it once no process has its files open",
                        self.at.display()
                    );
                    self.unprobe(0);
                }
            },
            Some(shared) => {
                for event in &shared.events {
                    if let Err(error) = self.set(&format!("events/{event}/enable"), "0") {
                        tracing::warn!("cannot switch {event} off: {error}");
                    }
                }
                self.unprobe(0);
            }
        }
    }
}
