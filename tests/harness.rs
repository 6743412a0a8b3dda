//! What the tests share: the program as a child process, and what a test may need from the machine.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    mem,
    os::unix::process::CommandExt as _,
    panic,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Completion, Failed, Trial};
use serde_json::Value;

use crate::old_kernel;

/// Says what this process is.
const ROLE: &str = "KMEMTRACE_TESTS_ROLE";

/// How long a test waits for what must come, in seconds, where a minute is too short: in an emulated machine.
const PATIENCE: &str = "KMEMTRACE_TESTS_PATIENCE";

/// How long a test waits for what must come. It bounds a failing test; no test asserts a time.
pub(crate) fn patience() -> Duration {
    let seconds = env::var(PATIENCE).ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Why this machine leaves out a test that does very much, if it is too slow for that: whoever set the variable says so.
pub(crate) fn too_slow() -> Option<String> {
    let why = env::var("KMEMTRACE_TESTS_TOO_SLOW").ok()?;
    (!why.is_empty()).then(|| format!("does too much for this machine: {why}"))
}

/// How often the tests' runs look: oftener than unless told, so that tests are short, and as often as the machine can.
fn interval() -> &'static str {
    if too_slow().is_some() {
        "200ms"
    } else {
        "100ms"
    }
}

/// Why this machine's memory and ids are not a test's to use up; `cargo xtask vm` says in a variable that its machines' are.
pub(crate) fn not_disposable() -> Option<String> {
    let why = || "takes all that a machine has: only in one of cargo xtask vm".to_owned();
    (!is_disposable()).then(why)
}

/// Why the memory of this machine is not still: who needs some has page cache reclaimed, and with it zombies.
pub(crate) fn not_quiet() -> Option<String> {
    let why =
        || "needs a machine on which nobody reclaims memory: one of cargo xtask vm".to_owned();
    (!is_disposable()).then(why)
}

fn is_disposable() -> bool {
    env::var("KMEMTRACE_TESTS_DISPOSABLE").is_ok_and(|value| !value.is_empty())
}

/// No status of the program's own, nor of a panic.
const OLD_KERNEL_FAILED: u8 = 99;

/// Where programs have their temporary files, if it is there.
const MEMORY_DISK: &str = "/dev/shm";

/// What this process is.
pub(crate) enum Role {
    Tests,
    Init,
    Program,
    Workload,
    OldKernel,
    Simulated,
    Supervisor,
}

pub(crate) fn role() -> Role {
    if crate::guest::is_here() {
        return Role::Init;
    }
    match env::var(ROLE).as_deref() {
        Ok("program") => Role::Program,
        Ok("workload") => Role::Workload,
        Ok("old-kernel") => Role::OldKernel,
        Ok("simulated") => Role::Simulated,
        Ok("supervisor") => Role::Supervisor,
        _ => Role::Tests,
    }
}

/// This binary in another role, not started yet.
pub(crate) fn itself(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program's own path"));
    command
        .env(ROLE, role)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    // Copies are unpacked there: ext4 needs a minute for 65,000 links where as many were just removed (`recently_deleted`).
    if Path::new(MEMORY_DISK).is_dir() {
        command.env("TMPDIR", MEMORY_DISK);
    }
    command
}

/// The program, not started yet.
pub(crate) fn program<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = itself("program");
    command.args(args);
    command
}

/// The program without the system calls that 3.10 does not have, not started yet.
pub(crate) fn program_on_old_kernel<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = itself("old-kernel");
    command.args(args);
    command
}

/// What [`program_on_old_kernel`] starts: takes the system calls away, and becomes the program. That is started anew, since
/// what comes before its `main` has to do without them, too.
pub(crate) fn old_kernel() -> ExitCode {
    let error = match old_kernel::become_old() {
        Ok(()) => program(env::args_os().skip(1)).exec().to_string(),
        Err(error) => error,
    };
    eprintln!("{error}");
    ExitCode::from(OLD_KERNEL_FAILED)
}

/// A workload (see `workload.rs`), not started yet.
pub(crate) fn workload<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = itself("workload");
    command.args(args);
    command
}

