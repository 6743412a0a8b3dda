//! What the kernel's structures tell of one cgroup: the part of a record's head that several hooks fill in.

use kmemtrace_common::{layout::ABSENT, wire::flag};

use crate::{
    emit::Record,
    read::{Access, Probed, directory_id, layout},
};

/// Fills in what a directory's `struct kernfs_node *` tells.
#[inline(always)]
pub(super) fn directory<A: Access>(record: &mut Record, kn: u64) {
    let head = &mut record.head;
    head.cgroup_id = directory_id::<A>(kn).unwrap_or(0);
    if let Some(parent) = A::pointer(kn, layout!(kn_parent)) {
        head.parent_id = directory_id::<A>(parent).unwrap_or(0);
    }
    if layout!(kn_activated) != ABSENT
        && let Some(flags) = A::field::<u16>(kn, layout!(kn_flags))
    {
        head.flags |= flag::ACTIVATED_KNOWN;
        if u32::from(flags) & layout!(kn_activated) != 0 {
            head.flags |= flag::ACTIVATED;
        }
    }
}

/// Fills in what the memory css tells; the css is the first member of `struct mem_cgroup`.
#[inline(always)]
pub(super) fn memcg<A: Access>(record: &mut Record, css: u64) {
    let head = &mut record.head;
    head.flags |= flag::MEMCG_KNOWN;
    if css == 0 {
        return;
    }
    head.flags |= flag::MEMCG;
    head.serial = A::field(css, layout!(css_serial)).unwrap_or(0);
    // To the verifier a css is no memcg: what lies behind it takes the helper.
    if let Some(id) = Probed::field::<u32>(css, layout!(memcg_id)) {
        head.memcg_id = id;
        head.flags |= flag::MEMCG_ID_KNOWN;
    }
    if let Some(usage) = Probed::field::<i64>(css, layout!(memcg_usage)) {
        head.usage_pages = usage;
        head.flags |= flag::USAGE_KNOWN;
    }
}
