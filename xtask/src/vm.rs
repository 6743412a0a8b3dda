//! `cargo xtask vm`: the live tests on other kernels, in virtual machines.

mod apt;
mod changes;
mod console;
mod cpio;
mod fleet;
mod image;
mod kernel;
mod matrix;
mod one;
mod qemu;
mod record;
mod report;
mod sources;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;

use crate::{error::Error, workspace};
use image::Programs;
use kernel::{Kernel, Release};
use matrix::{Matrix, Outcome, machines};
use one::Run;
use qemu::Accel;

/// Run the live tests, or a command, on another kernel in a virtual machine
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Debian's cloud kernel to boot
    #[arg(long, value_enum, default_value_t = Release::Newest)]
    kernel: Release,
    /// How cgroups are mounted; without it v2, and for all kernels v1 as well where they have it
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
    /// Write what came of all kernels to docs/kernels.json and into the README
    #[arg(long, conflicts_with_all = ["cgroup", "test", "shell", "command", "image"])]
    record: bool,
    /// Keep the file system that was booted, and say where it and the console's log are
    #[arg(long)]
    keep: bool,
    /// A shell in the machine, on this terminal
    #[arg(long, conflicts_with = "command")]
    shell: bool,
    /// Boot the vmlinuz or bzImage in this folder, with its modules/*.ko
    #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
    image: Option<PathBuf>,
    /// Look for newer kernels than those of earlier runs
    #[arg(long)]
    update: bool,
    /// What to run in the machine instead of the tests, as in `-- kmemtrace scan`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How the machine has its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cgroup {
    V1,
    V2,
    /// v1, and v2 without controllers beside it
    Hybrid,
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
        })
    }
}

/// Boots what is asked for: one kernel, or as many machines at once as this one can bear.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let all = args.kernel == Release::All;
    if all && (args.shell || !args.command.is_empty()) {
        return Err(Error::new("a command or a shell takes one kernel, not all")
            .help("name it, as in --kernel 6.1"));
    }
    if args.record && !all {
        return Err(Error::new("only a run on all kernels may be recorded")
            .help("cargo xtask vm --kernel all --record"));
    }
    let home = workspace::target()?.join("vm");
    folder(&home)?;
    let _turn = lock(&home)?;
    let qemu = qemu::find()?;
    let accel = Accel::of_this_machine();
    let jobs = jobs(args, &home)?;
    let programs = home.join("programs");
    folder(&programs)?;
    let programs = Programs::build(&programs)?;
    let at_once = fleet::at_once(qemu::memory_mib(args.slow)).min(jobs.len());
    let run = Run {
        args,
        runs: home.join("runs"),
        qemu: &qemu,
        accel,
        programs: &programs,
        alone: at_once == 1,
    };
    if let [(kernel, cgroup)] = &jobs[..] {
        eprintln!("\n== {}, cgroup {cgroup}, {accel}", kernel.version);
        if args.shell {
            return run.shell(kernel, *cgroup);
        }
        if !args.command.is_empty() {
            return run.command(kernel, *cgroup);
        }
    } else {
        eprintln!("\n== {} machines, {at_once} at once, {accel}", jobs.len());
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
        accel: accel.to_string(),
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

/// The machines that are asked for.
fn jobs(args: &Args, home: &Path) -> Result<Vec<(Kernel, Cgroup)>, Error> {
    if let Some(image) = &args.image {
        let kernel = Kernel::in_folder(image)?;
        return Ok(vec![(kernel, args.cgroup.unwrap_or(Cgroup::V2))]);
    }
    let (kernels, lists) = (home.join("kernels"), home.join("apt"));
    folder(&kernels)?;
    let mut apt = None;
    let mut jobs: Vec<(Kernel, Cgroup)> = Vec::new();
    for (release, cgroup) in machines(args.kernel, args.cgroup) {
        let name = release.to_string();
        let kernel = match jobs.iter().find(|(kernel, _)| kernel.release == name) {
            Some((kernel, _)) => kernel.clone(),
            None => Kernel::of(release, &kernels, &mut apt, &lists, args.update)?,
        };
        jobs.push((kernel, cgroup));
    }
    Ok(jobs)
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
