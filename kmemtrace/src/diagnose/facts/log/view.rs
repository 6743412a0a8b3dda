//! One view of the kernel log: what the kernel still has of it, or what one syslog's files have.

use std::collections::BTreeMap;

use super::{Killed, SlabFailures, Usage, oom::Oom};
use crate::{
    diagnose::{Evidence, Provenance},
    event::{
        SlabFailure,
        klog::{Assembler, PATIENCE_NS, Record, Time, message},
    },
    host::PageSize,
};

/// So many different groups are told one by one: names come from outside.
const GROUPS: usize = 1000;

/// A clock that goes back by so much is another boot's: records of several CPUs are a little out of order.
const BACK_NS: u64 = 60_000_000_000;

/// What the records of a view told so far. They come oldest first.
#[derive(Debug, Default)]
pub(super) struct LogView {
    pub(super) records: u64,
    /// Whether it begins with the first record of a boot.
    pub(super) whole: bool,
    /// Whether all of it is of boots before this one.
    pub(super) before: bool,
    /// The node's page size, if it is known.
    page: Option<PageSize>,
    /// How many boots began in it.
    boot: usize,
    /// Failures by boot, cache and cgroup.
    slab: BTreeMap<(usize, String, Option<String>), SlabFailures>,
    killed: BTreeMap<(usize, String), Killed>,
    suppressed: Vec<u64>,
    assembler: Assembler<LogMessage>,
    oom: Oom,
    /// The line that tells most of what is used at a limit, until a process is killed.
    used: Option<Evidence>,
    last_ns: u64,
    /// The date of the record before, and a clock that goes by such dates.
    date: Option<String>,
    clock_ns: u64,
}

/// The first record of a message.
#[derive(Debug)]
struct LogMessage {
    time: Time,
    /// `None` of another record, which begins no message.
    line: Option<Evidence>,
}

/// What a view told: all of it is of this boot, or of those before.
#[derive(Debug, Default)]
pub(super) struct BootFailures {
    pub(super) slab: Vec<SlabFailures>,
    pub(super) killed: Vec<Killed>,
    /// Of this boot, and of those before.
    pub(super) suppressed: [u64; 2],
}

impl LogView {
    /// Of a node with pages of this size.
    pub(super) fn of(page: Option<PageSize>) -> Self {
        Self {
            page,
            ..Self::default()
        }
    }

    /// Takes a record in.
    pub(super) fn take(&mut self, file: &str, line: Option<u64>, record: &Record<'_>) {
        self.records += 1;
        self.whole |= self.records == 1 && (record.sequence == Some(0) || record.is_boot());
        let back = record
            .time_ns
            .is_some_and(|time_ns| time_ns.saturating_add(BACK_NS) < self.last_ns);
        if record.is_boot() || back {
            // A log that begins with the boot tells of one.
            self.finish_boot();
            if self.records > 1 {
                self.boot += 1;
            }
            self.last_ns = 0;
        }
        self.last_ns = self.last_ns.max(record.time_ns.unwrap_or(0));
        let time = self.time(record);
        let here = || Evidence {
            at: Provenance::in_file(file, line),
            says: text(&record.text).into(),
        };
        // The last of these lines has kernel memory, where there is one.
        if ["memory: usage ", "kmem: usage "]
            .iter()
            .any(|line| record.text.starts_with(line.as_bytes()))
        {
            self.used = Some(here());
        }
        if let Some(kill) = self.oom.take(&text(&record.text)) {
            let used = self.used.take();
            let key = (self.boot, kill.cgroup.clone());
            if self.killed.len() < GROUPS || self.killed.contains_key(&key) {
                let killed = self.killed.entry(key).or_insert_with(|| Killed {
                    cgroup: kill.cgroup,
                    count: 0,
                    first: time.clone(),
                    last: time.clone(),
                    usage: kill.usage,
                    used: used.clone(),
                    line: here(),
                    before_boot: false,
                });
                killed.count += 1;
                killed.last = time.clone();
                if share(kill.usage, self.page) > share(killed.usage, self.page) {
                    (killed.usage, killed.used) = (kill.usage, used);
                }
            }
        }
        let now_ns = record.time_ns.unwrap_or(self.clock_ns);
        let first = LogMessage {
            time,
            line: message(&record.text).map(|_| here()),
        };
        let mut done = Vec::new();
        self.assembler
            .take(now_ns, first, record, &mut |first, failure| {
                done.push((first, failure));
            });
        for (first, failure) in done {
            self.failed(first, &failure);
        }
    }

