//! What a virtual machine's console says: the verdict of its first process (`tests/guest.rs`), or the kernel's trouble.

use std::collections::BTreeMap;

/// From here on the console shows what the command complains of.
const BEGIN: &str = "KMEMTRACE-VM-BEGIN";

/// How it ended, in one line.
const VERDICT: &str = "KMEMTRACE-VM-VERDICT ";

/// What the kernel says when nothing that follows is to be trusted. (`BUG: ` is also in the line on a soft lockup.)
const TROUBLE: [&str; 8] = [
    "BUG: ",
    "Oops: ",
    "Oops[",
    "general protection fault",
    "Internal error",
    "rcu: INFO: rcu_",
    "Unable to handle kernel",
    "blocked for more than",
];

/// How a run ended in the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The tests' or the command's exit status.
    pub(crate) code: i32,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Why nothing ran.
    pub(crate) note: Option<String>,
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Begin,
    Verdict(Verdict),
    Trouble(String),
}

/// Understands a line, if there is anything in it to understand.
pub(crate) fn understand(line: &str) -> Option<Said> {
    if let Some((_, fields)) = line.split_once(VERDICT) {
        return verdict(fields).map(Said::Verdict);
    }
    if line.trim_end().ends_with(BEGIN) {
        return Some(Said::Begin);
    }
    if let Some(at) = line.find("Kernel panic - not syncing") {
        return Some(Said::Trouble(line[at..].trim_end().to_owned()));
    }
    let message = kernel_message(line)?;
    TROUBLE
        .iter()
        .any(|trouble| message.contains(trouble))
        .then(|| Said::Trouble(message.trim_end().to_owned()))
}

/// `rc=0 passed=1 failed=0 skipped=2 note=the rest`; none if one of them is missing: the line was torn.
fn verdict(fields: &str) -> Option<Verdict> {
    let (fields, note) = match fields.split_once(" note=") {
        Some((fields, note)) => (fields, Some(note.trim_end().to_owned())),
        None => (fields, None),
    };
    let values: BTreeMap<_, _> = fields
        .split_whitespace()
        .filter_map(|field| field.split_once('='))
        .collect();
    let number = |name| values.get(name)?.parse().ok();
    Some(Verdict {
        code: values.get("rc")?.parse().ok()?,
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("skipped")?,
        note,
    })
}

/// The kernel's part of a line: what comes after `[   12.345678] `, wherever that is.
fn kernel_message(line: &str) -> Option<&str> {
    line.match_indices('[').find_map(|(at, _)| {
        let (stamp, message) = line[at + 1..].split_once("] ")?;
        let (seconds, micros) = stamp.trim_start().split_once('.')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(seconds) && micros.len() == 6 && digits(micros)).then_some(message)
    })
}

/// Text of a console as it may be shown on a terminal: without carriage returns, and with no character that it obeys.
pub(crate) fn printable(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .filter(|byte| **byte != b'\r')
        .map(|byte| match byte {
            b'\n' | b'\t' | b' '..=b'~' | 0x80.. => *byte,
            _ => b'?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_understood_whole_or_not_at_all() {
        let whole = "KMEMTRACE-VM-VERDICT rc=101 passed=14 failed=1 skipped=3\r";
        let verdict = Verdict {
            code: 101,
            passed: 14,
            failed: 1,
            skipped: 3,
            note: None,
        };
        assert_eq!(understand(whole), Some(Said::Verdict(verdict)));
        let note =
            "x KMEMTRACE-VM-VERDICT rc=0 passed=0 failed=0 skipped=0 note=no memory = no tests";
        let verdict = Verdict {
            note: Some("no memory = no tests".to_owned()),
            ..Verdict::default()
        };
        assert_eq!(understand(note), Some(Said::Verdict(verdict)));
        for torn in [
            "KMEMTRACE-VM-VERDICT rc=0 passed=14 failed=0",
            "KMEMTRACE-VM-VERDICT rc=0 passed= failed=0 skipped=1",
            "KMEMTRACE-VM-VERDICT",
            "KMEMTRACE-VM-VERDICT [    3.000000] eth0 up",
        ] {
            assert_eq!(understand(torn), None, "{torn}");
        }
    }

    #[test]
    fn the_kernel_s_trouble_is_found_and_the_tests_words_are_not() {
        for (line, trouble) in [
            (
                "[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000",
                "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000",
            ),
            (
                "test live::x ... [   12.345678] BUG: kernel NULL pointer dereference, address: 08\r",
                "BUG: kernel NULL pointer dereference, address: 08",
            ),
            (
                "[  100.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!",
                "watchdog: BUG: soft lockup - CPU#1 stuck for 22s!",
            ),
            (
                "[  100.000001] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            ),
        ] {
            assert_eq!(
                understand(line),
                Some(Said::Trouble(trouble.to_owned())),
                "{line}"
            );
        }
        for line in [
            "BUG: in a test's own words",
            "[31] BUG: neither",
            "[    2.000000] SLUB: Unable to allocate memory on node -1",
            "test live::scan_counts_as_the_kernel_does ... ok",
        ] {
            assert_eq!(understand(line), None, "{line}");
        }
        assert_eq!(understand("KMEMTRACE-VM-BEGIN\r"), Some(Said::Begin));
    }

    #[test]
    fn nothing_reaches_the_terminal_that_it_obeys() {
        assert_eq!(printable(b"\x1b[2Ja\r\n\tb\xc3\xa9"), b"?[2Ja\n\tb\xc3\xa9");
    }
}
