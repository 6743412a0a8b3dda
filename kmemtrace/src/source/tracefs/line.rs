//! A line of `trace_pipe`, taken apart. Total: whatever the bytes, it returns.
//!
//! ```text
//!            mkdir-105   [001] d...     8.541807: k_mkdir: (cgroup_mkdir+0x0/0x610) name="a b"    3.10
//!            mkdir-18824 [001] d..1.  2813.742756: cgroup_mkdir: root=4 id=71 level=1 path=/a b   6.18
//!           a-1 [00)-7   (-------) [001] d...  8.546189: NAME: TEXT                     with record-tgid
//! CPU:1 [LOST 293 EVENTS]
//! ```
//!
//! The task's name is any bytes but NUL, at most 15 of them, padded on the left to 16 (`%16s-%-5d`, `trace_print_context`;
//! `%-7d` since 5.9), so its end is not looked for but known. The flags are four letters on 3.10, five on later kernels.

use crate::event::{Task, sense::PIDS};

/// Where the dash between a task's name and its number is: `TASK_COMM_LEN` counts the name's NUL.
const DASH: usize = 16;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TraceLine<'a> {
    /// An event.
    Event(TraceRecord<'a>),
    /// Events of a CPU were overwritten before they were read; how many, if the kernel knows.
    Lost(Option<u64>),
    /// Not an event, and not meant to be one.
    Empty,
    /// It cannot be understood.
    Unknown,
}

/// An event as its line tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceRecord<'a> {
    /// The thread and its name; `None` for the idle task.
    pub(super) thread: Option<Thread<'a>>,
    /// On the trace's clock, in nanoseconds, of which the line has the microseconds.
    pub(super) time_ns: u64,
    /// The event.
    pub(super) event: &'a [u8],
    /// Its fields.
    pub(super) text: &'a [u8],
}

/// The thread that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread<'a> {
    /// Its own number, not its process's.
    pub(super) id: u32,
    /// Its name; empty if the kernel has forgotten it (`<...>`).
    pub(super) comm: &'a [u8],
}

impl Thread<'_> {
    /// As an event has it, in the process `pid`.
    pub(super) fn task(&self, pid: u32) -> Task {
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().zip(self.comm.iter().take(15)) {
            *to = *from;
        }
        Task { pid, comm }
    }
}

/// Takes a line apart; it comes without its newline.
pub(super) fn line(line: &[u8]) -> TraceLine<'_> {
    if line.is_empty() || line.starts_with(b"#") {
        return TraceLine::Empty;
    }
    if let Some(lost) = lost(line) {
        return lost;
    }
    // Should a kernel pad in another way: the first dash that what must follow does follow.
    let mut dashes = line.iter().enumerate().filter(|(_, byte)| **byte == b'-');
    let record = record(line, DASH).or_else(|| dashes.find_map(|(at, _)| record(line, at)));
    record.map_or(TraceLine::Unknown, TraceLine::Event)
}

/// `CPU:1 [LOST 293 EVENTS]`, or `CPU:1 [LOST EVENTS]` where the kernel does not know how many (`print_trace_line`).
fn lost(line: &[u8]) -> Option<TraceLine<'_>> {
    let rest = line.strip_prefix(b"CPU:")?;
    let (_, rest) = number(rest)?;
    let rest = rest.strip_prefix(b" [LOST ")?;
    if rest == b"EVENTS]" {
        return Some(TraceLine::Lost(None));
    }
    let (count, rest) = number(rest)?;
    (rest == b" EVENTS]").then_some(TraceLine::Lost(Some(count)))
}

/// The event on a line whose task's name ends before the byte `dash`.
fn record(line: &[u8], dash: usize) -> Option<TraceRecord<'_>> {
    let comm = line.get(..dash)?;
    let spaces = comm.iter().take_while(|byte| **byte == b' ').count();
    let comm = &comm[spaces..];
    let rest = line.get(dash..)?.strip_prefix(b"-")?;
    let (id, rest) = number(rest)?;
    let id = u32::try_from(id).ok().filter(|id| *id <= PIDS)?;
    let rest = padding(rest)?;
    let rest = match rest.strip_prefix(b"(") {
        // the process, where the option record-tgid is set
        Some(group) => padding(&group[group.iter().position(|byte| *byte == b')')? + 1..])?,
        None => rest,
    };
    let (_, rest) = number(rest.strip_prefix(b"[")?)?;
    let rest = rest.strip_prefix(b"] ")?;
    // the flags
    let rest = padding(&rest[rest.iter().position(|byte| *byte == b' ')?..])?;
    let (seconds, rest) = number(rest)?;
    let (micros, rest) = number(rest.strip_prefix(b".")?)?;
    let micros = Some(micros).filter(|micros| *micros < 1_000_000)?;
    let rest = rest.strip_prefix(b": ")?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let (event, text) = rest.split_at(colon);
    let nanos = seconds
        .checked_mul(1_000_000)?
        .checked_add(micros)?
        .checked_mul(1000)?;
    Some(TraceRecord {
        thread: (id != 0).then(|| Thread {
            id,
            comm: if comm == b"<...>" { b"" } else { comm },
        }),
        time_ns: nanos,
        event,
        text: text.strip_prefix(b": ").unwrap_or_default(),
    })
}

/// One space or more.
fn padding(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b" ")?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    rest.get(spaces..)
}

/// A number in decimal digits at the beginning, and what follows.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The text behind `name=`, from the first place where that begins a field.
pub(super) fn field<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let name = name.as_bytes();
    (0..text.len()).find_map(|at| {
        let begins = at == 0 || text.get(at - 1) == Some(&b' ');
        let rest = text.get(at..)?.strip_prefix(name)?.strip_prefix(b"=")?;
        begins.then_some(rest)
    })
}

