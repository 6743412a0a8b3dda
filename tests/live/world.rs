//! Cgroups of a test's own, and what the kernel says of them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{output, patience, program, text, workload};

/// Live tests share one kernel, and most compare its totals: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Where the memory hierarchy is: v1, or v2 with the memory controller.
pub(super) fn mount() -> Option<PathBuf> {
    let v1 = PathBuf::from("/sys/fs/cgroup/memory");
    if v1.join("memory.usage_in_bytes").exists() {
        return Some(v1);
    }
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| {
            fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|list| list.split_whitespace().any(|name| name == "memory"))
        })
}

pub(super) fn is_v1() -> bool {
    mount().is_some_and(|mount| mount.join("memory.usage_in_bytes").exists())
}

/// Why no live test can run here.
pub(super) fn missing_hierarchy() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    if mount().is_none() {
        return Some("needs a mounted memory cgroup hierarchy".to_owned());
    }
    None
}

/// Why those that watch by eBPF cannot run here.
pub(super) fn missing() -> Option<String> {
    if let Some(why) = missing_hierarchy() {
        return Some(why);
    }
    let report = doctor();
    if report["source"] != "bpf" {
        let why = &report["error"];
        let why = if why.is_null() {
            &report["refused"]
        } else {
            why
        };
        return Some(format!("needs eBPF: {why}"));
    }
    None
}

/// The same, for what only cgroup v1 has.
pub(super) fn missing_v1() -> Option<String> {
    missing().or_else(|| (!is_v1()).then(|| "needs cgroup v1".to_owned()))
}

/// What `kmemtrace doctor` says of this machine.
pub(super) fn doctor() -> &'static Value {
    static REPORT: OnceLock<Value> = OnceLock::new();
    REPORT.get_or_init(|| {
        let run = output(program(["doctor", "--format", "json"]));
        serde_json::from_slice(&run.stdout).expect("doctor's JSON")
    })
}

/// A directory in the memory hierarchy, and one on a tmpfs; both are cleared away at the end.
pub(super) struct World {
    /// The test's own cgroup.
    pub(super) base: PathBuf,
    /// Its path from the hierarchy's root.
    pub(super) path: String,
    /// A directory on a tmpfs: a file made in it by a process in a cgroup pins that cgroup.
    pub(super) files: PathBuf,
    draining: OnceLock<Draining>,
    _turn: Turn,
}

