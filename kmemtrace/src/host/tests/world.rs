//! A kernel made of files: a tree that [`Root::at`] reads, and that [`Acts`] change as a kernel would.
//!
//! What it does at rmdir, `shrink`, `memory.force_empty` and `drop_caches` was seen on booted kernels; each rule names them.

mod acts;
mod files;
mod kernels;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::host::{Root, Version};

/// Which kernel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kernel {
    /// 3.10.0-514: accounting is opt-in and inherited; `num_cgroups` falls at rmdir; pages go to the parent at rmdir, slab
    /// does not; names stand at the top of `/sys/kernel/slab`.
    El7,
    /// 4.19: slab and page cache pin, `num_cgroups` counts zombies, names stand in `CACHE/cgroup`.
    V4_19,
    /// 5.4: slab goes to the parent at rmdir and keeps the name of the removed; page cache pins.
    V5_4,
    /// 6.1: the same, without slab caches of memcgs.
    V6_1,
}

/// What is charged to a memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Slab objects that the kernel's caches of dentries and inodes keep in use: dropping caches makes them [`Kind::Free`].
    Cached(&'static str),
    /// Slab objects in use by something else.
    InUse(&'static str),
    /// Slabs without an object in use.
    Free(&'static str),
    /// Clean page cache.
    File,
    Tmpfs,
    /// Kernel pages outside of slab, as of large extended attributes: nothing frees them.
    Pages,
    /// A socket, which pins without holding memory.
    Socket,
}

impl Kind {
    fn cache(self) -> Option<&'static str> {
        match self {
            Self::Cached(cache) | Self::InUse(cache) | Self::Free(cache) => Some(cache),
            _ => None,
        }
    }

    fn is_kernel_memory(self) -> bool {
        self.cache().is_some() || self == Self::Pages
    }
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    MakeDirectory,
    RemoveDirectory,
    Write,
}

/// What somebody else does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// So many cgroups of others become zombies.
    ZombiesCome(u64),
    /// So many zombies of others are freed.
    ZombiesGo(u64),
    /// So many cgroups of others are made.
    LiveCome(u64),
}

/// A memory cgroup, until the kernel frees it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told apart by what the kernel does"
)]
#[derive(Debug, Default)]
pub(super) struct Memcg {
    /// The kmemcg id on 3.10, given with accounting; the serial number on 4.x.
    id: Option<u32>,
    /// Whether its directory exists.
    live: bool,
    /// Dead, with nothing left that pins it: freed once it is this late.
    free_at: Option<Instant>,
    /// No zombie any more; on 5.4 what was charged to it may still have its name.
    freed: bool,
    /// Whether kernel memory is accounted to it.
    accounted: bool,
    limit: Option<u64>,
    tasks: bool,
    /// Made through [`crate::host::Acts`].
    own: bool,
    /// Bytes of each kind.
    charges: BTreeMap<Kind, u64>,
    /// Slab caches of its own: also empty ones, while it lives.
    caches: BTreeSet<&'static str>,
}

struct Failure {
    act: Act,
    part: String,
    error: Errno,
    times: u32,
}

struct State {
    kernel: Kernel,
    version: Version,
    now: Instant,
    serial: u32,
    memcgs: Vec<(String, Memcg)>,
    later: Vec<(Instant, Later)>,
    failures: Vec<Failure>,
    /// Links of freed memcgs on 3.10, which stay behind.
    stale: BTreeSet<String>,
    written: Vec<(PathBuf, String)>,
    frees_after: Duration,
    stat_misses: u64,
    has_kmem: bool,
}

/// The machine.
pub(crate) struct World {
    directory: tempfile::TempDir,
    root: Root,
    mount: &'static Path,
    watched: rustix::fd::OwnedFd,
    state: RefCell<State>,
}

impl World {
    /// A machine with nothing but the root cgroup.
    pub(crate) fn new(kernel: Kernel, version: Version) -> Self {
        assert!(kernel != Kernel::El7 || version == Version::V1);
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let state = State {
            kernel,
            version,
            now: Instant::now(),
            serial: 0,
            memcgs: Vec::new(),
            later: Vec::new(),
            failures: Vec::new(),
            stale: BTreeSet::new(),
            written: Vec::new(),
            frees_after: Duration::ZERO,
            stat_misses: 0,
            has_kmem: true,
        };
        let flags = rustix::fs::inotify::CreateFlags::NONBLOCK;
        let mount = match version {
            Version::V1 => "/sys/fs/cgroup/memory",
            Version::V2 => "/sys/fs/cgroup",
        };
        let world = Self {
            directory,
            root,
            mount: Path::new(mount),
            watched: rustix::fs::inotify::init(flags).unwrap(),
            state: RefCell::new(state),
        };
        world.found();
        world.change(|state| state.insert("/", false, false));
        world
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Where the hierarchy is mounted, on the machine.
    pub(crate) fn mount(&self) -> &'static Path {
        self.mount
    }

