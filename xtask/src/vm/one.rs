//! What one machine is booted for: the tests, a command, or a shell.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Args, Cgroup, folder,
    image::{self, Programs},
    kernel::Kernel,
    matrix::Outcome,
    qemu::{Accel, Ended, Limits, Machine, Show, memory_mib},
};
use crate::{error::Error, workspace};

/// All that a machine needs besides its kernel.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a Args,
    /// The folder with a folder for each machine.
    pub(crate) runs: PathBuf,
    pub(crate) qemu: &'a Path,
    pub(crate) accel: Accel,
    pub(crate) programs: &'a Programs,
    /// No other machine runs meanwhile.
    pub(crate) alone: bool,
}

impl Run<'_> {
    /// Prepares a machine that does what `plan` says, and has it do so.
    fn boot<T>(
        &self,
        kernel: &Kernel,
        cgroup: Cgroup,
        plan: &Value,
        run: impl FnOnce(&Machine<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let name = kernel.version.replace('/', "_");
        let home = self.runs.join(format!("{name}-{cgroup}"));
        folder(&home)?;
        let initramfs = home.join("initramfs.cpio");
        image::write(
            &initramfs,
            self.programs,
            kernel,
            plan,
            self.wants_busybox(),
        )?;
        let done = run(&Machine {
            qemu: self.qemu,
            accel: self.accel,
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
                silence: self.accel.patience() + Duration::from_mins(2),
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
        let plan = json!({ "run": "shell", "cgroup": cgroup.to_string() });
        let ended = self.boot(kernel, cgroup, &plan, |machine| Ok(machine.interactive()))?;
        ended.map(workspace::exit_code)
    }

    pub(crate) fn command(&self, kernel: &Kernel, cgroup: Cgroup) -> Result<ExitCode, Error> {
        let command = &self.args.command;
        let mut plan =
            json!({ "run": "command", "cgroup": cgroup.to_string(), "command": command });
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
        let mut variables = json!({
            "KMEMTRACE_TESTS_PATIENCE": self.accel.patience().as_secs().to_string(),
            // Nobody else has a use for its memory, or for its memcg ids.
            "KMEMTRACE_TESTS_DISPOSABLE": "1",
            "RUST_BACKTRACE": "0",
        });
        if self.args.image.is_none() {
            let machine = format!("Debian cloud kernel {}, cgroup {cgroup}", kernel.version);
            variables["KMEMTRACE_TESTS_MACHINE"] = machine.into();
        }
        if !self.args.slow {
            variables["KMEMTRACE_TESTS_TOO_SLOW"] = "only with cargo xtask vm --slow".into();
        }
        let plan = json!({
            "run": "tests",
            "cgroup": cgroup.to_string(),
            "filter": self.args.test.as_deref().unwrap_or("live::"),
            "env": variables,
        });
        let show = if self.alone {
            Show::Console
        } else {
            Show::Lines(format!("{} {cgroup}", kernel.release))
        };
        let (ended, data) = self.boot(kernel, cgroup, &plan, |machine| {
            let ended = machine.run(show)?;
            let data = machine.data();
            let sent = fs::read(&data).map_err(|cause| Error::file("read", &data, cause))?;
            Ok((ended, String::from_utf8_lossy(&sent).into_owned()))
        })?;
        let outcome = Outcome::new(kernel, cgroup, &ended, &data);
        let came = outcome.failure.as_deref().unwrap_or("ended well");
        eprintln!("{}, cgroup {cgroup}: {came}", outcome.kernel);
        if ended.verdict.is_none() || ended.trouble.is_some() {
            show_tail(&ended);
        }
        Ok(outcome)
    }
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
