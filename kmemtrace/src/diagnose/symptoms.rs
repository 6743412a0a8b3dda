//! Whether something is wrong.

mod logs;

use rustix::io::Errno;

use super::{
    Era, Evidence, Facts, Finding, Group, Origin, State, Verdict,
    facts::{Crowd, Meminfo, MkdirRefusal},
    levels::MadeBy,
    trace::{firsts_and_lasts, times, traced},
};
use crate::{
    catalogue::{Arg, Message, say},
    judge::{Kept, Refused, Signs},
};

pub(super) use logs::{kernel_log, memcg_oom, runtime_log};

/// Names of findings.
pub(super) const IDS: &str = "ids";
pub(super) const MKDIR: &str = "mkdir";
pub(super) const KERNEL_LOG: &str = "kernel-log";
pub(super) const MEMCG_OOM: &str = "memcg-oom";
pub(super) const RUNTIME_LOG: &str = "runtime-log";
pub(super) const FREE_MEMORY: &str = "free-memory";

/// An average over less than ten minutes says nothing of a day.
const LEAST_UPTIME_NS: u64 = 600_000_000_000;

fn symptom(id: &'static str, verdict: Verdict, says: Message) -> Finding {
    Finding::new(id, Group::Symptom, verdict, says)
}

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
        Some(Err(unread)) => refusal(unread.reason.errno(), free),
        _ => Refused::No,
    };
    let traced = traced(facts).map_or(&[][..], |traced| &traced.mkdir);
    let traced = traced.iter().map(|failed| match failed.what {
        // Which cgroup's limit an ENOMEM comes from is not known.
        MkdirRefusal::Errno(errno) => refusal(Some(errno), false),
        MkdirRefusal::RolledBack => Refused::No,
    });
    let all = traced.chain([probed, logs::refused(facts)]);
    all.max().unwrap_or_default()
}

/// What an error of mkdir says. `ENOMEM` proves it where no memory limit can be the reason: at the hierarchy's root, with memory
/// free.
fn refusal(errno: Option<i32>, no_limit: bool) -> Refused {
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => Refused::Proved,
        Some(Errno::NOMEM) if no_limit => Refused::Proved,
        Some(Errno::NOMEM) => Refused::Told,
        _ => Refused::No,
    }
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

