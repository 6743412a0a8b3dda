//! The memory cgroup out-of-memory killer's messages (`mem_cgroup_print_oom_info`, `oom_kill_process`):
//!
//! ```text
//! Task in /kubepods/burstable/pod1/c1 killed as a result of limit of /kubepods/burstable/pod1      up to 4.20
//! memory: usage 51200kB, limit 51200kB, failcnt 67                                                 from 5.0 on before the next
//! kmem: usage 51196kB, limit 51200kB, failcnt 0                                                    on v1
//! Memory cgroup stats for /kubepods/burstable/pod1: then `slab 4096` and the like                  on v2
//! oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/kubepods/pod1,task_memcg=/kubepods/pod1/c1   from 5.0 on
//! Memory cgroup out of memory: Kill process 7 (x) score 1 or sacrifice child                       up to 5.2; then "Killed process"
//! Tasks in /kubepods/pod1/c1 are going to be killed due to memory.oom.group set                    from 4.19 on
//! ```

use crate::host::PageSize;

/// Kernel memory at a cgroup's limit, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What all its memory was, and its limit.
    pub memory: Option<OomCounter>,
    /// v1: what its kernel memory was, and its limit.
    pub kmem: Option<OomCounter>,
    /// v2: what its kernel memory was, of what the kernel tells.
    pub kernel: Option<u64>,
}

/// A counter, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomCounter {
    /// What was used.
    pub usage: u64,
    /// What may be used; `None` without a limit.
    pub limit: Option<u64>,
}

/// What filled a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Kernel memory, in bytes.
    pub kernel: u64,
    /// All that there may be: kernel memory's own limit, or the memory limit.
    pub limit: u64,
    /// Whether it is kernel memory that filled it: all of its own limit, or more of the memory limit than all else.
    pub by_kernel: bool,
}

impl Usage {
    /// How much of the limit kernel memory was, on a node with pages of this size, as far as that is known.
    pub fn filled(&self, page: Option<PageSize>) -> Option<Filled> {
        // Charges are taken in batches (MEMCG_CHARGE_BATCH): one that fails leaves so much.
        let batch = page.unwrap_or(PageSize::LEAST).times(32);
        if let Some(OomCounter {
            usage,
            limit: Some(limit),
        }) = self.kmem
            && limit.saturating_sub(usage) <= (limit / 20).max(batch)
        {
            return Some(Filled {
                kernel: usage,
                limit,
                by_kernel: true,
            });
        }
        let kernel = self.kmem.map(|kmem| kmem.usage).or(self.kernel)?;
        let memory = self.memory?;
        Some(Filled {
            kernel,
            limit: memory.limit.unwrap_or(memory.usage),
            by_kernel: kernel > memory.usage / 2,
        })
    }
}

/// A process that was killed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kill {
    /// The cgroup that was at its limit; empty if the log does not tell.
    pub(super) cgroup: String,
    /// What filled it.
    pub(super) usage: Usage,
}

/// What the lines before have told.
#[derive(Debug, Default)]
pub(super) struct Oom {
    /// The cgroup whose limit was met, until its process is killed.
    limit: Option<String>,
    usage: Usage,
    /// Whether the lines that follow are `memory.stat`'s.
    stats: bool,
    /// Whose limit the last kill was for.
    last: Option<Kill>,
    /// `memory.oom.group`: whose processes are being killed.
    group: Option<String>,
}

/// Kernel memory in `memory.stat`, where its sum is not told: up to 5.17.
const KINDS: [&str; 5] = ["kernel_stack", "pagetables", "percpu", "sock", "slab"];

/// No limit is `PAGE_COUNTER_MAX` or `RESOURCE_MAX`, which differ by architecture: the least is that of 32 bits.
const NO_LIMIT_KB: u64 = 8_589_934_588;

impl Oom {
    /// Takes a record's text in; a process that was killed.
    pub(super) fn take(&mut self, text: &str) -> Option<Kill> {
        // What `memory.stat` has is one record of several lines, and rsyslog writes their ends as #012.
        let mut kill = None;
        for line in text.split('\n').flat_map(|text| text.split("#012")) {
            kill = self.line(line.trim()).or(kill);
        }
        kill
    }

