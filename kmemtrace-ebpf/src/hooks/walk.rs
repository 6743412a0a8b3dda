//! Every memcg, dead or alive: a walk of the memory hierarchy, run on demand and attached to nothing.
//!
//! A removed memcg stays on its parent's list of children until it is released (`css_release_work_fn`). The walk begins
//! at the current task's memcg, climbs to the root and goes down from there, children first. Where it stands is kept in
//! a map and not in registers: so every step looks the same to the verifier.
//!
//! A run is one RCU read-side section (`__bpf_prog_test_run_raw_tp`): what is linked when the run looks at it is not
//! freed before the run ends. Between two runs it may be, so each run first makes sure of where it stands.

#![expect(unsafe_code, reason = "map values are shared, and the helpers unsafe")]

use core::mem::offset_of;

use aya_ebpf::{
    helpers::{bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel_str_bytes, generated},
    macros::map,
    maps::Array,
};
use kmemtrace_common::{
    layout::{ABSENT, Layout},
    walk::{
        Batch, Cursor, GENERATIONS, LRU_LISTS, NUMA_NODES, Node, STATS, STEPS, ZONES, css_flag,
        known, phase,
    },
};

use crate::{
    hooks::on_demand,
    read::{Access, Probed, directory_id, layout, shared, volatile},
};

/// Where the walk stands.
#[map]
static CURSOR: Array<Cursor> = Array::with_max_entries(1, 0);

/// What the last run found.
#[map]
static NODES: Array<Batch> = Array::with_max_entries(1, 0);

/// Where the sizes of one NUMA node's LRU lists are read into.
#[map]
static SIZES: Array<[u64; SIZES_MAX]> = Array::with_max_entries(1, 0);

const SIZES_MAX: usize = (2 * GENERATIONS * ZONES) as usize;

on_demand!(walk, "walk", raw_tp_walk, uprobe_walk);

#[inline(never)]
#[unsafe(export_name = "run_walk")]
fn walk() -> u32 {
    let (Some(cursor), Some(nodes)) = (CURSOR.get_ptr_mut(0), NODES.get_ptr_mut(0)) else {
        return 0;
    };
    shared!(cursor, nodes = 0);
    resume(cursor);
    for _ in 0..STEPS {
        if !step(cursor, nodes) {
            return 0;
        }
    }
    leave(cursor);
    0
}

/// Keeps what tells the next run whether the cursor still stands where it stood.
#[inline(always)]
fn leave(cursor: *mut Cursor) {
    let at = shared!(cursor, at);
    let parent = Probed::field(at, layout!(css_parent)).unwrap_or(0);
    shared!(
        cursor,
        at_serial = Probed::field(at, layout!(css_serial)).unwrap_or(0)
    );
    shared!(cursor, parent = parent);
    shared!(
        cursor,
        parent_serial = Probed::field(parent, layout!(css_serial)).unwrap_or(0)
    );
}

/// Whether a css from an earlier run is still linked. A serial number is never used again, and stands where nothing else
/// has such a number; one that has been released keeps it until its memory is used for something else.
#[inline(always)]
pub(super) fn is_linked(css: u64, serial: u64) -> bool {
    Probed::field::<u64>(css, layout!(css_serial)) == Some(serial)
        && Probed::field::<u32>(css, layout!(css_flags))
            .is_some_and(|flags| flags & css_flag::RELEASED == 0)
}

/// Begins, or makes sure of where the last run ended.
#[inline(always)]
fn resume(cursor: *mut Cursor) {
    if shared!(cursor, phase) == phase::START {
        // SAFETY: the helper takes nothing.
        let task = unsafe { bpf_get_current_task() };
        let set = Probed::pointer(task, layout!(task_cgroups)).unwrap_or(0);
        let css = Probed::pointer(set, layout!(css_set_memory)).unwrap_or(0);
        shared!(cursor, at = css);
        let phase = if css == 0 { phase::BAD } else { phase::CLIMB };
        shared!(cursor, phase = phase);
        return;
    }
    let (at, serial) = (shared!(cursor, at), shared!(cursor, at_serial));
    let parent = shared!(cursor, parent);
    if is_linked(at, serial) && Probed::field::<u64>(at, layout!(css_parent)) == Some(parent) {
        return;
    }
    // What is released has no children: only its siblings are left, those with greater serial numbers.
    if shared!(cursor, phase) != phase::CLIMB && is_linked(parent, shared!(cursor, parent_serial)) {
        shared!(cursor, at = parent);
        shared!(cursor, after = serial);
        shared!(cursor, phase = phase::DOWN);
        shared!(cursor, resumed = shared!(cursor, resumed) + 1);
    } else {
        shared!(cursor, phase = phase::LOST);
    }
}

