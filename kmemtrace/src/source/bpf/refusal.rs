//! Why the kernel refused an object, a program or a run of one: by what this kernel lacks, where the refusal shows it.

use std::{error::Error as _, io};

use aya::{BtfError, EbpfError, maps::MapError, programs::ProgramError};
use rustix::io::Errno;

use crate::{error::causes, plan::WayKind};

/// The kernel's `ENOTSUPP`, which has no name for programs.
const NOT_SUPPORTED: i32 = 524;

/// By what a refusal shows its cause.
#[derive(Debug)]
enum Sign {
    /// The system call's error.
    Number(i32),
    /// In the verifier's log.
    Log(&'static str),
    /// In the words of whoever loads and attaches.
    Words(&'static str),
}

/// A cause, and how it shows.
#[derive(Debug)]
struct Cause {
    /// The ways for which the sign means that; none for all.
    ways: &'static [WayKind],
    sign: Sign,
    /// The cause in words.
    says: &'static str,
}

const fn cause(ways: &'static [WayKind], sign: Sign, says: &'static str) -> Cause {
    Cause { ways, sign, says }
}

const BY_FUNCTION: &[WayKind] = &[WayKind::Fentry, WayKind::Fexit];
const TEST_RUN: &[WayKind] = &[WayKind::TestRun];
const NO_TEST_RUN: &str = "this kernel cannot run raw tracepoints on demand (5.10 and later can)";
const TOO_LARGE: &str =
    "the program is too large for this kernel's eBPF (before 5.2 it takes 4,096 instructions)";

/// What refusals mean, the first that fits.
const CAUSES: &[Cause] = &[
    // No other map is of a kind that came after eBPF's read-only data (5.2).
    cause(
        &[WayKind::RingBuffer],
        Sign::Number(Errno::INVAL.raw_os_error()),
        "this kernel has no ring buffers (5.8 and later have them)",
    ),
    cause(TEST_RUN, Sign::Number(NOT_SUPPORTED), NO_TEST_RUN),
    cause(
        TEST_RUN,
        Sign::Number(Errno::INVAL.raw_os_error()),
        NO_TEST_RUN,
    ),
    // `bpf_trampoline_link_prog`: arm64 gained them later than x86-64.
    cause(
        BY_FUNCTION,
        Sign::Number(NOT_SUPPORTED),
        "this kernel has no trampolines for functions on this architecture",
    ),
    cause(
        BY_FUNCTION,
        Sign::Number(Errno::PERM.raw_os_error()),
        "this kernel does not permit programs at functions (it was built without them, or a policy forbids them)",
    ),
    // The files by which kernels that have them say so.
    cause(
        &[],
        Sign::Words("event_source/devices/kprobe/type"),
        "requires kprobes, which this kernel was built without",
    ),
    cause(
        &[],
        Sign::Words("event_source/devices/uprobe/type"),
        "requires uprobes, which this kernel was built without",
    ),
    cause(
        &[WayKind::RawTp, WayKind::TpBtf, WayKind::Console],
        Sign::Number(Errno::NOENT.raw_os_error()),
        "this kernel has no such tracepoint",
    ),
    cause(
        &[WayKind::Kprobe, WayKind::Kretprobe],
        Sign::Number(Errno::NOENT.raw_os_error()),
        "this kernel has no such function, or it is inlined",
    ),
    cause(
        &[],
        Sign::Log("back-edge"),
        "this kernel's eBPF takes no loops (5.3 and later do)",
    ),
    cause(&[], Sign::Log("program is too large"), TOO_LARGE),
    cause(&[], Sign::Number(Errno::TOOBIG.raw_os_error()), TOO_LARGE),
    cause(
        &[],
        Sign::Log("invalid func unknown"),
        "the program calls what this kernel's eBPF does not have",
    ),
    cause(
        &[],
        Sign::Log("unknown func"),
        "the program calls what this kernel's eBPF does not have",
    ),
];

/// The cause that shows, if one does.
fn shown(kind: WayKind, number: Option<i32>, log: &str, words: &str) -> Option<&'static str> {
    let fits = |cause: &&Cause| {
        (cause.ways.is_empty() || cause.ways.contains(&kind))
            && match cause.sign {
                Sign::Number(of) => number == Some(of),
                Sign::Log(part) => log.contains(part),
                Sign::Words(part) => words.contains(part),
            }
    };
    CAUSES.iter().find(fits).map(|cause| cause.says)
}

/// One line that says why the kernel did not take the maps or types of the object of a way of carrying records.
pub(super) fn of_object(kind: WayKind, error: &EbpfError) -> String {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => {
            let records = (name == "EVENTS")
                .then(|| io_error.raw_os_error())
                .flatten();
            match (shown(kind, records, "", ""), Errno::from_io_error(io_error)) {
                (Some(cause), _) => cause.to_owned(),
                (None, Some(Errno::PERM)) => format!(
                    "not permitted to make the map {name}: eBPF requires CAP_BPF or root, and before 5.11 a RLIMIT_MEMLOCK that is large enough"
                ),
                _ => format!("the kernel refused the map {name}: {}", plain(io_error)),
            }
        }
        EbpfError::BtfError(BtfError::LoadError {
            io_error,
            verifier_log,
        }) => {
            let log = verifier_log.to_string();
            tracing::debug!("the kernel's log on the object's types:\n{log}");
            let line = verdict(&log).map_or_else(|| plain(io_error), str::to_owned);
            format!("this kernel does not take the object's types (BTF): {line}")
        }
        EbpfError::RelocationError(_) if !aya::features().bpf_global_data() => {
            "this kernel's eBPF programs can have no global data (5.2 and later can)".to_owned()
        }
        _ => without_numbers(&causes(error)),
    }
}

