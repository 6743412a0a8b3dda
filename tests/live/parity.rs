//! Several sources watch the same cgroups, and must agree.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    source::{GRACE, SOURCES, Source},
    view::Tracefs,
    world::{World, remove, zombies},
};
use crate::harness::{Ended, Result, Watch, below};

/// How many cgroups of a kind.
const COUNT: usize = 5;

/// Cgroups that outlive two polls and are freed, others that leak, and some that come and go in between.
pub(super) fn sources() -> Result {
    let world = World::new("parity");
    let _mounted = Tracefs::mounted();
    let mut watches: Vec<_> = SOURCES
        .iter()
        .map(|source| source.watch(&["--grace", GRACE]))
        .collect();
    let names = |kind: &str| {
        (0..COUNT)
            .map(|n| format!("{kind}-{n}"))
            .collect::<Vec<_>>()
    };
    let wait = |watches: &mut [Watch], kind: &str, which: &str| {
        let prefix = format!("{}/{which}-", world.path);
        for watch in watches {
            watch.wait_for_all(&format!("{which} {kind}"), COUNT, |line| {
                line["kind"] == kind && below(line, &prefix)
            });
        }
    };
    let before = zombies();

    let made: Vec<_> = names("clean").iter().map(|name| world.make(name)).collect();
    wait(&mut watches, "created", "clean");
    for cgroup in &made {
        remove(cgroup);
    }
    wait(&mut watches, "freed", "clean");

    let mut files = Vec::new();
    let made: Vec<_> = names("leaky").iter().map(|name| world.make(name)).collect();
    wait(&mut watches, "created", "leaky");
    for (n, cgroup) in made.iter().enumerate() {
        files.push(world.charge(cgroup, &n.to_string()));
        remove(cgroup);
    }
    wait(&mut watches, "leaked", "leaky");
    agree(&mut watches, before + COUNT as u64);

    // Made, charged and removed at once: whether a poll sees one of them is chance, and the counts do not depend on it.
    for name in names("short") {
        let cgroup = world.make(&name);
        files.push(world.charge(&cgroup, &name));
        remove(&cgroup);
    }
    agree(&mut watches, before + 2 * COUNT as u64);
    for file in files {
        world.unpin(&file);
    }
    agree(&mut watches, before);

    let base = format!("{}/", world.path);
    let ended: Vec<_> = watches.into_iter().map(Watch::stop).collect();
    for kind in ["created", "offlined", "leaked"] {
        let sets: Vec<_> = ended.iter().map(|run| paths(run, kind, &base)).collect();
        for (set, source) in sets.iter().zip(SOURCES) {
            assert_eq!(*set, sets[0], "{kind} of {}", source.name);
        }
        assert!(sets[0].len() >= COUNT, "{kind}: {:?}", sets[0]);
    }
    for (run, Source { name: source, .. }) in ended.iter().zip(&SOURCES) {
        let summary = run.summary();
        let number = |name: &str| summary[name].as_u64().expect("a number");
        // What others left is older than the grace time, for the one that knows their names.
        let found = run.lines.iter().filter(|line| line["kind"] == "zombie");
        let theirs = number("leaked");
        assert!(theirs <= found.count() as u64, "{source}: {summary}");
        // A poll may be late on a slow machine.
        if *source != "sysfs" {
            assert_eq!(number("gaps"), 0, "{source}: {summary}");
        }
        assert_eq!(
            number("leaks"),
            number("recovered") + theirs,
            "{source}: {summary}"
        );
    }
    Ok(())
}

/// Waits until every run says that there are as many zombies as the kernel says.
fn agree(watches: &mut [Watch], expected: u64) {
    for watch in watches {
        watch.wait_for(&format!("a tick with {expected} zombies"), |line| {
            line["kind"] == "tick" && line["zombies"].as_u64() == Some(expected)
        });
    }
    assert_eq!(zombies(), expected);
}

/// The cgroups that outlived two polls, in lines of a kind.
fn paths(run: &Ended, kind: &str, base: &str) -> BTreeSet<String> {
    let lines = run
        .lines
        .iter()
        .filter(|line| line["kind"] == kind && below(line, base));
    let path = |line: &Value| line["path"].as_str().map(str::to_owned);
    lines
        .filter_map(path)
        .filter(|path| !path.contains("/short-"))
        .collect()
}
