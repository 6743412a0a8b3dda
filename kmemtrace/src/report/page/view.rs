//! What the template shows, in words.

use std::io;

use askama::Template;

use super::{
    Diagnosed, Fix, SCRIPT, SCRIPT_SHA256, STYLE,
    axis::Grouped,
    chart, data, ids,
    lists::{self, FailureLine, LISTED},
    name,
    owners::{self, Group, or_unknown},
    zombies::{self, Lived, Pin},
};
use crate::{
    report::{Kept, Report},
    sink::tail::summary::{Grade, Verdict},
    text::units::{Bytes, Date, Duration},
};

/// How many rows there are without the script.
const ROWS: usize = 50;

/// The whole page.
#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct View {
    style: &'static str,
    script: &'static str,
    script_sha256: &'static str,
    title: String,
    grade: &'static str,
    verdict: String,
    when: String,
    figures: Vec<Figure>,
    ids: String,
    timeline: String,
    forecast: Option<String>,
    findings: Vec<[String; 4]>,
    untold: String,
    fixes: Vec<Fix>,
    groups: Vec<Group>,
    per_hour: Option<String>,
    lived: Vec<Lived>,
    delays: Option<String>,
    grace: String,
    pins: Vec<Pin>,
    usage: String,
    failures: Vec<FailureLine>,
    gaps: Vec<[String; 5]>,
    gaps_more: u64,
    facts: Vec<(&'static str, String)>,
    hooks: Vec<[String; 4]>,
    runs: Vec<[String; 8]>,
    runs_more: usize,
    notes: Vec<String>,
    rows: Vec<[String; 9]>,
    listed: usize,
    listed_text: String,
    left_out: String,
    data: String,
}

/// A number that is seen first.
struct Figure {
    name: &'static str,
    value: String,
    note: String,
    class: &'static str,
}

impl View {
    pub(super) fn new(
        report: &Report,
        diagnosed: &Diagnosed,
        notes: &[String],
    ) -> io::Result<Self> {
        let verdict = Verdict(&report.summary);
        let leaks = data::order(report);
        let left: Vec<_> = leaks
            .iter()
            .copied()
            .filter(|leak| leak.is_left())
            .collect();
        let last = report.last();
        let forecast = report.forecast();
        let node = last.and_then(|run| run.header.hostname.as_deref());
        let node = node.map_or_else(|| "a node without a name".to_owned(), name);
        let gaps_more = report.summary.gaps.saturating_sub(LISTED as u64);
        let kept = report.leaks.len() as u64;
        Ok(Self {
            style: STYLE,
            script: SCRIPT,
            script_sha256: SCRIPT_SHA256,
            title: format!("kmemtrace: {node}"),
            grade: match verdict.grade() {
                _ if last.is_none() => "warning",
                Grade::Good => "good",
                Grade::Warning => "warning",
                Grade::Alarm => "alarm",
            },
            verdict: if last.is_some() {
                verdict.to_string()
            } else {
                "could not tell: the trace holds no run".to_owned()
            },
            when: when(report, &node),
            figures: figures(report),
            ids: ids::ids(report),
            timeline: chart::timeline(report),
            forecast: last
                .zip(forecast)
                .map(|(run, forecast)| chart::forecast(report, run, &forecast)),
            findings: shown(&diagnosed.findings),
            untold: diagnosed.untold.join(", "),
            fixes: diagnosed.fixes.iter().map(fix).collect(),
            groups: owners::groups(report),
            per_hour: owners::per_hour(report, report.summary.leaks),
            lived: zombies::lived(report, &left),
            delays: report.lifetimes.figures().map(|delays| {
                format!(
                    "half of them within {}, 90 of 100 within {}, 99 of 100 within {}, the last after {}",
                    Duration(delays.p50_ns),
                    Duration(delays.p90_ns),
                    Duration(delays.p99_ns),
                    Duration(delays.max_ns)
                )
            }),
            grace: or_unknown(last.map(|run| Duration(run.header.grace_ns))),
            pins: zombies::pins(&left),
            usage: or_unknown(zombies::sum(left.iter().map(|leak| leak.usage_bytes)).map(Bytes)),
            failures: lists::failures(report),
            gaps: lists::gaps(report),
            gaps_more,
            facts: last.map(lists::facts).unwrap_or_default(),
            hooks: last.map(|run| lists::hooks(&run.header)).unwrap_or_default(),
            runs: lists::runs(report),
            runs_more: report.runs.len().saturating_sub(LISTED),
            notes: notes.iter().map(name).collect(),
            rows: leaks.iter().take(ROWS).map(|leak| lists::row(report, leak)).collect(),
            listed: leaks.len(),
            listed_text: Grouped(kept).to_string(),
            left_out: lists::left_out(report),
            data: data::json(report, &leaks)?,
        })
    }
}

