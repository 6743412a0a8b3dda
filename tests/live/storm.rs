//! More than the ring can hold, and as fast as the kernel makes it.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use super::world::{World, remove, wait_until, zombies};
use crate::harness::{Result, Watch};

/// Pairs of mkdir and rmdir in the storm.
const PAIRS: usize = 20_000;

/// With the default ring nothing is lost, or every loss is counted; the counts are right afterwards.
pub(super) fn default_ring() -> Result {
    let world = World::new("storm");
    let mut watch = Watch::start(&[]);
    churn(&world, PAIRS);
    settle(&mut watch);
    let offlined = watch.of("offlined", &world.path).count();
    let lost: u64 = watch
        .seen
        .iter()
        .filter(|line| line["kind"] == "gap")
        .filter_map(|gap| gap["lost"].as_u64())
        .sum();
    assert!(
        (PAIRS - offlined) as u64 <= lost,
        "{offlined} of {PAIRS} removals, {lost} records lost"
    );
    watch.stop();
    Ok(())
}

/// A ring far too small overflows: there are gaps, their losses are counted, and the counts are right afterwards.
pub(super) fn small_ring() -> Result {
    let world = World::new("small-ring");
    let kept = world.make("kept");
    let file = world.charge(&kept, "kept");
    let mut watch = Watch::start(&["--ring-size", "4K"]);
    remove(&kept);
    churn(&world, 5_000);
    let gap = watch.wait_for("a gap", |line| line["kind"] == "gap");
    assert!(gap["lost"].as_u64() > Some(0), "{gap}");
    assert_eq!(gap["reason"], "ring_full", "{gap}");
    settle(&mut watch);
    world.unpin(&file);
    settle(&mut watch);
    let live = watch.seen.last().expect("a tick")["live"].as_u64();
    assert_eq!(live, Some(directories()), "live memory cgroups");
    let ended = watch.stop();
    assert!(
        ended.summary()["gaps"].as_u64() > Some(0),
        "{}",
        ended.summary()
    );
    assert!(
        ended.summary()["lost"].as_u64() > Some(0),
        "{}",
        ended.summary()
    );
    Ok(())
}

pub(super) fn churn(world: &World, pairs: usize) {
    let cgroup = world.base.join("c");
    for _ in 0..pairs {
        // On a busy machine removed ones give back their ids late: all may be in use for a moment (EBUSY).
        wait_until("a free id", || fs::create_dir(&cgroup).is_ok());
        remove(&cgroup);
    }
}

/// Waits until kmemtrace and the kernel count the same zombies, after all that happened until now: a tick from before may
/// be waiting to be read, and have a number that is right again. One with the kernel's counts comes when all else is told.
pub(super) fn settle(watch: &mut Watch) {
    let now = clock_gettime(ClockId::Monotonic);
    let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    watch.wait_for("a tick that agrees with the kernel", |line| {
        line["kind"] == "tick"
            && line["mono_ns"].as_u64() > Some(now)
            && (line["num_cgroups"].is_u64() || line["dying"].is_u64())
            && line["zombies"].as_u64() == Some(zombies())
    });
}

pub(super) fn directories() -> u64 {
    super::world::directories(&super::world::mount().expect("checked before"))
}