    fn line(&mut self, line: &str) -> Option<Kill> {
        if line.contains(" invoked oom-killer: ") {
            *self = Self::default();
        } else if let Some(limit) = limit(line) {
            self.limit = Some(limit.to_owned());
            self.group = None;
        } else if line.starts_with("oom-kill:") {
            // Of another constraint: the node's memory.
            *self = Self::default();
        } else if let Some((name, counter)) = counter(line) {
            match name {
                "memory" => self.usage.memory = Some(counter),
                "kmem" => self.usage.kmem = Some(counter),
                _ => {}
            }
        } else if line.starts_with("Memory cgroup stats for ") {
            self.stats = true;
            return None;
        } else if self.stats
            && let Some((name, bytes)) = stat(line)
        {
            self.kernel(name, bytes);
            return None;
        } else if let Some(group) = group(line) {
            self.group = Some(group.to_owned());
        } else if line.starts_with("Memory cgroup out of memory: Kill") {
            return Some(self.kill());
        }
        self.stats = false;
        None
    }

    fn kernel(&mut self, name: &str, bytes: u64) {
        let sum = self.usage.kernel.unwrap_or(0);
        if name == "kernel" {
            self.usage.kernel = Some(bytes);
            // It has all of them.
            self.stats = false;
        } else if KINDS.contains(&name) {
            self.usage.kernel = Some(sum.saturating_add(bytes));
        }
    }

    fn kill(&mut self) -> Kill {
        let (cgroup, usage) = match (self.limit.take(), &self.group, &self.last) {
            (Some(limit), ..) => (limit, std::mem::take(&mut self.usage)),
            // The same event's: the group is the limit's cgroup, or one below it.
            (None, Some(group), Some(last)) if within(group, &last.cgroup) => {
                (last.cgroup.clone(), last.usage)
            }
            (None, Some(group), _) => (group.clone(), Usage::default()),
            (None, None, _) => (String::new(), std::mem::take(&mut self.usage)),
        };
        let kill = |cgroup| Kill { cgroup, usage };
        self.last = Some(kill(cgroup.clone()));
        kill(cgroup)
    }
}

