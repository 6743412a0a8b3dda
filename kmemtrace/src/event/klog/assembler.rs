//! Failure messages of slab allocators, put together from the log's records.

use std::collections::VecDeque;

use super::{Record, detail, message, suppressed};
use crate::event::SlabFailure;

/// How long a message's other lines are waited for. They are written at once, but others may write in between, and whoever
/// reads the log may be woken in between.
pub const PATIENCE_NS: u64 = 1_000_000_000;

/// How many messages may be unfinished at a time. The kernel lets ten through in five seconds
/// (`DEFAULT_RATELIMIT_BURST`), for all CPUs together.
const PENDING_MAX: usize = 16;

/// Makes failures of records. It reads no clock: time is an argument.
///
/// A message ends where its writer begins another, or when it has waited for long enough: how many nodes a machine has, the
/// log does not say. Where the log does not tell who wrote a record, and two CPUs write at a time, lines go to the older
/// message that lacks them: each failure has a cache then, but it may have the other's gfp mask.
///
/// `At` is what a message is known by: its time, or its place in a file.
#[derive(Debug)]
pub struct Assembler<At = u64> {
    pending: VecDeque<Pending<At>>,
    /// Held back by the rate limit before the next message.
    suppressed: Option<u64>,
}

/// A message whose end has not come.
#[derive(Debug)]
struct Pending<At> {
    /// When it was read, on the reader's clock.
    read_ns: u64,
    at: At,
    caller: Option<Vec<u8>>,
    failure: SlabFailure,
}

impl<At> Default for Assembler<At> {
    fn default() -> Self {
        Self {
            pending: VecDeque::new(),
            suppressed: None,
        }
    }
}

impl<At> Assembler<At> {
    /// Takes a record in that was read at `read_ns`, and hands over what is finished now: failures, and what their first records
    /// came with.
    pub fn take(
        &mut self,
        read_ns: u64,
        at: At,
        record: &Record<'_>,
        each: &mut impl FnMut(At, SlabFailure),
    ) {
        self.expire(read_ns, each);
        if let Some(count) = suppressed(&record.text) {
            self.suppressed = Some(self.suppressed.unwrap_or(0).saturating_add(count));
            return;
        }
        if let Some(mut failure) = message(&record.text) {
            failure.suppressed = self.suppressed.take();
            // Who writes a new message has ended the one before. Where it is not told who writes, one that lacks lines may be
            // another CPU's.
            let ended = |pending: &Pending<At>| {
                pending.caller.as_deref() == record.caller
                    && (record.caller.is_some()
                        || (pending.failure.cache.is_some() && !pending.failure.nodes.is_empty()))
            };
            self.hand_over(each, ended);
            if self.pending.len() == PENDING_MAX
                && let Some(oldest) = self.pending.pop_front()
            {
                each(oldest.at, oldest.failure);
            }
            self.pending.push_back(Pending {
                read_ns,
                at,
                caller: record.caller.map(<[u8]>::to_vec),
                failure,
            });
            return;
        }
        for pending in &mut self.pending {
            if pending.caller.as_deref() == record.caller
                && detail(&mut pending.failure, &record.text)
            {
                return;
            }
        }
    }

    /// Hands over what has waited for long enough.
    pub fn expire(&mut self, now_ns: u64, each: &mut impl FnMut(At, SlabFailure)) {
        self.hand_over(each, |pending| {
            now_ns.saturating_sub(pending.read_ns) >= PATIENCE_NS
        });
    }

    /// Hands over all there is: no record will come any more.
    pub fn finish(&mut self, each: &mut impl FnMut(At, SlabFailure)) {
        self.hand_over(each, |_| true);
    }

    fn hand_over(
        &mut self,
        each: &mut impl FnMut(At, SlabFailure),
        ended: impl Fn(&Pending<At>) -> bool,
    ) {
        for pending in std::mem::take(&mut self.pending) {
            if ended(&pending) {
                each(pending.at, pending.failure);
            } else {
                self.pending.push_back(pending);
            }
        }
    }
}
