//! Recorded traces, played through the tracker into the sinks.

use std::{fs::File, io::BufReader, time::Duration};

use kmemtrace::{
    event::json::{Item, Reader},
    sink::{
        Sink,
        jsonl::JsonLines,
        tail::{Tail, TailOptions},
    },
    tracker::{Config, Tracker},
};
use libtest_mimic::Trial;

use crate::harness::{Result, data, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("replay::a_recorded_leak_reads_as_it_was_shown", leak),
        test("replay::json_of_a_replay_is_the_trace", fixpoint),
    ]
}

/// Recorded on 6.18 with cgroup v1: three containers of a pod leak, one of them recovers, a mkdir fails, a slab allocation
/// fails.
const LEAK: &str = "leak-6.18-v1.jsonl";

fn replay(name: &str, sink: &mut dyn Sink) -> Result {
    let mut reader = Reader::new(BufReader::new(File::open(data(name))?));
    let mut tracker = Tracker::new(Config {
        grace: Duration::from_secs(2),
        polled: false,
    });
    let mut changes = Vec::new();
    for item in &mut reader {
        match item? {
            Item::Header(time, header) => sink.header(time, &header)?,
            Item::Event(event) => tracker.apply(&event, &mut changes),
            Item::End(_) => {}
        }
        for change in changes.drain(..) {
            sink.change(&change)?;
        }
    }
    sink.flush()?;
    Ok(())
}

fn leak() -> Result {
    let mut tail = Tail::new(Vec::new(), TailOptions { color: false });
    replay(LEAK, &mut tail)?;
    insta::assert_snapshot!(String::from_utf8(tail.into_inner())?);
    Ok(())
}

/// What a replay writes is what was recorded, byte for byte, up to the summary, which has the end of the run.
fn fixpoint() -> Result {
    let mut lines = JsonLines::new(Vec::new());
    replay(LEAK, &mut lines)?;
    let written = String::from_utf8(lines.into_inner())?;
    let recorded = std::fs::read_to_string(data(LEAK))?;
    let recorded: Vec<_> = recorded
        .lines()
        .filter(|l| !l.contains("\"kind\":\"summary\""))
        .collect();
    assert_eq!(written.lines().collect::<Vec<_>>(), recorded);
    Ok(())
}
