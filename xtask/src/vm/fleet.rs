//! Several machines at once.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// What qemu itself takes of the host's memory, beyond the guest's.
const OVERHEAD_MIB: u64 = 256;

/// How many machines with so much memory this one has the processors and the memory for.
pub(crate) fn at_once(memory_mib: u64) -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    fit(cpus, available_mib(&memory).unwrap_or(0), memory_mib)
}

fn fit(cpus: usize, available_mib: u64, memory_mib: u64) -> usize {
    let by_memory = available_mib / (memory_mib + OVERHEAD_MIB);
    // Each runs on one processor, and waits half of its time.
    let by_cpus = 2 * cpus;
    usize::try_from(by_memory)
        .unwrap_or(by_cpus)
        .min(by_cpus)
        .max(1)
}

/// `MemAvailable` of /proc/meminfo, in MiB.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib >> 10)
}

/// Does all jobs, `at_once` of them at a time; the results are in the jobs' order.
pub(crate) fn each<T: Sync, R: Send>(
    jobs: &[T],
    at_once: usize,
    run: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(n) else { return done };
            done.push((n, run(job)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn as_many_as_processors_and_memory_allow() {
        assert_eq!(fit(2, 24_000, 1536), 4);
        assert_eq!(fit(8, 4_000, 1536), 2);
        // One has to be tried.
        assert_eq!(fit(8, 100, 1536), 1);
        let meminfo = "MemTotal:       24684480 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(available_mib(meminfo), Some(2048));
        assert_eq!(available_mib("MemAvailable: many"), None);
    }

    #[test]
    fn jobs_run_at_once_and_their_results_are_in_order() {
        // Nobody passes it alone.
        let both = Barrier::new(2);
        let results = each(&[1, 2, 3, 4], 2, |n| {
            both.wait();
            n * 10
        });
        assert_eq!(results, [10, 20, 30, 40]);
    }
}
