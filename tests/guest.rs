//! The first process of a virtual machine: `cargo xtask vm` boots a kernel with this binary as `/init` and tells it in a
//! file what to do. It mounts what the tests expect of a machine, runs them or a command, says on the console in one line
//! how that ended, and switches the machine off.

mod mounts;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    mem,
    net::UdpSocket,
    os::fd::AsRawFd,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, WaitOptions, wait},
    system::{RebootCommand, finit_module, reboot, sethostname},
    termios::tcdrain,
};
use serde_json::{Value, json};

use crate::{
    harness::{output, program, text},
    simulated,
};

/// What to do; `cargo xtask vm` puts it there.
const PLAN: &str = "/kmemtrace-vm.json";

/// On the console: from here on it shows what the command says.
const BEGIN: &str = "KMEMTRACE-VM-BEGIN";

/// On the console: how it ended.
const VERDICT: &str = "KMEMTRACE-VM-VERDICT";

/// The device for data to `cargo xtask vm`, without the kernel's messages in between: a second serial line, or what the
/// plan says.
static DATA: OnceLock<String> = OnceLock::new();

/// The other commands, if they are in the machine.
const BUSYBOX: &str = "/bin/busybox";

/// Whether this process is the first one of a virtual machine. (A container's first process finds no plan.)
pub(crate) fn is_here() -> bool {
    std::process::id() == 1 && Path::new(PLAN).exists()
}

/// How it ended.
#[derive(Default)]
struct Verdict {
    code: i32,
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Why nothing ran.
    note: Option<String>,
}

pub(crate) fn main() -> ExitCode {
    let verdict = run().unwrap_or_else(|why| Verdict {
        code: 2,
        note: Some(why),
        ..Verdict::default()
    });
    let Verdict {
        code,
        passed,
        failed,
        skipped,
        note,
    } = verdict;
    let note = note.map_or_else(String::new, |note| {
        format!(" note={}", note.replace('\n', "; "))
    });
    // The leading newline: whatever ran may have left its last line unfinished.
    println!("\n{VERDICT} rc={code} passed={passed} failed={failed} skipped={skipped}{note}");
    let _ = tcdrain(io::stdout());
    let refused = reboot(RebootCommand::PowerOff);
    println!("cannot switch off: {refused:?}");
    // The kernel panics when this process ends, and whoever reads the console sees that.
    ExitCode::FAILURE
}

fn run() -> Result<Verdict, String> {
    mounts::system()?;
    loopback().map_err(|error| format!("no loopback: {error}"))?;
    // Only for show.
    let _ = sethostname(b"vm");
    let plan = fs::read(PLAN).map_err(|error| format!("cannot read {PLAN}: {error}"))?;
    let plan: Value =
        serde_json::from_slice(&plan).map_err(|error| format!("cannot read {PLAN}: {error}"))?;
    modules()?;
    if let Some(device) = plan["data"].as_str() {
        DATA.get_or_init(|| device.to_owned());
    }
    let cgroup = plan["cgroup"].as_str().unwrap_or("v2");
    if let Some(missing) = mounts::cgroups(cgroup)? {
        return Ok(Verdict {
            note: Some(missing),
            ..Verdict::default()
        });
    }
    match plan["run"].as_str() {
        Some("tests") => tests(&plan),
        Some("command") => command(&plan),
        Some("shell") => shell(plan["console"].as_str().unwrap_or("/dev/console")),
        other => Err(format!("{PLAN}: nothing to run: {other:?}")),
    }
}

