//! The course of a reproduction, and what is seen on the way.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    super::{catalogue::Catalogue, interrupt::Interrupt, progress::bar, reclaim::shrink},
    Workload,
    looks::Looks,
    made::Made,
    outcome::{Accounting, Done, Report},
    workload::{leaf, together},
};
use crate::{
    error::Error,
    host::{self, Hierarchy, Root, Version},
};

/// What is to be done.
pub(in crate::cli) struct Course<'a> {
    pub(in crate::cli) root: &'a Root,
    pub(in crate::cli) hierarchy: &'a Hierarchy,
    /// Where they are made: a directory of the hierarchy.
    pub(in crate::cli) parent: PathBuf,
    /// Whether to switch kernel-memory accounting on, as runc does.
    pub(in crate::cli) switch_on: bool,
    pub(in crate::cli) count: u64,
    pub(in crate::cli) workload: Workload,
    pub(in crate::cli) wait: Duration,
    pub(in crate::cli) reclaim: bool,
    pub(in crate::cli) directory: PathBuf,
    pub(in crate::cli) interrupt: &'a Interrupt,
    /// The words beside the progress bars.
    pub(in crate::cli) catalogue: &'a Catalogue,
}

impl Course<'_> {
    /// Goes through with it. However it ends, what was made is removed.
    pub(in crate::cli) fn run(&self) -> Result<Report, Error> {
        let name = format!("kmemtrace-reproduce-{}", std::process::id());
        let base = self.root.path(&self.parent).join(&name);
        let mut made = Made::new(base.clone(), self.directory.join(&name));
        let accounting = self.make(&mut made)?;
        let all = made.count;
        if self.workload != Workload::Sockets {
            made.close();
        }
        // Only now: what others left is freed meanwhile.
        let accounted = accounted(&leaf(&base, 0));
        let mut looks = Looks::new(self, &base)?;
        made.remove_cgroups();
        looks.look(Done::Removed)?;
        if self.reclaim && looks.any() && !self.interrupt.pressed() {
            let file = "/proc/sys/vm/drop_caches";
            rustix::fs::sync();
            fs::write(file, "3")
                .map_err(|error| Error::caused(format!("cannot write to {file}"), &error))?;
            looks.look(Done::DropCaches)?;
        }
        if made.close() && looks.any() {
            looks.look(Done::Closed)?;
        }
        made.remove_files();
        if looks.any() && self.workload != Workload::Sockets {
            looks.look(Done::FilesRemoved)?;
        }
        if looks.any() && shrink::of_leaves(self.root, name.as_bytes()) > 0 {
            looks.look(Done::Shrink)?;
        }
        let Looks { steps, keepers, .. } = looks;
        let refused = keepers.err();
        Ok(Report {
            kernel: host::facts(self.root).kernel,
            hierarchy: self.hierarchy.version.as_str(),
            workload: self.workload,
            made: all,
            accounting,
            accounted,
            whole_machine: refused.is_some()
                && self.hierarchy.version == Version::V1
                && !steps.iter().any(|step| step.at_least),
            walk_refused: refused.filter(|_| steps.iter().any(|step| step.zombies > 0)),
            steps,
            interrupted: all < self.count,
        })
    }

    /// Makes the cgroups, and has something charged to each.
    fn make(&self, made: &mut Made) -> Result<Accounting, Error> {
        let cannot = |what: &Path, error: &io::Error| {
            Error::caused(format!("cannot make {}", what.display()), error)
        };
        fs::create_dir(&made.base).map_err(|error| cannot(&made.base, &error))?;
        fs::create_dir(&made.files).map_err(|error| cannot(&made.files, &error))?;
        if self.hierarchy.version == Version::V2 {
            fs::write(made.base.join("cgroup.subtree_control"), "+memory").map_err(|error| {
                Error::caused("cgroups below the root have no memory controller", &error).help(
                    format!(
                        "echo +memory > {}/cgroup.subtree_control",
                        self.hierarchy.mount.display()
                    ),
                )
            })?;
        }
        let mut accounting = Accounting::Default;
        let all = together(&made.base);
        fs::create_dir(&all).map_err(|error| cannot(&all, &error))?;
        if self.hierarchy.version == Version::V2 {
            let control = all.join("cgroup.subtree_control");
            fs::write(&control, "+memory").map_err(|error| cannot(&control, &error))?;
        }
        let progress = bar(self.count * 2, self.catalogue.word("reproduce-making"));
        for number in 0..self.count {
            if self.interrupt.pressed() {
                break;
            }
            let cgroup = leaf(&made.base, number);
            fs::create_dir(&cgroup).map_err(|error| cannot(&cgroup, &error))?;
            made.count += 1;
            // As runc does. It takes a cgroup without tasks, and later kernels know no such limit.
            let limit = cgroup.join("memory.kmem.limit_in_bytes");
            if self.switch_on && fs::write(&limit, "1").is_ok() && fs::write(&limit, "-1").is_ok() {
                accounting = Accounting::SwitchedOn;
            }
            progress.inc(1);
        }
        let stdout = made.start(self.workload)?;
        for line in BufReader::new(stdout).lines() {
            let _ = line.map_err(|error| Error::caused("cannot read from the workload", &error))?;
            progress.inc(1);
            if progress.position() >= made.count * 2 || self.interrupt.pressed() {
                break;
            }
        }
        if progress.position() < made.count * 2 && !self.interrupt.pressed() {
            return Err(Error::new(format!(
                "the workload {} ended early",
                self.workload.as_str()
            ))
            .help("--directory DIR names a place where files can be made"));
        }
        progress.finish_and_clear();
        Ok(accounting)
    }
}

/// Whether kernel memory is accounted to a cgroup: reading its slab caches gives a header, or EIO where it is not.
fn accounted(cgroup: &Path) -> Option<bool> {
    match fs::read(cgroup.join("memory.kmem.slabinfo")) {
        Ok(text) => (!text.is_empty()).then_some(true),
        Err(error) => {
            let io = rustix::io::Errno::IO.raw_os_error();
            (error.raw_os_error() == Some(io)).then_some(false)
        }
    }
}