/// Where live memory cgroups crowd, if that was looked for.
fn crowd(facts: &Facts) -> Message {
    let Some(crowd) = &facts.crowd else {
        return Message::new(say::NOTHING);
    };
    let ns =
        |age: std::time::Duration| Arg::Time(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
    let age = crowd
        .age
        .map_or(Message::new(say::NOTHING), |(oldest, youngest)| {
            Message::new(say::CROWD_AGE)
                .arg("youngest", ns(youngest))
                .arg("oldest", ns(oldest))
        });
    Message::new(say::CROWD_MOST)
        .arg("place", crowd.place.clone())
        .arg("children", crowd.children)
        .arg("empty", empty(crowd))
        .arg("maker", made_by(crowd))
        .arg("age", age)
}

/// memcg ids in use, and zombies.
pub(super) fn ids(facts: &Facts, era: Option<(Era, Origin)>) -> Finding {
    let count = match &facts.count {
        Ok(count) => count,
        Err(unread) => return Finding::unknown(IDS, Group::Symptom, unread),
    };
    let signs = signs(facts, era);
    let keeps = signs.kept != Kept::No;
    // That others cannot be made is told by other findings, where ids are not the reason.
    let state = match signs.state() {
        State::Failing => {
            let refused = Refused::No;
            Signs { refused, ..signs }.state()
        }
        state => state,
    };
    let (verdict, id, meaning) = match state {
        State::Crowded => (Verdict::Fail, say::IDS_LIVE, say::IDS_LIVE_MEANING),
        State::Exhausted if count.ids_min >= count.capacity => {
            (Verdict::Fail, say::IDS_FULL, say::IDS_TAKEN_MEANING)
        }
        State::Exhausted if signs.all_taken() => {
            (Verdict::Fail, say::IDS_TAKEN, say::IDS_TAKEN_MEANING)
        }
        State::Exhausted => (Verdict::Fail, say::IDS_REFUSED, say::IDS_TAKEN_MEANING),
        State::Leaking => (Verdict::Fail, say::IDS_LEAKING, say::IDS_LEAKING_MEANING),
        State::PilingUp if signs.kept == Kept::Unknown => (
            Verdict::Warn,
            say::IDS_MANY_ZOMBIES,
            say::IDS_UNTOLD_MEANING,
        ),
        State::PilingUp => (
            Verdict::Warn,
            say::IDS_MANY_ZOMBIES,
            say::IDS_MANY_ZOMBIES_MEANING,
        ),
        _ if count.staying > 0 && signs.kept == Kept::Unknown => {
            (Verdict::Unknown, say::IDS_LEAKING, say::IDS_UNTOLD_MEANING)
        }
        _ if count.staying > 0 => (
            Verdict::Ok,
            say::IDS_FEW_ZOMBIES,
            say::IDS_FEW_ZOMBIES_MEANING,
        ),
        _ if count.none => (Verdict::Ok, say::IDS_FINE, say::IDS_FINE_MEANING),
        _ => (Verdict::Unknown, say::IDS_UNKNOWN, say::IDS_UNKNOWN_MEANING),
    };
    let exact = count.zombies_max == Some(count.zombies_min);
    let zombies = Message::new(if exact {
        say::ZOMBIES
    } else {
        say::ZOMBIES_AT_LEAST
    })
    .arg("number", count.zombies_min);
    let ids = match count.ids_max {
        Some(max) if max == count.ids_min => Message::new(say::EXACTLY).arg("number", max),
        Some(max) => Message::new(say::BETWEEN)
            .arg("least", count.ids_min)
            .arg("most", max),
        None => Message::new(say::AT_LEAST).arg("number", count.ids_min),
    };
    let says = Message::new(id)
        .arg("live", count.live)
        .arg("zombies", zombies)
        .arg("ids", ids)
        .arg("capacity", count.capacity)
        .arg("peak", count.ids_peak.unwrap_or(0))
        .arg("crowd", crowd(facts));
    let mut meaning = Message::new(meaning);
    let a_day = ids_a_day(facts).filter(|_| verdict == Verdict::Fail && keeps);
    if let Some((a_day, traced)) = a_day {
        let left = count.capacity.saturating_sub(count.ids_min);
        let rate = Message::new(match (count.all_taken(), traced) {
            (true, false) => say::RATE_USED,
            (true, true) => say::RATE_USED_TRACED,
            (false, false) => say::RATE,
            (false, true) => say::RATE_TRACED,
        })
        .arg("day", a_day)
        .arg("left", Arg::Time(lasts_ns(left, a_day)))
        .arg("lasts", Arg::Time(lasts_ns(count.capacity, a_day)));
        meaning = meaning.arg("rate", rate);
    } else {
        meaning = meaning.arg("rate", Message::new(say::NOTHING));
    }
    let mut finding = symptom(IDS, verdict, says)
        .meaning(meaning)
        .evidence(facts.counted.iter().map(super::facts::Line::evidence))
        .verify(Message::new(say::IDS_VERIFY));
    let slab = |says: Message| Evidence::of_file("/sys/kernel/slab", says);
    if count.with_caches > 0 {
        let removed = count.with_caches;
        let says = Message::new(say::SLAB_NAMES).arg("removed", removed);
        finding = finding.evidence([slab(says)]);
    }
    if let Some(peak) = count.peak {
        let says = Message::new(say::SLAB_PEAK).arg("id", peak.saturating_sub(1));
        finding = finding.evidence([slab(says)]);
    }
    if let Some(held) = count.held_bytes.filter(|&held| held > 0)
        && let Ok(hierarchy) = &facts.hierarchy
    {
        let mount = hierarchy.mount.display();
        finding = finding.evidence([Evidence::of_file(
            format!("{mount}/**/memory.kmem.usage_in_bytes"),
            Message::new(say::KMEM_HELD).arg("held", Arg::Bytes(held)),
        )]);
    }
    finding
}

/// Whether a memory cgroup can be made.
pub(super) fn mkdir(facts: &Facts) -> Finding {
    let says = Message::new;
    let failed = traced(facts).map_or(&[][..], |traced| &traced.mkdir);
    let finding = match (&facts.probe, failed) {
        (None, []) if facts.is_copy() => symptom(MKDIR, Verdict::Unknown, says(say::MKDIR_COPIED)),
        (None, []) => symptom(MKDIR, Verdict::Unknown, says(say::MKDIR_NOT_TRIED)),
        (None, [most, ..]) => symptom(
            MKDIR,
            Verdict::Fail,
            times(says(say::MKDIR_TRACED), failed)
                .arg("what", Arg::from(&most.what))
                .arg("place", most.place.clone()),
        )
        .meaning(says(say::MKDIR_TRACED_MEANING))
        .evidence(firsts_and_lasts(failed)),
        (Some(Ok(())), [_, ..]) => symptom(
            MKDIR,
            Verdict::Warn,
            times(says(say::MKDIR_WORKS_AGAIN), failed),
        )
        .meaning(says(say::MKDIR_TRACED_MEANING))
        .evidence(firsts_and_lasts(failed)),
        (Some(Ok(())), []) => symptom(MKDIR, Verdict::Ok, says(say::MKDIR_WORKS)),
        // Not the kernel's: nobody may write there.
        (Some(Err(unread)), []) if refusal(unread.reason.errno(), true) == Refused::No => {
            return Finding::unknown(MKDIR, Group::Symptom, unread);
        }
        (Some(Err(unread)), _) => {
            let finding = says(say::MKDIR_FAILS).arg("error", Arg::from(&unread.reason));
            symptom(MKDIR, Verdict::Fail, finding)
                .meaning(says(say::MKDIR_FAILS_MEANING))
                .evidence([Evidence::of_file(
                    &unread.file,
                    Message::new(say::MKDIR_SAID).arg("error", Arg::from(&unread.reason)),
                )])
                .evidence(firsts_and_lasts(failed))
        }
    };
    let mount = facts.hierarchy.as_ref().map_or_else(
        |_| "/sys/fs/cgroup/memory".to_owned(),
        |at| at.mount.display().to_string(),
    );
    finding.verify(says(say::MKDIR_VERIFY).arg("mount", mount))
}

/// Memory that is free, so that it is not what lacks.
pub(super) fn free_memory(facts: &Facts) -> Finding {
    let memory = match &facts.meminfo {
        Ok(memory) => memory,
        Err(unread) => return Finding::unknown(FREE_MEMORY, Group::Symptom, unread),
    };
    let scarce = memory.is_scarce();
    let (verdict, id, meaning) = if scarce {
        (
            Verdict::Warn,
            say::FREE_MEMORY_SCARCE,
            say::FREE_MEMORY_SCARCE_MEANING,
        )
    } else {
        (
            Verdict::Ok,
            say::FREE_MEMORY_PLENTY,
            say::FREE_MEMORY_PLENTY_MEANING,
        )
    };
    let says = Message::new(id)
        .arg("available", Arg::Bytes(memory.available))
        .arg("total", Arg::Bytes(memory.total));
    symptom(FREE_MEMORY, verdict, says)
        .meaning(Message::new(meaning))
        .evidence([memory.line.evidence()])
}
