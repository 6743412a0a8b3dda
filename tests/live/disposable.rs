//! What takes all that a machine has: memory, or ids. Only in a virtual machine.

use std::{collections::BTreeMap, fs, path::PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    leaks::hook,
    tracefs,
    view::Tracefs,
    world::{self, World, delegate, is_v1, remove},
};
use crate::harness::{Result, Watch, not_disposable, output, program, text, too_slow, workload};

pub(super) fn missing_memory() -> Option<String> {
    not_disposable().or_else(world::missing)
}

pub(super) fn missing_ids() -> Option<String> {
    too_slow().or_else(missing_memory)
}

/// How slab failures are watched, and whether each is seen: what comes by the kernel log is limited in rate.
const WAYS: [(&str, &[&str], bool); 5] = [
    ("fentry", &[], true),
    ("kprobe", &["--avoid", "fentry"], true),
    ("raw_tp", &["--avoid", "fentry,kprobe"], true),
    ("kprobe", &["--source", "tracefs"], true),
    ("kmsg", &["--source", "sysfs"], false),
];

/// Processes to be killed for want of memory.
const VICTIMS: usize = 16;

/// How willingly the kernel kills a process for want of memory, from -1000, never, to 1000.
fn spare(pid: u32, score: &str) -> std::io::Result<()> {
    fs::write(format!("/proc/{pid}/oom_score_adj"), score)
}

/// The kernel runs out of memory for slabs in earnest, and each way of seeing that counts the failures.
pub(super) fn slab() -> Result {
    // This asks the kernel, so before the world is taken.
    let without_tracefs = tracefs::missing().is_some();
    let _world = World::new("flood");
    let _mounted = Tracefs::mounted();
    let mut watches = Vec::new();
    for (way, args, each) in WAYS {
        if args.contains(&"tracefs") && without_tracefs {
            continue;
        }
        let watch = Watch::start(args);
        // That what should attach does is another test's.
        if hook(&watch.seen[0], "slab failure")["way"] == way {
            watches.push((watch, args, each));
        }
    }
    assert!(watches.len() >= 3, "only {} ways", watches.len());

    // Nobody else should need memory meanwhile: the watchers stop, and the buffers hold it all. If somebody does, the kernel
    // kills a victim, and panics when nobody is left.
    let mut victims = Vec::new();
    for _ in 0..VICTIMS {
        let victim = workload(["hold-memory"]).spawn()?;
        spare(victim.id(), "1000")?;
        victims.push(victim);
    }
    spare(std::process::id(), "-1000")?;
    for (watch, ..) in &watches {
        spare(watch.pid(), "-1000")?;
    }
    let signal = |signal| {
        for (watch, ..) in &watches {
            let pid = Pid::from_raw(i32::try_from(watch.pid())?).ok_or("a process")?;
            kill_process(pid, signal)?;
        }
        Result::Ok(())
    };
    signal(Signal::STOP)?;
    let flood = output(workload(["flood-signals"]));
    signal(Signal::CONT)?;
    spare(std::process::id(), "0")?;
    for victim in &mut victims {
        victim.kill()?;
        victim.wait()?;
    }
    assert!(flood.status.success(), "{}", text(&flood.stderr));
    let said = text(&flood.stdout);
    let (flooder, failed) = said
        .trim()
        .split_once(' ')
        .and_then(|(pid, failed)| Some((pid.parse::<u64>().ok()?, failed.parse::<usize>().ok()?)))
        .expect("its number, and how many");

    for (mut watch, args, each) in watches {
        let failures = if each { failed } else { 1 };
        let ours = |line: &Value| {
            line["kind"] == "slab_failure"
                && (line["pid"].as_u64() == Some(flooder) || !each && line["cache"].is_string())
        };
        for failure in watch.wait_for_all("slab failures", failures, ours) {
            assert!(failure["gfp"].is_u64(), "{failure}");
        }
        let ended = watch.stop();
        if each {
            // The kernel runs no program within another on the same CPU, and says how often it did not: then an interrupt
            // allocated something while the program for the flood's allocation ran.
            let mut gaps = ended.lines.iter().filter(|line| line["kind"] == "gap");
            let lost = gaps.find(|gap| gap["reason"] != "recursion");
            assert_eq!(lost, None, "{args:?}: {}", ended.summary());
            // It may have needed something else, too, for which it could have waited.
            let mut seen = BTreeMap::new();
            for line in ended.lines.iter().filter(|line| ours(line)) {
                *seen.entry(line["gfp"].as_u64()).or_insert(0) += 1;
            }
            assert_eq!(seen.values().max(), Some(&failed), "{args:?}: {seen:?}");
        }
    }
    Ok(())
}

/// Live memcgs until the kernel has no id left.
pub(super) fn ids() -> Result {
    const WIDTH: usize = 500;
    let world = World::new("ids");
    let mut watch = Watch::start(&[]);
    let mut made: Vec<PathBuf> = Vec::new();
    let mut parent = world.base.clone();
    let error = loop {
        if made.len().is_multiple_of(WIDTH) {
            parent = world.make(&format!("p{}", made.len() / WIDTH));
            if !is_v1() {
                delegate(&parent);
            }
        }
        let cgroup = parent.join(made.len().to_string());
        match fs::create_dir(&cgroup) {
            Ok(()) => made.push(cgroup),
            Err(error) => break error,
        }
        assert!(made.len() < 70_000, "the ids do not end");
    };
    // 5.8 and later; before, it said that memory had run out (`mem_cgroup_alloc`).
    let full = rustix::io::Errno::NOSPC.raw_os_error();
    assert_eq!(error.raw_os_error(), Some(full), "{}", made.len());
    let failure = watch.wait_for("a failed mkdir", |line| line["kind"] == "mkdir_failure");
    assert_eq!(failure["errno"].as_i64(), Some(full.into()), "{failure}");

    let scan = || -> std::result::Result<Value, libtest_mimic::Failed> {
        let run = output(program(["scan", "--format", "json"]));
        Ok(serde_json::from_slice(&run.stdout)?)
    };
    let seen = scan()?;
    assert_eq!(seen["ids_max"], seen["ids_capacity"], "{seen}");
    assert!(seen["live"].as_u64() > Some(made.len() as u64), "{seen}");
    // Some back, and it goes on.
    for cgroup in made.drain(..).rev().take(200) {
        remove(&cgroup);
    }
    world::wait_until("an id that is free", || {
        let again = world.base.join("again");
        fs::create_dir(&again).is_ok_and(|()| fs::remove_dir(&again).is_ok())
    });
    assert!(scan()?["ids_max"].as_u64() < seen["ids_max"].as_u64());
    assert_eq!(watch.stop().summary()["gaps"], 0);
    Ok(())
}
