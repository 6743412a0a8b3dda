//! What killed runs left behind, removed by the next one.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process, thread,
    time::Duration,
};

use super::files;

/// What the names of our instances begin with; the number of the process comes next.
pub(super) const PREFIX: &str = "kmemtrace-";

/// What our probes' groups begin with.
pub(super) const GROUP: &str = "kmemtrace_";

/// Those of runs that use the shared buffer.
pub(super) const SHARED: &str = "kmemtrace_shared_";

/// The claim to the shared buffer, kept as long as its run lives: the kernel gives it back when that is killed. It is a
/// lock on tracefs itself, which is the same for all of the machine, whatever namespaces they are in.
#[derive(Debug)]
pub(super) struct Claim {
    _directory: File,
}

impl Claim {
    /// Takes it; `None` if another kmemtrace has it.
    pub(super) fn take(tracefs: &Path) -> io::Result<Option<Self>> {
        let directory = File::open(tracefs)?;
        for wait in [0, 10, 20, 40] {
            // Others hold it for a moment, when they look for leftovers.
            thread::sleep(Duration::from_millis(wait));
            match directory.try_lock() {
                Ok(()) => {
                    return Ok(Some(Self {
                        _directory: directory,
                    }));
                }
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// What a killed run left in tracefs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its path, or the probe's group and name.
    pub name: String,
    /// Why it is still there, if it is.
    pub kept: Option<String>,
}

/// Removes what killed runs left behind; returns what that was.
pub(super) fn clean(tracefs: &Path) -> Vec<Leftover> {
    let mut left = Vec::new();
    let mut leftover = |name: String, result: io::Result<()>| {
        match &result {
            Ok(()) => tracing::info!("removed {name}, which a killed run left"),
            Err(error) => tracing::debug!("cannot remove {name}: {error}"),
        }
        let kept = result.err().map(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => "a process has its files open".to_owned(),
            _ => error.to_string(),
        });
        left.push(Leftover { name, kept });
    };
    let entries = fs::read_dir(tracefs.join("instances"));
    for entry in entries.into_iter().flatten().map_while(Result::ok) {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let pid = number.split('.').next().and_then(|pid| pid.parse().ok());
        let path = entry.path();
        let lives = |pid| pid != process::id() && (is_kmemtrace(pid) || has_open(pid, &path));
        if pid.is_some_and(lives) {
            continue;
        }
        leftover(path.display().to_string(), remove_instance(&path));
    }
    // A run makes its instance first and its probes then, and removes them in the other order, but for a moment.
    for (group, name) in our_probes(&kprobe_events(tracefs)) {
        let number = group[GROUP.len()..].replace('_', ".");
        let instance = tracefs.join("instances").join(format!("{PREFIX}{number}"));
        if !group.starts_with(SHARED) && !instance.exists() {
            let removed = files::remove_probe(tracefs, group, name);
            leftover(format!("the probe {group}/{name}"), removed);
        }
    }
    let events = kprobe_events(tracefs);
    let mut shared = our_probes(&events).filter(|(group, _)| group.starts_with(SHARED));
    if shared.next().is_some()
        && let Ok(Some(claim)) = Claim::take(tracefs)
    {
        clean_shared(tracefs, &claim, &mut leftover);
    }
    left
}

/// Removes what killed runs left behind in the shared buffer: whoever has the claim is the only one that can be alive.
pub(super) fn clean_shared(
    tracefs: &Path,
    _claim: &Claim,
    each: &mut impl FnMut(String, io::Result<()>),
) {
    for (group, name) in our_probes(&kprobe_events(tracefs)) {
        if group.starts_with(SHARED) {
            // It cannot be removed while it is switched on.
            let enable = tracefs.join(format!("events/{group}/{name}/enable"));
            if let Err(error) = files::put(&enable, "0") {
                tracing::debug!("cannot switch {name} off: {error}");
            }
            let removed = files::remove_probe(tracefs, group, name);
            each(format!("the probe {group}/{name}"), removed);
        }
    }
}

fn kprobe_events(tracefs: &Path) -> Vec<u8> {
    fs::read(tracefs.join("kprobe_events")).unwrap_or_default()
}

/// Whether a process is one of ours, and not another that got its number later.
fn is_kmemtrace(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(b"kmemtrace"))
}

/// Whether a process has a file open there: a kmemtrace under another name.
fn has_open(pid: u32, at: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut files = files.into_iter().flatten().map_while(Result::ok);
    files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to.starts_with(at)))
}

fn our_probes(kprobe_events: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    kprobe_events
        .split(|byte| *byte == b'\n')
        .filter_map(our_probe)
}

/// Group and name of a line of `kprobe_events`, `p:GROUP/NAME FUNCTION...` or `r8:GROUP/NAME ...`, if the group is ours.
fn our_probe(line: &[u8]) -> Option<(&str, &str)> {
    let line = str::from_utf8(line).ok()?;
    let (group, name) = line.split(' ').next()?.split_once(':')?.1.split_once('/')?;
    group.starts_with(GROUP).then_some((group, name))
}

/// Removes an instance that nobody has open.
pub(super) fn remove_instance(at: &Path) -> io::Result<()> {
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
        let found = clean(directory.path());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|one| one.kept.is_none()), "{found:?}");
        assert!(
            found
                .iter()
                .any(|one| one.name == format!("the probe kmemtrace_{dead}/mkdir"))
        );
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

    #[test]
    fn the_shared_buffers_leftovers_stay_as_long_as_their_run_lives() {
        let directory = tempfile::tempdir().unwrap();
        let tracefs = directory.path();
        let probe = "p:kmemtrace_shared_7/kmemtrace_shared_7_mkdir cgroup_mkdir\n";
        fs::write(tracefs.join("kprobe_events"), probe).unwrap();
        let enable = "events/kmemtrace_shared_7/kmemtrace_shared_7_mkdir/enable";
        let enable = tracefs.join(enable);
        fs::create_dir_all(enable.parent().unwrap()).unwrap();
        fs::write(&enable, "1").unwrap();
        let claim = Claim::take(tracefs).unwrap().unwrap();
        assert!(Claim::take(tracefs).unwrap().is_none());
        clean(tracefs);
        assert_eq!(
            fs::read_to_string(tracefs.join("kprobe_events")).unwrap(),
            probe
        );
        drop(claim);
        clean(tracefs);
        assert_eq!(fs::read_to_string(&enable).unwrap(), "0");
        let text = fs::read_to_string(tracefs.join("kprobe_events")).unwrap();
        assert!(
            text.ends_with("-:kmemtrace_shared_7/kmemtrace_shared_7_mkdir"),
            "{text}"
        );
    }
}
