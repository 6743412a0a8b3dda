//! The charts, as SVG. Only numbers and times are written into them: no name from outside.

use std::fmt::Write as _;

use super::{
    axis::{NumberAxis, TimeAxis},
    words,
};
use crate::{
    catalogue::{Catalogue, Message, Sentence, say},
    report::{IdForecast, Report, ReportRun, TimeStep},
    text::units::{Date, Duration, Grouped},
    tracker::Totals,
};

/// How wide the charts are; the page scales them.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 104.0;
const RIGHT: f64 = WIDTH - 16.0;

/// How high a strip of failures is, and where the next one begins.
const STRIP: f64 = 22.0;
const STRIP_NEXT: f64 = 30.0;

/// What is counted in each step: its name, its class, its number.
type Strip = (Sentence, &'static str, fn(&TimeStep) -> u64);

const STRIPS: [Strip; 4] = [
    (say::PAGE_CALLED_LEAKED, "leaked", |step| step.leaks),
    (say::PAGE_FREED_AFTER_ALL, "good", |step| step.recovered),
    (say::PAGE_SLAB_FAILURES, "alarm", |step| step.slab_failures),
    (say::PAGE_FAILED_MKDIRS, "alarm", |step| step.mkdir_failures),
];

/// Everything over one time axis: live, zombies and leaked; ids left; verdicts and failures; gaps.
pub(super) fn timeline(report: &Report, catalogue: &Catalogue) -> String {
    let time = TimeAxis {
        ns: span(report),
        x: (LEFT, RIGHT),
    };
    let kept = report.kept();
    let all = || report.series.steps.iter().filter_map(|step| step.totals);
    let max = all().map(|totals| totals.live.max(totals.zombies));
    let counts = NumberAxis::round(max.max().unwrap_or(0), (14.0, 194.0));
    let ids = NumberAxis {
        max: crate::host::MEMCG_IDS,
        y: (222.0, 282.0),
    };
    let strips_top = 304.0;
    let bottom = strips_top + STRIP_NEXT * STRIPS.len() as f64;
    let mut svg = open(bottom + 26.0, &catalogue.word(say::PAGE_CHART_TIMELINE));
    unwatched(&mut svg, report, &time, bottom, catalogue);
    counts.draw(&mut svg, LEFT, RIGHT);
    caption(&mut svg, 222.0 + 10.0, &catalogue.word(say::PAGE_IDS_LEFT));
    for (number, y) in [(ids.max, ids.y.0), (0, ids.y.1)] {
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y}H{RIGHT}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            if number == 0 { y + 3.5 } else { y - 3.5 },
            Grouped(number)
        );
    }
    time.draw(&mut svg, 14.0, bottom);
    line(&mut svg, report, &time, "ids", |totals| {
        ids.at(kept.left(totals.live, totals.zombies))
    });
    line(&mut svg, report, &time, "live", |totals| {
        counts.at(totals.live)
    });
    line(&mut svg, report, &time, "zombies", |totals| {
        counts.at(totals.zombies)
    });
    line(&mut svg, report, &time, "leaked", |totals| {
        counts.at(totals.leaked)
    });
    for (n, (name, class, of)) in STRIPS.into_iter().enumerate() {
        let base = strips_top + STRIP_NEXT * n as f64 + STRIP;
        caption(&mut svg, base - 6.0, &catalogue.word(name));
        let _ = write!(svg, "<path class=\"base\" d=\"M{LEFT} {base}H{RIGHT}\"/>");
        let steps = &report.series.steps;
        let max = steps.iter().map(of).max().unwrap_or(0).max(1) as f64;
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| of(step) > 0) {
            let (x, width) = column(report, &time, at);
            // Even one of very many is seen.
            let height = (STRIP * of(step) as f64 / max).max(3.0);
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                base - height,
                width.max(2.0)
            );
        }
    }
    gaps(&mut svg, report, &time, bottom, catalogue);
    hover(&mut svg, report, &time, bottom, catalogue);
    svg.push_str("</svg>");
    svg
}

