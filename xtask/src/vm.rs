//! `cargo xtask vm`: the live tests on other kernels, in virtual machines.

mod apt;
mod console;
mod cpio;
mod image;
mod kernel;
mod qemu;
mod report;
mod sources;

use std::{
    env, fmt, fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{error::Error, workspace};
use image::Programs;
use kernel::{Kernel, Release};
use qemu::{Accel, Ended, Machine, Show};
use report::{Report, Row};

/// Set by a person who has the time for the tests that do very much.
const SLOW: &str = "KMEMTRACE_TESTS_SLOW";

/// Run the live tests, or a command, on another kernel in a virtual machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Debian's cloud kernel to boot
    #[arg(long, value_enum, default_value_t = Release::Newest)]
    kernel: Release,
    /// How cgroups are mounted; without it v2, and for all kernels both v1 and v2
    #[arg(long, value_enum)]
    cgroup: Option<Cgroup>,
    /// Run only the tests with this in their names
    #[arg(long, value_name = "NAME", conflicts_with_all = ["shell", "command"])]
    test: Option<String>,
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

/// Boots one kernel after the other.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let alone = !args.shell && args.command.is_empty();
    if !alone && args.kernel == Release::All {
        return Err(Error::new("a command or a shell takes one kernel, not all"));
    }
    let home = workspace::target()?.join("vm");
    folder(&home)?;
    let _turn = lock(&home)?;
    let qemu = qemu::find()?;
    let accel = Accel::of_this_machine();
    let kernels = kernels(args, &home)?;
    let programs = Programs::build(&home.join("build"))?;
    let cgroups = match (args.cgroup, args.kernel) {
        (Some(cgroup), _) => vec![cgroup],
        (None, Release::All) => vec![Cgroup::V1, Cgroup::V2],
        (None, _) => vec![Cgroup::V2],
    };
    let mut report = Report::default();
    for kernel in &kernels {
        for &cgroup in &cgroups {
            let name = kernel.version.replace('/', "_");
            let run = Run {
                args,
                home: home.join("runs").join(format!("{name}-{cgroup}")),
                qemu: &qemu,
                accel,
                programs: &programs,
            };
            eprintln!("\n== {}, cgroup {cgroup}, {accel}", kernel.version);
            if args.shell {
                return run.shell(kernel, cgroup);
            }
            if !args.command.is_empty() {
                return run.command(kernel, cgroup);
            }
            report.0.push(run.tests(kernel, cgroup)?);
        }
    }
    let last = home.join("last.json");
    let text = format!("{:#}\n", report.json(&accel.to_string()));
    fs::write(&last, text).map_err(|cause| Error::file("write", &last, &cause))?;
    println!("\n{report}");
    Ok(ExitCode::from(u8::from(report.failed())))
}

/// The kernels that are asked for.
fn kernels(args: &Args, home: &Path) -> Result<Vec<Kernel>, Error> {
    if let Some(image) = &args.image {
        return Ok(vec![Kernel::in_folder(image)?]);
    }
    let (kernels, lists) = (home.join("kernels"), home.join("apt"));
    folder(&kernels)?;
    let mut apt = None;
    args.kernel
        .each()
        .into_iter()
        .map(|release| Kernel::of(release, &kernels, &mut apt, &lists, args.update))
        .collect()
}

/// Makes a folder and those above it.
fn folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|cause| Error::file("make", path, &cause))
}

/// One run at a time: they share folders, and the machine's memory.
fn lock(home: &Path) -> Result<fs::File, Error> {
    let path = home.join("lock");
    let failed = |cause: &io::Error| Error::file("lock", &path, cause);
    let file = fs::File::create(&path).map_err(|cause| failed(&cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            eprintln!("waiting for another `cargo xtask vm` to end");
            file.lock().map_err(|cause| failed(&cause))?;
        }
        Err(fs::TryLockError::Error(cause)) => return Err(failed(&cause)),
    }
    Ok(file)
}

/// All that one machine needs besides its kernel.
struct Run<'a> {
    args: &'a Args,
    /// Its folder.
    home: PathBuf,
    qemu: &'a Path,
    accel: Accel,
    programs: &'a Programs,
}

impl Run<'_> {
    /// Prepares a machine that does what `plan` says, and has it do so.
    fn boot<T>(
        &self,
        kernel: &Kernel,
        plan: &Value,
        run: impl FnOnce(&Machine<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        folder(&self.home)?;
        let initramfs = self.home.join("initramfs.cpio");
        image::write(&initramfs, self.programs, kernel, plan, self.args.shell)?;
        let done = run(&Machine {
            qemu: self.qemu,
            accel: self.accel,
            kernel: &kernel.image,
            initramfs: &initramfs,
            folder: &self.home,
        });
        if self.args.keep {
            eprintln!("kept: {}", self.home.display());
        } else {
            // Tens of megabytes, and made anew each time.
            let _ = fs::remove_file(&initramfs);
        }
        done
    }

    fn shell(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<ExitCode, Error> {
        let plan = json!({ "run": "shell", "cgroup": cgroup.to_string() });
        let ended = self.boot(kernel, &plan, |machine| Ok(machine.interactive()))?;
        ended.map(workspace::exit_code)
    }

    fn command(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<ExitCode, Error> {
        let command = &self.args.command;
        let mut plan =
            json!({ "run": "command", "cgroup": cgroup.to_string(), "command": command });
        if !io::stdout().is_terminal() {
            // The command writes to a terminal of the machine's.
            plan["env"] = json!({ "NO_COLOR": "1" });
        }
        let ended = self.boot(kernel, &plan, |machine| machine.run(Show::Command))?;
        let code = match (&ended.verdict, &ended.trouble) {
            (Some(verdict), None) => {
                if let Some(note) = &verdict.note {
                    return Err(Error::new(format!("cannot run {command:?}: {note}")));
                }
                u8::try_from(verdict.code).unwrap_or(2)
            }
            (_, trouble) => {
                show_tail(&ended);
                let trouble = trouble.as_deref().unwrap_or("no verdict");
                return Err(Error::new(format!("the machine failed: {trouble}")));
            }
        };
        Ok(ExitCode::from(code))
    }

    fn tests(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<Row, Error> {
        let mut variables = json!({
            "KMEMTRACE_TESTS_PATIENCE": self.accel.patience().as_secs().to_string(),
            "RUST_BACKTRACE": "0",
        });
        if self.accel == Accel::Tcg && env::var_os(SLOW).is_none() {
            let why = format!("it is emulated ({SLOW}=1 in cargo xtask vm's environment runs it)");
            variables["KMEMTRACE_TESTS_TOO_SLOW"] = why.into();
        }
        let plan = json!({
            "run": "tests",
            "cgroup": cgroup.to_string(),
            "filter": self.args.test.as_deref().unwrap_or("live::"),
            "env": variables,
        });
        let (ended, data) = self.boot(kernel, &plan, |machine| {
            let ended = machine.run(Show::Console)?;
            let data = machine.data();
            let sent = fs::read(&data).map_err(|cause| Error::file("read", &data, &cause))?;
            Ok((ended, String::from_utf8_lossy(&sent).into_owned()))
        })?;
        let row = Row::new(kernel, cgroup, ended, &data);
        if let Some(failure) = row.failure() {
            eprintln!("\n{}, cgroup {cgroup}: {failure}", row.kernel);
            row.show_tail();
        }
        Ok(row)
    }
}

/// Shows how the console ended.
fn show_tail(ended: &Ended) {
    eprintln!("the console's last lines:");
    for line in ended.tail() {
        eprintln!("  {line}");
    }
}
