//! How long zombies lived, and what pins them.

use super::{axis::Grouped, chart::bar, owners::or_unknown};
use crate::{
    report::{Leak, Report},
    sink::tail::units::Bytes,
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
pub(super) struct Pin {
    pub(super) name: &'static str,
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

pub(super) fn lived(report: &Report, left: &[&Leak]) -> Vec<Lived> {
    let grace = report.last().map_or(0, |run| run.header.grace_ns);
    let mut from = (0, "0");
    let mut bins = Vec::new();
    for to in LIVES {
        let freed = report.lifetimes.between(from.0, to.0);
        let ages = left.iter().filter_map(|leak| leak.zombie_ns);
        let left = ages.filter(|age| (from.0..to.0).contains(age)).count() as u64;
        let name = match to.1 {
            "" => format!("over {}", from.1),
            name => format!("{} to {name}", from.1),
        };
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

/// What holds those that are left, as far as the trace tells.
pub(super) fn pins(left: &[&Leak]) -> Vec<Pin> {
    let mut slab = (0, None, None);
    let mut empty = 0;
    let mut unknown = 0;
    for leak in left {
        match leak.slab {
            Some(pin) if pin.caches > 0 => {
                slab.0 += 1;
                slab.1 = sum([slab.1, pin.objects]);
                slab.2 = sum([slab.2, pin.bytes]);
            }
            _ if leak.usage_bytes == Some(0) => empty += 1,
            _ => unknown += 1,
        }
    }
    let max = slab.0.max(empty).max(unknown);
    let pin = |name, count: u64, note: String| Pin {
        name,
        count: Grouped(count).to_string(),
        bar: bar("zombies", count, max),
        note,
    };
    let (objects, bytes) = (
        or_unknown(slab.1.map(Grouped)),
        or_unknown(slab.2.map(Bytes)),
    );
    let all = [
        (
            slab.0,
            pin(
                "slab caches of their own",
                slab.0,
                format!("{objects} objects, {bytes}"),
            ),
        ),
        (
            empty,
            pin(
                "not told by this trace; nothing was charged at removal",
                empty,
                String::new(),
            ),
        ),
        (
            unknown,
            pin("not told by this trace", unknown, String::new()),
        ),
    ];
    all.into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, pin)| pin)
        .collect()
}

/// The sum of what is known; `None` if nothing is.
pub(super) fn sum(all: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    all.into_iter().flatten().reduce(u64::saturating_add)
}