/// Runs a command to its end.
pub(crate) fn output(mut command: Command) -> Output {
    command.output().expect("the test binary starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a test says at its end.
pub(crate) type Result = std::result::Result<(), Failed>;

/// A test that needs nothing from the machine.
pub(crate) fn test(name: &str, run: fn() -> Result) -> Trial {
    Trial::test(name, run)
}

/// A test that first asks whether the machine has what it needs; the answer is why not.
///
/// Live tests compare the kernel's totals, which whoever else uses the machine changes: on one that is not theirs alone they
/// are run again if they fail, and say so.
pub(crate) fn test_if(
    name: &str,
    missing: impl FnOnce() -> Option<String> + Send + 'static,
    run: impl Fn() -> Result + Send + 'static,
) -> Trial {
    let again = name.starts_with("live::") && not_disposable().is_some();
    let first = name.to_owned();
    Trial::ignorable_test(name, move || {
        if let Some(reason) = missing() {
            return Ok(Completion::ignored_with(reason));
        }
        if again {
            let run = panic::catch_unwind(panic::AssertUnwindSafe(&run));
            if let Ok(Ok(())) = run {
                return Ok(Completion::Completed);
            }
            eprintln!(
                "{first} failed; once more, since others may have changed the kernel's counts"
            );
        }
        run().map(|()| Completion::Completed)
    })
}

/// `kmemtrace watch --format json` while it runs.
pub(crate) struct Watch {
    child: Child,
    lines: Receiver<Value>,
    stderr: thread::JoinHandle<String>,
    /// Every line so far.
    pub(crate) seen: Vec<Value>,
}

impl Watch {
    /// Starts it and waits for the end of its first walk: from then on nothing goes unseen.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_as(|args| program(args), args)
    }

    /// The same, where `program` says how the program is started.
    pub(crate) fn start_as(program: impl FnOnce(&[&str]) -> Command, args: &[&str]) -> Self {
        let common = [
            "watch",
            "--format",
            "json",
            "--all",
            "--interval",
            interval(),
        ];
        Self::spawn(program(&[&common, args].concat()))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the test binary starts");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout)
                .lines()
                .map_while(std::result::Result::ok)
            {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| {
                    panic!("not a JSON line: {error}: {line}");
                });
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut watch = Self {
            child,
            lines,
            stderr,
            seen: Vec::new(),
        };
        watch.wait_for("the end of the first walk", |line| line["kind"] == "walked");
        watch
    }

    /// Waits for a line; panics with what came instead.
    pub(crate) fn wait_for(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_all(what, 1, is).pop().expect("one")
    }

    /// Waits for `count` lines from now on.
    pub(crate) fn wait_for_all(
        &mut self,
        what: &str,
        count: usize,
        is: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let mut found = Vec::new();
        let deadline = Instant::now() + patience();
        while found.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if is(&line) {
                        found.push(line.clone());
                    }
                    self.seen.push(line);
                }
                Err(error) => {
                    let _ = self.child.kill();
                    let why = match error {
                        RecvTimeoutError::Timeout => "in vain",
                        RecvTimeoutError::Disconnected => "and kmemtrace ended",
                    };
                    let from = self.seen.len().saturating_sub(30);
                    let last: Vec<_> = self.seen[from..].iter().map(Value::to_string).collect();
                    let stderr = mem::replace(&mut self.stderr, thread::spawn(String::new));
                    panic!(
                        "waited for {count} of {what}, {why}: {} came; the last lines:\n{}\nand on stderr:\n{}",
                        found.len(),
                        last.join("\n"),
                        stderr.join().unwrap_or_default()
                    );
                }
            }
        }
        found
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines of a kind whose path is below `base`.
    pub(crate) fn of<'a>(
        &'a self,
        kind: &'a str,
        base: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        self.seen
            .iter()
            .filter(move |line| line["kind"] == kind && below(line, base))
    }

    /// Sends SIGINT, as Ctrl-C does, and takes in the rest: all lines, stderr, and the exit status.
    pub(crate) fn stop(mut self) -> Ended {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        self.seen.extend(self.lines.iter());
        let status = self.child.wait().expect("it ends");
        let stderr = self.stderr.join().expect("stderr is read");
        Ended {
            lines: self.seen,
            stderr,
            code: status.code(),
        }
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// A run that ended.
pub(crate) struct Ended {
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Ended {
    /// The last line: the summary.
    pub(crate) fn summary(&self) -> &Value {
        let last = self.lines.last().expect("there are lines");
        assert_eq!(last["kind"], "summary", "{last}");
        last
    }
}

/// Whether a line is about a cgroup below `base`.
pub(crate) fn below(line: &Value, base: &str) -> bool {
    line["path"]
        .as_str()
        .is_some_and(|path| path.starts_with(base))
}

/// A fixture of these tests, in the checkout.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}
