//! What the template shows, in words.

use std::io;

use askama::Template;

use super::{
    Diagnosed, Fix, SCRIPT, SCRIPT_SHA256, STYLE, chart, data, ids,
    lists::{self, FailureLine, LISTED},
    name,
    owners::{self, OwnerRows, or_unknown},
    verdict, words,
    zombies::{self, Lived, PinLine},
};
use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    report::{Kept, Report},
    sink::tail::summary::{Grade, RunVerdict},
    text::units::{Bytes, Duration, Grouped},
    trace::TraceNote,
};

/// How many rows there are without the script.
const ROWS: usize = 50;

/// The whole page.
#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct PageView<'a> {
    catalogue: &'a Catalogue,
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
    untold: Option<String>,
    fixes: Vec<Fix>,
    groups: Vec<OwnerRows>,
    pace: Option<String>,
    lived: Vec<Lived>,
    from_removal: String,
    pins: Vec<PinLine>,
    usage: String,
    failures: Vec<FailureLine>,
    gaps: Vec<[String; 5]>,
    gaps_more: String,
    facts: Vec<(String, String)>,
    hooks: Vec<[String; 4]>,
    runs: Vec<[String; 8]>,
    runs_more: String,
    notes: Vec<String>,
    rows: Vec<[String; 9]>,
    listed: usize,
    without_script: String,
    left_out: String,
    data: String,
}

/// A number that is seen first.
struct Figure {
    name: String,
    value: String,
    note: String,
    class: &'static str,
}

impl<'a> PageView<'a> {
    pub(super) fn new(
        report: &Report,
        diagnosed: &Diagnosed,
        notes: &[TraceNote],
        catalogue: &'a Catalogue,
    ) -> io::Result<Self> {
        let say = |message: Message| catalogue.text(&message);
        let verdict = RunVerdict(&report.summary);
        let leaks = data::order(report);
        let left: Vec<_> = leaks
            .iter()
            .copied()
            .filter(|leak| leak.is_left())
            .collect();
        let last = report.last();
        let forecast = report.forecast();
        let node = last.and_then(|run| run.header.hostname.as_deref());
        let node = node.map_or_else(|| catalogue.word(say::PAGE_NODE_UNNAMED), name);
        let gaps_more = report.summary.gaps.saturating_sub(LISTED as u64);
        let runs_more = report.runs.len().saturating_sub(LISTED) as u64;
        let kept = report.leaks.len() as u64;
        Ok(Self {
            catalogue,
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
                verdict::verdict(&report.summary, catalogue)
            } else {
                catalogue.word(say::PAGE_NO_RUN)
            },
            when: when(report, &node, catalogue),
            figures: figures(report, catalogue),
            ids: ids::ids(report, catalogue),
            timeline: chart::timeline(report, catalogue),
            forecast: last
                .zip(forecast)
                .map(|(run, forecast)| chart::forecast(report, run, &forecast, catalogue)),
            findings: shown(&diagnosed.findings),
            untold: (!diagnosed.untold.is_empty()).then(|| {
                let findings = diagnosed.untold.join(&catalogue.word(say::COMMA));
                say(Message::new(say::PAGE_UNTOLD).arg("findings", findings))
            }),
            fixes: diagnosed.fixes.iter().map(escaped).collect(),
            groups: owners::groups(report, catalogue),
            pace: owners::per_hour(report, report.summary.leaks)
                .map(|number| say(Message::new(say::PAGE_PACE).arg("number", number))),
            lived: zombies::lived(report, &left, catalogue),
            from_removal: from_removal(report, catalogue),
            pins: zombies::pins(&left, catalogue),
            usage: say(Message::new(say::PAGE_USAGE).arg(
                "usage",
                or_unknown(zombies::sum(left.iter().map(|leak| leak.usage_bytes)).map(Bytes)),
            )),
            failures: lists::failures(report, catalogue),
            gaps: lists::gaps(report, catalogue),
            gaps_more: owners::more(gaps_more, catalogue),
            facts: last
                .map(|run| lists::facts(run, catalogue))
                .unwrap_or_default(),
            hooks: last
                .map(|run| lists::hooks(&run.header, catalogue))
                .unwrap_or_default(),
            runs: lists::runs(report),
            runs_more: owners::more(runs_more, catalogue),
            notes: notes
                .iter()
                .map(|note| name(words::note(note, catalogue)))
                .collect(),
            rows: leaks
                .iter()
                .take(ROWS)
                .map(|leak| lists::row(report, leak, catalogue))
                .collect(),
            listed: leaks.len(),
            without_script: say(
                Message::new(say::PAGE_WITHOUT_SCRIPT).arg("number", Arg::Grouped(kept))
            ),
            left_out: lists::left_out(report, catalogue),
            data: data::json(report, &leaks, catalogue)?,
        })
    }
}

