//! The fields that the walk of a memcg's object cgroups reads.

use kmemtrace_common::layout::{ABSENT, Layout};

use super::Types;

pub(super) fn from_types(types: &Types<'_>, layout: &mut Layout) {
    let field = |name, path: &[&str]| types.offset(name, path).unwrap_or(ABSENT);
    let own = types.offset("mem_cgroup", &["objcg_list"]);
    let by_node = types.offset("mem_cgroup_per_node", &["objcg_list"]);
    layout.objcg_list = own.or(by_node).unwrap_or(ABSENT);
    layout.objcg_by_node = u32::from(own.is_none());
    layout.objcg_entry = field("obj_cgroup", &["list"]);
    layout.objcg_memcg = field("obj_cgroup", &["memcg"]);
    layout.objcg_ref_data = field("obj_cgroup", &["refcnt", "data"]);
}
