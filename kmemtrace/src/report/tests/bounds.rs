//! What is kept of a trace that has very much of everything.

use super::*;
use crate::report::{
    failures::{Failures, Gaps},
    leaks::Leaks,
    owners::OwnerTable,
};

#[test]
fn memory_is_bounded() {
    let mut leaks = Leaks::new(8);
    let subject = |id| Subject {
        cgroup: cgroup(id, "/x"),
        ..Subject::default()
    };
    for id in 0..6 {
        leaks.leaked(&subject(id), 0, |at| at.wall_ns, 0, 0);
    }
    for id in 0..4 {
        assert_eq!(leaks.recovered(&subject(id)), Some(0));
    }
    for id in 10..15 {
        leaks.leaked(&subject(id), 0, |at| at.wall_ns, 7, 0);
    }
    // Those freed after all went, and the others are still known.
    assert_eq!(leaks.recovered(&subject(14)), Some(7));
    assert_eq!(leaks.recovered(&subject(5)), Some(0));
    for id in 20..40 {
        leaks.leaked(&subject(id), 0, |at| at.wall_ns, 0, 0);
    }
    let (rows, left_out) = leaks.finish();
    assert!(rows.len() <= 8, "{}", rows.len());
    assert_eq!(rows.len() as u64 + left_out, 6 + 5 + 20);

    let mut owners = OwnerTable::new(3);
    for n in 0..10 {
        owners.of(Some(&Path::whole(format!("/d{n}/x"))));
    }
    let owners = owners.finish();
    assert_eq!(owners.len(), 4);
    assert_eq!(owners[3].kind, "others");

    let mut failures = Failures::default();
    let mut gaps = Gaps::default();
    for n in 0..3_000_u64 {
        let cache = format!("cache-{n}");
        let failure = SlabFailure {
            cache: Some(cache.into()),
            ..SlabFailure::default()
        };
        failures.slab(&failure, 0);
        let gap = Gap {
            from_mono_ns: 0,
            lost: Some(1),
            reason: GapReason::RingFull,
            counted: None,
        };
        gaps.gap(&gap, 10 * n as i64, 10 * n as i64 + 5);
    }
    let failures = failures.finish();
    assert_eq!(
        failures.iter().map(|failure| failure.count).sum::<u64>(),
        3_000
    );
    assert!(failures.len() <= 257);
    let gaps = gaps.finish();
    assert_eq!(gaps.len(), 1_000);
    assert_eq!(
        gaps.iter().filter_map(|gap| gap.records).sum::<u64>(),
        3_000
    );
}
