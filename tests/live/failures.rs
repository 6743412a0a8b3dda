//! The kernel refuses: slab allocations and mkdirs.

use std::{fs, io::Write, path::Path};

use libtest_mimic::Failed;

use super::{
    leaks::hook,
    world::{self, World, delegate, is_v1, remove},
};
use crate::harness::{Result, Watch, below, workload};

/// A refused charge is a slab failure to one way only; a slab that cannot grow would take the whole machine's memory.
pub(super) fn missing() -> Option<String> {
    world::missing().or_else(|| {
        let way = &hook(world::doctor(), "slab failure")["way"];
        (way != "raw_tp")
            .then(|| format!("needs slab failures by raw_tp; here they are seen by {way}"))
    })
}

/// Making directories on a tmpfs until the cgroup's limit refuses another inode.
pub(super) fn slab() -> Result {
    let world = World::new("slab");
    let cgroup = world.make("small");
    limit(&cgroup, 16 << 20)?;
    let mut watch = Watch::start(&[]);
    if is_v1() {
        // Refuse, and do not kill.
        fs::write(cgroup.join("memory.oom_control"), "1")?;
    }
    let mut opener = workload([
        "make-directories".as_ref(),
        cgroup.as_os_str(),
        world.files.as_os_str(),
    ])
    .spawn()?;
    let failure = watch.wait_for("a slab failure", |line| line["kind"] == "slab_failure");
    opener.kill()?;
    opener.wait()?;
    assert!(failure["object_size"].as_u64() > Some(0), "{failure}");
    assert!(
        failure["cache"]
            .as_str()
            .is_some_and(|name| !name.is_empty()),
        "{failure}"
    );
    assert!(
        failure["gfp"].is_u64() && failure["node"].is_i64(),
        "{failure}"
    );
    assert!(
        failure["comm"].is_string() && failure["pid"].is_u64(),
        "{failure}"
    );
    assert!(watch.stop().summary()["slab_failures"].as_u64() > Some(0));
    remove(&cgroup);
    Ok(())
}

/// SLUB's message as it passes the kernel log: on its way to the console, or read back from /dev/kmsg.
pub(super) fn kernel_log() -> Result {
    let _world = World::new("log");
    for (way, avoid) in [
        ("console", "fentry,kprobe,raw_tp"),
        ("kmsg", "fentry,kprobe,raw_tp,console"),
    ] {
        let mut watch = Watch::start(&["--avoid", avoid]);
        assert_eq!(hook(&watch.seen[0], "slab failure")["way"], way);
        // Whoever may write there speaks with the kernel's voice; at level 1, which every console shows.
        let mut log = fs::File::options().write(true).open("/dev/kmsg")?;
        for line in [
            "SLUB: Unable to allocate memory on CPU 0 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)",
            "  cache: sigqueue, object size: 80, buffer size: 80, default order: 0, min order: 0",
            "  node 0: slabs: 3396, objs: 173196, free: 0",
        ] {
            // The reader may come by between two lines.
            std::thread::sleep(std::time::Duration::from_millis(100));
            log.write_all(format!("<1>{line}\n").as_bytes())?;
        }
        let failure = watch.wait_for("a slab failure", |line| line["kind"] == "slab_failure");
        assert_eq!(
            (&failure["gfp"], &failure["node"]),
            (&0x820.into(), &(-1).into()),
            "{failure}"
        );
        if way == "kmsg" {
            assert_eq!(
                (&failure["cache"], &failure["object_size"]),
                (&"sigqueue".into(), &80.into()),
                "{failure}"
            );
            assert_eq!(failure["nodes"][0]["objects"], 173_196, "{failure}");
        }
        watch.stop();
    }
    Ok(())
}

pub(super) fn mkdir() -> Result {
    refused_mkdir(&World::new("mkdir"), &[])
}

/// A parent whose limit leaves no room for a child's memcg, seen by a run with these arguments.
pub(super) fn refused_mkdir(world: &World, args: &[&str]) -> Result {
    let parent = world.make("full");
    if !is_v1() {
        // else its children have no memcg that could be refused
        delegate(&parent);
    }
    limit(&parent, 128 << 10)?;
    let mut watch = Watch::start(args);
    let way = hook(&watch.seen[0], "mkdir failure")["way"].clone();
    let traced = watch.seen[0]["source"] == "tracefs";
    let mut made = Vec::new();
    let error = loop {
        let child = parent.join(format!("child{}", made.len()));
        match fs::create_dir(&child) {
            Ok(()) => made.push(child),
            Err(error) => break error,
        }
        if made.len() > 2_000 {
            return Err(Failed::from("the limit refused no mkdir"));
        }
    };
    let failed = format!("{}/full/child{}", world.path, made.len());
    let name = format!("/child{}", made.len());
    let failure = watch.wait_for("a failed mkdir", |line| {
        let path = line["path"].as_str().unwrap_or_default();
        // The kernel's tracing has the name only.
        line["kind"] == "mkdir_failure"
            && if traced {
                path.ends_with(&name)
            } else {
                path.starts_with(&failed)
            }
    });
    if way == "release" {
        assert!(failure.get("errno").is_none(), "{failure}");
    } else {
        assert_eq!(
            failure["errno"].as_i64(),
            error.raw_os_error().map(i64::from),
            "{failure}"
        );
        assert_eq!(
            failure["pid"].as_u64(),
            Some(std::process::id().into()),
            "{failure}"
        );
    }
    for child in &made {
        remove(child);
    }
    watch.wait_for_all("freed lines", made.len(), |line| {
        line["kind"] == "freed" && below(line, &world.path)
    });
    // What was never made is neither live nor a zombie.
    assert_eq!(watch.of("created", &failed).count(), 0);
    assert_eq!(watch.of("freed", &failed).count(), 0);
    watch.stop();
    Ok(())
}

fn limit(cgroup: &Path, bytes: u64) -> Result {
    let file = if is_v1() {
        "memory.limit_in_bytes"
    } else {
        "memory.max"
    };
    Ok(fs::write(cgroup.join(file), bytes.to_string())?)
}
