//! The sources of events, and what each must see alike.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Command};

use serde_json::Value;

use super::{
    hostile, storm, tracefs,
    view::Tracefs,
    world::{self, World, delegate, is_v1, remove, wait_until, zombies},
};
use crate::harness::{Result, Watch, below, output, program, text};

/// How many cgroups of a kind.
const COUNT: usize = 3;

/// The time after which a removed cgroup counts as leaked: long enough for the kernel to free what nothing pins.
pub(super) const GRACE: &str = "400ms";
pub(super) const GRACE_NS: u64 = 400_000_000;

/// A source, and how the program is started with it.
#[derive(Debug)]
pub(super) struct Source {
    /// In the names of its tests.
    pub(super) name: &'static str,
    /// As `--source` takes it.
    pub(super) kind: &'static str,
    /// The program with these arguments, the first of which is a verb.
    pub(super) program: fn(&[&str]) -> Command,
    /// Why it cannot run here.
    pub(super) missing: fn() -> Option<String>,
}

/// All of them.
pub(super) const SOURCES: [Source; 3] = [
    Source {
        name: "bpf",
        kind: "bpf",
        program: |args| program(args),
        missing: world::missing,
    },
    Source {
        name: "tracefs",
        kind: "tracefs",
        program: |args| program(args),
        missing: tracefs::missing_lives,
    },
    Source {
        name: "sysfs",
        kind: "sysfs",
        program: |args| program(args),
        missing: world::missing_hierarchy,
    },
];

impl Source {
    /// The arguments that choose it.
    pub(super) fn args(&self) -> [&'static str; 2] {
        ["--source", self.kind]
    }

    fn is_polled(&self) -> bool {
        self.kind == "sysfs"
    }

    /// Watches with it.
    pub(super) fn watch(&self, args: &[&str]) -> Watch {
        let watch = Watch::start_as(self.program, &[&self.args(), args].concat());
        assert_eq!(watch.seen[0]["source"], self.kind, "{}", watch.seen[0]);
        watch
    }
}

/// Waits until each of `count` cgroups below `base` was in a line of this kind.
fn wait(watch: &mut Watch, count: usize, kind: &str, base: &str) -> Vec<Value> {
    watch.wait_for_all(&format!("{kind} lines"), count, |line| {
        line["kind"] == kind && below(line, base)
    })
}

/// Some cgroups leak, one dies cleanly; then the files that pinned them go.
pub(super) fn leaks(source: &Source) -> Result {
    let world = World::new(&format!("leaks-{}", source.name));
    let _mounted = Tracefs::mounted();
    let mut watch = source.watch(&["--grace", GRACE]);
    leak_and_recover(&world, &mut watch);
    let ended = watch.stop();
    assert!(
        ended
            .stderr
            .starts_with(&format!("kmemtrace: source {}", source.kind)),
        "{}",
        ended.stderr
    );
    Ok(())
}

/// What a run with this grace time must say of cgroups that leak and recover, and of one that does neither.
pub(super) fn leak_and_recover(world: &World, watch: &mut Watch) {
    let before = zombies();
    let base = format!("{}/leaky", world.path);
    // Each step is seen before the next is taken: a poll sees no shorter life, and a probe no path of a directory that is
    // gone by the time of the look.
    let made: Vec<_> = (0..COUNT)
        .map(|n| world.make(&format!("leaky{n}")))
        .collect();
    wait(watch, COUNT, "created", &base);
    // The clean one first: of several that end between two polls, a poll cannot tell which were freed.
    let path = format!("{}/clean", world.path);
    let clean = world.make("clean");
    wait(watch, 1, "created", &path);
    remove(&clean);
    wait(watch, 1, "freed", &path);
    let mut files = Vec::new();
    for (n, cgroup) in made.iter().enumerate() {
        files.push(world.charge(cgroup, &n.to_string()));
        remove(cgroup);
    }

    for line in wait(watch, COUNT, "leaked", &base) {
        assert!(line["zombie_ns"].as_u64() >= Some(GRACE_NS), "{line}");
        // Nothing of a single zombie's end is seen by polls: only their count.
        let polled = watch.seen[0]["source"] == "sysfs";
        assert_eq!(line["across_gap"].as_bool() == Some(true), polled, "{line}");
    }
    wait_until("the kernel's count", || zombies() == before + COUNT as u64);
    storm::settle(watch);
    for file in files {
        world.unpin(&file);
    }
    wait(watch, COUNT, "recovered", &base);
    storm::settle(watch);
    assert_eq!(watch.of("leaked", &path).count(), 0);
    assert_eq!(watch.of("offlined", &base).count(), COUNT);
    let tick = watch.seen.last().expect("a tick");
    // Those that others left, as far as they have names.
    let named = watch.of("zombie", "/").count() as u64;
    assert!(tick["leaked"].as_u64().unwrap_or(0) <= named, "{tick}");
    // A machine that is busy may poll late; nothing else may be missed.
    let gap = |line: &&Value| line["kind"] == "gap" && line["reason"] != "late_poll";
    assert_eq!(watch.seen.iter().find(gap), None);
}