/// One step; `false` if there is none left to do.
#[inline(always)]
fn step(cursor: *mut Cursor, nodes: *mut Batch) -> bool {
    let at = shared!(cursor, at);
    shared!(cursor, steps = shared!(cursor, steps) + 1);
    let mut down = match shared!(cursor, phase) {
        phase::CLIMB => {
            match Probed::field::<u64>(at, layout!(css_parent)) {
                Some(0) => {
                    shared!(cursor, root = at);
                    shared!(cursor, phase = phase::DOWN);
                    found(cursor, nodes, at);
                }
                Some(parent) => shared!(cursor, at = parent),
                None => shared!(cursor, phase = phase::BAD),
            }
            return true;
        }
        phase::DOWN => true,
        phase::NEXT => false,
        _ => return false,
    };
    // `list_head.next` is its first member.
    let children = at + u64::from(layout!(css_children));
    let mut next = 0;
    if down {
        next = Probed::field(children, 0).unwrap_or(0);
        if next == children {
            // Most have none: what comes after is looked at in the same step.
            shared!(cursor, after = 0);
            down = false;
        }
    }
    let mut parent = at;
    if !down {
        if at == shared!(cursor, root) {
            shared!(cursor, phase = phase::DONE);
            return false;
        }
        parent = Probed::field(at, layout!(css_parent)).unwrap_or(0);
        next = Probed::field(at + u64::from(layout!(css_sibling)), 0).unwrap_or(0);
    }
    if next == 0 || parent == 0 {
        shared!(cursor, phase = phase::BAD);
        return false;
    }
    if next == parent + u64::from(layout!(css_children)) {
        // The end of the list.
        shared!(cursor, at = parent);
        shared!(cursor, phase = phase::NEXT);
        shared!(cursor, after = 0);
        return true;
    }
    let child = next - u64::from(layout!(css_sibling));
    shared!(cursor, at = child);
    let after = shared!(cursor, after);
    if after != 0 && Probed::field::<u64>(child, layout!(css_serial)).unwrap_or(0) <= after {
        shared!(cursor, phase = phase::NEXT);
        return true;
    }
    shared!(cursor, after = 0);
    shared!(cursor, phase = phase::DOWN);
    found(cursor, nodes, child);
    true
}

/// Puts down what a css tells.
#[inline(always)]
fn found(cursor: *mut Cursor, nodes: *mut Batch, css: u64) {
    let index = shared!(cursor, nodes) as usize;
    if index >= STEPS {
        return;
    }
    shared!(cursor, nodes = index as u32 + 1);
    // SAFETY: the index is within the batch, and no other run writes to it.
    let node: &mut Node = unsafe { &mut *nodes.cast::<Node>().add(index) };
    // SAFETY: the helper takes nothing.
    node.mono_ns = unsafe { bpf_ktime_get_ns() };
    node.css = css;
    node.serial = Probed::field(css, layout!(css_serial)).unwrap_or(0);
    node.flags = Probed::field(css, layout!(css_flags)).unwrap_or(0);
    node.known = 0;
    let parent = Probed::field(css, layout!(css_parent)).unwrap_or(0);
    node.parent_serial = Probed::field(parent, layout!(css_serial)).unwrap_or(0);
    node.parent_id = directory_id::<Probed>(directory(parent)).unwrap_or(0);
    let kn = directory(css);
    node.cgroup_id = directory_id::<Probed>(kn).unwrap_or(0);
    node.name_len = 0;
    if let Some(name) = Probed::pointer(kn, layout!(kn_name)) {
        // SAFETY: the helper checks the source.
        let name = unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, &mut node.name) };
        node.name_len = name.map_or(0, |name| name.len() as u32);
    }
    let counted = if layout!(css_ref_apart) == 1 {
        Probed::pointer(css, layout!(css_ref))
            .and_then(|data| Probed::field(data, layout!(ref_count)))
    } else {
        Probed::field(css, layout!(css_ref))
    };
    node.refcount = told(counted, known::REFCOUNT, &mut node.known);
    let id = Probed::field(css, layout!(memcg_id));
    node.memcg_id = told(id, known::MEMCG_ID, &mut node.known);
    let id = Probed::field(css, layout!(css_id));
    node.css_id = told(id, known::CSS_ID, &mut node.known);
    let usage = |field| Probed::field::<i64>(css, field);
    node.memory = told(usage(layout!(memcg_usage)), known::MEMORY, &mut node.known);
    node.swap = told(usage(layout!(memcg_swap)), known::SWAP, &mut node.known);
    node.kmem = told(usage(layout!(memcg_kmem)), known::KMEM, &mut node.known);
    node.tcpmem = told(usage(layout!(memcg_tcpmem)), known::TCPMEM, &mut node.known);
    let cgroup = Probed::field(css, layout!(css_cgroup)).unwrap_or(0);
    if let Some(flags) = Probed::field::<u32>(cgroup, layout!(cgroup_flags)) {
        node.known |= known::DIRECTORY_KNOWN;
        if flags & css_flag::ONLINE != 0 {
            node.known |= known::DIRECTORY;
        }
    }
    node.lru = [0; LRU_LISTS];
    node.stats = [0; STATS];
    // Of live ones nobody asks.
    if node.flags & css_flag::DYING == 0 {
        return;
    }
    if pages(css, &mut node.lru).is_some() {
        node.known |= known::LRU;
    }
    stats(css, node);
}

