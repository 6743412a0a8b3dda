//! The running kernel made to lack what kernels before 5.8 lack of BPF: ring buffers, runs of a raw tracepoint's program
//! (`BPF_PROG_TEST_RUN`), and BTF in /sys.
//!
//! A plain seccomp filter sees the command of bpf(2) only, not the type of a map. So the filter asks a supervisor
//! (`SECCOMP_RET_USER_NOTIF`), which reads the attributes from the caller's memory and refuses, or lets the kernel go on.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io, mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{fs::FileExt as _, process::CommandExt as _},
    },
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::OnceLock,
};

use rustix::{
    io::Errno,
    process::{Signal, getppid, set_parent_process_death_signal},
};

use crate::{
    harness::{itself, program},
    live::hide,
};

/// Where the kernel has its BTF.
const BTF: &str = "/sys/kernel/btf";

/// `BPF_MAP_CREATE` and `BPF_PROG_TEST_RUN` of `enum bpf_cmd`.
const MAP_CREATE: u64 = 0;
const TEST_RUN: u64 = 10;

/// `BPF_MAP_TYPE_RINGBUF` of `enum bpf_map_type`: the type is the attributes' first field.
const RING: u32 = 27;

/// `ENOTSUPP` of the kernel: what `bpf_prog_test_run` says of a program that cannot be run (before 5.10, a raw tracepoint's).
const NOT_SUPPORTED: i32 = 524;

/// No status of the program's own, nor of a panic.
const FAILED: u8 = 98;

/// The program on the simulated kernel, not started yet. The verb is told where the kernel's BTF is.
pub(crate) fn simulated<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = itself("simulated");
    command.args(args).arg("--btf").arg(btf());
    hide(&mut command, &[BTF]);
    command
}

/// The kernel's BTF by a path outside /sys: this process has it open for as long as it runs.
fn btf() -> String {
    static BTF_FILE: OnceLock<File> = OnceLock::new();
    let file = BTF_FILE.get_or_init(|| {
        File::open(Path::new(BTF).join("vmlinux")).expect("the kernel's BTF can be read")
    });
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// Why no such kernel can be simulated here.
pub(crate) fn missing() -> Option<String> {
    if !Path::new(BTF).join("vmlinux").exists() {
        return Some("needs a kernel with BTF, to simulate one without".to_owned());
    }
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Some("needs filters of system calls".to_owned());
    }
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let asks = actions
        .split_whitespace()
        .any(|action| action == "user_notif");
    (!asks).then(|| "needs filters that ask a supervisor (5.5)".to_owned())
}

/// What [`simulated`] starts: puts the filter in force, starts the supervisor, and becomes the program.
pub(crate) fn main() -> ExitCode {
    let error = match become_simulated() {
        Ok(()) => program(env::args_os().skip(1)).exec().to_string(),
        Err(error) => error.to_string(),
    };
    eprintln!("cannot simulate a kernel: {error}");
    ExitCode::from(FAILED)
}

fn become_simulated() -> io::Result<()> {
    let listener = filter()?;
    // It has the same filter, and makes none of the calls that it supervises.
    itself("supervisor")
        .stdin(Stdio::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(())
}

/// Has this thread, and all it starts, ask about each bpf(2); the answer is where to hear the questions.
#[expect(unsafe_code, reason = "no crate in use makes such a filter")]
fn filter() -> io::Result<OwnedFd> {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let call = u32::try_from(libc::SYS_bpf).expect("a system call's number");
    let mut program = [
        // The call's number: the first field of `struct seccomp_data`.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: call,
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives through the call, and has as many instructions as it says.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let listener = i32::try_from(listener).unwrap_or(-1);
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// The supervisor: answers until the program that started it ends.
pub(crate) fn supervise() -> ExitCode {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let listener = io::stdin();
    loop {
        // The parent may have ended before the signal was asked for.
        if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() == 1) {
            return ExitCode::SUCCESS;
        }
        match answer(listener.as_raw_fd()) {
            // The caller may have been interrupted or killed meanwhile.
            Ok(()) | Err(Errno::INTR | Errno::NOENT) => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// Hears one question and answers it.
#[expect(unsafe_code, reason = "no crate in use has these calls")]
fn answer(listener: i32) -> Result<(), Errno> {
    let failed = || Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO);
    // SAFETY: numbers only; the kernel wants them zero.
    let mut asked: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills in a structure of this kind.
    if unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } != 0 {
        return Err(failed());
    }
    let refused = refusal(&asked);
    let mut response = libc::seccomp_notif_resp {
        id: asked.id,
        val: 0,
        error: refused.map_or(0, |error| -error),
        flags: match refused {
            Some(_) => 0,
            None => libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        },
    };
    // SAFETY: the kernel reads a structure of this kind.
    if unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) } != 0 {
        return Err(failed());
    }
    Ok(())
}

/// What the simulated kernel answers to a call that it does not know.
fn refusal(asked: &libc::seccomp_notif) -> Option<i32> {
    let [command, attributes, ..] = asked.data.args;
    match command {
        TEST_RUN => Some(NOT_SUPPORTED),
        MAP_CREATE => {
            let mut kind = [0; 4];
            let memory = File::open(format!("/proc/{}/mem", asked.pid)).ok()?;
            memory.read_exact_at(&mut kind, attributes).ok()?;
            (u32::from_ne_bytes(kind) == RING).then_some(libc::EINVAL)
        }
        _ => None,
    }
}
