//! An instance of the kernel's tracing: a buffer of our own, the probes that feed it, and their end.
//!
//! Everything bears the number of the process that made it, `instances/kmemtrace-PID` and the group `kmemtrace_PID` in
//! `kprobe_events`, and is removed when the instance drops. A process that was killed leaves it behind; the next one
//! removes it. The kernel refuses to remove an instance that somebody has open, so a living one is safe even where its
//! number says nothing, as between pid namespaces.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use super::{
    line::{Line, line},
    pipe::Pipe,
};
use crate::{error::Error, plan};

const PREFIX: &str = "kmemtrace-";
const GROUP: &str = "kmemtrace_";

/// How many instances one number may have: in several pid namespaces it may be taken.
const NAMES: u32 = 16;

/// An instance; its drop removes it.
#[derive(Debug)]
pub(super) struct Instance {
    tracefs: PathBuf,
    at: PathBuf,
    group: String,
    probes: Vec<&'static str>,
}

impl Instance {
    /// Removes what killed runs left behind, and makes an instance.
    pub(super) fn create(tracefs: &Path) -> Result<Self, Error> {
        clean(tracefs);
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
                        group: group(&number),
                        probes: Vec::new(),
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

    /// Where one of its files is.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.at.join(file)
    }

    /// Writes to one of its files.
    pub(super) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        put(&self.path(file), value)
    }

    /// Switches an event on.
    pub(super) fn enable(&self, event: &str) -> io::Result<()> {
        self.set(&format!("events/{event}/enable"), "1")
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
            append(&self.tracefs, &plan::definition(probe, &self.group)).map_err(failed)?;
            self.probes.push(probe.name);
            let event = format!("{}/{}", self.group, probe.name);
            self.enable(&event).map_err(failed)
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
            if let Err(error) = self.set(&format!("events/{}/{name}/enable", self.group), "0") {
                tracing::debug!("cannot switch {name} off: {error}");
            }
            remove_probe(&self.tracefs, &self.group, name);
        }
    }

    /// Whether probes' events come into this buffer, tried out with one that we set off ourselves: up to 3.10 the kernel
    /// wrote them into the buffer that all share (`kprobe_trace_func`), wherever they were switched on.
    pub(super) fn hears_probes(&mut self) -> Result<(), String> {
        let before = self.probes.len();
        self.probe(&plan::TRIAL)?;
        let heard = self.hears_trial();
        self.unprobe(before);
        match heard {
            Ok(true) => Ok(()),
            Ok(false) => Err(
                "this kernel writes probes' events into the buffer that all share, which is left alone"
                    .to_owned(),
            ),
            Err(error) => Err(format!("cannot try out whether probes' events come: {error}")),
        }
    }

    fn hears_trial(&self) -> io::Result<bool> {
        let mut pipe = Pipe::open(&self.path("trace_pipe"))?;
        fs::read("/proc/cgroups")?;
        let mut heard = false;
        for _ in 0..20 {
            while pipe.read(|line| heard |= is_trial(line))? {}
            if heard {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(heard)
    }

    /// How often a probe was skipped, all of ours taken together.
    pub(super) fn skipped(&self) -> u64 {
        if self.probes.is_empty() {
            return 0;
        }
        // NAME HITS MISSES, without the group
        let text = fs::read_to_string(self.tracefs.join("kprobe_profile")).unwrap_or_default();
        let misses = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let ours = self.probes.contains(&words.next()?);
            ours.then(|| words.nth(1)?.parse::<u64>().ok()).flatten()
        });
        misses.sum()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Its events go with it; a probe that is switched on nowhere can go as well.
        if let Err(error) = remove_instance(&self.at) {
            tracing::warn!("cannot remove {}: {error}", self.at.display());
        }
        for name in self.probes.drain(..) {
            remove_probe(&self.tracefs, &self.group, name);
        }
    }
}

fn is_trial(text: &[u8]) -> bool {
    matches!(line(text), Line::Event(record) if record.event == b"trial")
}

/// The group of the probes of the instance with this number.
fn group(number: &str) -> String {
    format!("{GROUP}{}", number.replace('.', "_"))
}

