//! What live tests run inside cgroups: `WORKLOAD CGROUP [ARG]`.

use std::{
    env, ffi::OsString, fs, io, os::unix::net::UnixDatagram, path::Path, process::ExitCode, thread,
    time::Duration,
};

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
        (Some("charge-socket"), Some(cgroup), Some(file)) => {
            charge_socket(cgroup.as_ref(), file.as_ref())
        }
        (Some("leak-many"), Some(base), Some(files)) => {
            leak_many(base.as_ref(), files.as_ref(), args.get(3))
        }
        (Some("make-directories"), Some(cgroup), Some(parent)) => {
            join(cgroup.as_ref()).map(|()| make_directories(parent.as_ref()))
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
    fs::remove_file(&rehearsed)?;
    join(root)?;

    join(cgroup)?;
    let charged = make(file)?;
    join(root)?;
    Ok(charged)
}

fn write(file: &Path) -> io::Result<()> {
    fs::write(file, [b'x'; 16 << 10])
}

/// Makes a file and a socket in a cgroup and moves to the root cgroup; says so, and keeps the socket until somebody
/// removes the file.
fn charge_socket(cgroup: &Path, file: &Path) -> io::Result<()> {
    let socket = charge(cgroup, file, |file| {
        write(file)?;
        UnixDatagram::unbound()
    })?;
    println!("charged");
    while file.exists() {
        thread::sleep(Duration::from_millis(20));
    }
    drop(socket);
    Ok(())
}

/// Makes and removes cgroups below `base` that files pin, on v2 with sockets, says so, and keeps the sockets until the files'
/// directory is removed.
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
        fs::write(files.join(n.to_string()), "x")?;
        if v2 {
            sockets.push(UnixDatagram::unbound()?);
        }
        join(root)?;
        // A task that has just left makes it EBUSY for a moment.
        while fs::remove_dir(&cgroup).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    println!("leaked");
    while files.exists() && rustix::process::getppid() == parent {
        thread::sleep(Duration::from_millis(20));
    }
    // A test that was killed must not leave that many behind.
    match fs::remove_dir_all(files) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes directories on a tmpfs until the kernel cannot allocate another dentry or inode: nothing can be reclaimed of them.
fn make_directories(parent: &Path) {
    for n in 0..1_000_000 {
        if fs::create_dir(parent.join(n.to_string())).is_err() {
            return;
        }
    }
}
