//! What happens, recorded: replayed as it was shown, killed, and out of space.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use kmemtrace::{
    event::{Fact, json::Item},
    trace::Trace,
};
use serde_json::Value;

use super::{
    source::{GRACE, Source, leak_and_recover},
    view::Tracefs,
    world::{World, remove, wait_until},
};
use crate::harness::{Result, Watch, output, program, text};

/// Every source: a replay shows what the live run showed.
pub(super) fn replays(source: &Source) -> Result {
    let world = World::new("recorded");
    let _mounted = Tracefs::mounted();
    let folder = tempfile::TempDir::new()?;
    let trace = folder.path().join("trace.zst");
    let trace = trace.to_str().ok_or("a path")?;
    let mut watch = source.watch(&["--grace", GRACE, "--record", trace]);
    leak_and_recover(&world, &mut watch);
    let live = watch.stop();
    let replay = output(program(["replay", trace, "--all", "--format", "json"]));
    let shown: Vec<Value> = text(&replay.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    for (shown, live) in shown.iter().zip(&live.lines) {
        assert_eq!(shown, live);
    }
    assert_eq!(shown.len(), live.lines.len());
    assert_eq!(replay.status.code(), live.code);
    assert_eq!(text(&replay.stderr), "");
    Ok(())
}

/// Killed, a recording has all but its last second, and the next one goes on in the same file.
pub(super) fn killed() -> Result {
    let world = World::new("killed");
    let folder = tempfile::TempDir::new()?;
    let traces = ["trace.jsonl", "trace.jsonl.zst"].map(|name| folder.path().join(name));
    let mut recordings = record(&traces);
    let made: BTreeSet<_> = (0..50)
        .map(|n| {
            let cgroup = format!("before-{n}");
            remove(&world.make(&cgroup));
            format!("{}/{cgroup}", world.path)
        })
        .collect();
    // What is older than a second is in the file.
    thread::sleep(Duration::from_millis(1_100));
    for recording in &mut recordings {
        let killed = recording.kill();
        recording.wait()?;
        killed?;
    }
    for trace in &traces {
        assert_eq!(of(trace, &made, is_offlined), made);
    }

    let recordings = record(&traces);
    remove(&world.make("after"));
    let after = BTreeSet::from([format!("{}/after", world.path)]);
    for (trace, mut recording) in traces.iter().zip(recordings) {
        wait_until("the second run's recording", || {
            of(trace, &after, is_offlined) == after
        });
        assert_eq!(of(trace, &made, is_offlined), made);
        stop(&mut recording)?;
        let replay = output(program([
            "replay".as_ref(),
            trace.as_os_str(),
            "--all".as_ref(),
        ]));
        let shown = text(&replay.stdout);
        assert_eq!(shown.matches("watched for").count(), 2, "{shown}");
        assert!(
            !text(&replay.stderr).contains("line"),
            "{}",
            text(&replay.stderr)
        );
    }
    Ok(())
}

/// A full disk stops the recording, and nothing else.
pub(super) fn full_disk() -> Result {
    let world = World::new("full-disk");
    let folder = tempfile::TempDir::new()?;
    let disk = Disk::mount(folder.path())?;
    let trace = folder.path().join("trace.jsonl");
    let mut watch = Watch::start(&["--record", trace.to_str().ok_or("a path")?]);
    fs::write(folder.path().join("ballast"), vec![0; 1 << 20]).expect_err("the disk is small");
    let path = |n: usize| format!("{}/c{n}", world.path);
    for n in 0..50 {
        remove(&world.make(&format!("c{n}")));
    }
    watch.wait_for("the last removal", |line| {
        line["kind"] == "offlined" && line["path"] == path(49).as_str()
    });
    let ended = watch.stop();
    assert_eq!(
        ended
            .lines
            .iter()
            .filter(|line| line["kind"] == "created")
            .count(),
        50
    );
    assert!(
        ended
            .stderr
            .contains("trace.jsonl stopped: No space left on device"),
        "{}",
        ended.stderr
    );
    // What was written is whole.
    let mut read = Trace::open(&trace)?;
    assert!(read.by_ref().all(|item| item.is_ok()));
    assert!(!read.tally().torn);
    drop(read);

    // With nothing else to do, its status tells.
    let recorded = folder.path().join("another");
    let run = output(program([
        "record",
        recorded.to_str().ok_or("a path")?,
        "--for",
        "200ms",
    ]));
    assert_eq!(run.status.code(), Some(2));
    assert!(
        text(&run.stdout).contains("watched for"),
        "{}",
        text(&run.stdout)
    );
    drop(disk);
    Ok(())
}

/// Starts a recording of each, and waits until the first walk of each is in its file.
fn record<const N: usize>(traces: &[PathBuf; N]) -> [Child; N] {
    let before = traces.each_ref().map(|trace| walks(trace));
    let children = traces.each_ref().map(|trace| {
        let mut command: Command = program(["record".as_ref(), trace.as_os_str()]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the test binary starts")
    });
    for (trace, before) in traces.iter().zip(before) {
        wait_until("the first walk in the recording", || walks(trace) > before);
    }
    children
}

fn stop(recording: &mut Child) -> Result {
    let pid = rustix::process::Pid::from_child(recording);
    let killed = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    recording.wait()?;
    Ok(killed?)
}

fn facts(trace: &Path) -> impl Iterator<Item = Fact> {
    let trace = Trace::open(trace).into_iter().flatten();
    trace.filter_map(|item| match item {
        Ok(Item::Event(event)) => Some(event.fact),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    })
}

fn walks(trace: &Path) -> usize {
    facts(trace)
        .filter(|fact| matches!(fact, Fact::Walked(_)))
        .count()
}

fn is_offlined(fact: &Fact) -> Option<String> {
    let Fact::Offlined(cgroup) = fact else {
        return None;
    };
    Some(String::from_utf8_lossy(&cgroup.path.as_ref()?.bytes).into_owned())
}

/// Which of these paths the trace has facts of.
fn of(
    trace: &Path,
    paths: &BTreeSet<String>,
    path: impl Fn(&Fact) -> Option<String>,
) -> BTreeSet<String> {
    facts(trace)
        .filter_map(|fact| path(&fact))
        .filter(|path| paths.contains(path))
        .collect()
}

/// A disk of 64 KiB.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let flags = rustix::mount::MountFlags::empty();
        let options = c"size=64k";
        rustix::mount::mount("none", at, "tmpfs", flags, options)?;
        Ok(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // A straggler's open file must not fail the test.
        let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
