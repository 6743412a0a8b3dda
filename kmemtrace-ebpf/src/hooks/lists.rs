//! What the walks of a memcg's lists share. The lists change while they are walked, and their lock is not taken: where what
//! comes next is not what it should be, the walk's place is lost, and the list begins again; the collector knows what it has
//! seen.

#![expect(unsafe_code, reason = "map values are shared")]

use kmemtrace_common::lists::{ListCursor, TRIES, phase};

use crate::{hooks::walk::is_linked, read::shared};

/// Begins a run: the css, or nothing if it was freed. A run is one RCU read-side section, in which it is not.
#[inline(always)]
pub(super) fn resume(cursor: *mut ListCursor) -> Option<u64> {
    shared!(cursor, found = 0);
    let css = shared!(cursor, css);
    if is_linked(css, shared!(cursor, serial)) {
        return Some(css);
    }
    shared!(cursor, phase = phase::GONE);
    None
}

/// Goes to the head of a list.
#[inline(always)]
pub(super) fn begin(cursor: *mut ListCursor, node: u32, list: u32) {
    shared!(cursor, node = node);
    shared!(cursor, list = list);
    shared!(cursor, at = 0);
    shared!(cursor, tries = 0);
}

/// The place is lost: back to the head, or, after some tries, to the list that is next.
#[inline(always)]
pub(super) fn lose(cursor: *mut ListCursor, next_node: u32, next_list: u32) {
    let tries = shared!(cursor, tries) + 1;
    if tries > TRIES {
        shared!(cursor, lost = shared!(cursor, lost) + 1);
        begin(cursor, next_node, next_list);
    } else {
        shared!(cursor, at = 0);
        shared!(cursor, tries = tries);
    }
}
