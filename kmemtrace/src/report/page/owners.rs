//! Who leaks: the worst of each kind.

use std::{collections::BTreeMap, fmt::Display};

use super::{
    chart::{bar, spark},
    words,
};
use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    report::{Leak, OwnerSums, Report, ids::PACE_MIN_NS},
    text::{
        escape::Name,
        units::{Bytes, Date, Grouped},
    },
};

/// How many of a kind are shown.
const SHOWN: usize = 15;

/// So much of a name.
const NAME_MAX: usize = 100;

/// Owners of one kind, or classes of them.
pub(super) struct OwnerRows {
    pub(super) title: String,
    /// What stands above the names.
    pub(super) head: String,
    pub(super) rows: Vec<OwnerLine>,
    /// How many more leaked something, too, in words.
    pub(super) more: String,
}

/// One owner.
pub(super) struct OwnerLine {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) left: String,
    pub(super) bar: String,
    pub(super) leaks: String,
    pub(super) per_hour: String,
    pub(super) recovered: String,
    pub(super) removed: String,
    pub(super) usage: String,
    pub(super) last: String,
    pub(super) spark: String,
}

/// The groups that leaked anything.
pub(super) fn groups(report: &Report, catalogue: &Catalogue) -> Vec<OwnerRows> {
    let of = |pods: bool| {
        let owners = report.owners.iter().enumerate();
        let mut owners: Vec<_> = owners
            .filter(|(_, owner)| owner.leaks > 0 && (owner.kind == "pod") == pods)
            .collect();
        owners.sort_by(|(_, a), (_, b)| {
            (b.left(), b.leaks, &a.name).cmp(&(a.left(), a.leaks, &b.name))
        });
        owners
    };
    let group = |title, head, pods| {
        let owners = of(pods);
        let max = owners.iter().map(|(_, owner)| owner.left()).max();
        let shown = owners.iter().take(SHOWN);
        let rows = shown.map(|(at, owner)| {
            line(
                report,
                owner,
                max.unwrap_or(0),
                name(owner, catalogue),
                note(owner, catalogue),
                |leak| leak.owner == *at,
            )
        });
        OwnerRows {
            title: catalogue.word(title),
            head: catalogue.word(head),
            rows: rows.collect(),
            more: more(owners.len().saturating_sub(SHOWN) as u64, catalogue),
        }
    };
    let all = [
        group(say::PAGE_WORST_PODS, say::PAGE_POD, true),
        group(say::PAGE_OTHERS, say::PAGE_OWNER, false),
        classes(report, catalogue),
        suspects(report, catalogue),
    ];
    all.into_iter()
        .filter(|group| !group.rows.is_empty())
        .collect()
}

/// Whose removed memcgs may be among the leaked of which the kernel's count alone tells.
fn suspects(report: &Report, catalogue: &Catalogue) -> OwnerRows {
    let mut owners: Vec<_> = report
        .owners
        .iter()
        .filter(|owner| owner.suspects > 0)
        .collect();
    owners.sort_by(|a, b| (b.suspects, &a.name).cmp(&(a.suspects, &b.name)));
    let rows = owners.iter().take(SHOWN).map(|owner| OwnerLine {
        name: name(owner, catalogue),
        note: note(owner, catalogue),
        left: catalogue
            .text(&Message::new(say::PAGE_AT_MOST).arg("number", Arg::Grouped(owner.suspects))),
        bar: String::new(),
        leaks: or_unknown(None::<u64>),
        per_hour: or_unknown(None::<u64>),
        recovered: or_unknown(None::<u64>),
        removed: Grouped(owner.removed).to_string(),
        usage: or_unknown(None::<u64>),
        last: or_unknown(None::<u64>),
        spark: String::new(),
    });
    OwnerRows {
        title: catalogue.word(say::PAGE_SUSPECTED),
        head: catalogue.word(say::PAGE_OWNER),
        rows: rows.collect(),
        more: more(owners.len().saturating_sub(SHOWN) as u64, catalogue),
    }
}