/// Removes what killed runs left behind.
fn clean(tracefs: &Path) {
    let entries = fs::read_dir(tracefs.join("instances"));
    for entry in entries.into_iter().flatten().map_while(Result::ok) {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let pid = number.split('.').next().and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| pid != process::id() && is_kmemtrace(pid)) {
            continue;
        }
        match remove_instance(&entry.path()) {
            Ok(()) => tracing::info!(
                "removed {}, which a killed run left",
                entry.path().display()
            ),
            Err(error) => {
                tracing::debug!("{} is in use: {error}", entry.path().display());
            }
        }
    }
    // A run makes its instance first and its probes then, and removes them in the other order, but for a moment.
    let probes = fs::read(tracefs.join("kprobe_events")).unwrap_or_default();
    for (group, name) in probes.split(|byte| *byte == b'\n').filter_map(our_probe) {
        let number = group[GROUP.len()..].replace('_', ".");
        if !tracefs
            .join("instances")
            .join(format!("{PREFIX}{number}"))
            .exists()
        {
            remove_probe(tracefs, group, name);
        }
    }
}

/// Whether a process is one of ours, and not another that got its number later.
fn is_kmemtrace(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(b"kmemtrace"))
}

/// Group and name of a line of `kprobe_events`, `p:GROUP/NAME FUNCTION...` or `r8:GROUP/NAME ...`, if the group is ours.
fn our_probe(line: &[u8]) -> Option<(&str, &str)> {
    let line = str::from_utf8(line).ok()?;
    let (group, name) = line.split(' ').next()?.split_once(':')?.1.split_once('/')?;
    group.starts_with(GROUP).then_some((group, name))
}

fn remove_instance(at: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(at) {
            // An event may be running still.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < 5 => {
                tries += 1;
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

fn remove_probe(tracefs: &Path, group: &str, name: &str) {
    if let Err(error) = append(tracefs, &format!("-:{group}/{name}")) {
        tracing::warn!("cannot remove the probe {group}/{name}: {error}");
    }
}

/// Appends a command to `kprobe_events`: opened for anything but appending, the file loses everybody's probes.
fn append(tracefs: &Path, command: &str) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .open(tracefs.join("kprobe_events"))?;
    write(file, command)
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    write(OpenOptions::new().write(true).open(path)?, value)
}

/// One call: the kernel takes what it gets as a whole.
fn write(mut file: File, text: &str) -> io::Result<()> {
    let written = file.write(text.as_bytes())?;
    if written < text.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_probes_are_taken_for_ours() {
        let of = |line: &'static str| our_probe(line.as_bytes());
        assert_eq!(
            of("p:kmemtrace_7/mkdir cgroup_mkdir name=+0(%si):string"),
            Some(("kmemtrace_7", "mkdir"))
        );
        assert_eq!(
            of("r8:kmemtrace_7_1/mkdir_return cgroup_mkdir"),
            Some(("kmemtrace_7_1", "mkdir_return"))
        );
        assert_eq!(of("p:kprobes/kmemtrace_7 cgroup_mkdir"), None);
        assert_eq!(of("p:other/x y:kmemtrace_7/z"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn leftovers_go_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let instances = directory.path().join("instances");
        let dead = u32::MAX;
        for name in [
            format!("kmemtrace-{dead}"),
            "mine".to_owned(),
            "kmemtrace-1.1".to_owned(),
        ] {
            fs::create_dir_all(instances.join(name)).unwrap();
        }
        fs::write(
            directory.path().join("kprobe_events"),
            format!("p:kmemtrace_{dead}/mkdir cgroup_mkdir\np:mine/x y\n"),
        )
        .unwrap();
        clean(directory.path());
        let left: Vec<_> = fs::read_dir(&instances)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, [std::ffi::OsStr::new("mine")]);
        let text = fs::read_to_string(directory.path().join("kprobe_events")).unwrap();
        assert!(
            text.ends_with(&format!("-:kmemtrace_{dead}/mkdir")),
            "{text}"
        );
        assert!(!text.contains("-:mine"), "{text}");
    }
}