/// Puts down the statistics by kind. The kernel adds up what each processor counted every two seconds and when it is asked
/// (`mem_cgroup_flush_stats`): until then they are a little behind.
#[inline(always)]
fn stats(css: u64, node: &mut Node) {
    let stats = match layout!(stats_pointer) {
        1 => Probed::pointer(css, layout!(stats)).unwrap_or(0),
        0 => css + u64::from(layout!(stats)),
        _ => return,
    };
    let table = u64::from(layout!(stats_table_high)) << 32 | u64::from(layout!(stats_table));
    let has_table = layout!(stats_table) != ABSENT;
    // Entries count from 0, or from 1 before 6.12: that of the item which is first in the array tells. What is not in the
    // array has the greatest number, or 0 then.
    let first = if has_table {
        Probed::field::<u8>(table, layout!(stats_first))
    } else {
        Some(0)
    };
    let Some(first) = first.map(u32::from) else {
        return;
    };
    for kind in 0..STATS {
        let item = volatile(offset_of!(Layout, stats_items) + 4 * kind);
        let place = if has_table {
            Probed::field::<u8>(table, item).map(u32::from)
        } else {
            Some(item)
        };
        let Some(place) =
            place.filter(|&place| place >= first && place - first < layout!(stats_count))
        else {
            continue;
        };
        let place = place - first;
        if let Some(value) = Probed::field(stats, layout!(stats_state) + 8 * place) {
            node.stats[kind] = value;
            node.known |= known::STATS << kind;
        }
    }
}

/// Of a field that was read: its value, and that it is known.
#[inline(always)]
fn told<T: Default>(field: Option<T>, bit: u32, known: &mut u32) -> T {
    match field {
        Some(value) => {
            *known |= bit;
            value
        }
        None => T::default(),
    }
}

/// The `struct kernfs_node *` of a css's cgroup.
#[inline(always)]
fn directory(css: u64) -> u64 {
    let cgroup = Probed::field(css, layout!(css_cgroup)).unwrap_or(0);
    Probed::field(cgroup, layout!(cgroup_kn)).unwrap_or(0)
}

/// Adds up a memcg's LRU lists over all NUMA nodes and zones: the classic lists, and those of the multi-gen LRU, of which
/// only one kind is in use. `lruvec->lrugen.nr_pages` and `lru_zone_size` are counts without lock: right once it rests.
#[inline(always)]
fn pages(css: u64, lru: &mut [u64; LRU_LISTS]) -> Option<()> {
    let numa = layout!(numa_nodes);
    if layout!(memcg_nodeinfo) == ABSENT || layout!(lru_sizes) == ABSENT || numa > NUMA_NODES {
        return None;
    }
    for node in 0..NUMA_NODES {
        if node >= numa {
            break;
        }
        let Some(info) = Probed::pointer(css, layout!(memcg_nodeinfo) + 8 * node) else {
            continue;
        };
        classic(info, lru)?;
        if layout!(gen_pages) != ABSENT {
            generations(info, lru)?;
        }
    }
    Some(())
}

#[inline(always)]
fn classic(info: u64, lru: &mut [u64; LRU_LISTS]) -> Option<()> {
    let zones = layout!(lru_zones);
    let sizes = read(info, layout!(lru_sizes), zones * LRU_LISTS as u32)?;
    for zone in 0..ZONES {
        if zone >= zones {
            break;
        }
        for (list, sum) in lru.iter_mut().enumerate() {
            *sum += size(sizes, zone as usize * LRU_LISTS + list);
        }
    }
    Some(())
}

#[inline(always)]
fn generations(info: u64, lru: &mut [u64; LRU_LISTS]) -> Option<()> {
    let (zones, generations) = (layout!(lru_zones), layout!(gen_count));
    let sizes = read(info, layout!(gen_pages), 2 * zones * generations)?;
    for generation in 0..GENERATIONS {
        if generation >= generations {
            break;
        }
        for zone in 0..ZONES {
            if zone >= zones {
                break;
            }
            let at = (2 * generation * zones + zone) as usize;
            lru[1] += size(sizes, at);
            lru[3] += size(sizes, at + zones as usize);
        }
    }
    Some(())
}

/// Reads `count` sizes at once.
#[inline(always)]
fn read(info: u64, offset: u32, count: u32) -> Option<*const u64> {
    let sizes: *mut u64 = SIZES.get_ptr_mut(0)?.cast();
    if count as usize > SIZES_MAX {
        return None;
    }
    // SAFETY: `count` of them fit; the helper checks the source.
    let refused = unsafe {
        generated::bpf_probe_read_kernel(
            sizes.cast(),
            count * 8,
            (info + u64::from(offset)) as *const _,
        )
    };
    (refused == 0).then_some(sizes.cast_const())
}

#[inline(always)]
fn size(sizes: *const u64, at: usize) -> u64 {
    if at >= SIZES_MAX {
        return 0;
    }
    // SAFETY: it is within the map's value.
    unsafe { sizes.add(at).read_volatile() }
}