/// One line that says why a program of a way was refused; the verifier's whole log goes to the debug log.
pub(super) fn explain(kind: WayKind, target: &str, error: &ProgramError) -> String {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        let words = causes(error);
        let why = shown(kind, number(error), "", &words);
        return format!(
            "{target}: {}",
            why.map_or_else(|| without_numbers(&words), str::to_owned)
        );
    };
    let log = verifier_log.to_string();
    tracing::debug!(target, "the verifier's log:\n{log}");
    let line = verdict(&log);
    match (shown(kind, io_error.raw_os_error(), &log, ""), line) {
        (Some(cause), Some(line)) => format!("{target}: {cause}: {line}"),
        (Some(cause), None) => format!("{target}: {cause}"),
        (None, Some(line)) => format!("{target}: the verifier refused the program: {line}"),
        (None, None) => format!(
            "{target}: the kernel refused the program: {}",
            plain(io_error)
        ),
    }
}

/// The number of the system's error behind `error`.
fn number(error: &ProgramError) -> Option<i32> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        cause = error.source();
    }
    None
}

/// The system's words, without its number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(NOT_SUPPORTED) => "not supported".to_owned(),
        _ => without_numbers(&error.to_string()),
    }
}

/// A text without the numbers of the system's errors in it.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        words.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    words
}

/// The last line of a verifier's log that says something.
fn verdict(log: &str) -> Option<&str> {
    let statistics = |line: &&str| {
        [
            "processed ",
            "verification time",
            "stack depth",
            "max_states",
        ]
        .iter()
        .any(|start| line.starts_with(start))
    };
    log.lines()
        .map(str::trim)
        .rev()
        .filter(|line| !line.is_empty())
        .find(|line| !statistics(line))
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_named_where_a_map_is_refused() {
        let refused = |kind, name: &str, errno: Errno| {
            let error = EbpfError::MapError(MapError::CreateError {
                name: name.to_owned(),
                io_error: errno.into(),
            });
            of_object(kind, &error)
        };
        let ring = WayKind::RingBuffer;
        for (kind, name, errno, says) in [
            (ring, "EVENTS", Errno::INVAL, "no ring buffers (5.8"),
            (
                ring,
                "CURSOR",
                Errno::INVAL,
                "the map CURSOR: Invalid argument",
            ),
            (ring, "CURSOR", Errno::PERM, "RLIMIT_MEMLOCK"),
            (
                WayKind::PerfBuffer,
                "EVENTS",
                Errno::INVAL,
                "the map EVENTS: Invalid",
            ),
        ] {
            let text = refused(kind, name, errno);
            assert!(text.contains(says), "{text}");
            assert!(!text.contains("os error"), "{text}");
        }
    }

    #[test]
    fn a_system_call_that_fails_is_said_by_its_cause() {
        for (kind, number, says) in [
            (WayKind::Fentry, NOT_SUPPORTED, "no trampolines"),
            (WayKind::Fexit, NOT_SUPPORTED, "no trampolines"),
            (WayKind::TestRun, NOT_SUPPORTED, "on demand (5.10"),
            (WayKind::TestRun, 22, "on demand (5.10"),
            (WayKind::RawTp, 2, "no such tracepoint"),
            (WayKind::Kprobe, 2, "no such function"),
            (WayKind::Kprobe, 22, "Invalid argument"),
        ] {
            let error = ProgramError::SyscallError(SyscallError {
                call: "call",
                io_error: io::Error::from_raw_os_error(number),
            });
            let text = explain(kind, "target", &error);
            assert!(
                text.starts_with("target: ") && text.contains(says),
                "{text}"
            );
            assert!(!text.contains("os error"), "{text}");
        }
    }

    #[test]
    fn a_log_of_the_verifier_shows_a_cause() {
        for (log, says) in [
            ("back-edge from insn 12 to 10", Some("no loops (5.3")),
            (
                "BPF program is too large. Processed 131073 insn",
                Some("too large"),
            ),
            ("invalid func unknown#134", Some("does not have")),
            ("R1 type=ctx expected=fp", None),
        ] {
            let found = shown(WayKind::RawTp, Some(22), log, "");
            assert_eq!(found.is_some(), says.is_some(), "{log}");
            assert!(found.unwrap_or_default().contains(says.unwrap_or_default()));
        }
    }

    #[test]
    fn numbers_of_errors_are_left_out() {
        for (text, words) in [
            ("a: No such file (os error 2)", "a: No such file"),
            ("x (os error 2), y (os error 13)", "x, y"),
            ("x (os error 2", "x2"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), words, "{text}");
        }
    }

    #[test]
    fn the_verifiers_verdict_is_its_last_line_with_a_meaning() {
        let log = "0: (b7) r0 = 0\nR1 type=ctx expected=fp\n\
                   processed 4 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(verdict(log), Some("R1 type=ctx expected=fp"));
        assert_eq!(verdict(""), None);
    }
}