/// By kind of owner, and by a pod's class.
fn classes(report: &Report, catalogue: &Catalogue) -> OwnerRows {
    let class = |owner: &OwnerSums| match (owner.kind, owner.qos) {
        ("pod", Some(qos)) => catalogue.text(&Message::new(say::PAGE_PODS_CLASS).arg("class", qos)),
        ("pod", None) => catalogue.word(say::PAGE_PODS),
        ("container", _) => catalogue.word(say::PAGE_CONTAINERS),
        ("unit", _) => catalogue.word(say::PAGE_UNITS),
        ("path", _) => catalogue.word(say::PAGE_DIRECTORIES),
        (kind, _) => words::owner(kind, catalogue),
    };
    let mut sums: BTreeMap<String, OwnerSums> = BTreeMap::new();
    for owner in &report.owners {
        let sum = sums.entry(class(owner)).or_default();
        sum.removed += owner.removed;
        sum.leaks += owner.leaks;
        sum.recovered += owner.recovered;
        sum.unseen += owner.unseen;
        if let Some(bytes) = owner.usage_bytes {
            sum.usage_bytes = Some(sum.usage_bytes.unwrap_or(0).saturating_add(bytes));
        }
        if let Some((first, last)) = owner.leaked_ns {
            let before = sum.leaked_ns.unwrap_or((first, last));
            sum.leaked_ns = Some((before.0.min(first), before.1.max(last)));
        }
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, sum)| sum.leaks > 0).collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.left(), sum.leaks)));
    let max = sums.iter().map(|(_, sum)| sum.left()).max().unwrap_or(0);
    let of = |leak: &Leak| report.owners.get(leak.owner).map(class);
    let rows = sums.iter().map(|(name, sum)| {
        line(report, sum, max, name.clone(), String::new(), |leak| {
            of(leak).as_ref() == Some(name)
        })
    });
    OwnerRows {
        title: catalogue.word(say::PAGE_BY_KIND),
        head: catalogue.word(say::PAGE_KIND),
        rows: rows.collect(),
        more: String::new(),
    }
}

fn line(
    report: &Report,
    owner: &OwnerSums,
    max: u64,
    name: String,
    note: String,
    mine: impl Fn(&Leak) -> bool,
) -> OwnerLine {
    let leaks = report
        .leaks
        .iter()
        .filter(|leak| leak.by_count.is_none() && mine(leak));
    OwnerLine {
        name,
        note,
        left: Grouped(owner.left()).to_string(),
        bar: bar("leaked", owner.left(), max),
        leaks: Grouped(owner.leaks).to_string(),
        per_hour: or_unknown(per_hour(report, owner.leaks)),
        recovered: Grouped(owner.recovered).to_string(),
        removed: Grouped(owner.removed).to_string(),
        usage: or_unknown(owner.usage_bytes.map(Bytes)),
        last: or_unknown(owner.leaked_ns.map(|(_, last)| Date(last))),
        spark: spark(report, leaks.map(|leak| leak.leaked_ns)),
    }
}

/// How many more there are; empty if none.
pub(super) fn more(number: u64, catalogue: &Catalogue) -> String {
    match number {
        0 => String::new(),
        more => catalogue.text(&Message::new(say::PAGE_MORE).arg("number", more)),
    }
}

/// So many an hour.
pub(super) fn per_hour(report: &Report, count: u64) -> Option<String> {
    let watched = report.watched_ns();
    let hours = watched as f64 / 3_600_000_000_000.0;
    (watched >= PACE_MIN_NS).then(|| rate(count as f64 / hours))
}

/// A rate in about two digits.
pub(super) fn rate(rate: f64) -> String {
    if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        Grouped(rate as u64).to_string()
    }
}

fn name(owner: &OwnerSums, catalogue: &Catalogue) -> String {
    match owner.kind {
        "unknown" => catalogue.word(say::PAGE_PATH_UNKNOWN),
        "others" => catalogue.word(say::PAGE_ALL_OTHERS),
        _ => Name::short(owner.name.as_bytes(), NAME_MAX).to_string(),
    }
}

fn note(owner: &OwnerSums, catalogue: &Catalogue) -> String {
    match owner.kind {
        "pod" => owner.qos.unwrap_or_default().to_owned(),
        "path" => catalogue.word(say::PAGE_BELOW),
        "unknown" | "others" => String::new(),
        kind => words::owner(kind, catalogue),
    }
}

/// What is not known is a dash.
pub(super) fn or_unknown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}
