use super::*;
use crate::{cli::report::Report as _, host::Version};

fn hierarchy(version: Version) -> Hierarchy {
    Hierarchy {
        version,
        id: 4,
        mount: "/sys/fs/cgroup/memory".into(),
    }
}

fn v1(live: u64, num_cgroups: u64) -> Look {
    moving(live, num_cgroups, num_cgroups)
}

fn moving(live: u64, before: u64, after: u64) -> Look {
    let counts = |number| Counts {
        num_cgroups: Some(number),
        ..Counts::default()
    };
    Look {
        live,
        before: counts(before),
        after: counts(after),
        slab: None,
    }
}

fn v2(live: u64, dying: Option<u64>, dying_memory: Option<u64>) -> Look {
    let counts = Counts {
        dying,
        dying_memory,
        ..Counts::default()
    };
    Look {
        live,
        before: counts,
        after: counts,
        slab: None,
    }
}

fn scan(first: Look, second: Option<Look>) -> Scan {
    judge(
        &hierarchy(Version::V1),
        Some("6.1.0-40".to_owned()),
        first,
        second,
    )
}

fn text(scan: &Scan) -> String {
    let mut out = Vec::new();
    scan.text(&mut out, Palette::new(false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn no_zombies_is_clean() {
    let scan = scan(v1(48, 48), None);
    assert_eq!(
        (scan.verdict, scan.ids_min, scan.ids_max),
        (Verdict::Clean, 48, Some(48))
    );
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn zombies_that_stay_are_a_leak() {
    let scan = scan(v1(48, 260), Some(v1(50, 261)));
    assert_eq!(
        (scan.verdict, scan.zombies, scan.staying),
        (Verdict::Leak, Some(211), 211)
    );
    insta::assert_snapshot!(text(&scan));
    insta::assert_snapshot!(serde_json::to_string_pretty(&scan).unwrap());
}

#[test]
fn zombies_that_go_are_none() {
    let scan = scan(v1(48, 51), Some(v1(48, 48)));
    assert_eq!(scan.verdict, Verdict::Clean);
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn a_copy_is_looked_at_once() {
    let scan = scan(v1(4, 98), None);
    assert_eq!(scan.verdict, Verdict::Leak);
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn v2_counts_memcgs_where_it_can() {
    let zombies = |dying, dying_memory| {
        let look = v2(9, dying, dying_memory);
        let scan = judge(&hierarchy(Version::V2), None, look, Some(look));
        (scan.zombies, scan.verdict)
    };
    assert_eq!(zombies(Some(7), Some(5)), (Some(5), Verdict::Leak));
    assert_eq!(zombies(Some(7), Some(0)), (Some(0), Verdict::Clean));
    assert_eq!(zombies(Some(7), None), (Some(7), Verdict::Leak));
    assert_eq!(zombies(None, None), (None, Verdict::Unknown));
    let none = v2(9, None, None);
    insta::assert_snapshot!(text(&judge(
        &hierarchy(Version::V2),
        None,
        none,
        Some(none)
    )));
}

#[test]
fn a_count_that_leaves_zombies_out_is_not_believed() {
    let look = Look {
        slab: Some(Slab {
            orphans: 0,
            peak: 3,
        }),
        ..v1(4, 4)
    };
    let scan = scan(look, Some(look));
    assert_eq!(
        (scan.verdict, scan.zombies, scan.ids_max),
        (Verdict::Unknown, None, None)
    );
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn slab_caches_without_a_directory_are_zombies() {
    let look = Look {
        slab: Some(Slab {
            orphans: 995,
            peak: 1001,
        }),
        ..v1(4, 4)
    };
    let scan = scan(look, Some(look));
    assert_eq!(
        (scan.verdict, scan.zombies_min, scan.zombies_max),
        (Verdict::Leak, 995, None)
    );
    insta::assert_snapshot!(text(&scan));
    insta::assert_snapshot!(serde_json::to_string_pretty(&scan).unwrap());
}

#[test]
fn a_name_in_use_is_no_orphan() {
    let (_directory, root) = host::tests::root(&[
        ("/sys/kernel/slab/dentry(1:pod)/shrink", ""),
        ("/sys/kernel/slab/dentry(2:gone)/shrink", ""),
    ]);
    let memcgs = host::slab_memcgs(&root);
    let names = HashSet::from([b"pod".to_vec(), Vec::new()]);
    assert_eq!(
        slab_tells(&memcgs, &names),
        Some(Slab {
            orphans: 1,
            peak: 3
        })
    );
    assert_eq!(slab_tells(&SlabMemcgs::default(), &names), None);
}

#[test]
fn moving_numbers_say_so() {
    let few = moving(48, 48, 50);
    let scan1 = scan(few, Some(few));
    assert_eq!(
        (scan1.verdict, scan1.zombies_min, scan1.zombies_max),
        (Verdict::Unknown, 0, Some(2))
    );
    insta::assert_snapshot!(text(&scan1));
    let many = moving(48, 300, 310);
    assert_eq!(
        (
            scan(many, Some(many)).verdict,
            scan(few, Some(v1(48, 48))).verdict
        ),
        (Verdict::Leak, Verdict::Clean)
    );
}
