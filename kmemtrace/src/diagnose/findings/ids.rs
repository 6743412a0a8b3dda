//! memcg ids in use, and zombies.

use super::Question;
use crate::{
    catalogue::{Arg, Message, say},
    diagnose::{
        Era, Evidence, Facts, Finding, Group, Origin, Provenance, State, Verdict,
        facts::{FileLine, MemcgCount},
        signs::{empty, ids_a_day, lasts_ns, made_by, signs},
    },
    event::nanos,
    judge::{Kept, Refused, Signs},
};

/// The question.
pub(in crate::diagnose) const QUESTION: Question = Question {
    id: "ids",
    group: Group::Symptom,
    answer: |case| Some(ids(case.facts, case.era)),
};

/// memcg ids in use, and zombies.
fn ids(facts: &Facts, era: Option<(Era, Origin)>) -> Finding {
    let count = match &facts.count {
        Ok(count) => count,
        Err(unread) => return QUESTION.unknown(unread),
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
    QUESTION
        .finding(verdict, says)
        .meaning(meaning)
        .evidence(facts.counted.iter().map(FileLine::evidence))
        .evidence(evidence(facts, count))
        .verify(Message::new(say::IDS_VERIFY))
}

/// What slab caches' names and charged kernel memory tell of removed memory cgroups.
fn evidence(facts: &Facts, count: &MemcgCount) -> Vec<Evidence> {
    let slab = |says: Message| match &facts.trace {
        Some(trace) => Evidence {
            at: Provenance::Trace(trace.clone(), None),
            says: says.into(),
        },
        None => Evidence::of_counters("/sys/kernel/slab", says),
    };
    let mut found = Vec::new();
    if count.with_caches > 0 {
        let removed = count.with_caches;
        found.push(slab(Message::new(say::SLAB_NAMES).arg("removed", removed)));
    }
    if let Some(peak) = count.peak {
        let id = peak.saturating_sub(1);
        found.push(slab(Message::new(say::SLAB_PEAK).arg("id", id)));
    }
    if let Some(held) = count.held_bytes.filter(|&held| held > 0)
        && let Ok(hierarchy) = &facts.hierarchy
    {
        let mount = hierarchy.mount.display();
        found.push(Evidence::of_counters(
            format!("{mount}/**/memory.kmem.usage_in_bytes"),
            Message::new(say::KMEM_HELD).arg("held", Arg::Bytes(held)),
        ));
    }
    found
}

/// Where live memory cgroups crowd, if that was looked for.
fn crowd(facts: &Facts) -> Message {
    let Some(crowd) = &facts.crowd else {
        return Message::new(say::NOTHING);
    };
    let ns = |age| Arg::Time(nanos(age));
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
