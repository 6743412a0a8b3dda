//! What the kernel log says of memory: slab allocations that failed, and cgroups at their limit.

use std::collections::BTreeMap;

use super::{Fact, Line, Root, Unread};
use crate::{
    event::{
        SlabFailure,
        klog::{Assembler, LogLine, Record, line, message},
    },
    host::{KMSG, kernel_log},
};

/// So many different groups are told one by one: names come from outside.
const GROUPS: usize = 1000;

/// What the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelLog {
    /// Where it was read.
    pub file: String,
    /// How many records there are.
    pub records: u64,
    /// Failed slab allocations by cache and cgroup, most first.
    pub slab: Vec<SlabFailures>,
    /// Failed slab allocations that the log's rate limit held back, as the log says.
    pub suppressed: u64,
    /// Processes that were killed since a memory cgroup was at its limit, by that cgroup.
    pub killed: Vec<Killed>,
}

/// Failures of one cache, for one cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlabFailures {
    /// The cache: `dentry`; `?` if the log lost it.
    pub cache: String,
    /// The last name of the cgroup whose limit refused it, which the kernel tells up to 5.8.
    pub cgroup: Option<String>,
    /// How many the log has: its rate limit lets few through.
    pub count: u64,
    /// The first's time since boot, in nanoseconds.
    pub first_ns: u64,
    /// The last's.
    pub last_ns: u64,
    /// The line of the first.
    pub line: Line,
}

/// Processes killed at one cgroup's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// The cgroup's path; empty if the log does not tell.
    pub cgroup: String,
    /// How many.
    pub count: u64,
    /// The first's time since boot, in nanoseconds.
    pub first_ns: u64,
    /// The last's.
    pub last_ns: u64,
    /// The line of the first.
    pub line: Line,
}

