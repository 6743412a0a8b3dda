//! What the walk of a memcg's pages reads besides fields of one name.

use kmemtrace_common::layout::{ABSENT, Layout};

use super::{Types, walk::array};

pub(super) fn from_types(types: &Types<'_>, layout: &mut Layout) {
    if let Some((offset, heads)) = array(types, "mem_cgroup_per_node.lruvec.lrugen.folios")
        .or_else(|| array(types, "mem_cgroup_per_node.lruvec.lrugen.lists"))
    {
        layout.gen_lists = offset;
        layout.gen_list_count = heads;
    }
    // Before there were folios the number stood in the second page.
    if layout.folio_pages == ABSENT
        && let Some(page) = types.size("page")
        && let (Ok(second), Some(within)) = (u32::try_from(page), types.offset("page.compound_nr"))
    {
        layout.folio_pages = second + within;
    }
}
