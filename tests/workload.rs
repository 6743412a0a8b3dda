//! What live tests run inside cgroups: `WORKLOAD CGROUP [ARG]`.

use std::{
    env, fs, io, os::unix::net::UnixDatagram, path::Path, process::ExitCode, thread, time::Duration,
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

/// Makes directories on a tmpfs until the kernel cannot allocate another dentry or inode: nothing can be reclaimed of them.
fn make_directories(parent: &Path) {
    for n in 0..1_000_000 {
        if fs::create_dir(parent.join(n.to_string())).is_err() {
            return;
        }
    }
}
