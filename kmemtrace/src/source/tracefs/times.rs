//! The trace's clock on `CLOCK_MONOTONIC`.
//!
//! Where the trace can use that clock (`mono`, 3.17 and later) there is nothing to do. Elsewhere the trace runs on `global`,
//! and marks in the trace, written by us between two looks at `CLOCK_MONOTONIC`, tell how far the two are apart.

use std::time::{Duration, Instant};

use super::line::number;
use crate::source::clock;

/// What our marks begin with.
const MARK: &[u8] = b"kmemtrace clock ";

/// How often the clocks are compared: `global` drifts.
const COMPARE: Duration = Duration::from_mins(1);

/// The clock to use, of those that `trace_clock` offers: `[local] global counter uptime perf mono`.
pub(super) fn choose(offered: &str) -> &'static str {
    let has = |name: &str| {
        offered
            .split_whitespace()
            .any(|word| word.trim_matches(['[', ']']) == name)
    };
    // `local` may differ between CPUs.
    ["mono", "global"]
        .into_iter()
        .find(|name| has(name))
        .unwrap_or("local")
}

/// Puts the trace's times on `CLOCK_MONOTONIC`.
#[derive(Debug)]
pub(super) struct Times {
    marks: Option<Marks>,
    /// The last time that was put out, and as which line told it.
    last: (u64, u64),
}

/// How far the clocks are apart.
#[derive(Debug)]
struct Marks {
    /// `CLOCK_MONOTONIC` minus the trace's clock, from a mark; until then, from how late a line can have come.
    offset_ns: Option<i64>,
    is_marked: bool,
    /// The number of the last mark, and when it was written: not before, and not after.
    last: (u64, u64, u64),
    compared: Option<Instant>,
}

impl Times {
    /// The trace is on `CLOCK_MONOTONIC`.
    pub(super) fn monotonic() -> Self {
        Self {
            marks: None,
            last: (0, 0),
        }
    }

    /// The trace is on another clock.
    pub(super) fn marked() -> Self {
        Self {
            marks: Some(Marks {
                offset_ns: None,
                is_marked: false,
                last: (0, 0, 0),
                compared: None,
            }),
            last: (0, 0),
        }
    }

    /// Makes a mark if it is time for one; `write` puts it into the trace.
    pub(super) fn mark(&mut self, write: impl FnOnce(&[u8])) {
        let Some(marks) = &mut self.marks else {
            return;
        };
        if marks.compared.is_some_and(|at| at.elapsed() < COMPARE) {
            return;
        }
        marks.compared = Some(Instant::now());
        let mark = marks.last.0 + 1;
        let text = format!("{}{mark} ", MARK.escape_ascii());
        let before = clock::mono_ns();
        write(text.as_bytes());
        marks.last = (mark, before, clock::mono_ns());
    }

    /// Takes in a line's text if it is a mark of ours; `trace_ns` is the line's time.
    pub(super) fn take_mark(&mut self, trace_ns: u64, text: &[u8]) -> bool {
        let Some(rest) = text.strip_prefix(MARK) else {
            return false;
        };
        if let Some(marks) = &mut self.marks
            && number(rest).is_some_and(|(mark, _)| mark == marks.last.0)
        {
            let (_, before, after) = marks.last;
            let middle = before + after.saturating_sub(before) / 2;
            marks.offset_ns = Some(middle.cast_signed().saturating_sub(trace_ns.cast_signed()));
            marks.is_marked = true;
        }
        true
    }

    /// The `CLOCK_MONOTONIC` time of a line that was read at `now_ns`. Lines have microseconds only: those of the same one
    /// keep their order.
    pub(super) fn mono_ns(&mut self, trace_ns: u64, now_ns: u64) -> u64 {
        let mut time = trace_ns;
        if let Some(marks) = &mut self.marks {
            let bound = now_ns.cast_signed().saturating_sub(trace_ns.cast_signed());
            let offset = match marks.offset_ns {
                Some(offset) if marks.is_marked || offset <= bound => offset,
                _ => bound,
            };
            marks.offset_ns = Some(offset);
            time = trace_ns.saturating_add_signed(offset);
        }
        let (line, out) = self.last;
        if line == trace_ns && out >= time && out < time + 999 {
            time = out + 1;
        }
        self.last = (trace_ns, time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_clock_on_offer_is_taken() {
        assert_eq!(
            choose("[local] global counter uptime perf mono boot\n"),
            "mono"
        );
        assert_eq!(choose("local global [mono]"), "mono");
        assert_eq!(choose("[local] global counter"), "global");
        assert_eq!(choose(""), "local");
    }

    #[test]
    fn lines_of_one_microsecond_keep_their_order() {
        let mut times = Times::monotonic();
        assert_eq!(times.mono_ns(5000, 9000), 5000);
        assert_eq!(times.mono_ns(5000, 9000), 5001);
        assert_eq!(times.mono_ns(5000, 9000), 5002);
        assert_eq!(times.mono_ns(6000, 9000), 6000);
    }

    #[test]
    fn a_mark_puts_the_trace_on_the_monotonic_clock() {
        let mut times = Times::marked();
        // None yet: not later than when it was read.
        assert_eq!(times.mono_ns(1_000, 9_000), 9_000);
        assert_eq!(times.mono_ns(2_000, 9_500), 9_500);
        assert_eq!(times.mono_ns(3_000, 20_000), 10_500);
        if let Some(marks) = &mut times.marks {
            marks.last = (4, 7_000, 7_200);
        }
        assert!(times.take_mark(1_100, b"kmemtrace clock 4 "));
        assert!(times.take_mark(1_100, b"kmemtrace clock 3 "));
        assert!(!times.take_mark(1_100, b"kmemtrace is here"));
        assert_eq!(times.mono_ns(4_000, 90_000), 10_000);
    }
}
