//! `cargo xtask vm`: the live tests on other kernels, in virtual machines.

mod apt;
mod arch;
mod changes;
mod console;
mod cpio;
mod fleet;
mod image;
mod kernel;
mod machines;
mod matrix;
mod modules;
mod one;
mod qemu;
mod record;
mod report;
mod sources;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{error::Error, workspace};
use arch::Arch;
use image::Programs;
use kernel::{Kernel, Store};
use machines::{Cgroup, Flavour, Kind, Like, Release, machines};
use matrix::{Matrix, Outcome};
use one::{Host, Run};
use qemu::Accel;

/// Run the live tests, or a command, on another kernel in a virtual machine
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Debian's kernel to boot, or a selection of machines of the matrix
    #[arg(long, value_enum, default_value_t = Release::Newest)]
    kernel: Release,
    /// Architecture [default: that of PCs; of a selection: each]
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// How Debian built the kernel [default: cloud; of a selection: each]
    #[arg(long, value_enum)]
    flavour: Option<Flavour>,
    /// How cgroups are mounted [default: v2; of a selection: as in the matrix]
    #[arg(long, value_enum)]
    cgroup: Option<Cgroup>,
    /// Run only the tests with this in their names
    #[arg(long, value_name = "NAME", conflicts_with_all = ["shell", "command"])]
    test: Option<String>,
    /// Run the tests that do very much, too: for minutes each
    #[arg(long, conflicts_with_all = ["shell", "command"])]
    slow: bool,
    /// Boot a machine that failed once more; the report tells of both
    #[arg(long, conflicts_with_all = ["shell", "command"])]
    retry: bool,
    /// Record the results in docs/kernels.json and docs/kernels.md
    #[arg(long, conflicts_with_all = ["shell", "command", "image"])]
    record: bool,
    /// Keep the file system that was booted, and say where it and the console's log are
    #[arg(long)]
    keep: bool,
    /// A shell in the machine, on this terminal
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Boot the vmlinuz or bzImage in this folder, with its modules/*.ko
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kernel", "flavour"])]
    image: Option<PathBuf>,
    /// Look for newer kernels than those of earlier runs
    #[arg(long)]
    update: bool,
    /// What to run in the machine instead of the tests, as in `-- kmemtrace scan`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Boots what is asked for: one kernel, or as many machines at once as this one can bear.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.kernel.is_many() && (args.shell || !args.command.is_empty()) {
        return Err(
            Error::new("a command or a shell takes one kernel").help("name it, as in --kernel 6.1")
        );
    }
    let like = Like {
        arch: args.arch,
        flavour: args.flavour,
        cgroup: args.cgroup,
    };
    let kinds = machines(args.kernel, like);
    if args.record && !record::can_record(&kinds) {
        return Err(Error::new("only machines of the matrix are recorded")
            .help("cargo xtask vm --kernel all --record"));
    }
    let home = workspace::target()?.join("vm");
    folder(&home)?;
    let _turn = lock(&home)?;
    let jobs = match &args.image {
        Some(image) => {
            let kernel = Kernel::in_folder(image, args.arch.unwrap_or_default())?;
            vec![(kernel, args.cgroup.unwrap_or(Cgroup::V2))]
        }
        None => jobs(&kinds, args.update, &home)?,
    };
    if jobs.is_empty() {
        return Err(Error::new("no machine of the matrix is like that"));
    }
    let hosts = hosts(&jobs, &home.join("programs"))?;
    let at_once = fleet::at_once(qemu::memory_mib(args.slow)).min(jobs.len());
    let run = Run {
        args,
        runs: home.join("runs"),
        hosts: &hosts,
        alone: at_once == 1,
    };
    if let [(kernel, cgroup)] = &jobs[..] {
        eprintln!("\n== {}, cgroup {cgroup}", kernel.version);
        if args.shell {
            return run.shell(kernel, *cgroup);
        }
        if !args.command.is_empty() {
            return run.command(kernel, *cgroup);
        }
    } else {
        eprintln!("\n== {} machines, {at_once} at once", jobs.len());
    }
    let done = fleet::each(&jobs, at_once, |(kernel, cgroup)| {
        let outcome = run.tests(kernel, *cgroup)?;
        if !args.retry || outcome.failure.is_none() {
            return Ok(outcome);
        }
        let again = run.tests(kernel, *cgroup)?;
        Ok(Outcome {
            first: outcome.failure,
            ..again
        })
    });
    let matrix = Matrix {
        machines: done.into_iter().collect::<Result<_, _>>()?,
    };
    println!("\n{matrix}");
    record::compare(&matrix, args.test.is_none())?;
    record::write(&home.join("last.json"), &matrix)?;
    if args.record {
        record::record(&matrix)?;
    }
    Ok(ExitCode::from(u8::from(matrix.failed())))
}

/// The kernels of those machines.
fn jobs(kinds: &[Kind], update: bool, home: &Path) -> Result<Vec<(Kernel, Cgroup)>, Error> {
    let (kernels, lists) = (home.join("kernels"), home.join("apt"));
    folder(&kernels)?;
    let mut store = Store {
        kernels: &kernels,
        lists: &lists,
        update,
        apt: BTreeMap::new(),
    };
    let mut jobs: Vec<(Kernel, Cgroup)> = Vec::new();
    for kind in kinds {
        let is_its = |(kernel, _): &&(Kernel, Cgroup)| kernel.is_of(*kind);
        let kernel = match jobs.iter().find(is_its) {
            Some((kernel, _)) => kernel.clone(),
            None => store.kernel(*kind)?,
        };
        jobs.push((kernel, kind.cgroup));
    }
    Ok(jobs)
}

/// What runs these machines, by architecture.
fn hosts(jobs: &[(Kernel, Cgroup)], programs: &Path) -> Result<BTreeMap<Arch, Host>, Error> {
    let mut hosts = BTreeMap::new();
    for arch in jobs.iter().map(|(kernel, _)| kernel.arch) {
        if hosts.contains_key(&arch) {
            continue;
        }
        let programs = programs.join(arch.to_string());
        folder(&programs)?;
        let accel = Accel::of(arch);
        eprintln!("{arch}: {accel}");
        let host = Host {
            qemu: qemu::find(arch)?,
            accel,
            programs: Programs::build(&programs, arch)?,
        };
        hosts.insert(arch, host);
    }
    Ok(hosts)
}

/// Makes a folder and those above it.
fn folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|cause| Error::file("make", path, cause))
}

/// One run at a time: they share folders, and the machine's memory.
fn lock(home: &Path) -> Result<fs::File, Error> {
    let path = home.join("lock");
    let failed = |cause: io::Error| Error::file("lock", &path, cause);
    let file = fs::File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            eprintln!("waiting for another `cargo xtask vm` to end");
            file.lock().map_err(failed)?;
        }
        Err(fs::TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    Ok(file)
}
