use std::{sync::Arc, time::Duration};

use kmemtrace_common::walk::css_flag;

use super::*;
use crate::{
    attribution::PodUid,
    census::inventory::{By, Kernel, Listing, OwnerGroup, Sort, inventory, zombie},
    event::Pod,
    plan::Lack,
    source::bpf::{KernelWalk, Lru, Memcg, Stats, Tree},
    tracker::Trend,
};

const POD: &str = "pod74c13223-5a00-11e9-b385-42010a80018d";

fn memcg(serial: u64, parent_serial: u64, name: &'static str) -> Memcg {
    Memcg {
        mono_ns: 1,
        css: 0xffff_8884_ccbd_0000 + serial,
        serial,
        parent_serial,
        cgroup_id: Some(100 + serial),
        parent_id: Some(100 + parent_serial),
        name: name.as_bytes().into(),
        flags: css_flag::ONLINE,
        css_id: Some(3),
        memcg_id: Some(serial as u32),
        directory: Some(true),
        refcount: None,
        memory_bytes: Some(1 << 20),
        memsw_bytes: Some(0),
        swap_bytes: Some(0),
        kmem_bytes: Some(1 << 20),
        tcpmem_bytes: Some(0),
        lru: None,
        stats: Stats::default(),
    }
}

fn dead(memcg: Memcg, refcount: i64, [file, anon]: [u64; 2]) -> Memcg {
    Memcg {
        flags: css_flag::DYING,
        directory: Some(false),
        memcg_id: Some(0),
        refcount: Some(refcount),
        lru: Some(Lru {
            file_bytes: file << 12,
            anon_bytes: anon << 12,
            unevictable_bytes: 0,
        }),
        ..memcg
    }
}

/// A live pod's dead containers, and a dead pod with a container and a unit's dead cgroup.
fn walk() -> KernelWalk {
    let tree: Tree = [
        memcg(1, 0, ""),
        memcg(2, 1, "kubepods"),
        memcg(3, 2, POD),
        dead(
            memcg(
                10,
                3,
                "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376",
            ),
            5,
            [1, 4],
        ),
        dead(
            memcg(
                11,
                3,
                "6d393320601b2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376",
            ),
            4,
            [3, 1],
        ),
        memcg(4, 1, "system.slice"),
        dead(memcg(12, 4, "nginx.service"), 2, [0, 0]),
        dead(memcg(13, 1, "batch"), 1, [0, 0]),
        dead(memcg(14, 13, "job\u{1b}[31m"), 3, [0, 3]),
    ]
    .into_iter()
    .collect();
    KernelWalk {
        tree,
        complete: true,
        not_understood: 0,
        changed: false,
        runs: 1,
        took: Duration::from_micros(46),
    }
}

fn taken(earlier: Option<&KernelWalk>, wanted: Listing) -> Inventory {
    let lacks = [Lack {
        what: "swap",
        why: "no mem_cgroup.swap.usage",
    }];
    let kernel = Kernel {
        lacks: &lacks,
        memcg_bytes: Some(8000),
    };
    let mut named = |uid: PodUid| {
        let pod = Pod {
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
        };
        POD.ends_with(uid.as_str()).then(|| Arc::new(pod))
    };
    inventory(&walk(), earlier, kernel, &mut named, wanted)
}

fn text(inventory: &Inventory, counted: Option<u64>) -> String {
    let mut out = Vec::new();
    inventory.totals(counted, &mut out).unwrap();
    inventory.table(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn sums_come_first_and_then_those_that_hold_most() {
    let inventory = taken(None, Listing::default());
    insta::assert_snapshot!(text(&inventory, Some(5)));
    insta::assert_snapshot!(serde_json::to_string_pretty(&inventory).unwrap());
}

#[test]
fn a_list_ends_where_it_was_told_to_and_says_so() {
    let wanted = Listing {
        top: Some(2),
        by: Some(By::Pod),
        sort: Sort::Age,
    };
    insta::assert_snapshot!(text(&taken(None, wanted), Some(7)));
}

#[test]
fn whose_they_are_is_added_up() {
    let by = |by| {
        let groups = taken(
            None,
            Listing {
                by: Some(by),
                ..Listing::default()
            },
        )
        .groups;
        let name = |group: &OwnerGroup| group.name.clone().unwrap_or_default();
        groups
            .iter()
            .map(|group| (name(group), group.zombies))
            .collect::<Vec<_>>()
    };
    let pod = POD.trim_start_matches("pod").to_owned();
    let shop = "shop".to_owned();
    assert_eq!(by(By::Namespace), [(String::new(), 3), (shop, 2)]);
    assert_eq!(by(By::Pod), [(String::new(), 3), (pod, 2)]);
    assert_eq!(
        by(By::Unit),
        [(String::new(), 4), ("nginx.service".to_owned(), 1)]
    );
    let owners = by(By::Owner);
    assert!(owners.contains(&("unit nginx.service".to_owned(), 1)));
    let parents = by(By::Parent);
    assert_eq!(parents[0], (format!("/kubepods/{POD}"), 2));
    assert!(parents.contains(&("/batch".to_owned(), 1)), "{parents:?}");
}

#[test]
fn those_that_were_in_both_walks_stay() {
    let mut earlier = walk();
    earlier.tree = earlier
        .tree
        .iter()
        .filter(|memcg| memcg.serial != 14)
        .cloned()
        .collect();
    assert_eq!(taken(None, Listing::default()).staying, None);
    assert_eq!(taken(Some(&earlier), Listing::default()).staying, Some(4));
}

/// A zombie goes by reclaim if all that keeps it does, and all that its zombies below are kept by.
#[test]
fn what_reclaim_frees() {
    let inventory = taken(None, Listing::default());
    let of = |serial| {
        let mut list = inventory.list.iter();
        list.find(|zombie| zombie.serial == serial)
            .unwrap()
            .reclaimable
    };
    // 10, 11 and 14 hold anonymous memory; 12 has references alone; 13 is kept by 14.
    assert_eq!(
        [10, 11, 12, 13, 14].map(of),
        [Some(false), Some(false), None, Some(false), Some(false)]
    );
    let mut walk = walk();
    walk.tree = walk
        .tree
        .iter()
        .map(|memcg| match memcg.serial {
            14 => dead(memcg.clone(), 3, [3, 0]),
            _ => memcg.clone(),
        })
        .collect();
    let children = walk.tree.dead_children();
    let reclaimable = zombie::reclaimables(&walk, &children);
    assert_eq!(
        (reclaimable[&13], reclaimable[&14]),
        (Some(true), Some(true))
    );
}

#[test]
fn two_walks_tell_which_way_it_goes() {
    let mut earlier = walk();
    earlier.tree = earlier
        .tree
        .iter()
        .map(|memcg| match memcg.serial {
            10 => dead(memcg.clone(), 5, [9, 4]),
            11 => dead(memcg.clone(), 5, [1, 1]),
            _ => memcg.clone(),
        })
        .collect();
    let trends = |earlier| {
        let wanted = Listing {
            sort: Sort::Age,
            ..Listing::default()
        };
        let list = taken(earlier, wanted).list;
        list.iter().map(|zombie| zombie.trend).collect::<Vec<_>>()
    };
    assert_eq!(trends(None), [None; 5]);
    assert_eq!(
        trends(Some(&earlier))[..3],
        [Trend::Draining, Trend::Growing, Trend::Stable].map(Some)
    );
}
