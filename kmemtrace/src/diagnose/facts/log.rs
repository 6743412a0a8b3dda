//! What the kernel log says of memory: slab allocations that failed, and cgroups at their limit.

mod oom;
mod view;

use super::{Reading, Reason, Root, Unread};
use crate::{
    diagnose::Evidence,
    event::klog::{Time, records, records_in},
    host::{KMSG, LogFile, PageSize, kernel_log},
};

pub use oom::{Filled, OomCounter, Usage};
use view::{BootFailures, LogView};

/// What the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelLog {
    /// The files that records were read from.
    pub files: Vec<String>,
    /// How many records there are in them.
    pub records: u64,
    /// Failed slab allocations by boot, cache and cgroup: this boot's first, then most first.
    pub slab: Vec<SlabFailures>,
    /// Failed slab allocations that the log's rate limit held back, as the log says.
    pub suppressed: u64,
    /// Processes that were killed since a memory cgroup was at its limit, by boot and that cgroup.
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
    /// When the first was.
    pub first: Time,
    /// When the last was.
    pub last: Time,
    /// The size of its objects, in bytes, and the order of its slabs, if the log tells.
    pub sizes: Option<(u64, u64)>,
    /// The line of the first.
    pub line: Evidence,
    /// Whether they are of a boot before this one.
    pub before_boot: bool,
}

/// Processes killed at one cgroup's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// The cgroup's path; empty if the log does not tell.
    pub cgroup: String,
    /// How many.
    pub count: u64,
    /// When the first was.
    pub first: Time,
    /// When the last was.
    pub last: Time,
    /// What filled the limit, at the time when kernel memory was most of it.
    pub usage: Usage,
    /// The line that says so.
    pub used: Option<Evidence>,
    /// The line of the first.
    pub line: Evidence,
    /// Whether they are of a boot before this one.
    pub before_boot: bool,
}

impl SlabFailures {
    fn same(&self, other: &Self) -> bool {
        (&self.cache, &self.cgroup, self.before_boot)
            == (&other.cache, &other.cgroup, other.before_boot)
    }
}

impl Killed {
    fn same(&self, other: &Self) -> bool {
        (&self.cgroup, self.before_boot) == (&other.cgroup, other.before_boot)
    }
}

/// What a copy may have of the kernel's own log: as `/dev/kmsg` gives it, or as somebody pasted it.
const COPIED: [&str; 2] = [KMSG, "dmesg.txt"];

/// Reads the log that the kernel has, or a copy's, and what syslogs and the journal have of it: that goes back to boots before.
pub(super) fn read(root: &Root, files: &[LogFile]) -> Reading<KernelLog> {
    let mut log = KernelLog::default();
    let mut unread = None;
    let mut there = false;
    let mut whole = false;
    let page = root.page_size();
    for &file in own(root) {
        let read = if file == KMSG || root.is_live() {
            kernel_log(root)
        } else {
            root.read(file)
        };
        match read {
            Ok(bytes) => {
                let mut view = LogView::of(page);
                records(&bytes, &mut |number, record| {
                    view.take(file, Some(number), record);
                });
                if view.records > 0 {
                    log.records = view.records;
                    log.files.push(file.to_owned());
                    whole = view.whole;
                    log.add(view.told());
                    break;
                }
                // The first that is there says more than one that is not.
                if !there {
                    unread = Some(Unread::new(file, Reason::NoKernelLog));
                }
                there = true;
            }
            Err(error) => {
                unread.get_or_insert_with(|| Unread::new(file, error));
            }
        }
    }
    for (name, view) in views(files, page) {
        log.records = log.records.max(view.records);
        log.files.push(name.to_owned());
        let told = view.told();
        log.add(if whole { log.before(told) } else { told });
    }
    log.sort();
    match unread {
        Some(unread) if log.files.is_empty() => Err(unread),
        _ => Ok(log),
    }
}

/// The logs that have records of the kernel's, with what these tell.
fn views(files: &[LogFile], page: Option<PageSize>) -> Vec<(&str, LogView)> {
    let mut views: Vec<(&str, LogView)> = Vec::new();
    for file in files {
        let at = views.iter().position(|(name, _)| *name == file.log);
        let at = at.unwrap_or_else(|| {
            views.push((&file.log, LogView::of(page)));
            views.len() - 1
        });
        let (_, view) = &mut views[at];
        let lines = (0..).zip(file.lines.iter().map(|line| &line.text[..]));
        records_in(lines, &mut |at, record| {
            let line = usize::try_from(at).ok().and_then(|at| file.lines.get(at));
            view.take(&file.name, line.and_then(|line| line.number), record);
        });
        view.before |= file.is_before_boot();
    }
    views.retain(|(_, view)| view.records > 0);
    views
}

/// Where the kernel's own log is.
fn own(root: &Root) -> &'static [&'static str] {
    if root.is_live() {
        &["/dev/kmsg"]
    } else {
        &COPIED
    }
}

impl KernelLog {
    /// Adds what another view told. All views are of the same log: the one that has most of something is right, and no sum.
    fn add(&mut self, told: BootFailures) {
        for group in told.slab {
            match self.slab.iter_mut().find(|known| known.same(&group)) {
                Some(known) if known.count >= group.count => {}
                Some(known) => *known = group,
                None => self.slab.push(group),
            }
        }
        for group in told.killed {
            match self.killed.iter_mut().find(|known| known.same(&group)) {
                Some(known) if known.count >= group.count => {}
                Some(known) => *known = group,
                None => self.killed.push(group),
            }
        }
        let [this, before] = told.suppressed;
        self.suppressed = self.suppressed.max(this.saturating_add(before));
    }

    /// The kernel has all of this boot's log: what it lacks was before, though the other log does not have the boot's first line.
    fn before(&self, mut told: BootFailures) -> BootFailures {
        for group in &mut told.slab {
            group.before_boot |= !self.slab.iter().any(|known| known.same(group));
        }
        for group in &mut told.killed {
            group.before_boot |= !self.killed.iter().any(|known| known.same(group));
        }
        told
    }

    fn sort(&mut self) {
        let most = std::cmp::Reverse;
        self.slab
            .sort_by_key(|group| (group.before_boot, most(group.count)));
        self.killed
            .sort_by_key(|group| (group.before_boot, most(group.count)));
    }
}

#[cfg(test)]
mod tests;
