//! A few memory cgroups made where pods are made, without switching anything on: whether they leak.

use std::{path::PathBuf, time::Duration};

use crate::{
    catalogue::Catalogue,
    diagnose::{
        Facts, Level, Trial,
        facts::{AccountedDirectory, Reading, Unread},
    },
    host::{Live, Root, Slabinfo, Version},
    interrupt::Interrupt,
    reproduce::{Course, Workload, check},
};

const COUNT: u64 = 10;

const WAIT: Duration = Duration::from_secs(3);

pub(crate) fn trial(root: &Root, facts: &Facts, catalogue: &Catalogue) -> Reading<Trial> {
    let hierarchy = facts
        .hierarchy
        .as_ref()
        .map_err(|none| Unread::new("/proc/self/mountinfo", *none))?;
    // On v2 a cgroup with tasks has none below it, and what is below kubelet's is its own.
    let kubepods = facts
        .levels
        .iter()
        .flatten()
        .find(|one| Level::of(&one.path) == Level::Kubepods);
    let parent = match kubepods {
        Some(kubepods) if hierarchy.version == Version::V1 => PathBuf::from(&kubepods.place),
        _ => hierarchy.mount.clone(),
    };
    let place = parent.display().to_string();
    let cannot = |error: crate::error::Error| Unread::new(place.clone(), error);
    check(facts.count.as_ref().map_err(Clone::clone)?, COUNT).map_err(cannot)?;
    let interrupt = Interrupt::watched().map_err(cannot)?;
    let course = Course {
        root,
        acts: &Live,
        hierarchy,
        parent,
        switch_on: false,
        count: COUNT,
        workload: Workload::Dentries,
        wait: WAIT,
        reclaim: false,
        directory: PathBuf::from("/var/tmp"),
        interrupt: &interrupt,
        catalogue,
    };
    let held_below = facts
        .levels
        .as_ref()
        .ok()
        .and_then(|levels| held_below(root, levels));
    let report = course.run().map_err(cannot)?;
    Ok(Trial {
        made: report.made,
        stayed: report.stayed(),
        accounted: report.accounted,
        place,
        held_below,
    })
}

/// A directory of kubelet's whose own accounting is off, with more kernel memory than its children have.
fn held_below(root: &Root, levels: &[AccountedDirectory]) -> Option<String> {
    let usage = |one: &AccountedDirectory| -> Option<u64> {
        let text = root.read(format!("{}/memory.kmem.usage_in_bytes", one.place));
        str::from_utf8(&text.ok()?).ok()?.trim().parse().ok()
    };
    let held = |one: &&AccountedDirectory| {
        let children = levels.iter().filter(|child| {
            let rest = child.path.strip_prefix(&one.path[..]);
            let rest = rest.and_then(|rest| rest.strip_prefix(b"/"));
            rest.is_some_and(|name| !name.contains(&b'/'))
        });
        let children: Option<u64> = children.map(usage).sum();
        let more = usage(one).zip(children);
        more.is_some_and(|(usage, children)| usage > children)
    };
    let mut off = levels.iter().filter(|one| {
        let level = Level::of(&one.path);
        let is_kubelet_s = matches!(level, Level::Kubepods | Level::Qos | Level::Pod);
        is_kubelet_s && one.slabinfo == Slabinfo::Inactive
    });
    // The lowest says most.
    let found = off.rfind(held);
    found.map(|one| one.place.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::facts::{MemcgCount, ReadOptions},
        host::{
            Acts,
            tests::world::{Kernel, Kind, World},
        },
    };

    #[test]
    fn zombies_of_accounted_containers_show_below_pods_that_are_not() {
        let world = World::new(Kernel::El7, Version::V1);
        let below = || {
            let facts = Facts::read(
                world.root(),
                ReadOptions::default(),
                Ok(MemcgCount::default()),
            );
            held_below(world.root(), &facts.levels.unwrap())
        };
        world.make("/kubepods/pod1/off");
        assert_eq!(below(), None);
        world.make("/kubepods/pod2/c");
        world.account("/kubepods/pod2/c");
        world.charge("/kubepods/pod2/c", Kind::InUse("dentry"), 8192);
        assert_eq!(below(), None);
        let place = world.mount().join("kubepods/pod2");
        world.remove_directory(&place.join("c")).unwrap();
        assert_eq!(below(), Some(place.display().to_string()));
    }
}
