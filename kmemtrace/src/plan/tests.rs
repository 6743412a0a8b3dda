use std::{collections::HashSet, path::PathBuf};

use kmemtrace_common::{layout::ABSENT, walk::STATS};

use super::*;
use crate::host::{self, Root};
use crate::host::{Privileges, Version};

/// A host that has everything.
fn facts() -> HostFacts {
    HostFacts {
        privileges: Privileges {
            euid: 0,
            capabilities: u64::MAX,
        },
        lockdown: Some("none".to_owned()),
        btf: true,
        tracefs: Some(PathBuf::from("/sys/kernel/tracing")),
        ..host::facts(&Root::at("/nonexistent"))
    }
}

/// A kernel all of whose fields are known.
fn layout() -> Layout {
    Layout {
        cgroup_kn: 256,
        cgroup_root: 696,
        root_hierarchy: 12,
        kn_id: 96,
        kn_name: 56,
        kn_parent: 8,
        kn_flags: 110,
        kn_priv: 88,
        kn_activated: 16,
        css_cgroup: 0,
        css_serial: 136,
        css_parent: 24,
        css_children: 56,
        css_sibling: 40,
        css_flags: 76,
        task_cgroups: 2480,
        css_set_memory: 32,
        alloc_result_arg: 1,
        tp_root: 8,
        tp_id: 16,
        tp_path: 24,
        tp_mkdir_path: 16,
        tp_mkdirat_path: 24,
        tp_exit_ret: 16,
        ..Layout::UNKNOWN
    }
}

/// What is tried for each hook, and the first words of what is refused.
fn shown(facts: &HostFacts, layout: &Layout, options: &Options) -> String {
    let mut text = String::new();
    for row in plan(Inputs {
        facts,
        layout,
        options,
    }) {
        let ways: Vec<_> = row.candidates.iter().map(|way| way.kind.as_str()).collect();
        text.push_str(&format!("{}: {}\n", row.hook.id.as_str(), ways.join(" ")));
        for refusal in row.refused {
            text.push_str(&format!("  not {}: {}\n", refusal.way, refusal.reason));
        }
    }
    text
}

#[test]
fn everything_there() {
    insta::assert_snapshot!(shown(&facts(), &layout(), &Options::default()));
}

#[test]
fn without_privileges_nothing_but_the_kernel_log() {
    let facts = HostFacts {
        privileges: Privileges {
            euid: 1000,
            capabilities: 0,
        },
        ..facts()
    };
    insta::assert_snapshot!(shown(&facts, &layout(), &Options::default()));
    assert!(no_bpf(&facts).is_some_and(|(reason, _)| reason.contains("CAP_BPF")));
}

#[test]
fn two_capabilities_are_enough() {
    let capabilities = (1 << 38) | (1 << 39);
    let privileges = Privileges {
        euid: 1000,
        capabilities,
    };
    assert_eq!(
        no_bpf(&HostFacts {
            privileges,
            ..facts()
        }),
        None
    );
    let privileges = Privileges {
        euid: 1000,
        capabilities: 1 << 39,
    };
    assert!(
        no_bpf(&HostFacts {
            privileges,
            ..facts()
        })
        .is_some()
    );
}

#[test]
fn without_btf_the_formats_serve() {
    let facts = HostFacts {
        btf: false,
        ..facts()
    };
    let layout = Layout {
        tp_root: 8,
        tp_id: 16,
        tp_path: 24,
        ..Layout::UNKNOWN
    };
    insta::assert_snapshot!(shown(&facts, &layout, &Options::default()));
    let before_5_5 = Layout {
        tp_id: ABSENT,
        ..layout
    };
    let text = shown(&facts, &before_5_5, &Options::default());
    let reason =
        "requires the place of id in cgroup_mkdir's format: there is no such field of 8 bytes";
    assert!(
        text.contains(&format!("  not tracepoint: {reason}\n")),
        "{text}"
    );
}

#[test]
fn without_tracefs_the_types_serve() {
    let facts = HostFacts {
        tracefs: None,
        ..facts()
    };
    let options = Options {
        mkdir_syscalls: true,
        ..Options::default()
    };
    insta::assert_snapshot!(shown(&facts, &layout(), &options));
}

#[test]
fn lockdown_says_so() {
    let facts = HostFacts {
        lockdown: Some("confidentiality".to_owned()),
        ..facts()
    };
    assert!(no_bpf(&facts).is_some_and(|(reason, _)| reason.contains("locked down")));
    let facts = HostFacts {
        lockdown: Some("integrity".to_owned()),
        ..facts
    };
    assert_eq!(no_bpf(&facts), None);
}

