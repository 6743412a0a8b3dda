//! Why the kernel refused a program.

use aya::programs::ProgramError;

use crate::error::causes;

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
    fn the_verifiers_verdict_is_its_last_line_with_a_meaning() {
        let log = "0: (b7) r0 = 0\nR1 type=ctx expected=fp\n\
                   processed 4 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(verdict(log), Some("R1 type=ctx expected=fp"));
        assert_eq!(verdict(""), None);
    }
}
