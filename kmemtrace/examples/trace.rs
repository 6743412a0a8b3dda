//! Writes a trace of so many facts: `trace FILE FACTS`. For `cargo xtask bench replay`.
//!
//! Containers of pods are made, removed and freed, a thousand alive at a time, a tick for every fifty facts, as `record` writes
//! it.

use std::{env, error::Error, fs, path::Path};

use kmemtrace::{
    event::{Cgroup, Counts, Event, Fact, Path as CgroupPath, Stamp, Task, header::Header},
    trace::record::{Limits, Recorder},
    tracker::Summary,
};

/// Containers that live at a time.
const ALIVE: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [file, facts] = &args[..] else {
        return Err("usage: trace FILE FACTS".into());
    };
    let facts: u64 = facts.parse()?;
    let path = Path::new(file);
    if path.exists() {
        fs::remove_file(path)?;
    }
    let mut recorder = Recorder::open(path, Limits::default())?;
    let header = Header {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").into(),
        source: "bpf".into(),
        hierarchy: Some("v1".into()),
        grace_ns: 30_000_000_000,
        ..Header::default()
    };
    recorder.header(at(0), &header)?;
    let mut written = 0;
    let mut container = 0;
    while written < facts || container % ALIVE != 0 {
        // a thousand are made, then removed, then freed, so that nothing is left at the end
        let base = container - container % ALIVE;
        for fact in [Fact::Created, Fact::Offlined, Fact::Freed] {
            for id in base..base + ALIVE {
                let time = at(written);
                recorder.event(&Event {
                    time,
                    fact: fact(cgroup(id)),
                })?;
                written += 1;
                if written.is_multiple_of(50) {
                    recorder.event(&Event {
                        time,
                        fact: Fact::Tick(Counts::default()),
                    })?;
                    written += 1;
                }
            }
        }
        container = base + ALIVE;
        recorder.flush(at(written), std::iter::empty)?;
    }
    recorder.end(at(written), &Summary::default())?;
    println!("{written}");
    Ok(())
}

/// A fact every 100 microseconds.
fn at(number: u64) -> Stamp {
    let start = Stamp {
        mono_ns: 5_000_000_000,
        wall_ns: 1_773_491_464_000_000_000,
    };
    start.at(start.mono_ns + number * 100_000)
}

fn cgroup(id: u64) -> Cgroup {
    let pod = id / 4;
    let path = format!("/kubepods/burstable/pod{pod:08x}-5a00-11e9-b385-42010a80018d/{id:064x}");
    Cgroup {
        id: Some(7_000_000 + id),
        parent_id: Some(6_000_000 + pod),
        memcg_id: Some((id % 65_535) as u32 + 1),
        path: Some(CgroupPath::whole(path)),
        memory: Some(true),
        usage_bytes: Some(1_310_720),
        task: Some(Task {
            pid: (id % 32_768) as u32,
            comm: *b"runc\0\0\0\0\0\0\0\0\0\0\0\0",
        }),
        ..Cgroup::default()
    }
}
