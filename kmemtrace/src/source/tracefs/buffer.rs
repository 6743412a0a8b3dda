//! The trace buffer that events come into: an instance of our own, or the one that the whole machine shares; the probes
//! that feed it, and their end.
//!
//! Everything bears the number of the process that made it, `instances/kmemtrace-PID` and the group `kmemtrace_PID` in
//! `kprobe_events`, and is removed when the buffer drops. A process that was killed leaves it behind; the next one
//! removes it. The kernel refuses to remove an instance that somebody has open, so a living one is safe even where its
//! number says nothing, as between pid namespaces.
//!
//! Of the shared buffer no setting is changed, neither its clock nor its size nor a filter: our events are switched on in
//! it, and off at the end. (The kernel gives it its full size when the first event is, if it has the small one of the boot:
//! `7 (expanded: 1408)`.) Its run has a [`Claim`], so that no other kmemtrace comes to read it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use super::{
    files,
    leftovers::{self, Claim},
    line::{Line, line},
    pipe::Pipe,
};
use crate::{error::Error, plan};

pub(super) const PREFIX: &str = "kmemtrace-";
pub(super) const GROUP: &str = "kmemtrace_";

/// The groups of those that use the shared buffer.
pub(super) const SHARED: &str = "kmemtrace_shared_";

/// How many instances one number may have: in several pid namespaces it may be taken.
const NAMES: u32 = 16;

/// How often it is said that the shared buffer is switched off.
const REMIND: Duration = Duration::from_mins(1);

/// A buffer; its drop removes what was made for it.
#[derive(Debug)]
pub(super) struct Buffer {
    tracefs: PathBuf,
    at: PathBuf,
    group: String,
    probes: Vec<&'static str>,
    shared: Option<Shared>,
}

/// What belongs to the use of the shared buffer.
#[derive(Debug)]
struct Shared {
    _claim: Claim,
    /// Events that are not our probes', switched on by us.
    events: Vec<String>,
    /// Since when it has been switched off, as far as that was said.
    off: Option<Instant>,
}

impl Buffer {
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
                        shared: None,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let failed = Error::caused(format!("cannot make {}", at.display()), &error);
                    return Err(match error.kind() {
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
            leftovers::clean_shared(tracefs, claim);
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
            shared: Some(Shared {
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

    /// Puts probes on functions and switches them on: all, or none; those that are there already stay.
    pub(super) fn probe(&mut self, probes: &'static [plan::Program]) -> Result<(), String> {
        let before = self.probes.len();
        let added = probes.iter().try_for_each(|probe| {
            if self.probes.contains(&probe.name) {
                return Ok(());
            }
            let function = plan::function(probe).unwrap_or_default();
            let failed = |error| format!("{function}: the kernel refused the probe: {error}");
            files::command(&self.tracefs, &plan::definition(probe, &self.group)).map_err(failed)?;
            self.probes.push(probe.name);
            let event = self.event(probe.name);
            self.set(&format!("events/{event}/enable"), "1")
                .map_err(failed)
        });
        if added.is_err() {
            self.unprobe(before);
        }
        added
    }

    /// Takes probes away but for the first `keep`.
    fn unprobe(&mut self, keep: usize) {
        for name in self.probes.split_off(keep) {
            // It cannot be removed while it is switched on.
            let event = self.event(name);
            if let Err(error) = self.set(&format!("events/{event}/enable"), "0") {
                tracing::debug!("cannot switch {name} off: {error}");
            }
            self.remove(name);
        }
    }

    fn remove(&self, name: &str) {
        let name = format!("{}_{name}", self.group);
        files::remove_probe(&self.tracefs, &self.group, &name);
    }

    /// Whether probes' events come into this buffer, tried out with one that we set off ourselves.
    pub(super) fn hears_probes(&mut self, pipe: &mut Pipe) -> Result<bool, String> {
        let before = self.probes.len();
        self.probe(&plan::TRIAL)?;
        let heard = self.hears_trial(pipe);
        self.unprobe(before);
        heard.map_err(|error| format!("cannot try out whether probes' events come: {error}"))
    }

    fn hears_trial(&self, pipe: &mut Pipe) -> io::Result<bool> {
        fs::read("/proc/cgroups")?;
        let mut heard = false;
        for _ in 0..20 {
            while pipe.read(|text| heard |= self.is_trial(text))? {}
            if heard {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(heard)
    }

    fn is_trial(&self, text: &[u8]) -> bool {
        matches!(line(text), Line::Event(record) if self.ours(record.event) == Some(b"trial"))
    }

    /// How often a probe was skipped, all of ours taken together.
    pub(super) fn skipped(&self) -> u64 {
        if self.probes.is_empty() {
            return 0;
        }
        // NAME HITS MISSES
        let text = fs::read_to_string(self.tracefs.join("kprobe_profile")).unwrap_or_default();
        let misses = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.strip_prefix(&self.group)?;
            let ours = self.probes.contains(&name.strip_prefix('_')?);
            ours.then(|| words.nth(1)?.parse::<u64>().ok()).flatten()
        });
        misses.sum()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match &self.shared {
            // Its events go with it; a probe that is switched on nowhere can go as well.
            None => {
                if let Err(error) = leftovers::remove_instance(&self.at) {
                    tracing::warn!("cannot remove {}: {error}", self.at.display());
                }
                for name in std::mem::take(&mut self.probes) {
                    self.remove(name);
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: &Path, file: &str, text: &str) {
        let path = at.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_shared_buffer_has_other_peoples_events_and_may_be_switched_off() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let group = format!("{SHARED}{}", process::id());
        write(at, "tracing_on", "1\n");
        write(at, "kprobe_events", "");
        let enable = format!("events/{group}/{group}_trial/enable");
        write(at, &enable, "0");
        write(at, "events/cgroup/cgroup_mkdir/enable", "0");

        assert_eq!(
            Buffer::shared(at, |_| Err("in use".to_owned())).unwrap_err(),
            "in use"
        );
        let mut buffer = Buffer::shared(
            at,
            |held| if held { Err("held".to_owned()) } else { Ok(()) },
        )
        .unwrap();
        buffer.probe(&plan::TRIAL).unwrap();
        buffer.enable("cgroup/cgroup_mkdir").unwrap();
        assert_eq!(
            buffer.ours(format!("{group}_trial").as_bytes()),
            Some(&b"trial"[..])
        );
        assert_eq!(buffer.ours(b"cgroup_mkdir"), Some(&b"cgroup_mkdir"[..]));
        assert_eq!(buffer.ours(b"cgroup_rmdir"), None);
        assert_eq!(buffer.ours(b"trial"), None);
        assert!(buffer.may_be_ours(b"torn cgroup_mkdir: root="));
        assert!(!buffer.may_be_ours(b" => 0xffffffff81000000"));

        write(at, &format!("events/{group}/enable"), "1\n");
        assert!(!buffer.was_disturbed() && !buffer.is_off());
        write(at, "tracing_on", "0\n");
        assert!(buffer.was_disturbed() && buffer.is_off());
        assert!(!buffer.was_disturbed() && buffer.is_off());
        write(at, "tracing_on", "1\n");
        assert!(buffer.was_disturbed() && !buffer.is_off());

        drop(buffer);
        for enable in [enable.as_str(), "events/cgroup/cgroup_mkdir/enable"] {
            assert_eq!(fs::read_to_string(at.join(enable)).unwrap(), "0");
        }
        let probes = fs::read_to_string(at.join("kprobe_events")).unwrap();
        assert!(
            probes.ends_with(&format!("-:{group}/{group}_trial")),
            "{probes}"
        );
    }
}
