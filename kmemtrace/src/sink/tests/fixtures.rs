//! A run in which every kind of change happens, with names that are meant to break something.

use bytes::Bytes;

mod summary;

pub(super) use self::summary::summary;
use super::*;
use crate::event::SlabPin;

pub(super) const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";
pub(super) const CONTAINER: &str =
    "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";
pub(super) const SLICE: &str = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod74c13223_5a00_11e9_b385_42010a80018d.slice/cri-containerd-";

pub(super) fn at(ms: u64) -> Stamp {
    Stamp {
        mono_ns: 5_000_000_000 + ms * 1_000_000,
        wall_ns: 1_773_491_464_123_456_789 + ms as i64 * 1_000_000,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as its callers need it")]
pub(super) fn task(pid: u32, name: &[u8]) -> Option<Task> {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name);
    Some(Task { pid, comm })
}

pub(super) fn cgroup(id: u64, path: impl Into<Bytes>) -> Cgroup {
    Cgroup {
        id: Some(id),
        parent_id: Some(id - 1),
        memcg_id: Some(id as u32 + 7),
        path: Some(Path::whole(path)),
        memory: Some(true),
        task: task(4242, b"runc"),
        ..Cgroup::default()
    }
}

pub(super) fn subject(cgroup: Cgroup) -> Subject {
    Subject {
        cgroup,
        ..Subject::default()
    }
}

/// One of a pod whose name the node told.
fn named_pod(cgroup: Cgroup) -> Cgroup {
    let pod = Pod {
        namespace: "default".into(),
        name: "web-0".into(),
    };
    Cgroup {
        pod: Some(pod.into()),
        ..cgroup
    }
}

/// One that was made at `born` and removed at `died`, as it is at `now`.
pub(super) fn zombie(cgroup: Cgroup, born: u64, died: u64, now: u64) -> Subject {
    Subject {
        created: Some(at(born)),
        creator: task(812, b"kubelet"),
        offlined: Some(at(died)),
        zombie_ns: Some((now - died) * 1_000_000),
        ..subject(Cgroup {
            usage_bytes: Some(1_310_720),
            ..cgroup
        })
    }
}

pub(super) fn header() -> Header {
    Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        source: "bpf".into(),
        hostname: Some("node-7".into()),
        kernel: Some("6.1.0-40-cloud-amd64".into()),
        boot_id: Some("0b1a6e3c-1d5f-4d0e-9f5c-0c8e4f1f7a11".into()),
        hierarchy: Some("v1".into()),
        cmdline: Some(vec!["cgroup.memory=nokmem".into()]),
        grace_ns: 30_000_000_000,
        hooks: vec![HookReport {
            hook: "lifecycle".into(),
            way: Some("raw_tp".into()),
            refused: vec![Refusal {
                way: "tp_btf".into(),
                reason: "requires BTF: there is no /sys/kernel/btf/vmlinux".into(),
            }],
            lost: None,
        }],
        ..Header::default()
    }
}

