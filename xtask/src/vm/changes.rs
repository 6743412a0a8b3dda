//! What is not as it was in an earlier run.

use super::matrix::{Came, Matrix, Outcome, Row};

/// Line by line what has changed since `earlier` on the machines that are in both: tests that passed there and do not now,
/// and hooks that are seen in another way. `whole` says that all tests were to run, so that one without a result is gone.
pub(crate) fn changes(earlier: &Matrix, now: &Matrix, whole: bool) -> Vec<String> {
    let same = |one: &Outcome| earlier.machines.iter().find(|other| other.is_like(one));
    now.machines
        .iter()
        .filter(|one| one.not_run.is_none())
        .filter_map(|one| Some((same(one)?, one)))
        .flat_map(|(before, one)| of_machine(before, one, whole))
        .collect()
}

fn of_machine(before: &Outcome, now: &Outcome, whole: bool) -> Vec<String> {
    let kernel = &now.kernel;
    let before_it = if before.kernel == *kernel {
        String::new()
    } else {
        format!(" (was {})", before.kernel)
    };
    let at = format!("{kernel}{before_it}, cgroup {}", now.cgroup);
    let mut found = Vec::new();
    for row in &before.sources {
        let none = Row::default();
        let other = now.sources.iter().find(|other| other.source == row.source);
        let other = other.unwrap_or(&none);
        for (hook, way) in &row.hooks {
            let seen = other.hooks.get(hook).map_or("nothing", String::as_str);
            if seen != way {
                found.push(format!("{at}: {}: {hook}: {way}, now {seen}", row.source));
            }
        }
        for (test, came) in &row.tests {
            let what = match other.tests.get(test) {
                Some(Came::Failed) => "fails",
                Some(Came::Skipped) => "is skipped",
                None if whole => "has no result",
                Some(Came::Passed) | None => continue,
            };
            if *came == Came::Passed {
                found.push(format!("{at}: {test}: passed, now {what}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::matrix::tests::{DATA, outcome, verdict};

    fn matrix(version: &str, data: &str) -> Matrix {
        Matrix {
            machines: vec![outcome(version, &verdict(0, [2, 0, 2], None), data)],
        }
    }

    #[test]
    fn what_is_worse_is_said() {
        let earlier = matrix("6.1.0-1", DATA);
        assert_eq!(changes(&earlier, &earlier, true), [""; 0]);
        let now = DATA
            .replace("tp_btf", "raw_tp")
            .replace(r#"a","result":"ok""#, r#"a","result":"FAILED""#)
            .replace(r#"agree","result":"ok""#, r#"agree","result":"ignored""#);
        assert_eq!(
            changes(&earlier, &matrix("6.1.0-2", &now), true),
            [
                "6.1.0-2 (was 6.1.0-1), cgroup v2: bpf: lifecycle: tp_btf, now raw_tp",
                "6.1.0-2 (was 6.1.0-1), cgroup v2: live::bpf::a: passed, now fails",
                "6.1.0-2 (was 6.1.0-1), cgroup v2: live::agree: passed, now is skipped",
            ]
        );
        // What is better is no news.
        assert_eq!(changes(&matrix("6.1.0-1", &now), &earlier, true).len(), 1);
    }

    #[test]
    fn a_test_without_a_result_is_gone_only_if_all_were_to_run() {
        let earlier = matrix("6.1.0-1", DATA);
        let now = matrix("6.1.0-1", &DATA.replace("live::agree", "live::other"));
        assert_eq!(
            changes(&earlier, &now, true),
            ["6.1.0-1, cgroup v2: live::agree: passed, now has no result"]
        );
        assert_eq!(changes(&earlier, &now, false), [""; 0]);
    }

    #[test]
    fn a_source_that_is_lost_loses_its_hooks_and_tests() {
        let earlier = matrix("6.1.0-1", DATA);
        let lost = DATA
            .replace(r#""doctor":"bpf""#, r#""doctor":"x""#)
            .replace("live::bpf", "live::x");
        assert_eq!(
            changes(&earlier, &matrix("6.1.0-1", &lost), true),
            [
                "6.1.0-1, cgroup v2: bpf: lifecycle: tp_btf, now nothing",
                "6.1.0-1, cgroup v2: bpf: memcg: -, now nothing",
                "6.1.0-1, cgroup v2: live::bpf::a: passed, now has no result",
            ]
        );
    }

    #[test]
    fn other_releases_are_not_compared() {
        let (earlier, now) = (matrix("5.1.0", DATA), matrix("6.1.0-1", ""));
        assert_eq!(changes(&earlier, &now, true), [""; 0]);
    }
}