    /// When a record was written. `dmesg -e` gives differences to the record before: they are shown as the last whole date.
    fn time(&mut self, record: &Record<'_>) -> Time {
        let Some(date) = record.date else {
            return record.time();
        };
        if !date.starts_with('+') && self.date.as_deref() != Some(date) {
            self.date = Some(date.to_owned());
            // A message's records are written at once: they may fall into two seconds, not into three.
            self.clock_ns += PATIENCE_NS / 2;
        }
        Time::Date(self.date.clone().unwrap_or_else(|| date.to_owned()))
    }

    fn finish_boot(&mut self) {
        let mut done = Vec::new();
        let assembler = &mut self.assembler;
        assembler.finish(&mut |first, failure| done.push((first, failure)));
        for (first, failure) in done {
            self.failed(first, &failure);
        }
    }

    fn failed(&mut self, first: LogMessage, failure: &SlabFailure) {
        let suppressed = failure.suppressed.unwrap_or(0);
        if self.suppressed.len() <= self.boot {
            self.suppressed.resize(self.boot + 1, 0);
        }
        if let Some(sum) = self.suppressed.last_mut() {
            *sum = sum.saturating_add(suppressed);
        }
        let Some(line) = first.line else {
            return;
        };
        let (cache, cgroup) = match failure.owned_cache() {
            Some(owned) => (text(owned.cache), Some(text(owned.leaf))),
            None => (
                failure
                    .cache
                    .as_deref()
                    .map_or_else(|| "?".to_owned(), text),
                None,
            ),
        };
        let key = (self.boot, cache.clone(), cgroup.clone());
        if self.slab.len() == GROUPS && !self.slab.contains_key(&key) {
            return;
        }
        let group = self.slab.entry(key).or_insert_with(|| SlabFailures {
            cache,
            cgroup,
            count: 0,
            first: first.time.clone(),
            last: first.time.clone(),
            sizes: failure
                .object_size
                .map(u64::from)
                .zip(failure.order.map(u64::from)),
            line,
            before_boot: false,
        });
        group.count += 1;
        group.last = first.time;
    }

    /// All that it told.
    pub(super) fn told(mut self) -> BootFailures {
        self.finish_boot();
        let mut told = BootFailures::default();
        let this = self.boot + usize::from(self.before);
        for (boot, sum) in self.suppressed.iter().enumerate() {
            let of = &mut told.suppressed[usize::from(boot < this)];
            *of = of.saturating_add(*sum);
        }
        // The boots before are told of together.
        for ((boot, ..), mut group) in self.slab {
            group.before_boot = boot < this;
            match told.slab.iter_mut().find(|known| known.same(&group)) {
                Some(known) => {
                    known.count += group.count;
                    known.last = group.last;
                }
                None => told.slab.push(group),
            }
        }
        for ((boot, _), mut group) in self.killed {
            group.before_boot = boot < this;
            match told.killed.iter_mut().find(|known| known.same(&group)) {
                Some(known) => {
                    known.count += group.count;
                    known.last = group.last;
                    if share(group.usage, self.page) > share(known.usage, self.page) {
                        (known.usage, known.used) = (group.usage, group.used);
                    }
                }
                None => told.killed.push(group),
            }
        }
        told
    }
}

/// How much of a limit kernel memory was, in thousandths.
fn share(usage: Usage, page: Option<PageSize>) -> u128 {
    usage.filled(page).map_or(0, |filled| {
        u128::from(filled.kernel) * 1000 / u128::from(filled.limit.max(1))
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