/// A probe's string: `"NAME"`, with nothing escaped in it, to the end of the line; `None` for `(fault)`.
pub(super) fn string<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let quoted = field(text, name)?.strip_prefix(b"\"")?;
    quoted.strip_suffix(b"\"")
}

/// A number in decimal digits, with a sign or without.
pub(super) fn signed(text: &[u8], name: &str) -> Option<i32> {
    let text = field(text, name)?;
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let value = i64::try_from(number(text)?.0).ok()?;
    i32::try_from(if negative { -value } else { value }).ok()
}

/// A number in hexadecimal digits: with `0x` before it since 3.17, without before.
pub(super) fn hex(text: &[u8], name: &str) -> Option<u64> {
    let text = field(text, name)?;
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let end = text.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = text.get(..end.count())?;
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(text: &[u8]) -> TraceRecord<'_> {
        match line(text) {
            TraceLine::Event(record) => record,
            other => panic!("{other:?}: {}", text.escape_ascii()),
        }
    }

    #[test]
    fn the_lines_of_old_and_new_kernels_are_understood() {
        let r = event(b"           mkdir-105   [001] d...     8.546189: k_mkdir: (cgroup_mkdir+0x0/0x610) name=\"a b\"");
        assert_eq!(
            (r.thread.unwrap().id, r.thread.unwrap().comm),
            (105, &b"mkdir"[..])
        );
        assert_eq!((r.time_ns, r.event), (8_546_189_000, &b"k_mkdir"[..]));
        assert_eq!(string(r.text, "name"), Some(&b"a b"[..]));
        let r = event("           mkdir-18825   [001] d..1.  2813.744667: cgroup_mkdir: root=4 id=7251564 level=2 path=/a b [0] id=3/ü".as_bytes());
        assert_eq!(field(r.text, "path"), Some("/a b [0] id=3/ü".as_bytes()));
        assert_eq!(field(r.text, "id").and_then(number).unwrap().0, 7_251_564);
        let r = event(
            b"           mkdir-18825 (  18825) [001] d..1.  2813.744667: cgroup_mkdir: root=4",
        );
        assert_eq!(r.thread.unwrap().id, 18825);
        let r = event(
            b"           <...>-18825 (-------) [001] d..1.  2813.744667: cgroup_mkdir: root=4",
        );
        assert_eq!(r.thread.unwrap().comm, b"");
        let r = event(b"          <idle>-0     [001] d.h2.  2813.744667: k_slab: (slab_out_of_memory+0x0/0x1) gfp=0x20 node=-1");
        assert_eq!(r.thread, None);
        assert_eq!(
            (hex(r.text, "gfp"), signed(r.text, "node")),
            (Some(0x20), Some(-1))
        );
        assert_eq!(
            hex(b"ret=ffff88007c4c5c00", "ret"),
            Some(0xffff_8800_7c4c_5c00)
        );
    }

    #[test]
    fn a_task_with_a_hostile_name_is_told_apart() {
        let r = event(b" -1 [001] d... 1-105   [001] d...     8.541807: cgroup_rmdir: path=/x");
        assert_eq!(
            (r.thread.unwrap().id, r.thread.unwrap().comm),
            (105, &b"-1 [001] d... 1"[..])
        );
        let r =
            event(b"   \xff (a) [b]\x1b[m-9     [000] .....     8.541807: cgroup_rmdir: path=/x");
        assert_eq!(r.thread.unwrap().comm, b"\xff (a) [b]\x1b[m");
    }

    #[test]
    fn losses_are_told() {
        assert_eq!(line(b"CPU:1 [LOST 293 EVENTS]"), TraceLine::Lost(Some(293)));
        assert_eq!(line(b"CPU:12 [LOST EVENTS]"), TraceLine::Lost(None));
        assert_eq!(line(b"CPU:1 [LOST 293 EVENTS] "), TraceLine::Unknown);
        assert_eq!(line(b"[LINE TOO BIG]"), TraceLine::Unknown);
        assert_eq!(line(b"# tracer: nop"), TraceLine::Empty);
    }

    #[test]
    fn a_string_that_could_not_be_read_is_none() {
        assert_eq!(
            string(b"(cgroup_mkdir+0x0/0x610) name=(fault)", "name"),
            None
        );
        assert_eq!(string(b"(f) name=\"a\"b\"", "name"), Some(&b"a\"b"[..]));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            line(&bytes);
            for name in ["a", ""] {
                string(&bytes, name);
                signed(&bytes, name);
                hex(&bytes, name);
            }
        }

        #[test]
        fn nearly_a_line_never_panics(text in "[ a<]{0,16}[-0-9 ]{0,9}(\\[[0-9]{0,5}\\])? ?[d.]{0,6} {0,2}[0-9.]{0,12}: ?[a:= 0-9]{0,20}") {
            line(text.as_bytes());
        }

        #[test]
        fn every_name_and_path_is_found(
            comm in "[^\0\n ][^\0\n]{0,2}[^\0\n ]?", id in 1..=PIDS, path in "(/[^\0\n/]{1,9}){1,4}",
        ) {
            let text = format!(
                "{}{comm}-{id:<7} [003] dN.1.  2813.744667: cgroup_mkdir: root=4 id=7 level=2 path={path}",
                " ".repeat(16 - comm.len()),
            );
            let r = event(text.as_bytes());
            let thread = r.thread.unwrap();
            prop_assert_eq!((thread.comm, thread.id), (comm.as_bytes(), id));
            prop_assert_eq!(field(r.text, "path"), Some(path.as_bytes()));
        }
    }
}
