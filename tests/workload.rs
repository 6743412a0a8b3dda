//! What live tests run, in cgroups mostly: `WORKLOAD CGROUP [ARG]`.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    path::Path,
    process::ExitCode,
    ptr, thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, setrlimit};

/// What `charge-much` writes, in bytes.
pub(crate) const MUCH: usize = 8 << 20;

pub(crate) fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let done = match (
        args.first().and_then(|arg| arg.to_str()),
        args.get(1),
        args.get(2),
    ) {
        (Some("charge-file"), Some(cgroup), Some(file)) => {
            charge(cgroup.as_ref(), file.as_ref(), write)
        }
        (Some("charge-much"), Some(cgroup), Some(file)) => {
            charge(cgroup.as_ref(), file.as_ref(), write_much)
        }
        (Some("charge-socket"), Some(cgroup), Some(file)) => {
            charge_socket(cgroup.as_ref(), file.as_ref())
        }
        (Some("charge-tcp"), Some(cgroup), Some(file)) => {
            charge_tcp(cgroup.as_ref(), file.as_ref())
        }
        (Some("charge-anonymous"), Some(cgroup), Some(file)) => {
            charge_open(cgroup.as_ref(), file.as_ref(), || Ok(vec![1_u8; MUCH]))
        }
        (Some("charge-memfd"), Some(cgroup), Some(file)) => {
            charge_open(cgroup.as_ref(), file.as_ref(), memfd)
        }
        (Some("charge-pipe"), Some(cgroup), Some(file)) => {
            charge_open(cgroup.as_ref(), file.as_ref(), pipe)
        }
        (Some("charge-udp"), Some(cgroup), Some(file)) => {
            charge_open(cgroup.as_ref(), file.as_ref(), || {
                UdpSocket::bind("127.0.0.1:0")
            })
        }
        (Some("charge-inodes"), Some(cgroup), Some(directory)) => {
            charge_directories(cgroup.as_ref(), directory.as_ref(), 8)
        }
        (Some("flood-signals"), None, None) => flood_signals(),
        (Some("hold-memory"), None, None) => {
            let held = vec![1_u8; 4 << 20];
            loop {
                thread::park();
                std::hint::black_box(&held);
            }
        }
        (Some("leak-many"), Some(base), Some(files)) => {
            leak_many(base.as_ref(), files.as_ref(), args.get(3))
        }
        (Some("make-directories"), Some(cgroup), Some(parent)) => {
            join(cgroup.as_ref()).map(|()| make_directories(parent.as_ref()))
        }
        (Some("charge-directories"), Some(cgroup), Some(parent)) => {
            charge_directories(cgroup.as_ref(), parent.as_ref(), DIRECTORIES)
        }
        _ => Err(io::Error::other("no such workload")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{args:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Moves this process into a cgroup.
fn join(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string())
}

/// The root of the hierarchy that a cgroup is in.
fn root_of(cgroup: &Path) -> &Path {
    cgroup
        .ancestors()
        .take_while(|above| above.join("cgroup.procs").exists())
        .last()
        .unwrap_or(cgroup)
}

/// Makes something at `file` inside a cgroup and moves to the root cgroup.
///
/// The pages of this program that are read from disk for it are charged to whoever runs, and pin that cgroup as the file is
/// meant to do: so all is done once in the root cgroup first, with a file that is removed.
fn charge<T>(cgroup: &Path, file: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let root = root_of(cgroup);
    let rehearsed = file.with_extension("rehearsal");
    join(root)?;
    drop(make(&rehearsed)?);
    if rehearsed.exists() {
        fs::remove_file(&rehearsed)?;
    }
    join(root)?;

    join(cgroup)?;
    let charged = make(file)?;
    join(root)?;
    Ok(charged)
}

fn write(file: &Path) -> io::Result<()> {
    fs::write(file, [b'x'; 16 << 10])
}

/// As many bytes as [`MUCH`], which can be reclaimed once it returns.
fn write_much(file: &Path) -> io::Result<()> {
    fs::write(file, vec![b'x'; MUCH])?;
    fs::File::open(file)?.sync_all()
}

/// Makes a file and a socket in a cgroup and moves to the root cgroup; says so, and keeps the socket until somebody
/// removes the file.
fn charge_socket(cgroup: &Path, file: &Path) -> io::Result<()> {
    let socket = charge(cgroup, file, |file| {
        write(file)?;
        UnixDatagram::unbound()
    })?;
    hold(file);
    drop(socket);
    Ok(())
}

/// Says that all is charged, and waits until somebody removes the file.
fn hold(file: &Path) {
    println!("charged");
    while file.exists() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// TCP connections with data that nobody reads, as [`charge_open`] keeps them.
fn charge_tcp(cgroup: &Path, file: &Path) -> io::Result<()> {
    // On v1 TCP's buffers are counted where they are limited.
    let limit = cgroup.join("memory.kmem.tcp.limit_in_bytes");
    if limit.exists() {
        fs::write(limit, "1G")?;
    }
    charge_open(cgroup, file, || {
        (0..8).map(|_| connection()).collect::<io::Result<Vec<_>>>()
    })
}

/// Makes something in a cgroup and moves to the root cgroup; keeps it until somebody removes the file, which pins nothing.
fn charge_open<T>(cgroup: &Path, file: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<()> {
    let open = charge(cgroup, file, |_| make())?;
    fs::write(file, "")?;
    hold(file);
    drop(open);
    Ok(())
}

fn memfd() -> io::Result<fs::File> {
    let memfd = rustix::fs::memfd_create("kmemtrace", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut memfd = fs::File::from(memfd);
    // A buffer as large would stay with the process.
    for _ in 0..MUCH >> 10 {
        memfd.write_all(&[b'x'; 1 << 10])?;
    }
    Ok(memfd)
}

/// Both ends, with as much between them as fits.
fn pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&vec![b'x'; 64 << 10])?;
    Ok((reader, writer))
}

/// Both ends of a connection, with as much on the way as they take.
fn connection() -> io::Result<[TcpStream; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nonblocking(true)?;
    while let Ok(1..) = near.write(&[b'x'; 4096]) {}
    Ok([near, far])
}

/// Makes and removes cgroups below `base` that files pin, on v2 with sockets, says so, and keeps each socket until
/// its file is removed.
fn leak_many(base: &Path, files: &Path, count: Option<&OsString>) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let count = count.and_then(|count| count.to_str()?.parse().ok());
    let count: u64 = count.ok_or_else(|| io::Error::other("how many?"))?;
    let root = root_of(base);
    // See `World::charge`.
    let v2 = root.join("cgroup.controllers").exists();
    if v2 {
        let open = Some(count + 100);
        let limit = Rlimit {
            current: open,
            maximum: open,
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    let parent = rustix::process::getppid();
    let mut sockets = Vec::new();
    for n in 0..count {
        let cgroup = base.join(format!("z{n}"));
        fs::create_dir(&cgroup)?;
        join(&cgroup)?;
        let file = files.join(n.to_string());
        fs::write(&file, "x")?;
        if v2 {
            sockets.push((file, UnixDatagram::unbound()?));
        }
        join(root)?;
        // A task that has just left makes it EBUSY for a moment.
        while fs::remove_dir(&cgroup).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    println!("leaked");
    while files.exists() && rustix::process::getppid() == parent {
        sockets.retain(|(file, _)| file.exists());
        thread::sleep(Duration::from_millis(20));
    }
    // A test that was killed must not leave that many behind.
    match fs::remove_dir_all(files) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// So many directories are made by `charge-directories`.
pub(crate) const DIRECTORIES: u64 = 1_000;

/// Makes directories in a cgroup, a dentry and an inode each, and moves to the root cgroup.
fn charge_directories(cgroup: &Path, parent: &Path, count: u64) -> io::Result<()> {
    join(cgroup)?;
    for n in 0..count {
        fs::create_dir(parent.join(n.to_string()))?;
    }
    join(root_of(cgroup))
}

/// Makes directories on a tmpfs until the kernel cannot allocate another dentry or inode: nothing can be reclaimed of them.
fn make_directories(parent: &Path) {
    for n in 0..1_000_000 {
        if fs::create_dir(parent.join(n.to_string())).is_err() {
            return;
        }
    }
}

/// How much memory stays free when the flood begins, in KiB. `ZONE_DMA`'s 15 MiB are not for everybody, and whoever needs a
/// page below the watermarks would have somebody killed.
const KEPT_KIB: u64 = 32_000;

/// What the kernel keeps for itself, in KiB: with huge pages it is more than what is left here (`min_free_kbytes`).
const RESERVE_KIB: &str = "4096";

/// So many failures are enough.
const FAILURES: u64 = 2_000;

/// Takes nearly all memory and queues signals to itself, blocked, until the kernel has failed often enough to allocate the
/// next (`__sigqueue_alloc`, `GFP_ATOMIC`: an allocation that may wait would have something killed instead); says the number
/// of this process, and how often.
fn flood_signals() -> io::Result<()> {
    let endless = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Sigpending, endless)?;
    fs::write("/proc/self/oom_score_adj", "-1000")?;
    fs::write("/proc/sys/vm/min_free_kbytes", RESERVE_KIB)?;
    block_signals()?;
    let mut hoard = Vec::new();
    loop {
        let free = free_kib()?;
        if free <= KEPT_KIB {
            break;
        }
        let kib = if free > KEPT_KIB + 8192 { 4096 } else { 256 };
        hoard.push(vec![1_u8; kib << 10]);
    }
    let mut failed = 0;
    while failed < FAILURES {
        // Nothing here may need memory: it would have to be taken from somebody.
        if let Err(error) = queue_signal() {
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            failed += 1;
        }
    }
    drop(hoard);
    println!("{} {failed}", std::process::id());
    Ok(())
}

fn free_kib() -> io::Result<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemFree:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::other("/proc/meminfo: no MemFree"))
}

/// This thread's signals stay pending.
#[expect(unsafe_code, reason = "rustix leaves signal masks to libc")]
fn block_signals() -> io::Result<()> {
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset writes a whole set, from which pthread_sigmask reads.
    let error = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut())
    };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Queues a signal to this process.
#[expect(
    unsafe_code,
    reason = "rustix sends none of the signals that libc numbers"
)]
fn queue_signal() -> io::Result<()> {
    let value = libc::sigval {
        sival_ptr: ptr::null_mut(),
    };
    // SAFETY: sigqueue takes numbers, and a value that nobody looks at.
    match unsafe { libc::sigqueue(libc::getpid(), libc::SIGRTMIN() + 1, value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
