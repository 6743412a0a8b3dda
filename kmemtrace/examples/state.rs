//! Measures what a snapshot of the tracker's state costs: `state ZOMBIES ROUNDS` prints the nanoseconds of CPU time of each round, a line each. For
//! `cargo xtask bench state`.
//!
//! Containers of pods are made, removed and never freed; what each holds is known.

use std::{env, error::Error, hint};

use kmemtrace::{
    event::{Cgroup, Counts, Event, Fact, Holds, Path as CgroupPath, Stamp, Task, header::Header},
    tracker::Tracker,
};
use rustix::time::{ClockId, clock_gettime};

/// The grace time, in nanoseconds.
const GRACE_NS: u64 = 30_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [zombies, rounds] = &args[..] else {
        return Err("usage: state ZOMBIES ROUNDS".into());
    };
    let zombies: u64 = zombies.parse()?;
    let header = Header {
        source: "bpf".into(),
        hierarchy: Some("v1".into()),
        grace_ns: GRACE_NS,
        ..Header::default()
    };
    let mut tracker = Tracker::of(&header);
    let mut changes = Vec::new();
    let mut apply = |mono_ns: u64, fact: Fact| {
        let time = Stamp {
            mono_ns,
            wall_ns: 0,
        };
        tracker.apply(&Event { time, fact }, &mut changes);
        changes.clear();
    };
    for id in 0..zombies {
        // A removal every 10 ms.
        let now_ns = id * 10_000_000;
        apply(now_ns, Fact::Created(cgroup(id)));
        apply(now_ns + 1_000, Fact::Offlined(cgroup(id)));
        apply(now_ns + 2_000, Fact::Zombie(cgroup(id)));
    }
    apply(
        zombies * 10_000_000 + GRACE_NS,
        Fact::Tick(Counts::default()),
    );
    let leaked = tracker.totals().leaked;
    if leaked != zombies {
        return Err(format!("{leaked} of {zombies} leaked").into());
    }
    for _ in 0..rounds.parse()? {
        let began = cpu_ns();
        // It has all that a snapshot can tell.
        hint::black_box(tracker.state().summary());
        println!("{}", cpu_ns() - began);
    }
    Ok(())
}

/// What this thread has used, whatever else the machine does.
fn cpu_ns() -> i64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec * 1_000_000_000 + used.tv_nsec
}

fn cgroup(id: u64) -> Cgroup {
    let pod = id / 4;
    let path = format!("/kubepods/burstable/pod{pod:08x}-5a00-11e9-b385-42010a80018d/{id:064x}");
    Cgroup {
        id: Some(7_000_000 + id),
        serial: Some(id),
        path: Some(CgroupPath::whole(path)),
        memory: Some(true),
        usage_bytes: Some(1_310_720),
        holds: Some(Box::new(Holds {
            file_bytes: Some(id % 100 * 4096),
            refcount: Some(3),
            ..Holds::default()
        })),
        task: Some(Task {
            pid: (id % 32_768) as u32,
            comm: *b"runc\0\0\0\0\0\0\0\0\0\0\0\0",
        }),
        ..Cgroup::default()
    }
}
