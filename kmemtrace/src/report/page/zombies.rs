//! How long zombies lived, and what pins them.

use std::{cmp::Reverse, collections::BTreeMap};

use super::chart::bar;
use crate::{
    catalogue::{Arg, Catalogue, Message, Sentence, say},
    report::{Leak, Report},
    text::units::{Bytes, Grouped},
};

/// Zombies that lived for so long.
pub(super) struct Lived {
    pub(super) name: String,
    pub(super) freed: String,
    pub(super) freed_bar: String,
    pub(super) left: String,
    pub(super) left_bar: String,
    pub(super) late: bool,
}

/// What holds so many of those that are left.
pub(super) struct PinLine {
    pub(super) name: String,
    pub(super) count: String,
    pub(super) bar: String,
    pub(super) note: String,
}

/// The bounds between which zombies' lives are counted, in nanoseconds, as people name them.
const LIVES: [(u64, &str); 12] = [
    (1_000_000, "1 ms"),
    (10_000_000, "10 ms"),
    (100_000_000, "100 ms"),
    (1_000_000_000, "1 s"),
    (10_000_000_000, "10 s"),
    (60_000_000_000, "1 min"),
    (600_000_000_000, "10 min"),
    (3_600_000_000_000, "1 h"),
    (21_600_000_000_000, "6 h"),
    (86_400_000_000_000, "1 d"),
    (604_800_000_000_000, "7 d"),
    (u64::MAX, ""),
];

pub(super) fn lived(report: &Report, left: &[&Leak], catalogue: &Catalogue) -> Vec<Lived> {
    let grace = report.last().map_or(0, |run| run.header.grace_ns);
    let mut from = (0, "0");
    let mut bins = Vec::new();
    for to in LIVES {
        let freed = report.lifetimes.between(from.0, to.0);
        let ages = left.iter().filter_map(|leak| leak.zombie_ns);
        let left = ages.filter(|age| (from.0..to.0).contains(age)).count() as u64;
        let name = match to.1 {
            "" => Message::new(say::PAGE_OVER).arg("time", from.1),
            name => Message::new(say::PAGE_FROM_TO)
                .arg("from", from.1)
                .arg("to", name),
        };
        let name = catalogue.text(&name);
        bins.push((name, freed, left, from.0 >= grace));
        from = to;
    }
    // Nothing is shown beyond what there is.
    let empty = |bin: &(String, u64, u64, bool)| bin.1 + bin.2 == 0;
    while bins.last().is_some_and(empty) {
        bins.pop();
    }
    let max_freed = bins.iter().map(|bin| bin.1).max().unwrap_or(0);
    let max_left = bins.iter().map(|bin| bin.2).max().unwrap_or(0);
    bins.into_iter()
        .skip_while(empty)
        .map(|(name, freed, left, late)| Lived {
            name,
            freed: Grouped(freed).to_string(),
            freed_bar: bar("zombies", freed, max_freed),
            left: Grouped(left).to_string(),
            left_bar: bar("leaked", left, max_left),
            late,
        })
        .collect()
}

/// What holds those that are left, as far as the trace tells: what holds most of them first.
pub(super) fn pins(left: &[&Leak], catalogue: &Catalogue) -> Vec<PinLine> {
    let mut held: BTreeMap<String, PinnedLeaks> = BTreeMap::new();
    for leak in left {
        let by = leak
            .held_by()
            .map_or_else(|| not_told(leak), super::words::held_by);
        let held = held.entry(catalogue.word(by)).or_default();
        held.count += 1;
        held.bytes = sum([held.bytes, leak.held_bytes()]);
        held.objects = sum([held.objects, leak.slab.and_then(|slab| slab.objects)]);
        let reclaimable = leak.pinned.and_then(|pinned| pinned.reclaimable);
        held.reclaimable += u64::from(reclaimable == Some(true));
    }
    let max = held.values().map(|held| held.count).max().unwrap_or(0);
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort_by_key(|(_, held)| Reverse(held.count));
    let pin = |(name, held): (_, PinnedLeaks)| PinLine {
        name,
        count: Grouped(held.count).to_string(),
        bar: bar("zombies", held.count, max),
        note: held.note(catalogue),
    };
    held.into_iter().map(pin).collect()
}

/// What is said of one of which the trace does not tell what keeps it.
fn not_told(leak: &Leak) -> Sentence {
    match leak.usage_bytes {
        Some(0) => say::PAGE_PIN_NOTHING,
        _ => say::PAGE_PIN_UNTOLD,
    }
}

/// What is held in one way.
#[derive(Debug, Default)]
struct PinnedLeaks {
    count: u64,
    bytes: Option<u64>,
    objects: Option<u64>,
    reclaimable: u64,
}

impl PinnedLeaks {
    fn note(&self, catalogue: &Catalogue) -> String {
        let number = |sentence, number| {
            catalogue.text(&Message::new(sentence).arg("number", Arg::Grouped(number)))
        };
        let objects = self.objects.map(|n| number(say::PAGE_OBJECTS, n));
        let bytes = self.bytes.map(|bytes| Bytes(bytes).to_string());
        let freed = (self.reclaimable > 0).then(|| number(say::PAGE_WOULD_FREE, self.reclaimable));
        let parts: Vec<_> = [objects, bytes, freed].into_iter().flatten().collect();
        parts.join(&catalogue.word(say::COMMA))
    }
}

/// The sum of what is known; `None` if nothing is.
pub(super) fn sum(all: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    all.into_iter().flatten().reduce(u64::saturating_add)
}
