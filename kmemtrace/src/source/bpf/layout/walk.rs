//! What the kernel walk reads besides fields of one name.

use btf_rs::Type;
use kmemtrace_common::{
    layout::{ABSENT, Layout},
    walk::{GENERATIONS, LRU_LISTS, STATS, ZONES},
};

use super::Types;

/// `symbol` gives the address of a kernel symbol, if that is needed.
pub(super) fn from_types(
    types: &Types<'_>,
    symbol: impl FnOnce(&str) -> Option<u64>,
    layout: &mut Layout,
) {
    if let Some(stats) = stats(types) {
        layout.stats = stats.offset;
        layout.stats_pointer = u32::from(stats.is_pointer);
        layout.stats_state = stats.state;
        layout.stats_count = stats.count;
        layout.stats_items = STAT_ITEMS.map(|names| {
            let mut values = names
                .iter()
                .filter_map(|(of, name)| types.enumerator(of, name));
            values.next().unwrap_or(ABSENT)
        });
        // An array that is shorter than there are items has only what is counted (6.10 and later): where which is, a table
        // says that no type tells of.
        if types.enumerator("memcg_stat_item", "MEMCG_NR_STAT") != Some(stats.count) {
            match symbol("mem_cgroup_stats_index") {
                Some(address) => {
                    layout.stats_table = address as u32;
                    layout.stats_table_high = (address >> 32) as u32;
                }
                None => layout.stats_items = [ABSENT; STATS],
            }
        }
    }
    // Both have the zones as their last dimension but for the lists; some compilers write one dimension.
    let lists = LRU_LISTS as u32;
    if let Some((offset, sizes)) = array(types, "mem_cgroup_per_node.lru_zone_size")
        && sizes % lists == 0
        && sizes / lists <= ZONES
        && types.enumerator("lru_list", "NR_LRU_LISTS") == Some(lists)
    {
        layout.lru_sizes = offset;
        layout.lru_zones = sizes / lists;
        if let Some((offset, pages)) = array(types, "mem_cgroup_per_node.lruvec.lrugen.nr_pages")
            && pages % (2 * layout.lru_zones) == 0
        {
            let generations = pages / (2 * layout.lru_zones);
            if generations <= GENERATIONS {
                layout.gen_pages = offset;
                layout.gen_count = generations;
            } else {
                // Pages that are not added would be taken for none.
                layout.lru_sizes = ABSENT;
            }
        }
    }
}

/// Where each of [`kmemtrace_common::walk::STATS`] is counted: an enumeration and its enumerator, the first that there is.
/// Slab that is counted in pages (without `_B`, before 5.9) is not read.
const STAT_ITEMS: [&[(&str, &str)]; STATS] = [
    &[("node_stat_item", "NR_SHMEM")],
    &[("node_stat_item", "NR_SLAB_RECLAIMABLE_B")],
    &[("node_stat_item", "NR_SLAB_UNRECLAIMABLE_B")],
    &[("memcg_stat_item", "MEMCG_PERCPU_B")],
    &[
        // Kernels that have this one (5.4) do not count the other by memcg.
        ("memcg_stat_item", "MEMCG_KERNEL_STACK_KB"),
        ("node_stat_item", "NR_KERNEL_STACK_KB"),
    ],
    &[("memcg_stat_item", "MEMCG_SOCK")],
];

/// Where a memcg's statistics are.
struct StatsPlace {
    /// In `struct mem_cgroup`.
    offset: u32,
    is_pointer: bool,
    /// The array, in what is there.
    state: u32,
    count: u32,
}

/// `mem_cgroup.vmstats` is an array up to 5.11, a structure up to 5.19, and a pointer to one from 6.0 on. The memcg's own
/// are apart from 6.4 on (`state_local`); before, those below it are in them.
fn stats(types: &Types<'_>) -> Option<StatsPlace> {
    let len = |ty: &Type| match ty {
        Type::Array(array) => u32::try_from(array.len()).ok(),
        _ => None,
    };
    let (offset, ty) = types.member("mem_cgroup.vmstats")?;
    if let Some(count) = len(&ty) {
        return Some(StatsPlace {
            offset,
            is_pointer: false,
            state: 0,
            count,
        });
    }
    let (state, array) = ["memcg_vmstats.state_local", "memcg_vmstats.state"]
        .iter()
        .find_map(|path| types.member(path))?;
    Some(StatsPlace {
        offset,
        is_pointer: matches!(ty, Type::Ptr(_)),
        state,
        count: len(&array)?,
    })
}

/// The offset of an array, and how many elements it has, whatever its dimensions.
pub(super) fn array(types: &Types<'_>, path: &str) -> Option<(u32, u32)> {
    let (offset, mut ty) = types.member(path)?;
    let mut elements = 1;
    while let Type::Array(array) = &ty {
        elements *= u32::try_from(array.len()).ok()?;
        ty = types.resolved(array)?;
    }
    Some((offset, elements))
}

/// Bytes that the kernel needs for one memcg, per-CPU counters included, at least: its structures without what they point
/// to. `None` if one of those that every kernel has is not known. `numa_nodes` and `cpus` are how many the machine may have.
pub(super) fn memcg_bytes(types: &Types<'_>, numa_nodes: u32, cpus: u32) -> Option<u64> {
    let (nodes, cpus) = (u64::from(numa_nodes), u64::from(cpus));
    // What a kernel does not have it does not allocate: each of these came or went in some version.
    let some = |name| types.size(name).unwrap_or(0);
    let whole = types.size("mem_cgroup")? + some("memcg_vmstats");
    let node = types.size("mem_cgroup_per_node")? + some("lruvec_stats");
    let by_cpu = types.size("memcg_vmstats_percpu")?;
    let by_node_and_cpu = some("lruvec_stats_percpu") + some("lruvec_stat");
    Some(whole + nodes * node + cpus * (by_cpu + nodes * by_node_and_cpu))
}
