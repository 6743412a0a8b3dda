//! The machine's files.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path};

use rustix::fs::inotify;

use super::{Kernel, Kind, Memcg, State, World};
use crate::host::Version;

/// Slab objects in a slab of one page.
const PER_SLAB: u64 = 21;

const SLAB: &str = "sys/kernel/slab";

/// `CACHE(ID:LEAF)`.
pub(super) fn name(cache: &str, id: u32, path: &str) -> String {
    let leaf = path.rsplit('/').next().unwrap_or_default();
    format!("{cache}({id}:{leaf})")
}

impl World {
    fn put(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What never changes.
    pub(super) fn found(&self) {
        let state = self.state.borrow();
        let mount = self
            .directory
            .path()
            .join(&self.mount().display().to_string()[1..]);
        fs::create_dir_all(mount).unwrap();
        self.put(
            "proc/self/mountinfo",
            match state.version {
                Version::V1 => "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                Version::V2 => "32 31 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            },
        );
        let release = match state.kernel {
            Kernel::El7 => "3.10.0-514.el7.x86_64\n",
            Kernel::V4_19 => "4.19.222\n",
            Kernel::V5_4 => "5.4.286\n",
            Kernel::V6_1 => "6.1.0\n",
        };
        self.put("proc/sys/kernel/osrelease", release);
        // What it is charged is counted in such pages.
        self.put("snapshot.txt", "page size: 4096 bytes\n");
        self.put("proc/sys/vm/drop_caches", "0\n");
        for cache in ["dentry", "inode_cache", "kmalloc-64"] {
            self.put(format!("{SLAB}/{cache}/shrink"), "");
        }
    }

    /// Everything that changes.
    pub(super) fn show(&self, state: &State) {
        let live = state.memcgs.iter().filter(|(_, memcg)| memcg.live);
        let counted = match state.kernel {
            // cgroup_free_fn runs after rmdir, whatever kernel memory pins.
            Kernel::El7 => live.clone().count(),
            _ => state.memcgs.iter().filter(|(_, one)| !one.freed).count(),
        };
        let hierarchy = u32::from(state.version == Version::V1) * 4;
        let row = format!(
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t{hierarchy}\t{counted}\t1\n"
        );
        self.put("proc/cgroups", &row);
        for (path, memcg) in live {
            self.show_cgroup(state, path, memcg);
        }
        self.show_slab(state);
    }

    fn show_cgroup(&self, state: &State, path: &str, memcg: &Memcg) {
        let at = self.mount().strip_prefix("/").unwrap().join(&path[1..]);
        let file = |name: &str, text: &str| self.put(at.join(name), text);
        let held = |wanted: &dyn Fn(Kind) -> bool| -> u64 {
            let below = below(state, path).flat_map(|memcg| &memcg.charges);
            below
                .filter(|(kind, _)| wanted(**kind))
                .map(|(_, bytes)| bytes)
                .sum()
        };
        let all = held(&|_| true);
        let kernel = held(&Kind::is_kernel_memory);
        let slab = held(&|kind| kind.cache().is_some());
        let stat = |wanted: &dyn Fn(Kind) -> bool| held(wanted).saturating_sub(state.stat_misses);
        let shmem = stat(&|kind| kind == Kind::Tmpfs);
        let cached = stat(&|kind| kind == Kind::File) + shmem;
        file("cgroup.procs", if memcg.tasks { "1\n" } else { "" });
        match state.version {
            Version::V1 => {
                file("memory.usage_in_bytes", &format!("{all}\n"));
                let stat =
                    format!("cache 0\ntotal_cache {cached}\ntotal_rss 0\ntotal_shmem {shmem}\n");
                file("memory.stat", &stat);
                file("memory.force_empty", "");
                if state.has_kmem {
                    let limit = memcg.limit.unwrap_or(9_223_372_036_854_771_712);
                    file("memory.kmem.usage_in_bytes", &format!("{kernel}\n"));
                    file("memory.kmem.limit_in_bytes", &format!("{limit}\n"));
                    self.show_slabinfo(state, &at, memcg);
                }
            }
            Version::V2 => {
                if path != "/" {
                    file("memory.current", &format!("{all}\n"));
                    file("memory.high", "max\n");
                }
                let slab = slab.saturating_sub(state.stat_misses);
                let stat = format!("anon 0\nfile {cached}\nshmem {shmem}\nslab {slab}\nsock 0\n");
                file("memory.stat", &stat);
                let dying = state.memcgs.iter();
                let dying =
                    dying.filter(|(at, one)| is_below(at, path) && at != path && one.is_dead());
                file(
                    "cgroup.stat",
                    &format!("nr_dying_descendants {}\n", dying.count()),
                );
                file("cgroup.controllers", "memory\n");
                file("cgroup.subtree_control", "memory\n");
                if state.kernel >= Kernel::V6_1 && path != "/" {
                    file("memory.reclaim", "");
                }
            }
        }
    }

    /// `mem_cgroup_slabinfo_read`: EIO where it is not accounted.
    fn show_slabinfo(&self, state: &State, at: &Path, memcg: &Memcg) {
        const FILE: &str = "memory.kmem.slabinfo";
        const ERROR: &str = "memory.kmem.slabinfo.error";
        let place = self.directory.path().join(at);
        let (file, text) = match state.kernel {
            Kernel::El7 if !memcg.accounted => (ERROR, "Input/output error\n"),
            Kernel::El7 | Kernel::V4_19 => (FILE, "slabinfo - version: 2.1\n"),
            _ => (FILE, ""),
        };
        if place.join(file).exists() {
            return;
        }
        let _ = fs::remove_file(place.join(ERROR));
        self.put(at.join(file), text);
        if memcg.own {
            let opened = inotify::WatchFlags::OPEN;
            inotify::add_watch(&self.watched, place.join(file), opened).unwrap();
        }
    }

    fn show_slab(&self, state: &State) {
        let slab = self.directory.path().join(SLAB);
        let mut wanted = BTreeSet::new();
        for (path, memcg) in &state.memcgs {
            for cache in &memcg.caches {
                let id = memcg.id.unwrap_or(0);
                let name = name(cache, id, path);
                let place = match (state.kernel, *cache) {
                    // Merged caches have links on 514.
                    (Kernel::El7, "dentry") => {
                        let place = format!(":at-0000192-{id:08}");
                        if !slab.join(&name).exists() {
                            let _ = symlink(&place, slab.join(&name));
                        }
                        wanted.insert(name);
                        place
                    }
                    (Kernel::El7, _) => name,
                    _ => format!("{cache}/cgroup/{name}"),
                };
                self.show_cache(&place, cache, memcg);
                wanted.insert(place);
            }
        }
        let mut there = vec![String::new()];
        there.extend(["dentry/cgroup/", "inode_cache/cgroup/"].map(str::to_owned));
        for within in there {
            let names = fs::read_dir(slab.join(&within)).into_iter().flatten();
            for entry in names.map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                let of_memcg = name.ends_with(')') || name.starts_with(':');
                if !of_memcg || wanted.contains(&format!("{within}{name}")) {
                    continue;
                }
                if entry.file_type().unwrap().is_symlink() {
                    if !state.stale.contains(&name) {
                        fs::remove_file(entry.path()).unwrap();
                    }
                } else {
                    fs::remove_dir_all(entry.path()).unwrap();
                }
            }
        }
    }

    fn show_cache(&self, place: &str, cache: &str, memcg: &Memcg) {
        let mut slabs = 0;
        let mut objects = 0;
        for (kind, bytes) in &memcg.charges {
            if kind.cache() == Some(cache) {
                let own = bytes.div_ceil(4096);
                slabs += own;
                objects += if matches!(kind, Kind::Free(_)) {
                    0
                } else {
                    own * PER_SLAB
                };
            }
        }
        let file = |name: &str, text: String| self.put(format!("{SLAB}/{place}/{name}"), &text);
        file("objects", format!("{objects} N0={objects}\n"));
        file("slabs", format!("{slabs} N0={slabs}\n"));
        file("order", "0\n".to_owned());
        file("shrink", String::new());
    }
}

fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The memcgs of a directory and all below it, with what reparented slab still counts there.
fn below<'a>(state: &'a State, path: &'a str) -> impl Iterator<Item = &'a Memcg> {
    let all = state.memcgs.iter();
    all.filter(move |(at, _)| is_below(at, path))
        .map(|(_, memcg)| memcg)
}