fn within(path: &str, above: &str) -> bool {
    !above.is_empty()
        && path
            .strip_prefix(above.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whose limit was met.
fn limit(line: &str) -> Option<&str> {
    let task = line
        .split_once("killed as a result of limit of ")
        .filter(|_| line.starts_with("Task in "))
        .map(|(_, limit)| limit.trim());
    task.or_else(|| {
        let (_, rest) = line.split_once(",oom_memcg=")?;
        Some(
            rest.split_once(",task_memcg=")
                .map_or(rest, |(limit, _)| limit),
        )
    })
}

fn group(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("Tasks in ")?;
    rest.strip_suffix(" are going to be killed due to memory.oom.group set")
}

/// `kmem: usage 51196kB, limit 51200kB, failcnt 0`.
fn counter(line: &str) -> Option<(&str, OomCounter)> {
    let (name, rest) = line.split_once(": usage ")?;
    let (usage, rest) = rest.split_once("kB, limit ")?;
    let (limit, _) = rest.split_once("kB")?;
    let (usage, limit): (u64, u64) = (usage.parse().ok()?, limit.parse().ok()?);
    let limit = (limit < NO_LIMIT_KB).then(|| limit.saturating_mul(1024));
    let usage = usage.saturating_mul(1024);
    Some((name, OomCounter { usage, limit }))
}

/// `slab 4096`.
fn stat(line: &str) -> Option<(&str, u64)> {
    let (name, bytes) = line.split_once(' ')?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
    name.bytes()
        .all(plain)
        .then(|| Some((name, bytes.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The cgroup, and in KiB what kernel memory was, the limit, and whether it filled that.
    type Told = (String, Option<(u64, u64, bool)>);

    fn kills(log: &str) -> Vec<Told> {
        let mut oom = Oom::default();
        log.lines()
            .filter_map(|line| oom.take(&line.replace("\\n", "\n")))
            .map(|kill| {
                let filled = kill.usage.filled(None);
                let filled = filled
                    .map(|filled| (filled.kernel >> 10, filled.limit >> 10, filled.by_kernel));
                (kill.cgroup, filled)
            })
            .collect()
    }

    #[test]
    fn kernel_memory_at_a_limit_is_told() {
        for (log, filled) in [
            // v1 before 5.0, kernel memory without a limit of its own.
            (
                "Task in /p/c killed as a result of limit of /p
                 memory: usage 8192000kB, limit 8192000kB, failcnt 2
                 memory+swap: usage 8192000kB, limit 9007199254740988kB, failcnt 0
                 kmem: usage 7751040kB, limit 9007199254740988kB, failcnt 0
                 Memory cgroup stats for /p: cache:1024KB rss:440960KB rss_huge:0KB
                 Memory cgroup out of memory: Kill process 1 (java) score 966 or sacrifice child",
                Some((7_751_040, 8_192_000, true)),
            ),
            // With one.
            (
                "Task in /p/c killed as a result of limit of /p
                 memory: usage 81920kB, limit 9007199254740991kB, failcnt 0
                 kmem: usage 51196kB, limit 51200kB, failcnt 67
                 Memory cgroup out of memory: Kill process 1 (java) score 966 or sacrifice child",
                Some((51_196, 51_200, true)),
            ),
            // The processes' own.
            (
                "Task in /p/c killed as a result of limit of /p
                 memory: usage 51200kB, limit 51200kB, failcnt 67
                 kmem: usage 1200kB, limit 9007199254740988kB, failcnt 0
                 Memory cgroup out of memory: Kill process 1 (java) score 966 or sacrifice child",
                Some((1200, 51_200, false)),
            ),
            // 5.0 and later: before the line that names the cgroup.
            (
                "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
                 memory: usage 51200kB, limit 51200kB, failcnt 67
                 memory+swap: usage 51200kB, limit 9007199254740988kB, failcnt 0
                 kmem: usage 40000kB, limit 9007199254740988kB, failcnt 0
                 Memory cgroup stats for /p:
                 anon 1048576
                 oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/p,task_memcg=/p/c,task=x,pid=8,uid=0
                 Memory cgroup out of memory: Killed process 8 (x) total-vm:1kB",
                Some((40_000, 51_200, true)),
            ),
            // v2, in one record; the sum of kinds, then the kernel's own.
            (
                "memory: usage 51200kB, limit 51200kB, failcnt 67
                 swap: usage 0kB, limit 9007199254740988kB, failcnt 0
                 Memory cgroup stats for /p:\\nanon 1048576\\nkernel_stack 1048576\\nslab 41943040\\nslab_reclaimable 1
                 oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/p,task_memcg=/p/c,task=x,pid=8,uid=0
                 Memory cgroup out of memory: Killed process 8 (x) total-vm:1kB",
                Some((41_984, 51_200, true)),
            ),
            (
                "memory: usage 51200kB, limit 51200kB, failcnt 67
                 Memory cgroup stats for /p:
                 anon 51380224
                 kernel 1048576
                 kernel_stack 1024
                 slab 1024
                 oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/p,task_memcg=/p/c,task=x,pid=8,uid=0
                 Memory cgroup out of memory: Killed process 8 (x) total-vm:1kB",
                Some((1024, 51_200, false)),
            ),
        ] {
            assert_eq!(kills(log), [("/p".to_owned(), filled)], "{log}");
        }
    }

    #[test]
    fn a_groups_victims_are_their_cgroups() {
        let event = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/p,task_memcg=/p/c,task=x,pid=8,uid=0";
        let killed = "Memory cgroup out of memory: Killed process 8 (x)";
        let none =
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/p/c,task=x";
        for (lines, right) in [
            (
                &[
                    event,
                    killed,
                    "Tasks in /p/c are going to be killed due to memory.oom.group set",
                    killed,
                    killed,
                ][..],
                &["/p", "/p", "/p"][..],
            ),
            (
                &[
                    killed,
                    "Tasks in /q are going to be killed due to memory.oom.group set",
                    killed,
                ],
                &["", "/q"],
            ),
            (&[event, killed, killed], &["/p", ""]),
            (&[event, none, killed], &[""]),
        ] {
            let told: Vec<_> = kills(&lines.join("\n"));
            let told: Vec<_> = told.iter().map(|(cgroup, _)| &cgroup[..]).collect();
            assert_eq!(told, right);
        }
    }

    proptest! {
        #[test]
        fn garbage_does_not_panic(lines in prop::collection::vec(
            "(kmem: usage [0-9]{0,22}kB, limit [0-9]{0,22}kB|Memory cgroup (stats for /|out of memory: Kill)|slab [0-9]{0,22}|Tasks in .{0,9}|.{0,40})", 0..12)
        ) {
            let mut oom = Oom::default();
            for line in lines {
                if let Some(kill) = oom.take(&line) {
                    kill.usage.filled(None);
                }
            }
        }
    }
}
