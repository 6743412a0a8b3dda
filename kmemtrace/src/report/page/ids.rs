//! What becomes of the ids, in words.

use super::owners::rate;
use crate::{
    catalogue::{Arg, Catalogue, Message, say},
    host::MEMCG_IDS,
    report::{Kept, Report},
    text::units::Date,
};

/// What becomes of the ids, in words.
pub(super) fn ids(report: &Report, catalogue: &Catalogue) -> String {
    let Some(run) = report.last() else {
        return String::new();
    };
    let keep = Message::new(match report.kept() {
        Kept::No => return catalogue.word(say::PAGE_IDS_TAKEN_BACK),
        Kept::Yes => say::PAGE_IDS_KEPT,
        Kept::Unknown => say::PAGE_IDS_UNTOLD,
    });
    let says = |sentence| Message::new(sentence).arg("keep", keep);
    let Some(forecast) = report.forecast() else {
        return catalogue.text(&says(say::PAGE_IDS_NO_FORECAST));
    };
    let used = Arg::Grouped(forecast.used);
    if forecast.used >= MEMCG_IDS {
        return catalogue.text(&says(say::PAGE_IDS_ALL).arg("used", used));
    }
    let ended = run.wall_ns().1;
    let at = |ns: u64| {
        let date = Date(ended.saturating_add(i64::try_from(ns).unwrap_or(i64::MAX)));
        or_far(ns, date)
    };
    let (soonest, latest) = forecast.in_ns;
    let range = if latest.saturating_sub(soonest) > soonest / 10 {
        Message::new(say::PAGE_IDS_RANGE)
            .arg("latest", Arg::Time(latest))
            .arg("to", at(latest))
    } else {
        Message::new(say::PAGE_IDS_ABOUT)
    };
    let range = range
        .arg("soonest", Arg::Time(soonest))
        .arg("from", at(soonest));
    let says = says(say::PAGE_IDS_FORECAST)
        .arg("used", used)
        .arg("number", rate(forecast.per_hour))
        .arg("range", range);
    catalogue.text(&says)
}

/// A date, unless it is so far away that none can be written.
fn or_far(in_ns: u64, date: Date) -> Arg {
    const CENTURY_NS: u64 = 36_525 * 86_400 * 1_000_000_000;
    if in_ns < CENTURY_NS {
        date.to_string().into()
    } else {
        Message::new(say::PAGE_ANOTHER_CENTURY).into()
    }
}