fn shown(findings: &[[String; 4]]) -> Vec<[String; 4]> {
    findings
        .iter()
        .map(|finding| finding.each_ref().map(name))
        .collect()
}

fn fix(fix: &Fix) -> Fix {
    Fix {
        title: name(&fix.title),
        why: name(&fix.why),
        commands: fix.commands.iter().map(name).collect(),
        takes: fix.takes.each_ref().map(|(what, text)| (*what, name(text))),
    }
}

fn when(report: &Report, node: &str) -> String {
    let Some((first, last)) = report.runs.first().zip(report.last()) else {
        return String::new();
    };
    let (from, to) = (first.wall_ns().0, last.wall_ns().1);
    let runs = match report.runs.len() {
        1 => String::new(),
        runs => format!(" in {runs} runs"),
    };
    format!(
        "{node}, kernel {}, watched for {}{runs}, from {} to {} UTC",
        last.header
            .kernel
            .as_deref()
            .map_or_else(|| "not known".to_owned(), name),
        Duration(report.watched_ns()),
        Date(from),
        Date(to)
    )
}

fn figures(report: &Report) -> Vec<Figure> {
    let summary = &report.summary;
    let totals = summary.totals;
    let bad = |count: u64, class| if count > 0 { class } else { "" };
    let figure = |name, value: u64, note: String, class| Figure {
        name,
        value: Grouped(value).to_string(),
        note,
        class,
    };
    let left = report.kept().left(totals.live, totals.zombies);
    let of = match report.kept() {
        // Zombies from before the trace may not be counted; those with pages in swap keep their ids anywhere.
        Kept::Yes | Kept::No => "at most, of 65,535",
        Kept::Unknown => "about, of 65,535",
    };
    let inherited = match summary.inherited {
        Some(inherited) => format!("{} were there before", Grouped(inherited)),
        None => String::new(),
    };
    vec![
        figure(
            "leaked",
            totals.leaked,
            "at the end".into(),
            bad(totals.leaked, "alarm"),
        ),
        figure("zombies", totals.zombies, inherited, ""),
        figure("live", totals.live, "memory cgroups".into(), ""),
        figure(
            "ids left",
            left,
            of.into(),
            if left < 6_553 { "alarm" } else { "" },
        ),
        figure(
            "called leaked",
            summary.leaks,
            format!("{} freed after all", Grouped(summary.recovered)),
            "",
        ),
        figure(
            "removed",
            summary.offlined,
            format!("{} freed", Grouped(summary.freed)),
            "",
        ),
        figure(
            "slab failures",
            summary.slab_failures,
            match summary.slab_failures_suppressed {
                0 => String::new(),
                more => format!("{} more not logged (rate limit)", Grouped(more)),
            },
            bad(summary.slab_failures, "alarm"),
        ),
        figure(
            "failed mkdirs",
            summary.mkdir_failures,
            String::new(),
            bad(summary.mkdir_failures, "alarm"),
        ),
        figure(
            "gaps",
            summary.gaps,
            match summary.lost {
                0 => String::new(),
                1 => "1 record lost".to_owned(),
                lost => format!("{} records lost", Grouped(lost)),
            },
            bad(summary.gaps, "warning"),
        ),
    ]
}