    /// Makes a cgroup (`/pods/a`), and those above it. On 3.10 accounting is inherited.
    pub(crate) fn make(&self, path: &str) {
        self.change(|state| {
            for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                if state.live(&path[..end]).is_none() {
                    state.insert(&path[..end], false, false);
                }
            }
        });
    }

    /// Switches accounting on, as runc does.
    pub(crate) fn account(&self, path: &str) {
        self.change(|state| state.account(path));
    }

    pub(crate) fn charge(&self, path: &str, kind: Kind, bytes: u64) {
        self.change(|state| state.charge(path, kind, bytes));
    }

    /// Takes it off all whose path begins so, as when a file is removed or a socket closed. Cached objects go to
    /// [`Kind::Free`], as their slabs stay.
    pub(crate) fn uncharge(&self, path: &str, kind: Kind) {
        self.change(|state| state.uncharge(path, kind, u64::MAX));
    }

    pub(crate) fn tasks(&self, path: &str, tasks: bool) {
        self.change(|state| state.live(path).unwrap().tasks = tasks);
    }

    /// Makes a zombie: a cgroup that is made, charged and removed.
    pub(crate) fn zombie(&self, path: &str, kind: Kind, bytes: u64) {
        self.make(path);
        self.account(path);
        self.charge(path, kind, bytes);
        let place = self.root.path(self.mount.join(&path[1..]));
        std::fs::remove_dir_all(place).unwrap();
        self.change(|state| state.remove(path));
    }

    /// Memcgs without a directory that are not freed, those of others included: what no verb may get wrong.
    pub(crate) fn zombies(&self, below: &str) -> u64 {
        let state = self.state.borrow();
        let dead = state.memcgs.iter();
        let dead = dead.filter(|(path, memcg)| path.starts_with(below) && memcg.is_dead());
        dead.count() as u64
    }

    /// Whether there is such a cgroup.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.state.borrow_mut().live(path).is_some()
    }

    /// Makes acts on paths with this part fail, so many times.
    pub(crate) fn fail(&self, act: Act, part: &str, error: Errno, times: u32) {
        self.state.borrow_mut().failures.push(Failure {
            act,
            part: part.to_owned(),
            error,
            times,
        });
    }

    /// What others do once so much time has passed.
    pub(crate) fn later(&self, after: Duration, what: Later) {
        let mut state = self.state.borrow_mut();
        let at = state.now + after;
        state.later.push((at, what));
    }

    /// Frees memcgs so long after the last charge is gone, as RCU and kworkers do.
    pub(crate) fn frees_after(&self, time: Duration) {
        self.state.borrow_mut().frees_after = time;
    }

    /// `memory.stat` misses so much of each kind and directory, as counters of CPUs are not added up (4.8 to 5.x).
    pub(crate) fn stat_misses(&self, bytes: u64) {
        self.change(|state| state.stat_misses = bytes);
    }

    /// A kernel built without `memory.kmem.*`: before any cgroup is made.
    pub(crate) fn without_kmem_files(&self) {
        self.state.borrow_mut().has_kmem = false;
    }

    /// What was written where, in order, also what failed.
    pub(crate) fn written(&self) -> Vec<(PathBuf, String)> {
        self.state.borrow().written.clone()
    }

    /// Whether `memory.kmem.slabinfo` was opened in a cgroup that was made through [`crate::host::Acts`]: on 3.10.0-514 that
    /// can hang the kernel.
    pub(crate) fn slabinfo_was_opened(&self) -> bool {
        use rustix::fs::inotify;
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.watched, &mut buffer);
        let mut opened = false;
        while let Ok(event) = events.next() {
            opened |= event.events().contains(inotify::ReadFlags::OPEN);
        }
        opened
    }

    /// Changes the state, frees what can be freed, and writes the files anew.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let before = state.to_text();
        let told = change(&mut state);
        state.free();
        // Most of the time nothing has changed but the time.
        if state.to_text() != before {
            self.show(&state);
        }
        told
    }
}

impl Memcg {
    fn is_dead(&self) -> bool {
        !self.live && !self.freed
    }

    /// Whether what is charged keeps it, once its directory is gone.
    fn is_pinned(&self, kernel: Kernel) -> bool {
        let slab_pins = kernel < Kernel::V5_4;
        let mut kinds = self.charges.keys();
        kinds.any(|kind| slab_pins || !kind.is_kernel_memory())
    }
}

impl State {
    /// All that the files show.
    fn to_text(&self) -> String {
        format!("{:?} {:?} {}", self.memcgs, self.stale, self.stat_misses)
    }

    fn live(&mut self, path: &str) -> Option<&mut Memcg> {
        let mut all = self.memcgs.iter_mut();
        let found = all.find(|(at, memcg)| at == path && memcg.live);
        found.map(|(_, memcg)| memcg)
    }

    fn insert(&mut self, path: &str, accounted: bool, own: bool) {
        let parent = self.live(parent(path)).map(|parent| parent.accounted);
        let accounted = match self.kernel {
            Kernel::El7 => accounted || parent == Some(true),
            _ => true,
        };
        let memcg = Memcg {
            live: true,
            own,
            ..Memcg::default()
        };
        self.memcgs.push((path.to_owned(), memcg));
        self.serial += 1;
        if accounted {
            self.account(path);
        }
    }

