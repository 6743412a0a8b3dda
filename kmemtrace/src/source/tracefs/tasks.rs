//! Whose a thread is: the trace has the thread's number and not its process's.

use std::{fs::File, io::Read};

use super::line::Thread;
use crate::event::Task;

/// The tasks of threads.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// The last thread that was asked about, and what it is: a storm comes from few.
    last: Option<(Task, Task)>,
}

impl Tasks {
    /// Forgets what was found: numbers are given out again.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The process of a thread; one that has ended since stands for its process.
    pub(super) fn of(&mut self, thread: &Thread<'_>) -> Task {
        let traced = thread.task(thread.id);
        if let Some((last, task)) = self.last
            && last == traced
        {
            return task;
        }
        let mut status = [0; 512];
        let read = File::open(format!("/proc/{}/status", thread.id))
            .and_then(|mut file| file.read(&mut status));
        let status = &status[..read.unwrap_or(0)];
        let task = process(thread, status).unwrap_or(traced);
        self.last = Some((traced, task));
        task
    }
}

/// What a thread's `/proc/TID/status` says of it.
fn process(thread: &Thread<'_>, status: &[u8]) -> Option<Task> {
    let value = |key: &[u8]| {
        let mut lines = status.split(|byte| *byte == b'\n');
        lines.find_map(|line| Some(line.strip_prefix(key)?.trim_ascii()))
    };
    let comm = value(b"Name:")?;
    // Another name: another thread has got the number, or it is one of another pid namespace.
    if comm != thread.comm && !thread.comm.is_empty() {
        return None;
    }
    let pid = str::from_utf8(value(b"Tgid:")?).ok()?.parse().ok()?;
    Some(Thread { comm, ..*thread }.task(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stands_for_its_process_where_it_is_the_same() {
        let status = b"Name:\trunc:[2:INIT]\nUmask:\t0022\nTgid:\t100\nPid:\t105\n";
        let of = |comm: &'static [u8]| process(&Thread { id: 105, comm }, status);
        assert_eq!(of(b"runc:[2:INIT]").map(|task| task.pid), Some(100));
        // The kernel has forgotten its name.
        assert_eq!(
            of(b"").map(|task| task.comm),
            of(b"runc:[2:INIT]").map(|task| task.comm)
        );
        assert_eq!(of(b"other"), None);
        assert_eq!(process(&Thread { id: 1, comm: b"" }, b""), None);
    }
}