/// Switches the loopback interface on.
#[expect(unsafe_code, reason = "rustix does not set up interfaces")]
fn loopback() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: numbers and bytes only.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: the request is as `netdevice(7)` wants it, and lives through the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Loads the kernel modules that came with the kernel, in the order of their names.
fn modules() -> Result<(), String> {
    let Ok(entries) = fs::read_dir("/modules") else {
        return Ok(());
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    for file in files {
        File::open(&file)
            .and_then(|module| Ok(finit_module(module, c"", 0)?))
            .map_err(|error| format!("cannot load {}: {error}", file.display()))?;
    }
    Ok(())
}

/// The environment variables to set.
fn variables(plan: &Value) -> impl Iterator<Item = (&String, &str)> {
    let variables = plan["env"].as_object().into_iter().flatten();
    variables.filter_map(|(name, value)| Some((name, value.as_str()?)))
}

/// Runs the live tests and counts them.
fn tests(plan: &Value) -> Result<Verdict, String> {
    send(&json!({ "page_bytes": rustix::param::page_size() }))?;
    for source in ["bpf", "tracefs", "sysfs"] {
        doctor(
            source,
            program(["doctor", "--source", source, "--format", "json"]),
        )?;
    }
    if simulated::missing().is_none() {
        let args = ["doctor", "--source", "bpf", "--format", "json"];
        doctor("simulated", simulated::simulated(args))?;
    }
    let itself = std::env::current_exe().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let mut command = Command::new(itself);
    command
        .args(["--test-threads", "1"])
        .arg(plan["filter"].as_str().unwrap_or("live::"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .envs(variables(plan));
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot start the tests: {error}"))?;
    let stdout = child.stdout.take().expect("piped");
    let counting = thread::spawn(move || count(BufReader::new(stdout)));
    let code = reap(child.id())?;
    let (passed, failed, skipped) = counting.join().unwrap_or_default();
    Ok(Verdict {
        code,
        passed,
        failed,
        skipped,
        note: None,
    })
}

/// Sends what doctor says of the hooks.
fn doctor(source: &str, command: Command) -> Result<(), String> {
    let report = output(command);
    match serde_json::from_slice::<Value>(&report.stdout) {
        Ok(report) => send(&json!({ "doctor": source, "report": report })),
        Err(error) => {
            println!("doctor: {error}: {}", text(&report.stderr));
            Ok(())
        }
    }
}

/// Shows the tests' output, sends each test's result, and takes the numbers of the closing line: passed, failed, ignored.
fn count(mut output: impl BufRead) -> (u64, u64, u64) {
    let mut counts = (0, 0, 0);
    let mut line = Vec::new();
    // A test's name comes before its result, and is to be seen while it runs.
    loop {
        let piece = match output.fill_buf() {
            Ok([]) | Err(_) => return counts,
            Ok(piece) => piece.to_vec(),
        };
        output.consume(piece.len());
        let _ = io::stdout().write_all(&piece);
        let _ = io::stdout().flush();
        for byte in piece {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let said = text(&line);
            line.clear();
            if let Some(result) = said.strip_prefix("test result: ") {
                let of = |what: &str| {
                    let at = result.split([' ', ';']).collect::<Vec<_>>();
                    at.windows(2)
                        .find(|pair| pair[1] == what)
                        .and_then(|pair| pair[0].parse().ok())
                        .unwrap_or(0)
                };
                counts = (of("passed"), of("failed"), of("ignored"));
            } else if let Some((name, result)) = said
                .strip_prefix("test ")
                .and_then(|test| test.split_once(" ... "))
            {
                let result = result.split_whitespace().next();
                let sent = send(&json!({ "test": name.trim_end(), "result": result }));
                if let Err(error) = sent {
                    println!("{error}");
                }
            }
        }
    }
}

/// Runs a command: its output goes to the device for data, what it complains of to the console.
fn command(plan: &Value) -> Result<Verdict, String> {
    let words: Vec<_> = plan["command"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let [name, args @ ..] = &words[..] else {
        return Err("there is no command to run".to_owned());
    };
    if Path::new(BUSYBOX).exists() {
        install_busybox()?;
    }
    println!("{BEGIN}");
    let child = Command::new(name)
        .args(args)
        .envs(variables(plan))
        .stdin(Stdio::null())
        .stdout(data()?)
        .spawn()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    let code = reap(child.id())?;
    let _ = tcdrain(data()?);
    Ok(Verdict {
        code,
        ..Verdict::default()
    })
}

/// Gives busybox its commands' names.
fn install_busybox() -> Result<(), String> {
    let install = Command::new(BUSYBOX)
        .args(["--install", "-s", "/bin"])
        .spawn()
        .map_err(|error| format!("cannot start {BUSYBOX}: {error}"))?;
    reap(install.id()).map(|_| ())
}

/// A shell on the console, until it ends.
fn shell(device: &str) -> Result<Verdict, String> {
    install_busybox()?;
    println!("{BEGIN}");
    println!("kmemtrace is in /bin; exit, or Ctrl-A x, ends the machine");
    let console = || {
        File::options()
            .read(true)
            .write(true)
            .open(device)
            .map_err(|error| format!("cannot open {device}: {error}"))
    };
    let shell = Command::new(BUSYBOX)
        .args(["setsid", "-c", "/bin/sh"])
        .env("HOME", "/")
        .env("PS1", "vm# ")
        .stdin(console()?)
        .stdout(console()?)
        .stderr(console()?)
        .spawn()
        .map_err(|error| format!("cannot start {BUSYBOX}: {error}"))?;
    reap(shell.id())?;
    Ok(Verdict::default())
}

/// Waits until `child` has ended, for its exit status, and until then for every process that nobody else waits for.
fn reap(child: u32) -> Result<i32, String> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if is(pid, child) => {
                return Ok(status
                    .exit_status()
                    .or_else(|| Some(128 + status.terminating_signal()?))
                    .unwrap_or(2));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot wait for process {child}: {error}")),
        }
    }
}

fn is(pid: Pid, child: u32) -> bool {
    u32::try_from(pid.as_raw_nonzero().get()) == Ok(child)
}

/// The path of the device for data.
fn data_path() -> &'static str {
    DATA.get().map_or("/dev/ttyS1", String::as_str)
}

/// How long a console may take to come after its module was loaded: a busy machine is slow.
const CONSOLE: Duration = Duration::from_mins(1);

/// Opens the device for data for writing. A virtio console comes by itself, a little after its module: until then it is
/// not there, or is no device.
fn data() -> Result<File, String> {
    let path = data_path();
    let until = Instant::now() + CONSOLE;
    loop {
        match File::options().write(true).open(path) {
            Ok(file) => return Ok(file),
            Err(error) if Instant::now() > until => {
                return Err(format!("cannot open {path}: {error}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Writes a line to the device for data.
fn send(line: &Value) -> Result<(), String> {
    let mut data = data()?;
    data.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| Ok(tcdrain(&data)?))
        .map_err(|error| format!("cannot write to {}: {error}", data_path()))
}
