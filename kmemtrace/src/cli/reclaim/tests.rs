use super::*;
use crate::{
    cli::output::Palette,
    error::Said,
    reclaim::{Ended, ReclaimCounts, ReclaimStep, Reclamation, StepKind, Untried, Why, WriteError},
};

fn counts(zombies: u64, kernel_memory: Option<u64>) -> ReclaimCounts {
    ReclaimCounts {
        zombies,
        at_least: kernel_memory.is_some(),
        kernel_memory,
        memory: kernel_memory.map_or(Some(8 << 20), |_| None),
        none: zombies == 0,
    }
}

fn step(kind: StepKind, after: Option<ReclaimCounts>) -> ReclaimStep {
    ReclaimStep {
        kind,
        again: false,
        writes: 190,
        targets: 95,
        bytes: (kind == StepKind::Reclaim).then_some(12 << 20),
        left_out: None,
        failed: None,
        reason: None,
        after,
    }
}

fn report(applied: bool, before: ReclaimCounts, steps: Vec<ReclaimStep>) -> Reclamation {
    Reclamation {
        applied,
        before,
        steps,
        not_tried: vec![Untried {
            kind: StepKind::DropCaches,
            why: Why::NotAsked,
            error: None,
        }],
        ended: None,
    }
}

fn text(report: &Reclamation, lang: Lang) -> String {
    let mut out = Vec::new();
    let catalogue = Catalogue::shown(lang);
    text::write(&mut out, report, Palette::new(false), &catalogue).unwrap();
    String::from_utf8(out).unwrap()
}

fn denied(file: &str) -> WriteError {
    WriteError {
        file: file.to_owned(),
        said: Said::Number(13),
    }
}

#[test]
fn what_it_did_or_would_do_is_told() {
    let many = counts(95, Some(3_842_048));
    let mut failed = step(StepKind::DropCaches, Some(counts(2, None)));
    (failed.left_out, failed.failed) = (Some(5), Some(1));
    failed.reason = Some(denied("/proc/sys/vm/\x1b"));
    let mut again = step(StepKind::Reclaim, Some(counts(2, None)));
    again.again = true;
    let mut all_tried = report(
        true,
        counts(40, None),
        vec![
            step(StepKind::Reclaim, Some(counts(9, None))),
            failed,
            again,
        ],
    );
    all_tried.not_tried[0] = Untried {
        kind: StepKind::Shrink,
        why: Why::Refused,
        error: Some(denied("/sys/kernel/slab/a/shrink")),
    };
    let mut short = report(
        true,
        many,
        vec![step(StepKind::Shrink, Some(counts(95, Some(9))))],
    );
    short.ended = Some(Ended::TimeIsUp);
    let mut pressed = report(true, many, vec![step(StepKind::Reclaim, Some(many))]);
    (pressed.ended, pressed.steps[0].targets) = (Some(Ended::Interrupted), 1);
    let mut untold = counts(0, None);
    untold.none = false;
    let reports = [
        report(false, counts(0, None), Vec::new()),
        report(false, many, vec![step(StepKind::Shrink, None)]),
        report(
            true,
            many,
            vec![step(StepKind::Shrink, Some(counts(0, Some(0))))],
        ),
        all_tried,
        short,
        pressed,
        report(false, counts(3, None), Vec::new()),
        report(
            true,
            counts(1, None),
            vec![step(StepKind::ForceEmpty, Some(counts(4, None)))],
        ),
        report(false, untold, Vec::new()),
    ];
    for (lang, name) in [(Lang::En, "reclaim_en"), (Lang::Zh, "reclaim_zh")] {
        let told: Vec<_> = reports
            .iter()
            .map(|report| format!("{}{:?}\n", text(report, lang), report.answer()))
            .collect();
        insta::assert_snapshot!(name, told.join("\n"));
    }
    insta::assert_snapshot!(
        "reclaim_json",
        serde_json::to_string(&[&reports[3], &reports[4]]).unwrap()
    );
}