fn shown(findings: &[[String; 4]]) -> Vec<[String; 4]> {
    findings
        .iter()
        .map(|finding| finding.each_ref().map(name))
        .collect()
}

/// From removal to free, and what that is called.
fn from_removal(report: &Report, catalogue: &Catalogue) -> String {
    let delays = report.lifetimes.figures().map(|delays| {
        let says = Message::new(say::PAGE_DELAYS)
            .arg("p50", Arg::Time(delays.p50_ns))
            .arg("p90", Arg::Time(delays.p90_ns))
            .arg("p99", Arg::Time(delays.p99_ns))
            .arg("max", Arg::Time(delays.max_ns));
        catalogue.word(say::COLON) + &catalogue.text(&says)
    });
    let grace = report.last().map(|run| Duration(run.header.grace_ns));
    let says = Message::new(say::PAGE_FROM_REMOVAL)
        .arg("delays", delays.unwrap_or_default())
        .arg("grace", or_unknown(grace));
    catalogue.text(&says)
}

fn escaped(fix: &Fix) -> Fix {
    Fix {
        title: name(&fix.title),
        why: name(&fix.why),
        commands: fix.commands.iter().map(name).collect(),
        takes: fix.takes.each_ref().map(name),
    }
}

fn when(report: &Report, node: &str, catalogue: &Catalogue) -> String {
    let Some((first, last)) = report.runs.first().zip(report.last()) else {
        return String::new();
    };
    let (from, to) = (first.wall_ns().0, last.wall_ns().1);
    let runs = match report.runs.len() {
        1 => Arg::from(""),
        runs => Message::new(say::PAGE_IN_RUNS)
            .arg("runs", runs as u64)
            .into(),
    };
    let kernel = last.header.kernel.as_deref();
    let says = Message::new(say::PAGE_WHEN)
        .arg("node", node)
        .arg(
            "kernel",
            kernel.map_or_else(|| catalogue.word(say::PAGE_NOT_KNOWN), name),
        )
        .arg("watched", Arg::Time(report.watched_ns()))
        .arg("runs", runs)
        .arg("from", Arg::Date(from))
        .arg("to", Arg::Date(to));
    catalogue.text(&says)
}

fn figures(report: &Report, catalogue: &Catalogue) -> Vec<Figure> {
    let summary = &report.summary;
    let totals = summary.totals;
    let bad = |count: u64, class| if count > 0 { class } else { "" };
    let figure = |name, value: u64, note: String, class| Figure {
        name: catalogue.word(name),
        value: Grouped(value).to_string(),
        note,
        class,
    };
    let number = |sentence, number| {
        catalogue.text(&Message::new(sentence).arg("number", Arg::Grouped(number)))
    };
    let some = |sentence, count| {
        if count > 0 {
            number(sentence, count)
        } else {
            String::new()
        }
    };
    let left = report.kept().left(totals.live, totals.zombies);
    let of = match report.kept() {
        // Zombies from before the trace may not be counted; those with pages in swap keep their ids anywhere.
        Kept::Yes | Kept::No => say::PAGE_AT_MOST_IDS,
        Kept::Unknown => say::PAGE_ABOUT_IDS,
    };
    let inherited = summary
        .inherited
        .map(|inherited| number(say::PAGE_INHERITED, inherited));
    vec![
        figure(
            say::PAGE_LEAKED,
            totals.leaked,
            catalogue.word(say::PAGE_AT_THE_END),
            bad(totals.leaked, "alarm"),
        ),
        figure(
            say::PAGE_ZOMBIES,
            totals.zombies,
            inherited.unwrap_or_default(),
            "",
        ),
        figure(
            say::PAGE_LIVE,
            totals.live,
            catalogue.word(say::PAGE_MEMORY_CGROUPS),
            "",
        ),
        figure(
            say::PAGE_IDS_LEFT,
            left,
            catalogue.word(of),
            if left < 6_553 { "alarm" } else { "" },
        ),
        figure(
            say::PAGE_CALLED_LEAKED,
            summary.leaks,
            number(say::PAGE_NUMBER_FREED_AFTER_ALL, summary.recovered),
            "",
        ),
        figure(
            say::PAGE_REMOVED,
            summary.offlined,
            number(say::PAGE_NUMBER_FREED, summary.freed),
            "",
        ),
        figure(
            say::PAGE_SLAB_FAILURES,
            summary.slab_failures,
            some(say::PAGE_NOT_LOGGED, summary.slab_failures_suppressed),
            bad(summary.slab_failures, "alarm"),
        ),
        figure(
            say::PAGE_FAILED_MKDIRS,
            summary.mkdir_failures,
            String::new(),
            bad(summary.mkdir_failures, "alarm"),
        ),
        figure(
            say::PAGE_GAPS,
            summary.gaps,
            some(say::PAGE_LOST, summary.lost),
            bad(summary.gaps, "warning"),
        ),
    ]
}