/// The ids left in the last run, and when there is none.
pub(super) fn forecast(
    report: &Report,
    run: &ReportRun,
    forecast: &IdForecast,
    catalogue: &Catalogue,
) -> String {
    let (began, ended) = run.wall_ns();
    let later = |ns: u64| ended.saturating_add(i64::try_from(ns).unwrap_or(i64::MAX));
    let (soonest, latest) = (later(forecast.in_ns.0), later(forecast.in_ns.1));
    let time = TimeAxis {
        ns: (began, latest),
        x: (LEFT, RIGHT),
    };
    let ids = NumberAxis {
        max: crate::host::MEMCG_IDS,
        y: (14.0, 134.0),
    };
    let mut svg = open(160.0, &catalogue.word(say::PAGE_CHART_FORECAST));
    for number in [ids.max, ids.max / 2, 0] {
        let y = ids.at(number);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 3.5,
            Grouped(number)
        );
    }
    time.draw(&mut svg, ids.y.0, ids.y.1);
    let kept = report.kept();
    let now = ids.at(kept.left(run.totals().live, run.totals().zombies));
    let (x, bottom) = (time.at(ended), ids.y.1);
    let _ = write!(
        svg,
        "<path class=\"wedge\" d=\"M{x:.1} {now:.1}L{:.1} {bottom}H{:.1}Z\"/>\
         <path class=\"ahead\" d=\"M{x:.1} {now:.1}L{:.1} {bottom}\"/>\
         <path class=\"ahead\" d=\"M{x:.1} {now:.1}L{:.1} {bottom}\"/>\
         <path class=\"now\" d=\"M{x:.1} {}V{bottom}\"/>",
        time.at(soonest),
        time.at(latest),
        time.at(soonest),
        time.at(latest),
        ids.y.0
    );
    run_line(&mut svg, report, run, &time, "ids", &|totals| {
        ids.at(kept.left(totals.live, totals.zombies))
    });
    svg.push_str("</svg>");
    svg
}