#[test]
fn a_field_that_moved_away_costs_the_ways_that_need_it() {
    let layout = Layout {
        root_hierarchy: ABSENT,
        ..layout()
    };
    insta::assert_snapshot!(shown(&facts(), &layout, &Options::default()));
}

#[test]
fn ways_can_be_avoided() {
    let options = Options {
        avoid: vec![WayKind::TpBtf, WayKind::Fentry],
        ..Options::default()
    };
    let text = shown(&facts(), &layout(), &options);
    assert!(text.contains("lifecycle: raw_tp tracepoint\n"), "{text}");
    assert!(
        text.contains("  not tp_btf: not wanted (--avoid)\n"),
        "{text}"
    );
}

#[test]
fn every_program_in_the_table_is_in_each_object() {
    let names: HashSet<_> = HOOKS
        .iter()
        .flat_map(|hook| hook.ways)
        .flat_map(|way| way.programs.iter().map(|program| (way.kind, program.name)))
        .map(|(kind, name)| (kind.attaches_by_type(), name))
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bpf");
    let mut objects = 0;
    for entry in std::fs::read_dir(folder).expect(folder) {
        let path = entry.expect(folder).path();
        if path.extension().is_none_or(|it| it != "o") {
            continue;
        }
        objects += 1;
        let object = std::fs::read(&path).expect("an object");
        let perf = path.to_string_lossy().contains(".perf.");
        for (by_type, name) in &names {
            let symbol = [b"\0", name.as_bytes(), b"\0"].concat();
            assert_eq!(
                memchr::memmem::find(&object, &symbol).is_some(),
                !(perf && *by_type),
                "{name} in {}",
                path.display()
            );
        }
    }
    assert_eq!(objects, 4, "two architectures, two carriers");
}

#[test]
fn what_a_walk_cannot_tell_is_said_with_its_reason() {
    let why = |layout: &Layout| {
        let lacks = walk_lacks(layout, Version::V2).into_iter();
        let mut files = lacks.filter(|lack| lack.what == "the files of page cache");
        files.next().map(|lack| lack.why)
    };
    let what = |layout: &Layout, version| {
        let lacks = walk_lacks(layout, version).into_iter();
        lacks.map(|lack| lack.what).collect::<Vec<_>>()
    };
    let all = Layout {
        css_ref: 16,
        ref_count: 0,
        cgroup_flags: 76,
        memcg_id: 192,
        memcg_usage: 208,
        memcg_swap: 400,
        memcg_nodeinfo: 2048,
        lru_sizes: 1024,
        numa_nodes: 1,
        stats: 1600,
        stats_items: [19; STATS],
        lruvec_lists: 0,
        folio_lru: 8,
        folio_flags: 0,
        folio_mapping: 24,
        folio_memcg: 56,
        folio_pages: 92,
        flag_lru: 5,
        flag_head: 6,
        mapping_host: 0,
        inode_number: 64,
        inode_sb: 40,
        inode_links: 72,
        inode_rdev: 76,
        inode_dentries: 320,
        sb_dev: 16,
        sb_id: 800,
        dentry_alias: 176,
        dentry_parent: 24,
        dentry_name: 40,
        objcg_list: 1500,
        objcg_by_node: 0,
        objcg_entry: 32,
        objcg_memcg: 16,
        objcg_ref_data: 8,
        ..Layout::UNKNOWN
    };
    assert_eq!(what(&all, Version::V2), [""; 0]);
    assert_eq!(what(&all, Version::V1), ["kernel memory", "TCP memory"]);
    let many = Layout {
        numa_nodes: 9,
        css_ref: ABSENT,
        ..all
    };
    assert_eq!(
        what(&many, Version::V2),
        ["reference counts", "page cache and anonymous memory"]
    );
    let by_node = Layout {
        objcg_by_node: 1,
        ..many
    };
    assert_eq!(
        what(&by_node, Version::V2)[2..],
        ["what removed memory cgroups left to live ones"]
    );
    let before = Layout {
        objcg_list: ABSENT,
        ..all
    };
    assert_eq!(objcgs_lack(&before), Some("no mem_cgroup.objcg_list"));
    assert_eq!(why(&all), None);
    let nowhere = Layout {
        folio_lru: ABSENT,
        ..all
    };
    assert_eq!(why(&nowhere), Some("no folio.lru"));
    let generations = Layout {
        gen_pages: 1000,
        ..all
    };
    assert_eq!(why(&generations), Some("no lruvec.lrugen.folios"));
}