/// Has the kernel give back, again and again, what processors keep of cgroups below one.
///
/// Each processor keeps the memcgs that it charged or uncharged last, with a reference, for the next charge (`memcg_stock` and
/// `obj_stock` of mm/memcontrol.c): until something else is charged there, the last zombies stay. Objects are uncharged when
/// RCU frees them, so once is not enough.
struct Draining {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Draining {
    fn start(base: PathBuf) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                // Each ends in `drain_all_stock`: `mem_cgroup_force_empty` of v1, `memory_high_write` of v2.
                if is_v1() {
                    let _ = fs::write(base.join("memory.force_empty"), "0");
                } else {
                    let _ = fs::write(base.join("memory.high"), "0");
                    let _ = fs::write(base.join("memory.high"), "max");
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One live test at a time: in this process, and on this machine.
pub(crate) struct Turn {
    _here: MutexGuard<'static, ()>,
    _machine: File,
}

impl Turn {
    pub(crate) fn take() -> Self {
        let here = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let file = std::env::temp_dir().join("kmemtrace-live-tests.lock");
        let machine = File::create(file).expect("a lock file");
        // Given back when the file is closed, however this process ends.
        machine.lock().expect("a lock");
        Self {
            _here: here,
            _machine: machine,
        }
    }
}

impl World {
    pub(super) fn new(name: &str) -> Self {
        let turn = Turn::take();
        let mount = mount().expect("checked before");
        let name = format!("kmemtrace-test-{name}-{}", std::process::id());
        let base = mount.join(&name);
        let files = PathBuf::from("/dev/shm").join(&name);
        rest();
        fs::create_dir(&base).expect("a cgroup");
        fs::create_dir(&files).expect("a directory on a tmpfs");
        let world = Self {
            path: format!("/{name}"),
            base,
            files,
            draining: OnceLock::new(),
            _turn: turn,
        };
        if !is_v1() {
            delegate(&mount);
            delegate(&world.base);
        }
        let hierarchical = world.base.join("memory.use_hierarchy");
        if hierarchical.exists() {
            // As systemd and runc have it; there is nothing else from 5.11 on.
            fs::write(hierarchical, "1").expect("one hierarchy");
        }
        world
    }

    /// Makes a cgroup below the base, with its parents.
    pub(super) fn make(&self, name: &str) -> PathBuf {
        let cgroup = self.base.join(name);
        let mut made = self.base.clone();
        for part in Path::new(name).components() {
            made.push(part);
            if !made.exists() {
                fs::create_dir(&made).expect("a cgroup");
                if !is_v1() && made != cgroup {
                    delegate(&made);
                }
            }
        }
        cgroup
    }

    /// Removes a file that pinned a cgroup, and sees to it that nothing else does.
    pub(super) fn unpin(&self, file: &Path) {
        fs::remove_file(file).expect("the file is there");
        self.drain();
    }

    /// Nothing is to be kept in processors' own stocks.
    pub(super) fn drain(&self) {
        self.draining
            .get_or_init(|| Draining::start(self.base.clone()));
    }

    /// Charges a file on the tmpfs to a cgroup: the cgroup outlives its directory until the file is removed. From 7.1 on a
    /// file holds nothing (its pages go to the parent), so on v2, where sockets are charged, one is made beside it, which
    /// is closed when the file is removed.
    pub(super) fn charge(&self, cgroup: &Path, file: &str) -> PathBuf {
        let file = self.files.join(file);
        if is_v1() {
            charged("charge-file", cgroup, &file);
            return file;
        }
        hold("charge-socket", cgroup, &file);
        file
    }
}

/// Runs a workload that charges something to a cgroup and ends.
pub(super) fn charged(kind: &str, cgroup: &Path, file: &Path) {
    let args = [kind.as_ref(), cgroup.as_os_str(), file.as_os_str()];
    let done = output(workload(args));
    assert!(done.status.success(), "{}", text(&done.stderr));
}

/// Starts a workload that holds what it charged to a cgroup until `file` is removed, and waits until it has charged it.
pub(super) fn hold(kind: &str, cgroup: &Path, file: &Path) {
    let args = [kind.as_ref(), cgroup.as_os_str(), file.as_os_str()];
    let mut child = started(&args, "charged");
    thread::spawn(move || child.wait());
}

/// Starts a workload and waits until it says that it has done its work.
pub(super) fn started(args: &[&OsStr], says: &str) -> Child {
    let mut command = workload(args);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut said).expect("what it says");
    assert_eq!(said.strip_suffix('\n'), Some(says));
    child
}

/// v2: cgroups below `directory` get memcgs of their own.
pub(super) fn delegate(directory: &Path) {
    fs::write(directory.join("cgroup.subtree_control"), "+memory").expect("+memory");
}

/// Removes a cgroup; a process that is just leaving it makes that EBUSY for a moment.
pub(super) fn remove(cgroup: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(error) = fs::remove_dir(cgroup) {
        assert!(
            Instant::now() < until,
            "rmdir {}: {error}",
            cgroup.display()
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so.
pub(super) fn wait_until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + patience();
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the kernel has freed what earlier tests left to it: until its count of zombies stays.
fn rest() {
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut count, mut same) = (zombies(), 0);
    while same < 5 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(40));
        let now = zombies();
        same = if now == count { same + 1 } else { 0 };
        count = now;
    }
}

/// Whether newer system calls are answered as on 3.10.
pub(super) fn is_old() -> bool {
    let newer = rustix::fs::memfd_create("old", rustix::fs::MemfdFlags::CLOEXEC);
    newer.err() == Some(rustix::io::Errno::NOSYS)
}

/// Whether the kernel counts the memcgs among its zombies, also those whose directory stays.
pub(super) fn counts_memcgs() -> bool {
    let stat = mount().map(|mount| fs::read_to_string(mount.join("cgroup.stat")));
    is_v1() || matches!(stat, Some(Ok(stat)) if stat.contains("nr_dying_subsys_memory "))
}

/// Zombies by the kernel's own count.
pub(super) fn zombies() -> u64 {
    let mount = mount().expect("checked before");
    if is_v1() {
        let cgroups = fs::read_to_string("/proc/cgroups").expect("/proc/cgroups");
        let row = cgroups
            .lines()
            .find(|line| line.starts_with("memory\t"))
            .expect("a memory row");
        let count: u64 = row
            .split('\t')
            .nth(2)
            .and_then(|n| n.parse().ok())
            .expect("num_cgroups");
        return count - directories(&mount);
    }
    let stat = fs::read_to_string(mount.join("cgroup.stat")).expect("cgroup.stat");
    let value = |key: &str| {
        stat.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok())
    };
    value("nr_dying_subsys_memory ")
        .or_else(|| value("nr_dying_descendants "))
        .expect("a count")
}

pub(super) fn directories(at: &Path) -> u64 {
    let entries = match fs::read_dir(at) {
        Ok(entries) => entries,
        // Somebody else's, just removed.
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        Err(error) => panic!("{}: {error}", at.display()),
    };
    1 + entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| directories(&entry.path()))
        .sum::<u64>()
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.draining.take());
        // The files first: they may pin cgroups.
        let _ = fs::remove_dir_all(&self.files);
        remove_below(&self.base);
    }
}

/// Removes a tree of cgroups from the leaves up, however deep: by file descriptors, without a path.
fn remove_below(base: &Path) {
    use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Ok(root) = openat(CWD, base, flags, Mode::empty()) else {
        return;
    };
    let Ok(mut here) = root.try_clone() else {
        return;
    };
    let mut names = Vec::new();
    // Down into any child; where there is none, up again and remove what was left.
    loop {
        let Ok(dir) = Dir::read_from(&here) else {
            return;
        };
        let child = dir.filter_map(Result::ok).find(|entry| {
            entry.file_type().is_dir() && !matches!(entry.file_name().to_bytes(), b"." | b"..")
        });
        if let Some(child) = child {
            let name = child.file_name().to_owned();
            let Ok(next) = openat(&here, &name, flags, Mode::empty()) else {
                return;
            };
            here = next;
            names.push(name);
        } else if let Some(name) = names.pop() {
            let Ok(parent) = openat(&here, "..", flags, Mode::empty()) else {
                return;
            };
            here = parent;
            let until = Instant::now() + Duration::from_secs(10);
            while unlinkat(&here, &name, AtFlags::REMOVEDIR).is_err() {
                if Instant::now() > until {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            }
        } else {
            let _ = fs::remove_dir(base);
            return;
        }
    }
}
