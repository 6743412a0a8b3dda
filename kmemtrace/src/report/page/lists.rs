//! Lists: failures, gaps, the first of the leaked, and what the trace was taken on.

use std::collections::BTreeMap;

use super::{axis::Grouped, data, name, owners::or_unknown};
use crate::{
    event::header::Header,
    report::{Failure, Leak, Report, Run},
    text::{
        escape::Name,
        units::{Bytes, Date, Duration},
    },
};

/// How long lists are at most.
pub(super) const LISTED: usize = 50;

/// Failures of one cause.
pub(super) struct FailureLine {
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) place: String,
    pub(super) task: String,
    pub(super) count: String,
    pub(super) first: String,
    pub(super) last: String,
}

pub(super) fn failures(report: &Report) -> Vec<FailureLine> {
    let line = |kind| {
        move |failure: &Failure| FailureLine {
            kind,
            what: failure.what.clone(),
            place: failure.place.clone(),
            task: failure.task.clone(),
            count: Grouped(failure.count).to_string(),
            first: Date(failure.at_ns.0).to_string(),
            last: Date(failure.at_ns.1).to_string(),
        }
    };
    let slab = report
        .slab_failures
        .iter()
        .take(LISTED)
        .map(line("slab allocation"));
    let mkdir = report.mkdir_failures.iter().take(LISTED).map(line("mkdir"));
    slab.chain(mkdir).collect()
}

pub(super) fn gaps(report: &Report) -> Vec<[String; 5]> {
    let gaps = report.gaps.iter().take(LISTED).map(|gap| {
        let (from, to) = gap.at_ns;
        let lasted = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        [
            Date(from).to_string(),
            Date(to).to_string(),
            Duration(lasted).to_string(),
            or_unknown(gap.records.map(Grouped)),
            gap.reason.as_str().to_owned(),
        ]
    });
    gaps.collect()
}

pub(super) fn facts(run: &Run) -> Vec<(&'static str, String)> {
    let header = &run.header;
    let known = |text: &Option<String>| text.as_deref().map(name);
    let refused: Vec<_> = header
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", name(&refusal.way), name(&refusal.reason)))
        .collect();
    let summary = &run.summary;
    let facts = [
        ("node", known(&header.hostname)),
        ("kernel", known(&header.kernel)),
        (
            "kernel command line",
            header.cmdline.as_ref().map(|words| match &words[..] {
                [] => "nothing that matters to memory cgroups".to_owned(),
                words => name(words.join(" ")),
            }),
        ),
        ("boot", known(&header.boot_id)),
        ("cgroups", known(&header.hierarchy)),
        ("source", Some(name(&header.source))),
        (
            "better sources, refused",
            (!refused.is_empty()).then(|| refused.join("; ")),
        ),
        ("grace time", Some(Duration(header.grace_ns).to_string())),
        (
            "zombies hold",
            summary
                .held_bytes
                .map(|held| format!("{} of kernel memory", Bytes(held))),
        ),
        (
            "at one time",
            summary.kmemcg_peak.map(|peak| {
                let were = if peak == 1 { "cgroup" } else { "cgroups" };
                format!(
                    "at least {} memory {were} with kernel memory, dead or alive",
                    Grouped(peak)
                )
            }),
        ),
        (
            "not known",
            (summary.unproven > 0).then(|| {
                format!(
                    "whether {} removed memory cgroups were freed",
                    Grouped(summary.unproven)
                )
            }),
        ),
        (
            "recorded by",
            Some(format!("kmemtrace {}", name(&header.version))),
        ),
    ];
    facts
        .into_iter()
        .filter_map(|(name, fact)| Some((name, fact?)))
        .collect()
}

pub(super) fn hooks(header: &Header) -> Vec<[String; 4]> {
    let hooks = header.hooks.iter().map(|hook| {
        let refused = hook.refused.iter();
        let refused: Vec<_> = refused
            .map(|refusal| format!("{}: {}", name(&refusal.way), name(&refusal.reason)))
            .collect();
        [
            name(&hook.hook),
            hook.way
                .as_deref()
                .map_or_else(|| "not seen".to_owned(), name),
            hook.lost.as_deref().map(name).unwrap_or_default(),
            refused.join("; "),
        ]
    });
    hooks.collect()
}

pub(super) fn runs(report: &Report) -> Vec<[String; 8]> {
    if report.runs.len() < 2 {
        return Vec::new();
    }
    let mut boots = BTreeMap::new();
    let runs = report
        .runs
        .iter()
        .enumerate()
        .take(LISTED)
        .map(|(at, run)| {
            let header = &run.header;
            let boot = header.boot_id.as_ref().map(|boot| {
                let next = boots.len() + 1;
                *boots.entry(boot.clone()).or_insert(next)
            });
            let summary = &run.summary;
            [
                (at + 1).to_string(),
                Date(run.began.wall_ns).to_string(),
                Duration(run.duration_ns()).to_string(),
                header
                    .hostname
                    .as_deref()
                    .map_or_else(|| "–".to_owned(), name),
                or_unknown(boot),
                name(&header.source),
                Grouped(summary.leaks).to_string(),
                Grouped(summary.totals.zombies).to_string(),
            ]
        });
    runs.collect()
}

pub(super) fn row(report: &Report, leak: &Leak) -> [String; 9] {
    let owner = report.owners.get(leak.owner);
    let path = leak.path.as_ref().map(|path| Name::whole(&path.bytes));
    let at_least = if leak.at_least { "≥ " } else { "" };
    [
        or_unknown(path),
        owner.map_or_else(String::new, |owner| {
            Name::whole(owner.name.as_bytes()).to_string()
        }),
        data::state(report, leak),
        or_unknown(
            leak.zombie_ns
                .map(|ns| format!("{at_least}{}", Duration(ns / 1_000_000 * 1_000_000))),
        ),
        or_unknown(leak.offlined_ns.map(Date)),
        or_unknown(leak.usage_bytes.map(Bytes)),
        or_unknown(leak.held_by()),
        or_unknown(leak.held_bytes().map(Bytes)),
        or_unknown(leak.memcg_id),
    ]
}

pub(super) fn left_out(report: &Report) -> String {
    let mut parts = Vec::new();
    if report.leaks_left_out > 0 {
        parts.push(format!(
            "{} more are not listed: they were freed later, or there are too many",
            Grouped(report.leaks_left_out)
        ));
    }
    if report.leaks_unseen > 0 {
        parts.push(format!(
            "{} more were called leaked by the kernel's count alone and have no names",
            Grouped(report.leaks_unseen)
        ));
    }
    parts.join("; ")
}