/// Zombies that were there before the run are counted, and so is their end.
pub(super) fn inherited(source: &Source) -> Result {
    let world = World::new(&format!("inherited-{}", source.name));
    let _mounted = Tracefs::mounted();
    let before = zombies();
    let mut files = Vec::new();
    for n in 0..COUNT {
        let cgroup = world.make(&format!("old{n}"));
        files.push(world.charge(&cgroup, &n.to_string()));
        remove(&cgroup);
    }
    let kernel = before + COUNT as u64;
    // From 6.12 on the kernel counts a removed one in a worker, a little later (`offline_css`).
    wait_until("more zombies", || zombies() == kernel);
    let mut watch = source.watch(&[]);
    let walked = watch.seen.last().expect("the walk's end").clone();
    assert_eq!(walked["zombies"].as_u64(), Some(kernel), "{walked}");
    for file in files {
        world.unpin(&file);
    }
    if !source.is_polled() {
        // A poll knows how many there were, and not which.
        wait(&mut watch, COUNT, "freed", &format!("{}/old", world.path));
    }
    storm::settle(&mut watch);
    let ended = watch.stop();
    let summary = ended.summary();
    assert_eq!(summary["inherited"].as_u64(), Some(kernel), "{summary}");
    Ok(())
}

/// Whatever bytes a name has, JSON carries them whole.
pub(super) fn names(source: &Source) -> Result {
    let world = World::new(&format!("names-{}", source.name));
    let _mounted = Tracefs::mounted();
    let mut watch = source.watch(&[]);
    let names = hostile::names();
    let made = names
        .iter()
        .map(|name| world.base.join(OsStr::from_bytes(name)));
    let made: Vec<_> = made.collect();
    for cgroup in &made {
        fs::create_dir(cgroup)?;
    }
    let mut found: Vec<_> = wait(&mut watch, names.len(), "created", &world.path)
        .iter()
        .map(|line| hostile::path_bytes(line)[world.path.len() + 1..].to_vec())
        .collect();
    for cgroup in &made {
        remove(cgroup);
    }
    wait(&mut watch, names.len(), "freed", &world.path);
    let mut expected = names;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    watch.stop();
    Ok(())
}

/// Thousands of siblings, there before and made during the run.
pub(super) fn wide(source: &Source) -> Result {
    const WIDE: usize = 2048;
    let world = World::new(&format!("wide-{}", source.name));
    let _mounted = Tracefs::mounted();
    let name = |kind: &str, n: usize| world.base.join(format!("{kind}{n}"));
    for n in 0..WIDE {
        fs::create_dir(name("before", n))?;
    }
    let mut watch = source.watch(&[]);
    assert_eq!(watch.of("present", &world.path).count(), WIDE + 1);
    for n in 0..WIDE {
        fs::create_dir(name("during", n))?;
    }
    wait(
        &mut watch,
        WIDE,
        "created",
        &format!("{}/during", world.path),
    );
    for n in 0..WIDE {
        remove(&name("before", n));
        remove(&name("during", n));
    }
    wait(&mut watch, 2 * WIDE, "freed", &world.path);
    assert_eq!(watch.of("created", &world.path).count(), WIDE);
    assert_eq!(watch.of("offlined", &world.path).count(), 2 * WIDE);
    let ended = watch.stop();
    let summary = ended.summary();
    // A poll may be late on a slow machine.
    assert!(source.is_polled() || summary["gaps"] == 0, "{summary}");
    Ok(())
}

/// On v2 `-memory` in `cgroup.subtree_control` ends memcgs whose directories stay, and `+memory` begins new ones.
pub(super) fn memory_off_and_on(source: &Source) -> Result {
    let world = World::new(&format!("off-{}", source.name));
    let _mounted = Tracefs::mounted();
    let parent = world.make("parent");
    delegate(&parent);
    let mut watch = source.watch(&["--grace", GRACE]);
    let path = format!("{}/parent/child", world.path);
    let child = world.make("parent/child");
    wait(&mut watch, 1, "created", &path);
    let file = world.charge(&child, "file");
    let control = parent.join("cgroup.subtree_control");
    fs::write(&control, "-memory")?;
    // Before 6.12 the kernel's count leaves out a zombie whose directory is there.
    wait(&mut watch, 1, "leaked", &path);
    world.unpin(&file);
    wait(&mut watch, 1, "recovered", &path);
    fs::write(&control, "+memory")?;
    wait(&mut watch, 1, "created", &path);
    remove(&child);
    wait(&mut watch, 1, "freed", &path);
    storm::settle(&mut watch);
    let live = watch.seen.last().expect("a tick")["live"].as_u64();
    assert_eq!(live, Some(storm::directories()), "live memory cgroups");
    watch.stop();
    Ok(())
}

/// Why the memory controller cannot be switched off below a cgroup, or the source would not see it.
pub(super) fn missing_switch(source: &Source) -> Option<String> {
    if let Some(why) = (source.missing)() {
        return Some(why);
    }
    if is_v1() {
        return Some("needs cgroup v2".to_owned());
    }
    let counted = world::counts_memcgs();
    (source.is_polled() && !counted)
        .then(|| "needs the kernel's count of zombie memcgs (6.12)".to_owned())
}

/// A quiet run ends by itself after `--for`, with a summary; what others left from before it cannot judge.
pub(super) fn clean_run(source: &Source) -> Result {
    let _world = World::new("clean");
    let _mounted = Tracefs::mounted();
    let args = [["watch", "--for", "500ms"].as_slice(), &source.args()].concat();
    let run = output((source.program)(&args));
    let stdout = text(&run.stdout);
    let inherited =
        stdout.contains(" there before") && !stdout.contains(" 0 zombies were there before");
    let expected = if inherited { 2 } else { 0 };
    assert_eq!(run.status.code(), Some(expected), "{stdout}");
    assert!(stdout.contains("no leak seen"), "{stdout}");
    Ok(())
}
