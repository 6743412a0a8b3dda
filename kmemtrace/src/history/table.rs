//! The table, and the document that is made of it.

use std::fmt::Write;

use super::{Builds, KernelChange, Series};

const fn builds(series: Series, from: Option<u32>, lacks: Option<u32>) -> Builds {
    Builds {
        series,
        from,
        lacks,
    }
}

/// What no stable series and no vendor took back, as far as is known.
const PLAIN: KernelChange = KernelChange {
    id: "",
    what: "",
    commit: "",
    mainline: None,
    sent_to: None,
    stable: &[],
    builds: &[],
    shown: "",
};

/// Kernel memory is accounted where somebody switches it on.
pub static ACCOUNTING: KernelChange = KernelChange {
    id: "accounting-opt-in",
    what: "Kernel memory is accounted to a memcg whose `memory.kmem.limit_in_bytes` somebody writes, and to those made below it.",
    commit: "510fc4e11b77",
    mainline: Some((3, 8)),
    shown: "`memory.kmem.limit_in_bytes` is there",
    ..PLAIN
};

/// Page cache pins a removed memcg.
pub static PAGE_CACHE_PINS: KernelChange = KernelChange {
    id: "page-cache-pins",
    what: "Page cache of a removed memcg stays charged to it and keeps it a zombie, accounting or not. Before, rmdir moved it to the parent.",
    commit: "b2052564e66d",
    mainline: Some((3, 19)),
    shown: "a parent's `memory.stat` has more `total_cache` than its children",
    ..PLAIN
};

/// `memory.kmem.slabinfo` shows a header in every directory.
pub static SLABINFO_HEADER: KernelChange = KernelChange {
    id: "slabinfo-header",
    what: "`memory.kmem.slabinfo` has its header in every directory, accounted or not. Before, it is an I/O error where accounting is off.",
    commit: "b047501cd9f1",
    mainline: Some((3, 19)),
    shown: "the root's `memory.kmem.slabinfo` can be read",
    ..PLAIN
};

/// Kernel memory is accounted without being asked for.
pub static ACCOUNTS_ALL: KernelChange = KernelChange {
    id: "accounting-default",
    what: "Kernel memory is accounted to every memcg, on v1 as on v2.",
    commit: "b313aeee2509",
    mainline: Some((4, 5)),
    shown: "every directory has `memory.kmem.usage_in_bytes` above 0 once a task has run in it",
    ..PLAIN
};

/// `cgroup.memory=nokmem` on the kernel's command line.
pub static NOKMEM: KernelChange = KernelChange {
    id: "nokmem",
    what: "`cgroup.memory=nokmem` on the kernel's command line switches accounting of kernel memory off.",
    commit: "04823c833b5c",
    mainline: Some((4, 5)),
    builds: &[builds(Series::El7, Some(1127), Some(514))],
    shown: "with the option on the command line, `memory.kmem.slabinfo` of every container is an I/O error",
    ..PLAIN
};

/// A zombie gives its id back at rmdir.
pub static FREES_IDS: KernelChange = KernelChange {
    id: "ids-freed-at-offline",
    what: "A removed memcg gives its id back at once (`mem_cgroup_css_offline`), unless entries in swap hold it. Before, it keeps its id until it is freed.",
    commit: "73f576c04b94",
    mainline: Some((4, 8)),
    sent_to: Some((3, 19)),
    stable: &[(4, 4, 19)],
    builds: &[
        builds(Series::El7, None, None),
        builds(Series::Ubuntu44, Some(38), Some(31)),
    ],
    shown: "live memcgs and zombies together are more than 65,535",
};

/// Slab caches go to the parent.
pub static REPARENTS_SLAB: KernelChange = KernelChange {
    id: "slab-reparented",
    what: "Slab of a removed memcg goes to its parent (`memcg_reparent_kmem_caches`; from 5.9 on by object: bf4f059954dc), and pins no zombie.",
    commit: "fb2f2b0adb98",
    mainline: Some((5, 3)),
    builds: &[builds(Series::El8, Some(147), None)],
    shown: "slab caches in the `memory.kmem.slabinfo` of a directory that never had tasks; on v2 memory in a pod's cgroup without children, alive or dying",
    ..PLAIN
};

