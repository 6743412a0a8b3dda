//! The trace buffer that the whole machine shares, used as on kernels that have no other for probes.

use std::{fs, path::Path, time::Instant};

use kmemtrace::{
    event::{Event, Fact, GapReason},
    host::{Root, facts},
    plan::{Options, WayKind},
    source::tracefs::{Config, Source},
};
use tokio::time::timeout_at;

use super::{
    tracefs,
    view::{TRACING, Tracefs},
    world::{World, remove},
};
use crate::harness::{Result, patience};

/// Why the shared buffer cannot be used here.
pub(super) fn missing() -> Option<String> {
    tracefs::missing_tracepoints()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(TRACING).join(file)).unwrap_or_default()
}

fn write(file: &str, value: &str) {
    fs::write(Path::new(TRACING).join(file), value).expect("a setting of tracefs");
}

/// All that kmemtrace might change; the trace itself is not among it.
fn settings() -> Vec<String> {
    [
        "current_tracer",
        "tracing_on",
        "set_event",
        "events/enable",
        "events/cgroup/cgroup_mkdir/filter",
        "trace_clock",
        "trace_options",
        "kprobe_events",
    ]
    .map(read)
    .to_vec()
}

/// A setting of the shared buffer, put back at the end.
struct Set(&'static str, String);

impl Set {
    fn new(file: &'static str, value: &str) -> Self {
        let text = read(file);
        // Of several, the one in force is in brackets.
        let in_force = text
            .split(['[', ']'])
            .nth(1)
            .unwrap_or(text.trim_end())
            .to_owned();
        write(file, value);
        Self(file, in_force)
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _ = fs::write(Path::new(TRACING).join(self.0), &self.1);
    }
}

/// A source within this process: no option asks for the shared buffer.
struct Run {
    source: Source,
    seen: Vec<Event>,
}

impl Run {
    fn start(avoid: &[WayKind]) -> std::result::Result<Self, String> {
        let config = Config {
            shared: true,
            options: Options {
                avoid: avoid.to_vec(),
                ..Options::default()
            },
            ..Config::default()
        };
        let source = Source::start(&facts(&Root::live()), &config);
        Ok(Self {
            source: source.map_err(|error| error.to_string())?,
            seen: Vec::new(),
        })
    }

    /// Waits for a fact; it may have come already.
    async fn wait_for(&mut self, what: &str, is: impl Fn(&Fact) -> bool) {
        let deadline = (Instant::now() + patience()).into();
        while !self.seen.iter().any(|event| is(&event.fact)) {
            let next = self.source.next(&mut self.seen);
            let Ok(read) = timeout_at(deadline, next).await else {
                panic!("waited for {what} in vain: {:?}", self.seen);
            };
            read.expect("the trace is read");
        }
    }

    fn gaps(&self) -> usize {
        let gaps = self.seen.iter();
        gaps.filter(|event| matches!(event.fact, Fact::Gap(_)))
            .count()
    }
}

fn is_at(cgroup: &kmemtrace::event::Cgroup, path: &str) -> bool {
    let known = cgroup.path.as_ref();
    known.is_some_and(|known| known.bytes == path.as_bytes())
}

/// Lives are seen, other people's lines passed over, a disturbance is a gap, and in the end all is as it was.
pub(super) fn used_and_left() -> Result {
    let world = World::new("shared");
    let _mounted = Tracefs::mounted();
    let before = settings();
    write("trace_marker", "somebody's line from before");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let mut run = Run::start(&[])?;
        let hooks = run.source.hooks();
        let lives = hooks.iter().find(|hook| hook.hook == "lifecycle");
        let lost = lives.and_then(|hook| hook.lost.as_deref());
        let lost = lost.unwrap_or_default();
        assert!(lost.contains("shared trace buffer"), "{lost}");
        assert!(read("set_event").contains("cgroup:cgroup_mkdir"));
        run.wait_for("the walk", |fact| matches!(fact, Fact::Walked(_)))
            .await;

        let other = Run::start(&[]).err().unwrap_or_default();
        assert!(other.contains("another kmemtrace uses it"), "{other}");

        let foreign = "events/sched/sched_process_exec/enable";
        let event = Set::new(foreign, "1");
        std::process::Command::new("/proc/self/exe")
            .arg("--help")
            .output()?;
        write("trace_marker", "a b: c\nnot a line of ours\n\n");
        let cgroup = world.make("one");
        remove(&cgroup);
        let path = format!("{}/one", world.path);
        run.wait_for(
            "a birth",
            |fact| matches!(fact, Fact::Created(cgroup) if is_at(cgroup, &path)),
        )
        .await;
        run.wait_for(
            "an end",
            |fact| matches!(fact, Fact::Freed(cgroup) if is_at(cgroup, &path)),
        )
        .await;
        assert_eq!(run.gaps(), 0, "{:?}", run.seen);
        drop(event);

        run.seen.clear();
        let off = Set::new("tracing_on", "0");
        let is_gap =
            |fact: &Fact| matches!(fact, Fact::Gap(gap) if gap.reason == GapReason::TraceLost);
        run.wait_for("a gap", is_gap).await;
        let unseen = world.make("unseen");
        drop(off);
        run.seen.clear();
        run.wait_for("another gap", is_gap).await;
        let path = format!("{}/unseen", world.path);
        run.wait_for(
            "what a walk found",
            |fact| matches!(fact, Fact::Present(cgroup) if is_at(cgroup, &path)),
        )
        .await;
        remove(&unseen);
        Ok::<(), libtest_mimic::Failed>(())
    })?;
    assert_eq!(settings(), before);
    Ok(())
}

/// The same by probes, as it is where this is the only way: their events are on, and in the end they are gone.
pub(super) fn by_probes() -> Result {
    let world = World::new("shared-probes");
    let _mounted = Tracefs::mounted();
    let before = settings();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let mut run = Run::start(&[WayKind::Tracepoint])?;
        let group = format!("kmemtrace_shared_{}", std::process::id());
        assert!(read("kprobe_events").contains(&group));
        assert_eq!(read(&format!("events/{group}/enable")), "1\n");
        run.wait_for("the walk", |fact| matches!(fact, Fact::Walked(_)))
            .await;
        let cgroup = world.make("one");
        let path = format!("{}/one", world.path);
        run.wait_for(
            "a birth",
            |fact| matches!(fact, Fact::Created(cgroup) if is_at(cgroup, &path)),
        )
        .await;
        remove(&cgroup);
        run.wait_for(
            "an end",
            |fact| matches!(fact, Fact::Freed(cgroup) if is_at(cgroup, &path)),
        )
        .await;
        assert_eq!(run.gaps(), 0, "{:?}", run.seen);
        Ok::<(), libtest_mimic::Failed>(())
    })?;
    assert_eq!(settings(), before);
    Ok(())
}

/// Where somebody traces already, nothing is touched.
pub(super) fn left_alone() -> Result {
    let _world = World::new("shared-in-use");
    let _mounted = Tracefs::mounted();
    let before = settings();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let refused = |file, value, reason: &str| {
            let set = Set::new(file, value);
            let during = settings();
            let error = Run::start(&[]).err().unwrap_or_default();
            assert!(error.contains(reason), "{error}");
            assert_eq!(settings(), during);
            drop(set);
        };
        refused(
            "events/sched/sched_process_exec/enable",
            "1",
            "the event sched:sched_process_exec is switched on",
        );
        refused("tracing_on", "0", "switched off");
        refused("trace_clock", "counter", "counts no time");
    });
    assert_eq!(settings(), before);
    Ok(())
}
