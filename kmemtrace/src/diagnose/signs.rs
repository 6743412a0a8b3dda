//! What the judgement of a node rests on, and what findings and remedies work out of the same facts. Pure.

use super::{
    Era, Facts, Origin,
    facts::{Crowd, Meminfo, MkdirRefusal, Traced},
    levels::MadeBy,
};
use crate::{
    catalogue::{Message, say},
    judge::{Kept, Refused, Signs},
};

/// An average over less than ten minutes says nothing of a day.
const LEAST_UPTIME_NS: u64 = 600_000_000_000;

/// What the judgement rests on.
pub(super) fn signs(facts: &Facts, era: Option<(Era, Origin)>) -> Signs {
    let count = facts.count.as_ref();
    let counted = count.map_or_else(
        |_| Signs::default(),
        |count| Signs {
            live: count.live,
            staying: count.staying,
            none: count.none,
            ids_min: count.ids_min,
            ids_peak: count.ids_peak,
            ..Signs::default()
        },
    );
    Signs {
        kept: kept(facts, era),
        refused: refused(facts),
        made: facts.probe == Some(Ok(())),
        ..counted
    }
}

/// Whether zombies keep their ids: by what was counted and by the release, as all verbs have it; a sign that the kernel is that of
/// RHEL 7 tells where there is no release.
pub(super) fn kept(facts: &Facts, era: Option<(Era, Origin)>) -> Kept {
    let kept = facts
        .count
        .as_ref()
        .map_or(Kept::Unknown, |count| count.kept);
    match (kept, era) {
        (Kept::Unknown, Some((Era::OptIn, Origin::Sign))) => Kept::Yes,
        (kept, _) => kept,
    }
}

/// Whether memory cgroups could not be made, and how that is known.
fn refused(facts: &Facts) -> Refused {
    let free = !facts.meminfo.as_ref().is_ok_and(Meminfo::is_scarce);
    let probed = match &facts.probe {
        Some(Err(unread)) => Refused::by(unread.reason.errno(), free),
        _ => Refused::No,
    };
    let traced = traced(facts).map_or(&[][..], |traced| &traced.mkdir);
    let traced = traced.iter().map(|failed| match failed.what {
        // Which cgroup's limit an ENOMEM comes from is not known.
        MkdirRefusal::Errno(errno) => Refused::by(Some(errno), false),
        MkdirRefusal::RolledBack => Refused::ROLLED_BACK,
    });
    let all = traced.chain([probed, refused_by_logs(facts)]);
    all.max().unwrap_or_default()
}

/// Whether logs tell of memory cgroups that could not be made since boot.
fn refused_by_logs(facts: &Facts) -> Refused {
    let told = facts.runtime.as_ref();
    if told.is_ok_and(|log| log.lines.iter().any(|lines| !lines.before_boot)) {
        Refused::Told
    } else {
        Refused::No
    }
}

/// What the traces say, if some were given and could be read.
pub(super) fn traced(facts: &Facts) -> Option<&Traced> {
    facts.traced.as_ref()?.as_ref().ok()
}

/// How many ids are used a day, and whether a trace tells that; else what was used since the machine came up is shared out
/// evenly.
pub(super) fn ids_a_day(facts: &Facts) -> Option<(u64, bool)> {
    let traced = traced(facts).and_then(|traced| traced.ids_a_day);
    let traced = traced.map(|a_day| (a_day, true));
    traced.or_else(|| Some((since_boot(facts)?, false)))
}

fn since_boot(facts: &Facts) -> Option<u64> {
    let count = facts.count.as_ref().ok()?;
    // The live ones come and go: what was leaked counts, all of it since boot.
    let leaked = if count.all_taken() {
        count.capacity
    } else {
        count
            .zombies_min
            .max(count.peak.unwrap_or(0).saturating_sub(count.live))
    };
    let day = 86_400_000_000_000u128;
    let uptime = facts
        .uptime_ns
        .filter(|&uptime| uptime >= LEAST_UPTIME_NS)?;
    let rate = u128::from(leaked) * day / u128::from(uptime);
    u64::try_from(rate).ok().filter(|&rate| rate > 0)
}

/// How long all ids last at that rate, in nanoseconds.
pub(super) fn lasts_ns(capacity: u64, a_day: u64) -> u64 {
    let ns = u128::from(capacity) * 86_400_000_000_000 / u128::from(a_day.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Who makes them, if their path tells.
pub(super) fn made_by(crowd: &Crowd) -> Message {
    match MadeBy::of(&crowd.path) {
        MadeBy::Unknown => Message::new(say::NOTHING),
        maker => Message::new(say::CROWD_MAKER).arg("maker", maker.message()),
    }
}

/// How many of them are empty.
pub(super) fn empty(crowd: &Crowd) -> Message {
    match crowd.empty {
        Some(empty) => Message::new(say::CROWD_EMPTY).arg("empty", empty),
        None => Message::new(say::CROWD_LEAVES).arg("leaves", crowd.leaves),
    }
}
