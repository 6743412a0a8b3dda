//! The program without the system calls that Linux 3.10 does not have.

use libtest_mimic::Trial;

use crate::harness::{Result, output, program_on_old_kernel, test_if, text};

/// Commands, what they end with, and what they say: whatever this machine shows, as long as it could be looked at.
const COMMANDS: [(&[&str], &[i32], &str); 10] = [
    (&["--version"], &[0], "kmemtrace "),
    (&["--help"], &[0], "Usage: kmemtrace"),
    (&["scan", "--settle", "1s"], &[0, 1, 2], "memory"),
    (
        &["scan", "--settle", "0s", "--format", "json"],
        &[0, 1, 2],
        "memory",
    ),
    (&["doctor"], &[0], "on this host"),
    (&["doctor", "--format", "json"], &[0], "\"hooks\":"),
    (
        &["watch", "--source", "sysfs", "--for", "3s"],
        &[0, 1, 2],
        "watching ",
    ),
    (
        &["watch", "--source", "tracefs", "--for", "1s"],
        &[0, 1, 2],
        "tracefs",
    ),
    // Left to itself it takes what works, and says why.
    (&["watch", "--for", "2s"], &[0, 1, 2], "not bpf: "),
    // There is no eBPF: it says so, and ends.
    (
        &["watch", "--source", "bpf", "--for", "1s"],
        &[2],
        "error: ",
    ),
];

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_if(
        "old::commands_work_without_newer_system_calls",
        missing,
        commands,
    )]
}

fn missing() -> Option<String> {
    let known = cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64");
    (!known).then(|| "needs to know which system calls 3.10 had".to_owned())
}

fn commands() -> Result {
    for (args, codes, said) in COMMANDS {
        let run = output(program_on_old_kernel(args));
        let (stdout, stderr) = (text(&run.stdout), text(&run.stderr));
        let code = run.status.code();
        assert!(
            code.is_some_and(|code| codes.contains(&code))
                && [&stdout, &stderr].iter().any(|text| text.contains(said))
                && !stderr.contains("panicked"),
            "{args:?}: {code:?}\n{stdout}\n{stderr}"
        );
    }
    Ok(())
}
