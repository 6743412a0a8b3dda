use std::collections::HashMap;

use crate::{
    census::{
        Census, assess,
        look::{KmemHeld, Look, SlabSigns, orphans},
        names::{Holder, Named, SlabZombie},
    },
    cli::output::{Palette, Printed as _},
    event::Counts,
    host::{self, Hierarchy, SlabLayout, SlabMemcgs, Version},
    judge::Answer,
};

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
        kmem: None,
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
        kmem: None,
    }
}

#[expect(
    clippy::large_types_passed_by_value,
    reason = "it reads better in a test"
)]
fn scan(first: Look, second: Option<Look>) -> Census {
    assess(
        &hierarchy(Version::V1),
        Some("6.1.0-40".to_owned()),
        &first,
        second.as_ref(),
        Named::default(),
    )
}

/// On 3.10.
fn top_level(orphans: u64, peak: u64) -> SlabSigns {
    SlabSigns {
        layout: SlabLayout::TopLevel,
        orphans,
        without_cache: 7,
        peak: Some(peak),
        unnamed: 1,
    }
}

fn text(scan: &Census) -> String {
    let mut out = Vec::new();
    scan.text(&mut out, Palette::new(false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn no_zombies_is_clean() {
    let scan = scan(v1(48, 48), None);
    assert_eq!(
        (scan.answer(), scan.ids_min, scan.ids_max),
        (Answer::Clean, 48, Some(48))
    );
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn zombies_that_stay_are_a_leak() {
    let scan = scan(v1(48, 260), Some(v1(50, 261)));
    assert_eq!(
        (scan.answer(), scan.zombies, scan.staying),
        (Answer::Leak, Some(211), 211)
    );
    insta::assert_snapshot!(text(&scan));
    insta::assert_snapshot!(serde_json::to_string_pretty(&scan).unwrap());
}

#[test]
fn zombies_that_go_are_none() {
    let scan = scan(v1(48, 51), Some(v1(48, 48)));
    assert_eq!(scan.answer(), Answer::Clean);
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn a_copy_is_looked_at_once() {
    let scan = scan(v1(4, 98), None);
    assert_eq!(scan.answer(), Answer::Leak);
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn v2_counts_memcgs_where_it_can() {
    let zombies = |dying, dying_memory| {
        let look = v2(9, dying, dying_memory);
        let scan = assess(
            &hierarchy(Version::V2),
            None,
            &look,
            Some(&look),
            Named::default(),
        );
        (scan.zombies, scan.answer())
    };
    // Whether zombies keep their ids is not known without a release.
    assert_eq!(zombies(Some(7), Some(5)), (Some(5), Answer::Unknown));
    assert_eq!(zombies(Some(7), Some(0)), (Some(0), Answer::Clean));
    assert_eq!(zombies(Some(7), None), (Some(7), Answer::Unknown));
    assert_eq!(zombies(None, None), (None, Answer::Unknown));
    let none = v2(9, None, None);
    insta::assert_snapshot!(text(&assess(
        &hierarchy(Version::V2),
        None,
        &none,
        Some(&none),
        Named::default(),
    )));
}

#[test]
fn a_count_that_leaves_zombies_out_is_not_believed() {
    let look = Look {
        slab: Some(top_level(0, 3)),
        ..v1(4, 4)
    };
    let scan = scan(look, Some(look));
    assert_eq!(
        (scan.answer(), scan.zombies, scan.ids_max),
        (Answer::Unknown, None, None)
    );
    insta::assert_snapshot!(text(&scan));
}

#[test]
fn slab_caches_without_a_directory_are_zombies() {
    let look = Look {
        slab: Some(top_level(995, 1001)),
        ..v1(4, 4)
    };
    let scan = scan(look, Some(look));
    assert_eq!(
        (scan.answer(), scan.zombies_min, scan.zombies_max),
        (Answer::Leak, 995, None)
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
    let names = HashMap::from([(b"pod".to_vec(), 1), (Vec::new(), 1)]);
    let found = orphans(memcgs, &names);
    let leaves: Vec<_> = found
        .iter()
        .map(|(id, memcg)| (*id, &memcg.leaf[..]))
        .collect();
    assert_eq!(leaves, [(2, &b"gone"[..])]);
    assert!(orphans(SlabMemcgs::default(), &names).is_empty());
}

fn held(bytes: u64, directories: u64, blind: u64) -> KmemHeld {
    KmemHeld {
        bytes,
        directories,
        blind,
        may_hide: false,
        pins: true,
    }
}

#[test]
fn held_kernel_memory_is_a_sign_of_zombies() {
    for (slab, kmem, verdict, min) in [
        (Some(top_level(0, 3)), held(0, 0, 0), Answer::Clean, 0),
        (Some(top_level(0, 3)), held(0, 0, 1), Answer::Unknown, 0),
        (Some(top_level(0, 3)), held(4096, 2, 0), Answer::Leak, 2),
        (Some(top_level(1, 3)), held(0, 0, 0), Answer::Leak, 1),
        // As on 3.10 before the first cache is made, and after: the count is all there is.
        (None, held(0, 0, 0), Answer::Clean, 0),
        (None, held(4096, 1, 0), Answer::Leak, 1),
    ] {
        let look = Look {
            slab,
            kmem: Some(kmem),
            ..v1(4, 4)
        };
        let scan = scan(look, None);
        assert_eq!(
            (scan.answer(), scan.zombies_min),
            (verdict, min),
            "{look:?}"
        );
    }
    let look = Look {
        slab: Some(top_level(0, 3)),
        kmem: Some(held(0, 0, 0)),
        ..v1(4, 4)
    };
    insta::assert_snapshot!(text(&scan(look, Some(look))));
}

fn one_named() -> Named {
    let zombie = SlabZombie {
        name: "c0".to_owned(),
        or: Vec::new(),
        id: 20,
        caches: 1,
        objects: None,
        bytes: None,
        largest: None,
        largest_objects: None,
    };
    Named {
        zombies: vec![zombie],
        held: vec![Holder {
            path: "/pods".to_owned(),
            bytes: 9000,
        }],
        more: 0,
        slab_bytes: None,
    }
}

/// On 4.x the count has them all, and the names come on top. From 5.3 on caches and memory outlive the memcg.
#[test]
fn nested_caches_leave_the_count_alone() {
    for (num_cgroups, verdict, zombies, names, held_bytes) in [
        (98, Answer::Leak, 94, 1, Some(9000)),
        (4, Answer::Clean, 0, 0, None),
    ] {
        let look = Look {
            slab: Some(SlabSigns {
                unnamed: 4,
                layout: SlabLayout::Nested,
                orphans: 1,
                without_cache: 0,
                peak: None,
            }),
            kmem: Some(KmemHeld {
                pins: false,
                ..held(9000, 1, 0)
            }),
            ..v1(4, num_cgroups)
        };
        let scan = assess(&hierarchy(Version::V1), None, &look, None, one_named());
        assert_eq!(
            (
                scan.answer(),
                scan.zombies,
                scan.ids_min,
                scan.named.len(),
                scan.held_bytes
            ),
            (verdict, Some(zombies), 4, names, held_bytes)
        );
        assert_eq!(scan.held.len(), names);
    }
}

#[test]
fn zombies_are_shown_by_name() {
    let zombie = |id: u32| SlabZombie {
        name: format!("c{id}\u{1b}"),
        or: if id == 0 {
            vec!["old".to_owned()]
        } else {
            Vec::new()
        },
        id,
        caches: u64::from(id) + 1,
        objects: (id < 2).then_some(700),
        bytes: (id < 2).then_some(1 << 20),
        largest: (id < 2).then(|| "dentry".to_owned()),
        largest_objects: (id < 2).then_some(500),
    };
    let holder = |at| Holder {
        path: format!("/kubepods/pod{at}"),
        bytes: 5 << 20,
    };
    let look = Look {
        slab: Some(top_level(1012, 65_534)),
        kmem: Some(held(25 << 20, 5, 0)),
        ..v1(4, 4)
    };
    let named = Named {
        zombies: (0..12).map(zombie).collect(),
        held: (0..5).map(holder).collect(),
        more: 1000,
        slab_bytes: Some(2 << 20),
    };
    let kernel = Some("3.10.0-1160".to_owned());
    let scan = assess(&hierarchy(Version::V1), kernel, &look, None, named);
    insta::assert_snapshot!(text(&scan));
    insta::assert_snapshot!(serde_json::to_string(&scan.named[..2]).unwrap());
}

#[test]
fn moving_numbers_say_so() {
    let few = moving(48, 48, 50);
    let scan1 = scan(few, Some(few));
    assert_eq!(
        (scan1.answer(), scan1.zombies_min, scan1.zombies_max),
        (Answer::Unknown, 0, Some(2))
    );
    insta::assert_snapshot!(text(&scan1));
    let many = moving(48, 300, 310);
    assert_eq!(
        (
            scan(many, Some(many)).answer(),
            scan(few, Some(v1(48, 48))).answer()
        ),
        (Answer::Leak, Answer::Clean)
    );
}
