//! Several sinks on one run.

use std::{cell::RefCell, io, rc::Rc};

use super::*;
use crate::{
    sink::Sinks,
    tracker::{Config, Kept, Status},
};

/// What a sink was given.
type Given = Rc<RefCell<Vec<String>>>;

/// Shows the state beside each change: who has leaked memcgs.
struct Owners(Given);

impl Sink for Owners {
    fn header(&mut self, _: Stamp, header: &Header) -> io::Result<()> {
        self.0.borrow_mut().push(header.source.clone());
        Ok(())
    }

    fn change(&mut self, change: &Change, state: Status<'_>) -> io::Result<()> {
        let what = match change.what {
            What::Leaked(_) => "leaked",
            What::Recovered(_) => "recovered",
            What::Summary(_) => "summary",
            _ => return Ok(()),
        };
        let owners = state.owners();
        let owners: Vec<_> = owners
            .map(|owner| format!("{} {}", owner.name, owner.leaked))
            .collect();
        self.0
            .borrow_mut()
            .push(format!("{what}: {}", owners.join(", ")));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until somebody has read enough of them.
struct Closing(JsonLines<Vec<u8>>, usize);

impl Sink for Closing {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.0.header(time, header)
    }

    fn change(&mut self, change: &Change, state: Status<'_>) -> io::Result<()> {
        self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        self.0.change(change, state)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Two cgroups of a unit and one of another leak, and one is freed after all.
fn run(sinks: &mut Sinks) -> io::Result<()> {
    let mut tracker = Tracker::new(Config {
        grace: std::time::Duration::from_nanos(10),
        polled: false,
        kept: Kept::No,
    });
    let one = |id: u64, path: &'static str| cgroup(id, path);
    let life = [(1, "/a.service/x"), (2, "/a.service/y"), (3, "/b.service")];
    let dead = life.map(|(id, path)| (1, Fact::Offlined(one(id, path))));
    let ticks = [(15, Fact::Tick(Counts::default()))];
    let end = [(20, Fact::Freed(one(1, "/a.service/x")))];
    sinks.header(at(0), &header());
    let mut changes = Vec::new();
    for (ns, fact) in dead.into_iter().chain(ticks).chain(end) {
        let time = at(ns);
        tracker.apply(&Event { time, fact }, &mut changes);
        for change in changes.drain(..) {
            sinks.change(&change, tracker.state());
        }
    }
    sinks.end(at(21), tracker.state());
    sinks.check()
}

fn told() -> Vec<&'static str> {
    vec![
        "bpf",
        "leaked: a.service 2, b.service 1",
        "leaked: a.service 2, b.service 1",
        "leaked: a.service 2, b.service 1",
        "recovered: a.service 1, b.service 1",
        "summary: a.service 1, b.service 1",
    ]
}

#[test]
fn each_sink_of_a_run_gets_all_of_it_and_the_state() {
    let given = Given::default();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let out = Shared(Rc::clone(&lines));
    let mut sinks = Sinks::new(vec![
        Box::new(JsonLines::new(out)),
        Box::new(Owners(Rc::clone(&given))),
    ]);
    run(&mut sinks).unwrap();
    assert_eq!(*given.borrow(), told());
    let lines = String::from_utf8(lines.take()).unwrap();
    let leaked = lines.lines().filter(|line| line.contains("leaked"));
    assert!(leaked.count() >= 3, "{lines}");
    assert!(lines.lines().last().unwrap().contains("summary"), "{lines}");
}

#[test]
fn one_that_fails_is_told_of_and_takes_nothing_from_the_others() {
    let given = Given::default();
    let mut sinks = Sinks::new(vec![
        Box::new(Closing(JsonLines::new(Vec::new()), 2)),
        Box::new(Owners(Rc::clone(&given))),
    ]);
    let failed = run(&mut sinks).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(*given.borrow(), told());
    sinks.check().unwrap();
}

struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
