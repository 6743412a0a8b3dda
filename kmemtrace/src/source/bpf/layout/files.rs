//! The fields that the walk of a memcg's pages reads.

use kmemtrace_common::layout::{ABSENT, Layout};

use super::{Types, walk::array};

/// After [`super::walk::from_types`], which tells of the lists' dimensions.
pub(super) fn from_types(types: &Types<'_>, layout: &mut Layout) {
    let field = |name, path: &[&str]| types.offset(name, path).unwrap_or(ABSENT);
    let bit = |name| types.enumerator("pageflags", name).unwrap_or(ABSENT);
    layout.lruvec_lists = field("mem_cgroup_per_node", &["lruvec", "lists"]);
    if let Some((offset, heads)) = array(types, &["lruvec", "lrugen", "folios"])
        .or_else(|| array(types, &["lruvec", "lrugen", "lists"]))
    {
        layout.gen_lists = offset;
        layout.gen_list_count = heads;
    }
    let page = |names: &[&str]| {
        let of = |name: &&str| {
            types
                .offset("folio", &[name])
                .or_else(|| types.offset("page", &[name]))
        };
        names.iter().find_map(of).unwrap_or(ABSENT)
    };
    layout.folio_lru = page(&["lru"]);
    layout.folio_flags = page(&["flags"]);
    layout.folio_mapping = page(&["mapping"]);
    layout.folio_memcg = page(&["memcg_data", "mem_cgroup"]);
    // Before there were folios the number stood in the second page.
    layout.folio_pages = types
        .offset("folio", &["_nr_pages"])
        .or_else(|| types.offset("folio", &["_folio_nr_pages"]))
        .or_else(|| {
            let second = u32::try_from(types.size("page")?).ok()?;
            Some(second + types.offset("page", &["compound_nr"])?)
        })
        .unwrap_or(ABSENT);
    layout.flag_lru = bit("PG_lru");
    layout.flag_head = bit("PG_head");
    layout.mapping_host = field("address_space", &["host"]);
    layout.inode_number = field("inode", &["i_ino"]);
    layout.inode_sb = field("inode", &["i_sb"]);
    layout.inode_links = field("inode", &["i_nlink"]);
    layout.inode_rdev = field("inode", &["i_rdev"]);
    layout.inode_dentries = field("inode", &["i_dentry"]);
    layout.sb_dev = field("super_block", &["s_dev"]);
    layout.sb_id = field("super_block", &["s_id"]);
    layout.dentry_alias = types
        .offset("dentry", &["d_u", "d_alias"])
        .or_else(|| types.offset("dentry", &["d_alias"]))
        .unwrap_or(ABSENT);
    layout.dentry_parent = field("dentry", &["d_parent"]);
    layout.dentry_name = field("dentry", &["d_name", "name"]);
}