/// mkdir says ENOSPC when no id is left.
static NO_SPACE: KernelChange = KernelChange {
    id: "enospc",
    what: "mkdir fails with ENOSPC when no id is left. From 4.8 to 5.7 it is ENOMEM, and on el7 either.",
    commit: "11d6761218d1",
    mainline: Some((5, 8)),
    builds: &[builds(Series::El7, None, None)],
    shown: "`kmemtrace diagnose --probe`",
    ..PLAIN
};

/// `memory.kmem.slabinfo` is empty.
static SLABINFO_EMPTY: KernelChange = KernelChange {
    id: "slabinfo-empty",
    what: "`memory.kmem.slabinfo` is empty: memcgs have no slab caches of their own any more.",
    commit: "9855609bde03",
    mainline: Some((5, 9)),
    shown: "it is empty",
    ..PLAIN
};

/// Pages on LRU lists go to the parent.
pub static REPARENTS_PAGES: KernelChange = KernelChange {
    id: "pages-reparented",
    what: "Page cache, tmpfs files and anonymous memory of a removed memcg go to its parent. Sockets, swap and writeback still pin.",
    commit: "booted: 7.0 has zombies of page cache, 7.1 has none",
    mainline: Some((7, 1)),
    shown: "no zombies with page cache",
    ..PLAIN
};

/// Alibaba's and Anolis's own.
static REAPER: KernelChange = KernelChange {
    id: "memcg-reaper",
    what: "A kernel thread that frees the page cache of zombies. Alibaba Cloud Linux and Anolis OS alone have it.",
    commit: "63442ea9f838 of Alibaba's kernel",
    mainline: None,
    shown: "`/sys/kernel/mm/memcg_reaper`",
    ..PLAIN
};

/// All rows, in the order of their releases.
pub static CHANGES: [&KernelChange; 11] = [
    &ACCOUNTING,
    &PAGE_CACHE_PINS,
    &SLABINFO_HEADER,
    &ACCOUNTS_ALL,
    &NOKMEM,
    &FREES_IDS,
    &REPARENTS_SLAB,
    &NO_SPACE,
    &SLABINFO_EMPTY,
    &REPARENTS_PAGES,
    &REAPER,
];

/// `docs/kernels-history.md`.
pub fn document() -> String {
    let mut text = String::from(
        "<!-- Generated from kmemtrace/src/history/table.rs. `INSTA_UPDATE=always cargo xtask test` writes it anew. -->\n\
         # What changed in kernels\n\n\
         Each row is a change in what a kernel does with a removed memory cgroup. kmemtrace asks this table where the running \
         system does not show the answer itself. A release that the table does not settle is unknown: a vendor's rebuild \
         may have a fix or lack it.\n\n\
         | change | what | commit | mainline | stable | vendors | how the system shows it |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for change in CHANGES {
        let mainline = change
            .mainline
            .map_or_else(|| "never".to_owned(), |(a, b)| format!("{a}.{b}"));
        let mut stable: Vec<_> = change
            .stable
            .iter()
            .map(|(a, b, c)| format!("{a}.{b}.{c}"))
            .collect();
        if let Some((a, b)) = change.sent_to {
            stable.push(format!("sent to {a}.{b} and later; others unknown"));
        }
        let builds: Vec<_> = change.builds.iter().map(Builds::told).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {mainline} | {} | {} | {} |",
            change.id,
            change.what,
            change.commit,
            stable.join("; "),
            builds.join("; "),
            change.shown
        );
    }
    text
}

impl Builds {
    fn told(&self) -> String {
        let series = self.series.as_str();
        match (self.from, self.lacks) {
            (Some(from), Some(lacks)) => {
                format!("{series}: from build {from} on; not up to {lacks}; between: unknown")
            }
            (Some(from), None) => format!("{series}: from build {from} on"),
            (None, Some(lacks)) => format!("{series}: not up to build {lacks}; later: unknown"),
            (None, None) => format!("{series}: never"),
        }
    }
}
