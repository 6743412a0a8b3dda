//! Which lines of a log matter. `deploy/kmemtrace-snapshot.sh` picks the same ones.

use memchr::{memchr_iter, memmem::Finder};

use super::{LogFile, LogText};
use crate::host::parse::lines;

/// So many lines are taken of each file.
const LINES: usize = 10_000;

/// The errors of a cgroup that could not be made, without the first letter, which may be a capital.
const ERRORS: [&str; 3] = [
    "annot allocate memory",
    "o space left on device",
    "ut of memory",
];

/// What is in the kernel's lines: those of slab allocations that failed, of cgroups at their limit, and the first of a boot.
const KERNEL: [&str; 12] = [
    "Linux version ",
    ": Unable to allocate memory on ",
    ", object size: ",
    ": slabs: ",
    "slab_out_of_memory: ",
    " killed as a result of limit of ",
    "oom-kill:constraint=",
    " invoked oom-killer: ",
    "emory cgroup out of memory: ",
    "emory cgroup stats for ",
    " memory.oom.group set",
    "kB, limit ",
];

/// And of `memory.stat`, in the lines of a cgroup at its limit.
const STATS: [&[u8]; 6] = [
    b"kernel",
    b"kernel_stack",
    b"pagetables",
    b"percpu",
    b"slab",
    b"sock",
];

/// A file, or one part of it, with the lines that matter. `whole`: it is not only the end of one.
pub fn log_file(name: &str, log: &str, bytes: &[u8], whole: bool) -> LogFile {
    let cgroup = Finder::new("cgroup");
    let errors = ERRORS.map(Finder::new);
    let kernel = KERNEL.map(Finder::new);
    let has = |line: &[u8], any: &[Finder<'_>]| any.iter().any(|one| one.find(line).is_some());
    let matters = |line: &[u8]| {
        (cgroup.find(line).is_some() && has(line, &errors)) || has(line, &kernel) || is_stat(line)
    };
    LogFile {
        name: name.to_owned(),
        log: log.to_owned(),
        stamped: lines(bytes).any(|(_, line)| is_stamped(line)),
        lines: lines(bytes)
            .filter(|(_, line)| matters(line))
            .take(LINES)
            .map(|(number, line)| LogText {
                number: whole.then_some(number as u64),
                text: line.to_vec(),
            })
            .collect(),
    }
}

/// Whether a line has a time of day in it, or 14 digits, as LXC writes them, or begins with seconds in brackets.
fn is_stamped(line: &[u8]) -> bool {
    let digits = |at: usize, count: usize| {
        let part = line.get(at..at + count);
        part.is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let clock = |colon: usize| {
        colon >= 2
            && digits(colon - 2, 2)
            && digits(colon + 1, 2)
            && line.get(colon + 3) == Some(&b':')
            && digits(colon + 4, 2)
    };
    let seconds = || {
        let rest = line.strip_prefix(b"[")?.trim_ascii_start();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0 && rest.get(count) == Some(&b'.')).then(|| rest.get(count + 1))?
    };
    memchr_iter(b':', line).any(clock)
        || seconds().is_some_and(u8::is_ascii_digit)
        || line
            .split(|byte| !byte.is_ascii_digit())
            .any(|digits| digits.len() >= 14)
}

/// `slab 4096` at a line's end.
fn is_stat(line: &[u8]) -> bool {
    if !line.last().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let mut words = line.rsplit(|byte| matches!(byte, b' ' | b'\t'));
    let mut words = words.by_ref().filter(|word| !word.is_empty());
    let (bytes, name) = (words.next(), words.next());
    bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
        && name.is_some_and(|name| STATS.contains(&name))
}
