//! Nothing is left in tracefs, however a run ends; what `kill -9` left, `doctor` says and removes.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Child, Stdio},
};

use kmemtrace::{
    host::{Root, facts},
    plan::{Options, WayKind},
    source::tracefs::{Config, Source},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    tracefs::{instance, missing_kprobes, missing_tracepoints, probes},
    view::Tracefs,
    world::{World, wait_until},
};
use crate::harness::{Result, Watch, output, program, text};

/// The ways of seeing lives that this machine has: options that choose each.
fn ways() -> Vec<&'static [&'static str]> {
    let tracepoints: &[&str] = &[];
    [
        (missing_tracepoints(), tracepoints),
        (missing_kprobes(), &["--avoid", "tracepoint"]),
    ]
    .into_iter()
    .filter_map(|(missing, way)| missing.is_none().then_some(way))
    .collect()
}

fn assert_nothing_left(pid: u32, what: &str) {
    let at = instance(pid);
    assert!(!at.exists(), "{what}: {} is still there", at.display());
    let group = format!("kmemtrace_{pid}/");
    let left: Vec<_> = probes();
    assert!(
        !left.iter().any(|line| line.contains(&group)),
        "{what}: {left:?}"
    );
}

/// `watch` as it starts: its instance has just been made.
fn starting(way: &[&str]) -> Child {
    let args = ["watch", "--source", "tracefs"];
    let mut command = program(args.iter().chain(way));
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("the test binary starts");
    let at = instance(child.id());
    wait_until("the instance", || at.exists());
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

/// Whether a process ignores a signal.
fn ignores(pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or(0) >> (signal.as_raw() - 1) & 1 == 1
}

/// After a signal at any moment, a time that is over, a pipe that nobody reads, and an error at the start.
pub(super) fn each() -> Result {
    // Each asks tracefs for itself: not within a world.
    let ways = ways();
    let _world = World::new("ends");
    let _mounted = Tracefs::mounted();
    let signals = [
        ("SIGINT", Signal::INT),
        ("SIGTERM", Signal::TERM),
        ("SIGHUP", Signal::HUP),
        ("SIGQUIT", Signal::QUIT),
        ("SIGALRM", Signal::ALARM),
        ("SIGUSR1", Signal::USR1),
        ("SIGUSR2", Signal::USR2),
    ];
    for way in ways {
        for (name, signal) in signals {
            let mut child = starting(way);
            let pid = child.id();
            // As under nohup: what is ignored stays ignored.
            if ignores(pid, signal) {
                send(&child, Signal::TERM);
            }
            send(&child, signal);
            let status = child.wait()?;
            assert!(status.code().is_some(), "{name}: {status}");
            assert_nothing_left(pid, name);
        }
        let args = [&["watch", "--source", "tracefs", "--for", "300ms"], way].concat();
        let mut child = program(&args).stdout(Stdio::null()).spawn()?;
        let pid = child.id();
        child.wait()?;
        assert_nothing_left(pid, "--for");

        let args = ["watch", "--source", "tracefs", "--format", "json", "--all"];
        let mut command = program(args.iter().chain(way));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = child.id();
        drop(child.stdout.take());
        assert_eq!(child.wait()?.code(), Some(0));
        assert_nothing_left(pid, "a closed pipe");

        let args = [&["doctor", "--source", "tracefs"], way].concat();
        let mut child = program(&args).stdout(Stdio::null()).spawn()?;
        let pid = child.id();
        child.wait()?;
        assert_nothing_left(pid, "doctor");
    }
    let args = [
        "watch",
        "--source",
        "tracefs",
        "--avoid",
        "tracepoint,kprobe",
    ];
    let mut child = program(args).stderr(Stdio::null()).spawn()?;
    let pid = child.id();
    assert_eq!(child.wait()?.code(), Some(2), "no way of seeing cgroups");
    assert_nothing_left(pid, "an error at the start");
    Ok(())
}

/// As on kernels before 3.17, where `trace_marker` stays open; also when a panic ends the run.
pub(super) fn marked() -> Result {
    let avoided = [
        (missing_tracepoints(), vec![]),
        (missing_kprobes(), vec![WayKind::Tracepoint]),
    ];
    let _world = World::new("ends-marked");
    let _mounted = Tracefs::mounted();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let avoided = avoided.into_iter();
    for (_, avoid) in avoided.filter(|(missing, _)| missing.is_none()) {
        let config = Config {
            marks: true,
            options: Options {
                avoid,
                ..Options::default()
            },
            ..Config::default()
        };
        let pid = std::process::id();
        let run = |panics: bool| {
            runtime.block_on(async {
                let mut source = Source::start(&facts(&Root::live()), &config)
                    .unwrap_or_else(|error| panic!("{error}"));
                assert!(instance(pid).exists());
                let mut events = Vec::new();
                source.next(&mut events).await.expect("it is read");
                assert!(!panics, "on purpose");
            });
        };
        run(false);
        assert_nothing_left(pid, "a marked trace");
        assert!(catch_unwind(AssertUnwindSafe(|| run(true))).is_err());
        assert_nothing_left(pid, "a panic");
    }
    Ok(())
}

/// What `kill -9` leaves, `doctor` says and removes; what a living run has, and what somebody has open, stays.
pub(super) fn killed() -> Result {
    let ways = ways();
    let _world = World::new("ends-killed");
    let _mounted = Tracefs::mounted();
    for way in ways {
        let args = [&["--source", "tracefs"], way].concat();
        let living = Watch::start(&args);
        let killed = Watch::start(&args);
        let pid = killed.pid();
        let left = instance(pid);
        killed.kill();
        assert!(left.exists(), "{} is gone", left.display());
        let open = fs::File::open(left.join("trace_pipe"))?;
        let told = leftovers()?;
        let one = of(&told, &left).ok_or("nothing is said")?;
        assert_eq!(one["removed"], false, "{one}");
        assert_eq!(one["reason"], "a process has its files open", "{one}");
        drop(open);
        let told = leftovers()?;
        let one = of(&told, &left).ok_or("nothing is said")?;
        assert_eq!(one["removed"], true, "{one}");
        assert!(of(&told, &instance(living.pid())).is_none(), "{told}");
        assert_nothing_left(pid, "kill -9");
        let pid = living.pid();
        assert_eq!(living.stop().summary()["gaps"].as_u64(), Some(0));
        assert_nothing_left(pid, "SIGINT");
        assert!(of(&leftovers()?, &left).is_none(), "said once");
    }
    Ok(())
}

/// What `doctor` says of leftovers, whatever source it then takes.
fn leftovers() -> std::result::Result<Value, Box<dyn std::error::Error>> {
    let run = output(program(["doctor", "--source", "sysfs", "--format", "json"]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout)?;
    Ok(report["host"]["leftovers"].clone())
}

fn of<'a>(told: &'a Value, at: &Path) -> Option<&'a Value> {
    let mut all = told.as_array().into_iter().flatten();
    all.find(|one| one["name"].as_str() == at.to_str())
}