/// One of each kind, and what names from outside can do.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn changes() -> Vec<Change> {
    let container = || cgroup(31, format!("{POD}/{CONTAINER}"));
    let scope = || cgroup(41, format!("{SLICE}{CONTAINER}.scope"));
    let unit = || cgroup(51, "/system.slice/nginx.service");
    let hostile: [&[u8]; 5] = [
        b"/a\x1b[2J\x1b]0;title\x07/\r\n2026 LEAKED \"quoted\" \\ end",
        b"/bytes\xff\xfe/\xc3\x28",
        "/bidi\u{202e}gpj.exe\u{2066}/c1\u{9b}31m\u{7f}\u{200b}\u{2028}".as_bytes(),
        b"/<script>alert('x')</script>&amp;{{x}}%s${IFS}",
        &[&b"/"[..], &[b'n'; 255], b"/leaf"].concat(),
    ];
    let mut list = vec![
        (
            0,
            What::Present(subject(Cgroup {
                task: None,
                ..unit()
            })),
        ),
        (
            1,
            What::Walked {
                walked: Walked {
                    began_mono_ns: at(0).mono_ns,
                    directories: 49,
                    zombies: Some(2),
                    counts: Counts {
                        num_cgroups: Some(51),
                        ..Counts::default()
                    },
                },
                number: 1,
            },
        ),
        (
            100,
            What::Created(Subject {
                created: Some(at(100)),
                creator: task(4242, b"runc"),
                ..subject(container())
            }),
        ),
        (
            3_500,
            What::Offlined(zombie(container(), 100, 3_500, 3_500)),
        ),
        (3_501, What::Freed(zombie(container(), 100, 3_500, 3_501))),
        (4_000, What::Offlined(zombie(scope(), 0, 4_000, 4_000))),
        (
            34_000,
            What::Leaked(zombie(named_pod(scope()), 0, 4_000, 34_000)),
        ),
        (35_000, What::Recovered(zombie(scope(), 0, 4_000, 35_000))),
        (
            36_000,
            What::Leaked(Subject {
                generation: 1,
                offlined_after_ns: Some(at(5_000).mono_ns),
                across_gap: true,
                ..zombie(
                    Cgroup {
                        scope: Scope::Memcg,
                        serial: Some(77),
                        ..unit()
                    },
                    0,
                    6_000,
                    36_000,
                )
            }),
        ),
        (36_100, What::Renamed(subject(cgroup(61, "/batch/renamed")))),
        (
            36_200,
            What::Freed(subject(Cgroup {
                id: Some(9),
                ..Cgroup::default()
            })),
        ),
        (
            36_300,
            What::SlabFailure(SlabFailure {
                cache: Some(Bytes::from_static(b"dentry(3:ebf02fc7)")),
                object_size: Some(192),
                gfp: Some(0xd0),
                node: Some(-1),
                task: task(4242, b"runc"),
                ..SlabFailure::default()
            }),
        ),
        (
            36_300,
            What::SlabFailure(SlabFailure {
                cache: Some(Bytes::from_static(b"dentry(3:x\x1b[31m\xff)")),
                object_size: Some(192),
                buffer_size: Some(200),
                order: Some(1),
                min_order: Some(0),
                gfp: Some(0x820),
                gfp_flags: Some("GFP_ATOMIC|__GFP_ZERO".to_owned()),
                node: Some(1),
                cpu: Some(3),
                nodes: [(0, 49), (1, 0)]
                    .map(|(node, slabs)| NodeSlabs {
                        node,
                        slabs,
                        objects: slabs * 21,
                        free: slabs / 12,
                    })
                    .to_vec(),
                suppressed: Some(17_786),
                ..SlabFailure::default()
            }),
        ),
        (36_301, What::SlabFailure(SlabFailure::default())),
        (
            36_400,
            What::MkdirFailure(MkdirFailure {
                path: Some(Path::whole(format!("{POD}/{CONTAINER}"))),
                errno: Some(12),
                parent_id: Some(30),
                task: task(4243, b"ru\x1b[31m\xff"),
                ..MkdirFailure::default()
            }),
        ),
        (
            36_500,
            What::Gap(Gap {
                from_mono_ns: at(36_450).mono_ns,
                lost: Some(17),
                reason: GapReason::RingFull,
                counted: None,
            }),
        ),
        (
            36_600,
            What::Gap(Gap {
                from_mono_ns: at(36_000).mono_ns,
                lost: None,
                reason: GapReason::BadRecord,
                counted: None,
            }),
        ),
        (
            36_700,
            What::Gap(Gap {
                from_mono_ns: at(31_600).mono_ns,
                lost: None,
                reason: GapReason::Contradicted,
                counted: Some(Counted {
                    tracked: 6,
                    kernel: 3,
                }),
            }),
        ),
        (
            37_000,
            What::Tick(Counts {
                num_cgroups: Some(51),
                ..Counts::default()
            }),
        ),
    ];
    for path in hostile {
        let subject = Subject {
            created: Some(at(38_000)),
            ..subject(cgroup(71, path.to_vec()))
        };
        list.push((38_000, What::Created(subject)));
    }
    let cut = Path {
        bytes: Bytes::from_static(b".../deep/leaf"),
        cut: true,
    };
    list.push((
        38_001,
        What::Created(subject(Cgroup {
            path: Some(cut),
            ..unit()
        })),
    ));
    let nested = format!(
        "/user.slice/user-1000.slice/user@1000.service/app.slice/{}",
        "d".repeat(60)
    );
    list.push((38_002, What::Created(subject(cgroup(81, nested)))));
    let docker = Cgroup {
        holds: Some(Box::new(Holds {
            file_bytes: Some(86_016),
            anon_bytes: Some(0),
            shmem_bytes: Some(0),
            unevictable_bytes: Some(0),
            tcpmem_bytes: Some(0),
            swap_bytes: Some(0),
            keeps_id: Some(false),
            refcount: Some(22),
            dead_children: 0,
        })),
        ..cgroup(91, format!("/docker/{CONTAINER}"))
    };
    let kept = Subject {
        pinned: Some(Pinned {
            pin: Some(Pin::PageCache),
            bytes: Some(86_016),
            first_bytes: Some(266_240),
            trend: Some(Trend::Draining),
            reclaimable: Some(true),
        }),
        ..zombie(docker, 38_000, 38_003, 68_003)
    };
    list.push((68_003, What::Leaked(kept)));
    let named = Cgroup {
        kmemcg_id: Some(3),
        slab: Some(Box::new(SlabPin {
            caches: 3,
            objects: Some(84),
            bytes: Some(49_152),
        })),
        path: Some(Path {
            bytes: Bytes::from(format!(".../{CONTAINER}")),
            cut: true,
        }),
        ..Cgroup::default()
    };
    list.push((68_004, What::Zombie(subject(named))));
    list.push((68_005, What::LeakedUnseen { zombies: 2 }));
    list.push((130_000, What::Summary(Box::new(summary()))));
    let totals = Totals {
        live: 48,
        zombies: 3,
        leaked: 1,
    };
    list.into_iter()
        .map(|(ms, what)| Change {
            time: at(ms),
            what,
            totals,
        })
        .collect()
}
