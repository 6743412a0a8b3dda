//! A few memory cgroups made where pods are made, without switching anything on: whether they leak.

use std::{path::PathBuf, time::Duration};

use super::super::{
    catalogue::Catalogue,
    interrupt::Interrupt,
    reproduce::{Course, Workload, check},
};
use crate::{
    diagnose::{
        Facts, Level, Trial,
        facts::{Fact, Unread},
    },
    host::{Root, Version},
};

const COUNT: u64 = 10;

const WAIT: Duration = Duration::from_secs(3);

pub(super) fn trial(root: &Root, facts: &Facts, catalogue: &Catalogue) -> Fact<Trial> {
    let hierarchy = facts
        .hierarchy
        .as_ref()
        .map_err(|none| Unread::new("/proc/self/mountinfo", none))?;
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
    let cannot = |error: crate::error::Error| Unread::new(place.clone(), error.reason());
    check(facts.count.as_ref().map_err(Clone::clone)?, COUNT).map_err(cannot)?;
    let interrupt = Interrupt::watched().map_err(cannot)?;
    let course = Course {
        root,
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
    let report = course.run().map_err(cannot)?;
    Ok(Trial {
        made: report.made,
        stayed: report.stayed(),
        accounted: report.accounted,
        place,
    })
}
