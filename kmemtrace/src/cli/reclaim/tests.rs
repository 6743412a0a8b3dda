use super::{
    super::report::{Palette, Report as _},
    *,
};

fn counts(zombies: u64, kernel_memory: Option<u64>) -> Counts {
    Counts {
        zombies,
        at_least: kernel_memory.is_some(),
        kernel_memory,
        memory: kernel_memory.map_or(Some(8 << 20), |_| None),
        none: zombies == 0,
    }
}

fn step(kind: Kind, after: Option<Counts>) -> Step {
    Step {
        kind,
        writes: 190,
        targets: 95,
        left_out: None,
        failed: None,
        reason: None,
        after,
    }
}

fn report(applied: bool, before: Counts, steps: Vec<Step>) -> Report {
    Report {
        applied,
        before,
        steps,
        ended: None,
    }
}

fn text(report: &Report) -> String {
    let mut out = Vec::new();
    report.text(&mut out, Palette::new(false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_it_did_or_would_do_is_told() {
    let many = counts(95, Some(3_842_048));
    let mut failed = step(Kind::DropCaches, Some(counts(2, None)));
    (failed.left_out, failed.failed) = (Some(5), Some(1));
    failed.reason = Some("/proc/sys/vm/\x1b: denied".to_owned());
    let mut short = report(
        true,
        many,
        vec![step(Kind::Shrink, Some(counts(95, Some(9))))],
    );
    short.ended = Some("time is up");
    let reports = [
        report(false, counts(0, None), Vec::new()),
        report(false, many, vec![step(Kind::Shrink, None)]),
        report(
            true,
            many,
            vec![step(Kind::Shrink, Some(counts(0, Some(0))))],
        ),
        report(
            true,
            counts(40, None),
            vec![step(Kind::Reclaim, Some(counts(9, None))), failed],
        ),
        short,
        report(false, counts(3, None), Vec::new()),
    ];
    let told: Vec<_> = reports
        .iter()
        .map(|report| format!("{}{:?}\n", text(report), report.verdict()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    insta::assert_snapshot!(serde_json::to_string(&reports[3]).unwrap());
}
