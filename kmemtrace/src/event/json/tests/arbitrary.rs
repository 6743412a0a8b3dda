//! Whatever facts there may be.

use std::sync::Arc;

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::event::{CarriedZombie, Counted, GapReason, Holds, NodeSlabs, Pod, SlabPin};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..60),
        any::<String>().prop_map(String::into_bytes),
        Just(b"/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d".to_vec()),
    ]
}

fn path() -> impl Strategy<Value = Path> {
    (bytes(), any::<bool>()).prop_map(|(bytes, cut)| Path {
        bytes: bytes.into(),
        cut,
    })
}

/// A name as the kernel has it: nothing but NULs after the first.
fn task() -> impl Strategy<Value = Task> {
    (any::<u32>(), vec(1..=255_u8, 0..=16)).prop_map(|(pid, name)| {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(&name);
        Task { pid, comm }
    })
}

fn cgroup() -> BoxedStrategy<Cgroup> {
    let numbers = (
        any::<Result<u64, u32>>(),
        any::<Option<u64>>(),
        any::<Option<u64>>(),
        any::<Option<u32>>(),
        any::<Option<u64>>(),
    );
    let slab = option::of((any::<u32>(), any::<[Option<u64>; 2]>()).prop_map(
        |(caches, [objects, bytes])| SlabPin {
            caches,
            objects,
            bytes,
        },
    ));
    let holds = (
        any::<[Option<u64>; 6]>(),
        any::<Option<bool>>(),
        any::<Option<i64>>(),
        any::<u64>(),
    );
    let holds = holds.prop_map(
        |([file, anon, shmem, unevictable, tcpmem, swap], keeps_id, refcount, dead)| {
            Box::new(Holds {
                file_bytes: file,
                anon_bytes: anon,
                shmem_bytes: shmem,
                unevictable_bytes: unevictable,
                tcpmem_bytes: tcpmem,
                swap_bytes: swap,
                keeps_id,
                refcount,
                dead_children: dead,
            })
        },
    );
    let rest = (
        any::<Option<bool>>(),
        any::<Option<u64>>(),
        any::<bool>(),
        slab,
        option::of(holds),
    );
    let pod = any::<(String, String)>();
    let pod = pod.prop_map(|(namespace, name)| Arc::new(Pod { namespace, name }));
    let whose = (option::of(path()), option::of(pod));
    (numbers, rest, whose, option::of(task()))
        .prop_map(|(numbers, rest, (path, pod), task)| {
            let (id, parent_id, serial, memcg_id, after_ns) = numbers;
            let (memory, usage_bytes, memcg, slab, holds) = rest;
            let scope = if memcg { Scope::Memcg } else { Scope::Cgroup };
            Cgroup {
                id: id.ok(),
                parent_id,
                serial,
                memcg_id,
                kmemcg_id: id.err(),
                slab: slab.map(Box::new),
                holds,
                path,
                pod,
                memory,
                usage_bytes,
                task,
                scope,
                after_ns,
            }
        })
        .boxed()
}

fn counts() -> impl Strategy<Value = Counts> {
    any::<[Option<u64>; 6]>().prop_map(
        |[
            num_cgroups,
            dying,
            dying_memory,
            held_bytes,
            kmemcg_peak,
            ids_peak,
        ]| Counts {
            num_cgroups,
            dying,
            dying_memory,
            held_bytes,
            kmemcg_peak,
            ids_peak,
        },
    )
}

fn fact() -> BoxedStrategy<Fact> {
    let reason = proptest::sample::select(&GapReason::ALL);
    let slab = (
        option::of(prop_oneof![
            bytes(),
            Just(b"dentry(3:ebf02fc7)".to_vec()),
            Just(b"dentry(3:\xff)".to_vec())
        ]),
        any::<[Option<u32>; 6]>(),
        any::<Option<i32>>(),
        any::<Option<String>>(),
        vec(any::<(u32, [u64; 3])>(), 0..3),
    );
    let mkdir = (
        option::of(path()),
        any::<[Option<u64>; 2]>(),
        any::<Option<i32>>(),
    );
    prop_oneof![
        cgroup().prop_map(Fact::Created),
        cgroup().prop_map(Fact::Offlined),
        cgroup().prop_map(Fact::Freed),
        cgroup().prop_map(Fact::Renamed),
        cgroup().prop_map(Fact::Present),
        cgroup().prop_map(Fact::Zombie),
        (
            any::<u64>(),
            any::<u64>(),
            option::of(any::<u64>()),
            counts()
        )
            .prop_map(|(began_mono_ns, directories, zombies, counts)| {
                Fact::Walked(Walked {
                    began_mono_ns,
                    directories,
                    zombies,
                    counts,
                })
            }),
        (slab, option::of(any::<u64>()), option::of(task())).prop_map(
            |((cache, numbers, node, gfp_flags, nodes), suppressed, task)| {
                let [object_size, buffer_size, order, min_order, gfp, cpu] = numbers;
                let nodes = nodes.into_iter();
                Fact::SlabFailure(SlabFailure {
                    cache: cache.map(Bytes::from),
                    object_size,
                    buffer_size,
                    order,
                    min_order,
                    gfp,
                    gfp_flags,
                    node,
                    cpu,
                    nodes: nodes
                        .map(|(node, [slabs, objects, free])| NodeSlabs {
                            node,
                            slabs,
                            objects,
                            free,
                        })
                        .collect(),
                    suppressed,
                    task,
                })
            }
        ),
        (mkdir, option::of(task())).prop_map(|((path, [cgroup_id, parent_id], errno), task)| {
            Fact::MkdirFailure(MkdirFailure {
                path,
                cgroup_id,
                parent_id,
                errno,
                task,
            })
        }),
        (
            any::<u64>(),
            any::<Option<u64>>(),
            reason,
            any::<Option<(u64, u64)>>()
        )
            .prop_map(|(from_mono_ns, lost, reason, counted)| {
                Fact::Gap(Gap {
                    from_mono_ns,
                    lost,
                    reason,
                    counted: counted.map(|(tracked, kernel)| Counted { tracked, kernel }),
                })
            }),
        counts().prop_map(Fact::Tick),
        carried().prop_map(|carried| Fact::Carried(Box::new(carried))),
    ]
    .boxed()
}

fn carried() -> impl Strategy<Value = Carried> {
    let proof = prop_oneof![
        Just(Proof::Followed),
        Just(Proof::Counted),
        Just(Proof::Nothing)
    ];
    let zombie = (any::<u64>(), any::<Option<u64>>(), proof, any::<bool>()).prop_map(
        |(since_ns, after_ns, proof, leaked)| CarriedZombie {
            since_ns,
            after_ns,
            proof,
            leaked,
        },
    );
    let rest = (any::<u32>(), any::<Option<u64>>(), option::of(task()));
    (cgroup(), rest, option::of(zombie)).prop_map(|(cgroup, rest, zombie)| {
        let (generation, created_ns, creator) = rest;
        Carried {
            cgroup,
            generation,
            created_ns,
            creator,
            zombie,
        }
    })
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), any::<i64>(), fact()).prop_map(|(mono_ns, wall_ns, fact)| Event {
        time: Stamp { mono_ns, wall_ns },
        fact,
    })
}
