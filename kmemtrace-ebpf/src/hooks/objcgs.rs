//! The object cgroups that removed memcgs left to a live one: a walk of its list, run on demand and attached to nothing.
//!
//! Nothing that was read is believed before it is looked at ([`super::lists`]): an object cgroup counts if it says itself that
//! it is this memcg's, and is linked both ways.

#![expect(unsafe_code, reason = "map values are shared")]

use aya_ebpf::{macros::map, maps::Array};
use kmemtrace_common::{
    lists::{ListCursor, phase},
    objcgs::{Objcg, Objcgs, STEPS},
};

use crate::{
    hooks::{lists, on_demand},
    read::{Access, Probed, layout, shared},
};

/// Where the walk of object cgroups stands.
#[map]
static OBJCG_CURSOR: Array<ListCursor> = Array::with_max_entries(1, 0);

/// What the last run found.
#[map]
static OBJCGS: Array<Objcgs> = Array::with_max_entries(1, 0);

/// The offset of `list_head.prev`.
const PREV: u32 = 8;

on_demand!(objcgs, "objcgs", raw_tp_objcgs, uprobe_objcgs);

#[inline(never)]
#[unsafe(export_name = "run_objcgs")]
fn objcgs() -> u32 {
    let (Some(cursor), Some(found)) = (OBJCG_CURSOR.get_ptr_mut(0), OBJCGS.get_ptr_mut(0)) else {
        return 0;
    };
    let Some(css) = lists::resume(cursor) else {
        return 0;
    };
    for _ in 0..STEPS {
        if !step(cursor, found, css) {
            return 0;
        }
    }
    0
}

/// One step: to the next object cgroup, or to the next list; `false` if there is none left.
#[inline(always)]
fn step(cursor: *mut ListCursor, objcgs: *mut Objcgs, css: u64) -> bool {
    let node = shared!(cursor, node);
    let by_node = layout!(objcg_by_node) != 0;
    if node >= if by_node { layout!(numa_nodes) } else { 1 } {
        shared!(cursor, phase = phase::DONE);
        return false;
    }
    let owner = if by_node {
        Probed::pointer(css, layout!(memcg_nodeinfo) + 8 * node).unwrap_or(0)
    } else {
        css
    };
    let head = owner + u64::from(layout!(objcg_list));
    let at = match shared!(cursor, at) {
        0 => head,
        at => at,
    };
    // `list_head.next` is its first member.
    let next = Probed::field::<u64>(at, 0).unwrap_or(0);
    if owner == 0 || next == head {
        lists::begin(cursor, node + 1, 0);
        return true;
    }
    if next != 0 && found(cursor, objcgs, css, at, next).is_some() {
        shared!(cursor, at = next);
        return true;
    }
    lists::lose(cursor, node + 1, 0);
    true
}

/// Puts down the object cgroup whose `list` is `next`, if it is the memcg's and comes after `at`. The css is the first member
/// of `struct mem_cgroup`.
#[inline(always)]
fn found(cursor: *mut ListCursor, objcgs: *mut Objcgs, css: u64, at: u64, next: u64) -> Option<()> {
    let address = next.wrapping_sub(u64::from(layout!(objcg_entry)));
    let owned = Probed::field::<u64>(address, layout!(objcg_memcg))? == css
        && Probed::field::<u64>(next, PREV)? == at;
    if !owned {
        return None;
    }
    let data = Probed::pointer(address, layout!(objcg_ref_data))?;
    let references = Probed::field::<i64>(data, layout!(ref_count))?;
    let index = shared!(cursor, found) as usize;
    if index >= STEPS {
        return None;
    }
    shared!(cursor, found = index as u32 + 1);
    // SAFETY: the index is within the batch, and no other run writes to it.
    let objcg: &mut Objcg = unsafe { &mut *objcgs.cast::<Objcg>().add(index) };
    objcg.address = address;
    objcg.references = references;
    Some(())
}
