//! Which trace buffer is used: an instance of our own, or the one that the whole machine shares.
//!
//! Up to 3.10 the kernel wrote probes' events into the shared buffer (`kprobe_trace_func` knew no instances),
//! wherever they were switched on. There it is used if nobody else uses tracing, and nothing of it is changed.

use super::{
    HookId, HookPlan,
    table::{Way, WayKind},
};
use crate::host::SharedBuffer;

/// A trace buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// One of our own.
    Instance,
    /// The one that all share.
    Shared,
}

/// Clocks that do not count nanoseconds.
const NO_TIMES: [&str; 3] = ["counter", "x86-tsc", "ppc-tb"];

/// Options that make other lines of events than we know, or keep new events out.
const OPTIONS: [&str; 9] = [
    "raw",
    "hex",
    "bin",
    "verbose",
    "latency-format",
    "nocontext-info",
    "noirq-info",
    "fields",
    "nooverwrite",
];

/// What a way costs that reads the shared buffer.
pub const SHARED_LOST: &str =
    "uses the machine's shared trace buffer: another reader of trace_pipe would take events away";

/// Which buffer to use. `instances` says whether there can be one of our own; `heard`, whether probes' events come into
/// it, if that could be tried out.
pub fn buffer(instances: bool, heard: Option<bool>, plan: &[HookPlan]) -> Buffer {
    let lives = plan.iter().find(|row| row.hook.id == HookId::LIFECYCLE);
    let tracepoint = |way: &&'static Way| way.kind == WayKind::Tracepoint;
    // Their events have come into instances ever since there have been any.
    let by_tracepoint = lives.is_some_and(|row| row.candidates.iter().any(tracepoint));
    if instances && (by_tracepoint || heard != Some(false)) {
        Buffer::Instance
    } else {
        Buffer::Shared
    }
}

/// Why the shared buffer is left alone, if it is. Whether somebody is reading `trace_pipe` no file says; old kernels let
/// several do so, each taking events from the others.
pub fn refuse_shared(shared: &SharedBuffer) -> Option<String> {
    if shared.held {
        return Some("another kmemtrace uses it".to_owned());
    }
    let Some(tracer) = &shared.tracer else {
        return Some("its current_tracer cannot be read".to_owned());
    };
    if tracer != "nop" {
        return Some(format!("it is in use: current_tracer is {tracer}"));
    }
    if shared.on != Some(true) {
        return Some("it is switched off (tracing_on is not 1)".to_owned());
    }
    match &shared.events[..] {
        [] => {}
        [event] => return Some(format!("it is in use: the event {event} is switched on")),
        [event, rest @ ..] => {
            let more = rest.len();
            return Some(format!(
                "it is in use: the event {event} and {more} more are switched on"
            ));
        }
    }
    if shared.enabled.as_deref() != Some("0") {
        return Some("it is in use: events are switched on (events/enable is not 0)".to_owned());
    }
    if shared.filtered {
        return Some("it takes the events of some processes only (set_event_pid)".to_owned());
    }
    let clock = shared.clock.as_deref().unwrap_or_default();
    if clock.is_empty() || NO_TIMES.contains(&clock) {
        return Some(format!("its trace_clock counts no time: {clock:?}"));
    }
    let option = shared
        .options
        .iter()
        .find(|option| OPTIONS.contains(&option.as_str()));
    option.map(|option| format!("its trace_options have {option}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::Tracing,
        plan::{Options, functions, plan_tracefs},
    };

    fn plan(tracepoints: bool) -> Vec<HookPlan> {
        let tracing = Tracing {
            instances: true,
            kprobes: true,
            tracepoints,
            functions: functions().into_iter().collect(),
            ..Tracing::default()
        };
        plan_tracefs(Some(&tracing), &Options::default())
    }

    fn free() -> SharedBuffer {
        SharedBuffer {
            held: false,
            tracer: Some("nop".to_owned()),
            on: Some(true),
            events: Vec::new(),
            enabled: Some("0".to_owned()),
            filtered: false,
            clock: Some("local".to_owned()),
            options: vec!["noraw".to_owned(), "overwrite".to_owned()],
        }
    }

    #[test]
    fn an_instance_is_used_wherever_events_come_into_it() {
        assert_eq!(buffer(true, Some(true), &plan(false)), Buffer::Instance);
        assert_eq!(buffer(true, None, &plan(false)), Buffer::Instance);
        assert_eq!(buffer(true, Some(false), &plan(true)), Buffer::Instance);
        assert_eq!(buffer(true, Some(false), &plan(false)), Buffer::Shared);
        assert_eq!(buffer(false, None, &plan(false)), Buffer::Shared);
        assert_eq!(buffer(false, None, &plan(true)), Buffer::Shared);
    }

    #[test]
    fn the_shared_buffer_is_used_if_nobody_else_uses_it() {
        assert_eq!(refuse_shared(&free()), None);
        let refused = |change: fn(&mut SharedBuffer)| {
            let mut shared = free();
            change(&mut shared);
            refuse_shared(&shared).expect("refused")
        };
        let reasons = [
            refused(|shared| shared.held = true),
            refused(|shared| shared.tracer = None),
            refused(|shared| shared.tracer = Some("function".to_owned())),
            refused(|shared| shared.on = Some(false)),
            refused(|shared| shared.on = None),
            refused(|shared| shared.events = vec!["sched:sched_switch".to_owned()]),
            refused(|shared| shared.events = vec!["kprobes:mine".to_owned(), "a:b".to_owned()]),
            refused(|shared| shared.enabled = Some("X".to_owned())),
            refused(|shared| shared.enabled = None),
            refused(|shared| shared.filtered = true),
            refused(|shared| shared.clock = Some("counter".to_owned())),
            refused(|shared| shared.clock = None),
            refused(|shared| shared.options.push("nooverwrite".to_owned())),
        ];
        insta::assert_snapshot!(reasons.join("\n"));
    }
}
