//! Why the kernel refused a program or an object, by what it lacks.

use aya::{BtfError, EbpfError, maps::MapError, programs::ProgramError};
use rustix::io::Errno;

use crate::error::causes;

/// One line that says why the kernel did not take an object's maps or types.
pub(super) fn of_object(error: &EbpfError) -> String {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => {
            let errno = Errno::from_io_error(io_error);
            match (name.as_str(), errno) {
                // No other map is of a kind that came after eBPF's read-only data (5.2).
                ("EVENTS", Some(Errno::INVAL)) => {
                    "this kernel has no ring buffers (5.8 and later have them)".to_owned()
                }
                (_, Some(Errno::PERM)) => format!(
                    "not permitted to make the map {name}: eBPF requires CAP_BPF or root, and before 5.11 a RLIMIT_MEMLOCK that is large enough"
                ),
                _ => format!("the kernel refused the map {name}: {io_error}"),
            }
        }
        EbpfError::BtfError(BtfError::LoadError {
            io_error,
            verifier_log,
        }) => {
            let log = verifier_log.to_string();
            tracing::debug!("the kernel's log on the object's types:\n{log}");
            match verdict(&log) {
                Some(line) => format!(
                    "this kernel does not take the object's types (BTF): {line} ({io_error})"
                ),
                None => format!("this kernel does not take the object's types (BTF): {io_error}"),
            }
        }
        EbpfError::RelocationError(_) if !aya::features().bpf_global_data() => {
            "this kernel's eBPF programs can have no global data (5.2 and later can)".to_owned()
        }
        _ => causes(error),
    }
}

/// One line that says why; the verifier's whole log goes to the debug log.
pub(super) fn explain(target: &str, error: &ProgramError) -> String {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    else {
        let causes = causes(error);
        // The file by which a kernel that has kprobes says so.
        if causes.contains("event_source/devices/kprobe/type") {
            return format!("{target}: requires kprobes, which this kernel was built without");
        }
        return format!("{target}: {causes}");
    };
    let log = verifier_log.to_string();
    tracing::debug!(target, "the verifier's log:\n{log}");
    match verdict(&log) {
        Some(line) => format!("{target}: the verifier refused the program: {line} ({io_error})"),
        None => format!("{target}: the kernel refused the program: {io_error}"),
    }
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
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_named() {
        let refused = |name: &str, errno: Errno| {
            of_object(&EbpfError::MapError(MapError::CreateError {
                name: name.to_owned(),
                io_error: errno.into(),
            }))
        };
        for (name, errno, says) in [
            ("EVENTS", Errno::INVAL, "no ring buffers (5.8"),
            ("CURSOR", Errno::INVAL, "the map CURSOR: Invalid argument"),
            ("CURSOR", Errno::PERM, "RLIMIT_MEMLOCK"),
        ] {
            let text = refused(name, errno);
            assert!(text.contains(says), "{text}");
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