/// Reads the log that the kernel has, or a copy's; else what was written at boot.
pub(super) fn read(root: &Root) -> Fact<KernelLog> {
    let file = if root.is_live() { "/dev/kmsg" } else { KMSG };
    let error = match kernel_log(root) {
        Ok(bytes) => return Ok(parse(file, &bytes)),
        Err(error) => error,
    };
    for other in ["dmesg.txt", "/var/log/dmesg"] {
        if !root.is_live()
            && let Ok(bytes) = root.read(other)
        {
            return Ok(parse(other, &bytes));
        }
    }
    Err(Unread::new(file, &error))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parse(file: &str, bytes: &[u8]) -> KernelLog {
    let mut log = KernelLog {
        file: file.to_owned(),
        ..KernelLog::default()
    };
    let mut groups = Groups::default();
    let mut assembler = Assembler::default();
    let mut done: Vec<(u64, SlabFailure)> = Vec::new();
    for (number, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let Some(LogLine::Record(record)) = line(bytes) else {
            continue;
        };
        log.records += 1;
        let here = || Line {
            file: file.to_owned(),
            number,
            text: text(&record.text),
        };
        if message(&record.text).is_some() {
            groups.lines.insert(record.time_ns, here());
        }
        groups.killed(&record, here);
        assembler.take(record.time_ns, &record, &mut |time, failure| {
            done.push((time, failure));
        });
    }
    assembler.finish(&mut |time, failure| done.push((time, failure)));
    for (time, failure) in done {
        let suppressed = failure.suppressed.unwrap_or(0);
        log.suppressed = log.suppressed.saturating_add(suppressed);
        groups.failed(time, &failure);
    }
    log.slab = groups.slab.into_values().collect();
    log.slab
        .sort_by(|a, b| b.count.cmp(&a.count).then(a.first_ns.cmp(&b.first_ns)));
    log.killed = groups.killed.into_values().collect();
    log.killed
        .sort_by(|a, b| b.count.cmp(&a.count).then(a.first_ns.cmp(&b.first_ns)));
    log
}

#[derive(Default)]
struct Groups {
    /// Where the messages begin, by their times.
    lines: BTreeMap<u64, Line>,
    slab: BTreeMap<(String, Option<String>), SlabFailures>,
    killed: BTreeMap<String, Killed>,
    /// Of a message in several lines: the cgroup that its first one named.
    limit: Option<String>,
}

impl Groups {
    fn failed(&mut self, time: u64, failure: &SlabFailure) {
        let Some(line) = self.lines.get(&time) else {
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
        let key = (cache.clone(), cgroup.clone());
        if self.slab.len() == GROUPS && !self.slab.contains_key(&key) {
            return;
        }
        let group = self.slab.entry(key).or_insert_with(|| SlabFailures {
            cache,
            cgroup,
            count: 0,
            first_ns: time,
            last_ns: time,
            line: line.clone(),
        });
        group.count += 1;
        group.first_ns = group.first_ns.min(time);
        group.last_ns = group.last_ns.max(time);
    }

    /// The memcg out-of-memory killer's messages (`mem_cgroup_print_oom_info`, `oom_kill_process`):
    ///
    /// ```text
    /// Task in /kubepods/burstable/pod1/c1 killed as a result of limit of /kubepods/burstable/pod1      up to 4.20
    /// oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/kubepods/pod1,task_memcg=/kubepods/pod1/c1   5.0 and later
    /// Memory cgroup out of memory: Kill process 7 (x) score 1 or sacrifice child                       after either
    /// ```
    fn killed(&mut self, record: &Record<'_>, here: impl Fn() -> Line) {
        let said = text(&record.text);
        let limit = said
            .split_once("killed as a result of limit of ")
            .filter(|_| said.starts_with("Task in "))
            .map(|(_, limit)| limit)
            .or_else(|| {
                let (_, rest) = said.split_once(",oom_memcg=")?;
                Some(
                    rest.split_once(",task_memcg=")
                        .map_or(rest, |(limit, _)| limit),
                )
            });
        if let Some(limit) = limit {
            self.limit = Some(limit.trim().to_owned());
        } else if said.starts_with("Memory cgroup out of memory: Kill") {
            let cgroup = self.limit.take().unwrap_or_default();
            if self.killed.len() == GROUPS && !self.killed.contains_key(&cgroup) {
                return;
            }
            let killed = self.killed.entry(cgroup.clone()).or_insert_with(|| Killed {
                cgroup,
                count: 0,
                first_ns: record.time_ns,
                last_ns: record.time_ns,
                line: here(),
            });
            killed.count += 1;
            killed.last_ns = record.time_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failures_are_grouped_by_cache_and_cgroup() {
        let log = "\
[    1.000000] SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
[    1.000000]   cache: dentry(3:c1), object size: 192, buffer size: 192, default order: 0, min order: 0
[    1.000001]   node 0: slabs: 49, objs: 1029, free: 0
[    2.500000] slab_out_of_memory: 17786 callbacks suppressed
[    2.500000] SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
[    2.500001]   cache: dentry(3:c1), object size: 192, buffer size: 192, default order: 0, min order: 0
[    2.500002]   node 0: slabs: 49, objs: 1029, free: 0
[    3.000000] Task in /kubepods/pod1/c1 killed as a result of limit of /kubepods/pod1
[    3.000001] Memory cgroup out of memory: Kill process 7 (x) score 1 or sacrifice child
[    4.000000] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/kubepods/pod1,task_memcg=/kubepods/pod1/c2,task=x,pid=8,uid=0
[    4.000001] Memory cgroup out of memory: Killed process 8 (x)
";
        let log = parse("dmesg", log.as_bytes());
        assert_eq!((log.records, log.suppressed), (11, 17_786));
        let [slab] = &log.slab[..] else {
            panic!("{log:?}");
        };
        assert_eq!(
            (
                &slab.cache[..],
                slab.cgroup.as_deref(),
                slab.count,
                slab.line.number
            ),
            ("dentry", Some("c1"), 2, 1)
        );
        assert_eq!(
            (slab.first_ns, slab.last_ns),
            (1_000_000_000, 2_500_000_000)
        );
        let [killed] = &log.killed[..] else {
            panic!("{log:?}");
        };
        assert_eq!(
            (&killed.cgroup[..], killed.count, killed.line.number),
            ("/kubepods/pod1", 2, 9)
        );
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(bytes: Vec<u8>, text in "(\\[ 1\\.000000\\] .{0,40}\n){0,9}") {
            parse("log", &bytes);
            parse("log", text.as_bytes());
        }
    }
}
