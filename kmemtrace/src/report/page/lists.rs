//! Lists: failures, gaps, the first of the leaked, and what the trace was taken on.

use std::collections::BTreeMap;

use super::{data, name, owners::or_unknown, words};
use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    event::header::Header,
    report::{FailureCause, Leak, Report, ReportRun},
    text::{
        escape::Name,
        units::{Bytes, Date, Duration, Grouped},
    },
};

/// How long lists are at most.
pub(super) const LISTED: usize = 50;

/// Failures of one cause.
pub(super) struct FailureLine {
    pub(super) kind: String,
    pub(super) what: String,
    pub(super) place: String,
    pub(super) task: String,
    pub(super) count: String,
    pub(super) first: String,
    pub(super) last: String,
}

pub(super) fn failures(report: &Report, catalogue: &Catalogue) -> Vec<FailureLine> {
    let line = |kind: String| {
        move |failure: &FailureCause| FailureLine {
            kind: kind.clone(),
            what: words::failed(&failure.what, catalogue),
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
        .map(line(catalogue.word(say::PAGE_SLAB_ALLOCATION)));
    let mkdir = report
        .mkdir_failures
        .iter()
        .take(LISTED)
        .map(line("mkdir".to_owned()));
    slab.chain(mkdir).collect()
}

pub(super) fn gaps(report: &Report, catalogue: &Catalogue) -> Vec<[String; 5]> {
    let gaps = report.gaps.iter().take(LISTED).map(|gap| {
        let (from, to) = gap.at_ns;
        let lasted = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        [
            Date(from).to_string(),
            Date(to).to_string(),
            Duration(lasted).to_string(),
            or_unknown(gap.records.map(Grouped)),
            catalogue.word(words::gap(gap.reason)),
        ]
    });
    gaps.collect()
}

pub(super) fn facts(run: &ReportRun, catalogue: &Catalogue) -> Vec<(String, String)> {
    let number = |sentence, number| {
        catalogue.text(&Message::new(sentence).arg("number", Arg::Grouped(number)))
    };
    let header = &run.header;
    let known = |text: &Option<String>| text.as_deref().map(name);
    let refused: Vec<_> = header
        .refused
        .iter()
        .map(|refusal| format!("{}: {}", name(&refusal.way), name(&refusal.reason)))
        .collect();
    let summary = &run.summary;
    let facts = [
        (say::PAGE_FACT_NODE, known(&header.hostname)),
        (say::PAGE_FACT_KERNEL, known(&header.kernel)),
        (
            say::PAGE_FACT_PAGE_SIZE,
            header
                .page_bytes
                .map(|bytes| catalogue.arg(&Arg::Bytes(bytes))),
        ),
        (
            say::PAGE_FACT_CMDLINE,
            header.cmdline.as_ref().map(|words| match &words[..] {
                [] => catalogue.word(say::PAGE_CMDLINE_NOTHING),
                words => name(words.join(" ")),
            }),
        ),
        (say::PAGE_FACT_BOOT, known(&header.boot_id)),
        (say::PAGE_FACT_CGROUPS, known(&header.hierarchy)),
        (say::PAGE_FACT_SOURCE, Some(name(&header.source))),
        (
            say::PAGE_FACT_REFUSED,
            (!refused.is_empty()).then(|| refused.join("; ")),
        ),
        (
            say::PAGE_FACT_GRACE,
            Some(Duration(header.grace_ns).to_string()),
        ),
        (
            say::PAGE_FACT_HOLD,
            summary.held_bytes.map(|held| {
                let says = Message::new(say::PAGE_OF_KERNEL_MEMORY);
                catalogue.text(&says.arg("held", Arg::Bytes(held)))
            }),
        ),
        (
            say::PAGE_FACT_PEAK,
            summary
                .kmemcg_peak
                .filter(|&peak| peak > 0)
                .map(|peak| number(say::PAGE_PEAK, peak)),
        ),
        (
            say::PAGE_NOT_KNOWN,
            (summary.unproven > 0).then(|| number(say::PAGE_UNPROVEN, summary.unproven)),
        ),
        (
            say::PAGE_FACT_RECORDER,
            Some(format!("kmemtrace {}", name(&header.version))),
        ),
    ];
    facts
        .into_iter()
        .filter_map(|(name, fact)| Some((catalogue.word(name), fact?)))
        .collect()
}

pub(super) fn hooks(header: &Header, catalogue: &Catalogue) -> Vec<[String; 4]> {
    let hooks = header.hooks.iter().map(|hook| {
        let refused = hook.refused.iter();
        let refused: Vec<_> = refused
            .map(|refusal| format!("{}: {}", name(&refusal.way), name(&refusal.reason)))
            .collect();
        [
            name(&hook.hook),
            hook.way
                .as_deref()
                .map_or_else(|| catalogue.word(say::PAGE_NOT_SEEN), name),
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

pub(super) fn row(report: &Report, leak: &Leak, catalogue: &Catalogue) -> [String; 9] {
    let owner = report.owners.get(leak.owner);
    let path = leak.path.as_ref().map(|path| Name::whole(&path.bytes));
    let at_least = if leak.at_least { "≥ " } else { "" };
    [
        or_unknown(path),
        owner.map_or_else(String::new, |owner| {
            Name::whole(owner.name.as_bytes()).to_string()
        }),
        data::state(report, leak, catalogue),
        or_unknown(
            leak.zombie_ns
                .map(|ns| format!("{at_least}{}", Duration(ns / 1_000_000 * 1_000_000))),
        ),
        or_unknown(leak.offlined_ns.map(Date)),
        or_unknown(leak.usage_bytes.map(Bytes)),
        or_unknown(leak.held_by().map(|by| catalogue.word(words::held_by(by)))),
        or_unknown(leak.held_bytes().map(Bytes)),
        or_unknown(leak.memcg_id),
    ]
}

pub(super) fn left_out(report: &Report, catalogue: &Catalogue) -> String {
    let number = |sentence, number| {
        catalogue.text(&Message::new(sentence).arg("number", Arg::Grouped(number)))
    };
    let mut parts = Vec::new();
    if report.leaks_left_out > 0 {
        parts.push(number(say::PAGE_LEFT_OUT, report.leaks_left_out));
    }
    if report.leaks_unseen > 0 {
        parts.push(number(say::PAGE_UNSEEN, report.leaks_unseen));
    }
    parts.join(&catalogue.word(say::SEMICOLON))
}