/// When an owner's memcgs were called leaked: the moments' shares of the whole time, each in one of `columns`.
pub(super) fn spark(report: &Report, leaked_ns: impl Iterator<Item = i64>) -> String {
    const COLUMNS: usize = 48;
    let time = TimeAxis {
        ns: span(report),
        x: (0.0, COLUMNS as f64),
    };
    let mut counts = [0_u32; COLUMNS];
    for ns in leaked_ns {
        let at = (time.at(ns) as usize).min(COLUMNS - 1);
        counts[at] += 1;
    }
    let max = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut svg = "<svg class=\"spark\" viewBox=\"0 0 96 16\" aria-hidden=\"true\"><path class=\"base\" d=\"M0 15.5H96\"/>".to_owned();
    for (at, count) in counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
    {
        let height = (f64::from(count) / f64::from(max) * 15.0).max(2.0);
        let _ = write!(
            svg,
            "<rect class=\"leaked\" x=\"{}\" y=\"{:.1}\" width=\"1.6\" height=\"{height:.1}\"/>",
            at * 2,
            15.5 - height
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A bar: so much of so much.
pub(super) fn bar(class: &str, number: u64, max: u64) -> String {
    let share = 100.0 * number as f64 / max.max(1) as f64;
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"{class}\" width=\"{share:.1}\" height=\"8\"/></svg>"
    )
}

/// From the first run's beginning to the end of the latest.
fn span(report: &Report) -> (i64, i64) {
    let walls = || report.runs.iter().map(ReportRun::wall_ns);
    let from = walls().map(|(from, _)| from).min().unwrap_or(0);
    let to = walls().map(|(_, to)| to).max().unwrap_or(0);
    (from, to.max(from.saturating_add(1)))
}

fn open(height: f64, label: &str) -> String {
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">"
    )
}

fn caption(svg: &mut String, y: f64, text: &str) {
    let _ = write!(
        svg,
        "<text class=\"caption\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>",
        LEFT - 6.0
    );
}

/// A step's left end and width.
fn column(report: &Report, time: &TimeAxis, at: usize) -> (f64, f64) {
    let left = time.at(report.series.begin_of(at));
    let right = time.at(report.series.begin_of(at + 1));
    (left, right - left)
}

/// A line with steps, broken between runs.
fn line(
    svg: &mut String,
    report: &Report,
    time: &TimeAxis,
    class: &str,
    y: impl Fn(Totals) -> f64,
) {
    for run in &report.runs {
        run_line(svg, report, run, time, class, &y);
    }
}

fn run_line(
    svg: &mut String,
    report: &Report,
    run: &ReportRun,
    time: &TimeAxis,
    class: &str,
    y: &dyn Fn(Totals) -> f64,
) {
    let (began, ended) = run.wall_ns();
    let series = &report.series;
    let mut path = String::new();
    for (at, step) in series.steps.iter().enumerate() {
        let (from, to) = (series.begin_of(at), series.begin_of(at + 1));
        if to <= began || from > ended {
            continue;
        }
        let Some(totals) = step.totals else {
            continue;
        };
        let x = time.at(from.clamp(began, ended));
        let y = y(totals);
        let _ = if path.is_empty() {
            write!(path, "M{x:.1} {y:.1}")
        } else {
            write!(path, "H{x:.1}V{y:.1}")
        };
    }
    if !path.is_empty() {
        let _ = write!(
            svg,
            "<path class=\"line {class}\" d=\"{path}H{:.1}\"/>",
            time.at(ended)
        );
    }
}

/// The time between runs, in which nobody watched.
fn unwatched(
    svg: &mut String,
    report: &Report,
    time: &TimeAxis,
    bottom: f64,
    catalogue: &Catalogue,
) {
    let mut walls: Vec<_> = report.runs.iter().map(ReportRun::wall_ns).collect();
    walls.sort_unstable();
    let mut until = walls.first().map_or(0, |(_, to)| *to);
    for (from, to) in walls.into_iter().skip(1) {
        if from > until {
            band(
                svg,
                time,
                "unwatched",
                (until, from),
                bottom,
                &catalogue.word(say::PAGE_UNWATCHED),
            );
        }
        until = until.max(to);
    }
}

fn gaps(svg: &mut String, report: &Report, time: &TimeAxis, bottom: f64, catalogue: &Catalogue) {
    for gap in &report.gaps {
        band(
            svg,
            time,
            "gap",
            gap.at_ns,
            bottom,
            &catalogue.word(words::gap(gap.reason)),
        );
    }
}

fn band(svg: &mut String, time: &TimeAxis, class: &str, ns: (i64, i64), bottom: f64, title: &str) {
    let (left, right) = (time.at(ns.0), time.at(ns.1));
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"14\" width=\"{:.1}\" height=\"{:.1}\"><title>{title}</title></rect>",
        (right - left).max(1.5),
        bottom - 14.0
    );
}

/// What a pointer on the chart is told.
fn hover(svg: &mut String, report: &Report, time: &TimeAxis, bottom: f64, catalogue: &Catalogue) {
    let kept = report.kept();
    svg.push_str("<g class=\"hover\">");
    for (at, step) in report.series.steps.iter().enumerate() {
        let Some(totals) = step.totals else {
            continue;
        };
        let (x, width) = column(report, time, at);
        let Totals {
            live,
            zombies,
            leaked,
        } = totals;
        let counted = Message::new(say::PAGE_HOVER)
            .arg("live", live)
            .arg("zombies", zombies)
            .arg("leaked", leaked);
        let left = Message::new(say::PAGE_HOVER_IDS).arg("number", kept.left(live, zombies));
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"14\" width=\"{width:.1}\" height=\"{:.1}\"><title>{} UTC, {}\n{}\n{}",
            bottom - 14.0,
            Date(report.series.begin_of(at)),
            Duration(report.series.step_ns),
            catalogue.text(&counted),
            catalogue.text(&left)
        );
        for (name, _, of) in STRIPS {
            let count = of(step);
            if count > 0 {
                let _ = write!(svg, "\n{} {count}", catalogue.word(name));
            }
        }
        svg.push_str("</title></rect>");
    }
    svg.push_str("</g>");
}
