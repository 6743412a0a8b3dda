//! What keeps zombies that were there before kmemtrace, by kind: shared memory, sockets, swap; and kernel objects, which keep
//! none.

use std::{
    ffi::CStr,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    expected::is_debian,
    files::write,
    walk::scan,
    world::{self, World, charged, hold, is_v1, mount, remove, wait_until, zombies},
};
use crate::{
    harness::{Result, not_disposable},
    workload::{DIRECTORIES, MUCH},
};

/// Sizes are right within what processors have in batches of their own, and what else is charged.
const ABOUT: u64 = 1 << 20;

pub(super) fn about(told: &Value) -> bool {
    (MUCH as u64 - ABOUT..=MUCH as u64 + ABOUT).contains(&told.as_u64().unwrap_or(0))
}

/// A file on a tmpfs, and connections with data in them.
pub(super) fn kinds() -> Result {
    let world = World::new("pins");
    let before = zombies();
    let (shared, connected) = (world.make("shared"), world.make("connected"));
    let file = world.files.join("shared");
    write(&shared, &file);
    let open = world.files.join("open");
    hold("charge-tcp", &connected, &open);
    remove(&shared);
    remove(&connected);
    // From 7.1 on the file's pages go to the parent.
    wait_until("zombies", || zombies() > before);

    let told = |name: &str| {
        let (seen, mut mine) = scan(&world, &[]);
        let lost = seen["walk"]["lacks"].to_string();
        (lost, mine.remove(&format!("{}/{name}", world.path)))
    };
    // Processors' own counts come in within two seconds.
    let sockets = |zombie: &Value| {
        let key = if is_v1() {
            "tcpmem_bytes"
        } else {
            "socket_bytes"
        };
        zombie[key].as_u64().is_none_or(|bytes| bytes > 32 << 10)
    };
    let is_whole = |zombie: &Option<Value>| zombie.as_ref().is_some_and(sockets);
    wait_until("the connections' memory", || is_whole(&told("connected").1));
    let (lost, connected) = told("connected");
    let connected = connected.ok_or("no zombie")?;
    let by_kind = connected["shmem_bytes"].is_u64();
    assert!(by_kind || !is_debian(), "{lost}");
    let known = is_v1() || by_kind;
    let pin = if known { "sockets" } else { "references" };
    assert_eq!(connected["pin"], pin, "{connected}");
    assert_eq!(connected["reclaimable"] == false, known, "{connected}");
    // What is not told is said to be lost.
    assert_eq!(
        lost.contains("how much of it is shared memory"),
        !by_kind,
        "{lost}"
    );

    if let Some(shared) = told("shared").1 {
        let pin = if by_kind { "tmpfs" } else { "anonymous" };
        assert_eq!(shared["pin"], pin, "{shared}");
        assert!(about(&shared["anon_bytes"]), "{shared}");
        assert!(!by_kind || about(&shared["shmem_bytes"]), "{shared}");
    }
    fs::remove_file(&open)?;
    world.unpin(&file);
    wait_until("their end", || zombies() <= before);
    Ok(())
}

/// What the object cgroups that removed memory cgroups left to the test's own are charged for, and how many there are.
fn left_to(world: &World) -> (u64, u64) {
    let (seen, _) = scan(world, &["--settle", "1ms"]);
    let left = &seen["object_cgroups"];
    assert_eq!(left["complete"], true, "{left}");
    let below = left["below"].as_array().into_iter().flatten();
    let mut mine = below.filter(|below| below["path"] == *world.path);
    let number = |below: &Value, key| below[key].as_u64().expect("a number");
    let mine = mine.next();
    mine.map_or((0, 0), |mine| {
        (number(mine, "references"), number(mine, "count"))
    })
}

/// Dentries and inodes of a removed cgroup keep no zombie: they are found with the cgroup above.
pub(super) fn left_over() -> Result {
    let world = World::new("left");
    let directory = world.files.join("left");
    fs::create_dir(&directory)?;
    let cgroup = world.make("removed");
    charged("charge-directories", &cgroup, &directory);
    assert_eq!(left_to(&world), (0, 0), "while it is there");
    remove(&cgroup);
    // The count can be read some time after the removal.
    wait_until("what it left", || left_to(&world).0 > 0);
    let (references, count) = left_to(&world);
    // The task had structures of its own there, and from 7.1 on each NUMA node has an object cgroup.
    assert!(
        (2 * DIRECTORIES..3 * DIRECTORIES).contains(&references),
        "{references}"
    );
    assert!((1..=8).contains(&count), "{count}");
    fs::remove_dir_all(&directory)?;
    wait_until("nothing left", || left_to(&world).0 < DIRECTORIES / 10);
    Ok(())
}

/// Compressed memory that pages can be swapped to.
const ZRAM: &CStr = c"/dev/zram0";
const SETTINGS: &str = "/sys/block/zram0";