    fn account(&mut self, path: &str) {
        let id = match self.kernel {
            // memcg_update_cache_sizes: the lowest free one.
            Kernel::El7 => {
                let mut memcgs = self.memcgs.iter();
                let taken: BTreeSet<_> = memcgs.by_ref().filter_map(|(_, one)| one.id).collect();
                (0..u32::MAX).find(|id| !taken.contains(id))
            }
            _ => Some(self.serial),
        };
        let memcg = self.live(path).unwrap();
        memcg.accounted = true;
        memcg.id = memcg.id.or(id);
    }

    fn charge(&mut self, path: &str, kind: Kind, bytes: u64) {
        let kernel = self.kernel;
        let memcg = self.live(path).unwrap();
        if kind.is_kernel_memory() && !memcg.accounted {
            return;
        }
        *memcg.charges.entry(kind).or_default() += bytes;
        if let Some(cache) = kind.cache().filter(|_| kernel < Kernel::V6_1) {
            memcg.caches.insert(cache);
        }
    }

    /// Takes at most so many bytes; how many there were.
    fn uncharge(&mut self, path: &str, kind: Kind, most: u64) -> u64 {
        let keeps_slabs = self.kernel == Kernel::El7;
        let mut taken = 0;
        for (at, memcg) in &mut self.memcgs {
            if !at.starts_with(path) {
                continue;
            }
            let bytes = memcg.charges.remove(&kind).unwrap_or(0);
            let take = bytes.min(most - taken);
            taken += take;
            if bytes > take {
                memcg.charges.insert(kind, bytes - take);
            }
            // A dead memcg's caches keep no empty slabs on 4.x (kmemcg_deactivate); on 3.10 they do.
            if let Kind::Cached(cache) = kind
                && take > 0
                && (memcg.live || keeps_slabs)
            {
                *memcg.charges.entry(Kind::Free(cache)).or_default() += take;
            }
        }
        taken
    }

    /// rmdir, of what may be removed.
    fn remove(&mut self, path: &str) {
        let kernel = self.kernel;
        let memcg = self.live(path).unwrap();
        memcg.live = false;
        let mut left = BTreeMap::new();
        match kernel {
            // mem_cgroup_reparent_charges
            Kernel::El7 => {
                for kind in [Kind::File, Kind::Tmpfs] {
                    left.extend(memcg.charges.remove(&kind).map(|bytes| (kind, bytes)));
                }
            }
            _ => memcg
                .charges
                .retain(|kind, _| !matches!(kind, Kind::Free(_))),
        }
        for (kind, bytes) in left {
            self.charge(parent(path), kind, bytes);
        }
    }

    /// Frees what nothing pins: a dead memcg also while one below it is not freed.
    fn free(&mut self) {
        let (kernel, now, after) = (self.kernel, self.now, self.frees_after);
        // Children come after their parents.
        for at in (0..self.memcgs.len()).rev() {
            let below = format!("{}/", self.memcgs[at].0);
            let mut others = self.memcgs.iter();
            let has_children = others.any(|(path, memcg)| path.starts_with(&below) && !memcg.freed);
            let (path, memcg) = &mut self.memcgs[at];
            if memcg.live || memcg.freed {
                continue;
            }
            let of_cache = |cache| memcg.charges.keys().any(|kind| kind.cache() == Some(cache));
            let gone: Vec<_> = memcg
                .caches
                .iter()
                .copied()
                .filter(|one| !of_cache(one))
                .collect();
            for cache in gone {
                memcg.caches.remove(cache);
                if kernel == Kernel::El7 && cache == "dentry" {
                    let id = memcg.id.unwrap_or(0);
                    self.stale.insert(files::name(cache, id, path));
                }
            }
            if memcg.is_pinned(kernel) || has_children {
                continue;
            }
            memcg.freed = *memcg.free_at.get_or_insert(now + after) <= now;
        }
        let gone = |memcg: &Memcg| memcg.freed && memcg.charges.is_empty();
        self.memcgs.retain(|(_, memcg)| !gone(memcg));
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.later = later;
        let due: Vec<(Instant, Later)> = due;
        for (_, what) in due {
            self.others(what);
        }
    }

    fn others(&mut self, what: Later) {
        match what {
            Later::ZombiesCome(number) | Later::LiveCome(number) => {
                for _ in 0..number {
                    let path = format!("/other-{}", self.serial);
                    self.insert(&path, true, false);
                    self.charge(&path, Kind::InUse("dentry"), 4096);
                    self.charge(&path, Kind::Socket, 0);
                    if matches!(what, Later::ZombiesCome(_)) {
                        self.remove(&path);
                    }
                }
            }
            Later::ZombiesGo(number) => {
                let dead = self.memcgs.iter_mut();
                let dead =
                    dead.filter(|(path, memcg)| path.starts_with("/other-") && memcg.is_dead());
                for (_, memcg) in dead.take(number as usize) {
                    memcg.charges.clear();
                }
            }
        }
    }
}

/// The path above: of `/a` that is `/`.
fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}
