//! What page cache a memcg holds, dead or alive, and of which files: walks of its LRU lists, run on demand and attached to
//! nothing.
//!
//! Nothing that was read is believed before it is looked at ([`super::lists`]): a folio counts if it says itself that it is on a
//! list and this memcg's.

#![expect(unsafe_code, reason = "map values are shared, and the helpers unsafe")]

use aya_ebpf::{macros::map, maps::Array};
use kmemtrace_common::{
    files::{File, Page, Pages, STEPS, known},
    layout::ABSENT,
    lists::{ListCursor, phase},
    walk::LRU_LISTS,
};

use crate::{
    hooks::{lists, on_demand},
    read::{self, Access, Probed, layout, shared},
};

/// Where the walk of pages stands.
#[map]
static PAGE_CURSOR: Array<ListCursor> = Array::with_max_entries(1, 0);

/// What the last run found.
#[map]
static PAGES: Array<Pages> = Array::with_max_entries(1, 0);

/// The file that is asked for.
#[map]
static FILE: Array<File> = Array::with_max_entries(1, 0);

/// Bytes of a `struct list_head`.
const LIST_HEAD: u64 = 16;

/// Flags of the page's owner in the lowest bits of `folio.memcg_data` (`enum page_memcg_data_flags`).
const MEMCG_FLAGS: u64 = 7;

on_demand!(pages, "pages", raw_tp_pages, uprobe_pages);

#[inline(never)]
#[unsafe(export_name = "run_pages")]
fn pages() -> u32 {
    let (Some(cursor), Some(pages)) = (PAGE_CURSOR.get_ptr_mut(0), PAGES.get_ptr_mut(0)) else {
        return 0;
    };
    let Some(css) = lists::resume(cursor) else {
        return 0;
    };
    for _ in 0..STEPS {
        if !step(cursor, pages, css) {
            return 0;
        }
    }
    0
}

/// One step: to the next folio, or to the next list; `false` if there is none left.
#[inline(always)]
fn step(cursor: *mut ListCursor, pages: *mut Pages, css: u64) -> bool {
    let (node, list) = (shared!(cursor, node), shared!(cursor, list));
    if node >= layout!(numa_nodes) {
        shared!(cursor, phase = phase::DONE);
        return false;
    }
    let generations = match layout!(gen_lists) {
        ABSENT => 0,
        _ => layout!(gen_list_count),
    };
    let info = Probed::pointer(css, layout!(memcg_nodeinfo) + 8 * node).unwrap_or(0);
    if info == 0 || list >= LRU_LISTS as u32 + generations {
        lists::begin(cursor, node + 1, 0);
        return true;
    }
    let head = if list < LRU_LISTS as u32 {
        info + u64::from(layout!(lruvec_lists)) + LIST_HEAD * u64::from(list)
    } else {
        info + u64::from(layout!(gen_lists)) + LIST_HEAD * u64::from(list - LRU_LISTS as u32)
    };
    let at = match shared!(cursor, at) {
        0 => head,
        at => at,
    };
    // `list_head.next` is its first member.
    let next = Probed::field::<u64>(at, 0).unwrap_or(0);
    if next == head {
        lists::begin(cursor, node, list + 1);
        return true;
    }
    let folio = next.wrapping_sub(u64::from(layout!(folio_lru)));
    if next != 0 && found(cursor, pages, css, folio).is_some() {
        shared!(cursor, at = next);
        return true;
    }
    // From 5.18 on the head of the unevictable list leads nowhere (`lruvec_init`).
    lists::lose(cursor, node, list + 1);
    true
}

/// Puts down a folio, if it is on a list and the memcg's.
#[inline(always)]
fn found(cursor: *mut ListCursor, pages: *mut Pages, css: u64, folio: u64) -> Option<()> {
    let flags = on_list(folio, css)?;
    let mapping = Probed::field::<u64>(folio, layout!(folio_mapping))?;
    let mut count = 1;
    if flags & (1 << layout!(flag_head)) != 0 {
        count = Probed::field::<u32>(folio, layout!(folio_pages))?;
    }
    let index = shared!(cursor, found) as usize;
    if index >= STEPS {
        return None;
    }
    shared!(cursor, found = index as u32 + 1);
    // SAFETY: the index is within the batch, and no other run writes to it.
    let page: &mut Page = unsafe { &mut *pages.cast::<Page>().add(index) };
    page.folio = folio;
    page.mapping = mapping;
    page.count = u64::from(count);
    Some(())
}

/// The flags of a folio that is on an LRU list and charged to this memcg; the css is the first member of
/// `struct mem_cgroup`.
#[inline(always)]
fn on_list(folio: u64, css: u64) -> Option<u64> {
    let flags = Probed::field::<u64>(folio, layout!(folio_flags))?;
    let memcg = Probed::field::<u64>(folio, layout!(folio_memcg))?;
    (flags & (1 << layout!(flag_lru)) != 0 && memcg & !MEMCG_FLAGS == css).then_some(flags)
}

on_demand!(file, "file", raw_tp_file, uprobe_file);

#[inline(never)]
#[unsafe(export_name = "run_file")]
fn file() -> u32 {
    let Some(file) = FILE.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the map's only value; whoever else wrote to it would be another run of this program.
    let file: &mut File = unsafe { &mut *file };
    file.known = 0;
    let known = describe(file).unwrap_or(0);
    // An inode is freed an RCU grace period after its last page is taken from it: not while this runs, if this has not yet.
    if is_of(file) {
        file.known = known;
    }
    0
}

/// Whether the page is still this memcg's, and of this mapping.
#[inline(always)]
fn is_of(file: &File) -> bool {
    on_list(file.folio, file.css).is_some()
        && Probed::field::<u64>(file.folio, layout!(folio_mapping)) == Some(file.mapping)
}

/// Reads the inode and its names.
#[inline(always)]
fn describe(file: &mut File) -> Option<u32> {
    if !is_of(file) {
        return None;
    }
    let inode = Probed::pointer(file.mapping, layout!(mapping_host))?;
    file.inode = Probed::field(inode, layout!(inode_number))?;
    file.links = Probed::field(inode, layout!(inode_links))?;
    file.block_device = Probed::field(inode, layout!(inode_rdev))?;
    let sb = Probed::pointer(inode, layout!(inode_sb))?;
    file.device = Probed::field(sb, layout!(sb_dev))?;
    read::prefix(sb + u64::from(layout!(sb_id)), &mut file.fs)?;
    let mut known = known::INODE;
    // `hlist_head.first` and `hlist_node.next` are first members.
    if let Some(alias) = Probed::pointer(inode, layout!(inode_dentries)) {
        let dentry = alias.wrapping_sub(u64::from(layout!(dentry_alias)));
        if let Some(text) = read::names(dentry, &mut file.text) {
            known |= known::NAME;
            file.text_len = text.len;
            if text.cut {
                known |= known::CUT;
            }
        }
    }
    Some(known)
}