/// The disk of a virtual machine of `cargo xtask vm`, which has nothing on it.
const DISK: &CStr = c"/dev/nvme0n1";

/// What can be swapped to here, or why nothing can.
fn device() -> std::result::Result<&'static CStr, String> {
    let counts = |mount: PathBuf| mount.join("memory.memsw.usage_in_bytes").exists();
    if is_v1() && !mount().is_some_and(counts) {
        return Err("needs swapaccount=1".to_owned());
    }
    let size = fs::read_to_string(Path::new(SETTINGS).join("disksize"));
    match size.as_deref().map(str::trim_end) {
        Ok("0") => Ok(ZRAM),
        Ok(_) => Err("needs zram0, which is in use".to_owned()),
        Err(_) if not_disposable().is_none() => Ok(DISK),
        Err(_) => Err("needs zram".to_owned()),
    }
}

/// Why nothing can be swapped out here.
pub(super) fn missing_swap() -> Option<String> {
    world::missing().or_else(|| device().err())
}

/// Swap on a device while this lives.
struct Swap(&'static CStr);

impl Swap {
    #[expect(unsafe_code, reason = "rustix has no swapon")]
    fn on(path: &'static CStr) -> io::Result<Self> {
        const PAGES: u32 = 16 << 10;
        let page = rustix::param::page_size();
        if path == ZRAM {
            let bytes = u64::from(PAGES) * page as u64;
            fs::write(Path::new(SETTINGS).join("disksize"), bytes.to_string())?;
        }
        let on = Self(path);
        let mut device = OpenOptions::new()
            .write(true)
            .open(&*path.to_string_lossy())?;
        // `union swap_header` of include/linux/swap.h: version, last page, bad pages.
        device.seek(SeekFrom::Start(1024))?;
        for word in [1, PAGES - 1, 0] {
            device.write_all(&word.to_ne_bytes())?;
        }
        device.seek(SeekFrom::Start(page as u64 - 10))?;
        device.write_all(b"SWAPSPACE2")?;
        File::sync_all(&device)?;
        // SAFETY: a path that ends with NUL.
        match unsafe { libc::swapon(path.as_ptr(), 0) } {
            0 => Ok(on),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Swap {
    #[expect(unsafe_code, reason = "rustix has no swapoff")]
    fn drop(&mut self) {
        // SAFETY: a path that ends with NUL.
        unsafe { libc::swapoff(self.0.as_ptr()) };
        if self.0 == ZRAM {
            let _ = fs::write(Path::new(SETTINGS).join("reset"), "1");
        }
    }
}

/// Reclaims what can be reclaimed of a cgroup.
fn swap_out(cgroup: &Path) -> io::Result<()> {
    if is_v1() {
        return fs::write(cgroup.join("memory.force_empty"), "0");
    }
    match fs::write(cgroup.join("memory.reclaim"), "16M") {
        // Before 5.19 there is no such file, and cgroupfs lets nobody make one.
        Err(_) if !cgroup.join("memory.reclaim").exists() => {
            fs::write(cgroup.join("memory.high"), "0")
        }
        // It could not take as much as it was asked to.
        _ => Ok(()),
    }
}

/// A zombie whose pages are all swapped out keeps its id for them.
pub(super) fn swap() -> Result {
    let world = World::new("swap");
    let swap = Swap::on(device()?)?;
    let before = zombies();
    let cgroup = world.make("swapped");
    let file = world.files.join("swapped");
    write(&cgroup, &file);
    // What is being written out, or is still a processor's own to put on a list, is passed over: the kernel's counts are too
    // coarse to tell whether something was.
    for _ in 0..5 {
        if not_disposable().is_none() {
            // `compact_nodes` has every processor put its pages on the lists.
            fs::write("/proc/sys/vm/compact_memory", "1")?;
        }
        swap_out(&cgroup)?;
        thread::sleep(Duration::from_millis(100));
    }
    remove(&cgroup);
    wait_until("a zombie", || zombies() > before);
    let (_, mine) = scan(&world, &[]);
    let zombie = &mine[&format!("{}/swapped", world.path)];
    // A page or two may have stayed.
    assert!(zombie["anon_bytes"].as_u64() < Some(ABOUT), "{zombie}");
    assert_eq!(zombie["pin"], "swap", "{zombie}");
    assert_eq!(zombie["reclaimable"], false, "{zombie}");
    assert!(zombie["memcg_id"].as_u64() > Some(0), "{zombie}");
    assert!(about(&zombie["swap_bytes"]), "{zombie}");
    assert!(about(&zombie["held_bytes"]), "{zombie}");
    assert!(!is_v1() || about(&zombie["memsw_bytes"]), "{zombie}");
    world.unpin(&file);
    // Up to 6.12 processors keep freed entries (`swap_slots_cache`), and with them the memcg, until the swap is gone.
    drop(swap);
    wait_until("its end", || zombies() <= before);
    Ok(())
}
