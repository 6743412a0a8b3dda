//! What one machine is booted for: the tests, a command, or a shell.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Args,
    arch::Arch,
    folder,
    image::{self, Programs},
    kernel::Kernel,
    machines::Cgroup,
    matrix::{Booted, Outcome},
    qemu::{Accel, Ended, Limits, Machine, Show, memory_mib},
};
use crate::{error::Error, workspace};

/// What runs machines of one architecture, and the programs that go into them.
pub(crate) struct Host {
    pub(crate) qemu: PathBuf,
    pub(crate) accel: Accel,
    pub(crate) programs: Programs,
}

/// All that a machine needs besides its kernel.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a Args,
    /// The folder with a folder for each machine.
    pub(crate) runs: PathBuf,
    /// For each architecture of its machines.
    pub(crate) hosts: &'a BTreeMap<Arch, Host>,
    /// No other machine runs meanwhile.
    pub(crate) alone: bool,
}

impl Run<'_> {
    /// What runs this kernel.
    fn host(&self, kernel: &Kernel) -> Result<&Host, Error> {
        let arch = kernel.arch;
        self.hosts
            .get(&arch)
            .ok_or_else(|| Error::new(format!("nothing is prepared for {arch}")))
    }

    /// Prepares a machine that does what `plan` says, and has it do so.
    fn boot<T>(
        &self,
        kernel: &Kernel,
        cgroup: Cgroup,
        plan: &Value,
        run: impl FnOnce(&Machine<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let host = self.host(kernel)?;
        let name = kernel.version.replace('/', "_");
        let home = self.runs.join(format!("{name}-{cgroup}"));
        folder(&home)?;
        let initramfs = home.join("initramfs.cpio");
        image::write(
            &initramfs,
            &host.programs,
            kernel,
            plan,
            self.wants_busybox(),
        )?;
        let done = run(&Machine {
            qemu: &host.qemu,
            arch: kernel.arch,
            accel: host.accel,
            memory_mib: memory_mib(self.args.slow),
            kernel: &kernel.image,
            initramfs: &initramfs,
            folder: &home,
            limits: Limits {
                run: if self.args.slow || !self.args.command.is_empty() {
                    Duration::from_hours(1)
                } else {
                    Duration::from_mins(20)
                },
                silence: host.accel.patience() + Duration::from_mins(2),
                last_words: Duration::from_secs(5),
            },
        });
        if self.args.keep {
            eprintln!("kept: {}", home.display());
        } else {
            // Tens of megabytes, and made anew each time.
            let _ = fs::remove_file(&initramfs);
            let _ = fs::remove_file(home.join("disk"));
        }
        done
    }

    /// For the shell, and for commands other than kmemtrace.
    fn wants_busybox(&self) -> bool {
        let command = self.args.command.first();
        self.args.shell || command.is_some_and(|name| !name.ends_with("kmemtrace"))
    }

    pub(crate) fn shell(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<ExitCode, Error> {
        let plan = plan(kernel, cgroup, json!({ "run": "shell" }));
        let ended = self.boot(kernel, cgroup, &plan, |machine| Ok(machine.interactive()))?;
        ended.map(workspace::exit_code)
    }

    pub(crate) fn command(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<ExitCode, Error> {
        let command = &self.args.command;
        let mut plan = plan(
            kernel,
            cgroup,
            json!({ "run": "command", "command": command }),
        );
        if !io::stdout().is_terminal() {
            // The command writes to a terminal of the machine's.
            plan["env"] = json!({ "NO_COLOR": "1" });
        }
        let ended = self.boot(kernel, cgroup, &plan, |machine| machine.run(Show::Command))?;
        let code = match (&ended.verdict, &ended.trouble) {
            (Some(verdict), None) => {
                if let Some(note) = &verdict.note {
                    return Err(Error::new(format!("cannot run {command:?}: {note}"))
                        .help("in the machine are kmemtrace, and busybox for other commands"));
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

    pub(crate) fn tests(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<Outcome, Error> {
        let accel = self.host(kernel)?.accel;
        let only = self.args.test.as_deref();
        let mut variables = json!({
            "KMEMTRACE_TESTS_PATIENCE": accel.patience().as_secs().to_string(),
            // Nobody else has a use for its memory, or for its memcg ids.
            "KMEMTRACE_TESTS_DISPOSABLE": "1",
            "RUST_BACKTRACE": "0",
        });
        if self.args.image.is_none() {
            let machine = format!("Debian kernel {}, cgroup {cgroup}", kernel.version);
            variables["KMEMTRACE_TESTS_MACHINE"] = machine.into();
        }
        if !self.args.slow {
            variables["KMEMTRACE_TESTS_TOO_SLOW"] = "only with cargo xtask vm --slow".into();
        }
        let plan = plan(
            kernel,
            cgroup,
            json!({ "run": "tests", "filter": only.unwrap_or("live::"), "env": variables }),
        );
        let show = if self.alone {
            Show::Console
        } else {
            Show::Lines(format!("{} {cgroup}", kernel.version))
        };
        let (ended, data) = self.boot(kernel, cgroup, &plan, |machine| {
            let ended = machine.run(show)?;
            let data = machine.data();
            let sent = fs::read(&data).map_err(|cause| Error::file("read", &data, cause))?;
            Ok((ended, String::from_utf8_lossy(&sent).into_owned()))
        })?;
        let booted = Booted {
            kernel,
            cgroup,
            accel,
            only,
        };
        let outcome = Outcome::new(&booted, &ended, &data);
        let came = outcome.failure.as_deref().unwrap_or("ended well");
        eprintln!("{}, cgroup {cgroup}: {came}", outcome.kernel);
        if ended.verdict.is_none() || ended.trouble.is_some() {
            show_tail(&ended);
        }
        Ok(outcome)
    }
}

/// What the guest is to do, with what it has to know of its machine.
fn plan(kernel: &Kernel, cgroup: Cgroup, mut what: Value) -> Value {
    let settings = kernel.arch.settings();
    what["cgroup"] = cgroup.to_string().into();
    what["console"] = format!("/dev/{}", settings.console).into();
    what["data"] = format!("/dev/{}", settings.data.device()).into();
    what
}

/// Shows how the console ended, in one piece.
fn show_tail(ended: &Ended) {
    let lines: Vec<_> = ended
        .tail()
        .iter()
        .map(|line| format!("  {line}"))
        .collect();
    eprintln!("the console's last lines:\n{}", lines.join("\n"));
}
