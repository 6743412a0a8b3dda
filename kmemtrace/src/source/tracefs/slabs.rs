//! Slab failures: a probe sees each, and who it was; the kernel log, within its rate limit, names the slab cache.
//!
//! `slab_out_of_memory` writes its message after it was entered, and at once; but where that ends, the log says only with the next
//! one. So a failure that a probe saw waits for as long as a message waits for its last line, and takes the name from the
//! message that is like it.

use crate::{
    event::{SlabFailure, klog::PATIENCE_NS},
    source::{clock, kmsg::Kmsg},
};

/// How long it waits: a message is handed over at the first reading after its time.
const WAIT_NS: u64 = PATIENCE_NS + 500_000_000;

/// How far a message's time may be from its probe's: the log's clock drifts from `CLOCK_MONOTONIC`.
const NEAR_NS: u64 = 1_000_000_000;

/// Failures that wait for their names.
#[derive(Debug, Default)]
pub(super) struct Slabs {
    log: Option<Kmsg>,
    waiting: Vec<PendingFailure>,
}

#[derive(Debug)]
struct PendingFailure {
    time_ns: u64,
    failure: SlabFailure,
    /// When it was read from the trace, by `CLOCK_MONOTONIC`.
    read_ns: u64,
}

impl Slabs {
    /// Names come from `log`, if it can be read.
    pub(super) fn new(log: Option<Kmsg>) -> Self {
        Self {
            log,
            waiting: Vec::new(),
        }
    }

    /// A failure that a probe saw.
    pub(super) fn push(&mut self, time_ns: u64, failure: SlabFailure) {
        self.waiting.push(PendingFailure {
            time_ns,
            failure,
            read_ns: clock::mono_ns(),
        });
    }

    /// Reads the log, and hands over what has waited for it; with `all`, what has not as well.
    pub(super) fn tell(&mut self, all: bool, mut each: impl FnMut(u64, SlabFailure)) {
        let Self { log, waiting } = self;
        if let Some(kmsg) = log {
            // What was overwritten named something; there is no failure less for it.
            if let Err(error) = kmsg.poll(|time_ns, message| name(waiting, time_ns, message)) {
                tracing::warn!("cannot read /dev/kmsg any more: {error}");
                *log = None;
            } else if all {
                kmsg.finish(|time_ns, message| name(waiting, time_ns, message));
            }
        }
        let now = clock::mono_ns();
        let waited = |one: &PendingFailure| now.saturating_sub(one.read_ns) >= WAIT_NS;
        let named = |one: &PendingFailure| one.failure.cache.is_some() || waited(one);
        let ready = match log {
            Some(_) if !all => waiting.iter().take_while(|one| named(one)).count(),
            _ => waiting.len(),
        };
        for one in waiting.drain(..ready) {
            each(one.time_ns, one.failure);
        }
    }
}

/// Gives a message's cache to the failure that it is about.
fn name(waiting: &mut [PendingFailure], time_ns: u64, message: SlabFailure) {
    let found = waiting.iter_mut().find(|one| {
        one.failure.cache.is_none()
            && one.time_ns.abs_diff(time_ns) < NEAR_NS
            // A probe may not know what was asked for.
            && one.failure.node.is_none_or(|node| Some(node) == message.node)
            && one.failure.gfp.is_none_or(|gfp| Some(gfp) == message.gfp)
    });
    if let Some(one) = found {
        one.failure.cache = message.cache;
        one.failure.object_size = message.object_size;
        one.failure.node = message.node;
        one.failure.gfp = message.gfp;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn failure(gfp: u32, cache: Option<&'static str>) -> SlabFailure {
        SlabFailure {
            gfp: Some(gfp),
            node: Some(-1),
            cache: cache.map(Bytes::from),
            ..SlabFailure::default()
        }
    }

    #[test]
    fn a_message_names_the_failure_that_is_like_it() {
        let mut slabs = Slabs::default();
        for (time, gfp) in [(1, 0x20), (2, 0xd0), (3, 0xd0)] {
            slabs.push(time, failure(gfp, None));
        }
        name(&mut slabs.waiting, 9, failure(0xd0, Some("dentry(3:x)")));
        name(&mut slabs.waiting, 9 + NEAR_NS, failure(0x20, Some("late")));
        // Asked for anything, it takes the first message that comes.
        slabs.push(4, SlabFailure::default());
        name(
            &mut slabs.waiting[3..],
            9,
            failure(0x20, Some("files_cache")),
        );
        assert_eq!(slabs.waiting[3].failure.gfp, Some(0x20));
        slabs.waiting.truncate(3);
        let mut told = Vec::new();
        slabs.tell(false, |time, failure| told.push((time, failure.cache)));
        assert_eq!(
            told,
            [(1, None), (2, Some(Bytes::from("dentry(3:x)"))), (3, None)]
        );
    }
}
