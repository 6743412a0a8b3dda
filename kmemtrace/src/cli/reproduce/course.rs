//! The course of a reproduction, and what is seen on the way.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    super::{
        catalogue::Catalogue, interrupt::Interrupt, progress::bar, reclaim::shrink, scan::counted,
    },
    Verdict, Workload,
    made::Made,
    workload::{leaf, together},
};
use crate::{
    diagnose::facts::Kinds,
    error::Error,
    host::{self, Hierarchy, Root, SlabLayout, Version},
};

/// How often to look whether zombies are gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

/// What came of it; as JSON, one object with these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Report {
    /// The kernel's release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel: Option<String>,
    /// `v1` or `v2`.
    pub(super) hierarchy: &'static str,
    pub(super) workload: Workload,
    /// How many memory cgroups were made and removed.
    pub(in crate::cli) made: u64,
    /// Whether kernel-memory accounting was on in them: switched on as runc does, or by default.
    pub(super) accounting: Accounting,
    /// Whether kernel memory was accounted to them, as `memory.kmem.slabinfo` tells: up to 4.4, and on RHEL 7; absent where
    /// that file does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) accounted: Option<bool>,
    /// What was seen, in order: after the removal, and after each thing that was done to free them.
    pub(super) steps: Vec<Step>,
    /// The kernel counts zombies of the whole machine: others' may have come or gone meanwhile.
    pub(super) whole_machine: bool,
    /// Ctrl-C was pressed: not all was made.
    pub(super) interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Accounting {
    /// By `memory.kmem.limit_in_bytes`, where that matters.
    SwitchedOn,
    /// The kernel does it by itself, or not at all.
    Default,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Done {
    /// The cgroups were removed.
    Removed,
    /// `/proc/sys/vm/drop_caches`.
    DropCaches,
    /// The process with the open sockets ended.
    Closed,
    /// The files were removed.
    FilesRemoved,
    /// The zombies' slab caches were told to give back what they do not use.
    Shrink,
}

/// What was seen after something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Step {
    pub(in crate::cli) done: Done,
    /// Zombies that were left.
    pub(in crate::cli) zombies: u64,
    /// There may be more: this kernel does not count them.
    pub(super) at_least: bool,
    /// How long it took until the number did not fall any more, in milliseconds.
    pub(super) after_ms: u64,
    /// What they hold by kind, in bytes; absent where that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anon: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slab: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sock: Option<u64>,
    /// Kernel memory, where v1 tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel_memory: Option<u64>,
}

impl Report {
    /// Zombies after the removal, when they had time to go.
    pub(in crate::cli) fn stayed(&self) -> u64 {
        self.steps.first().map_or(0, |step| step.zombies)
    }

    pub(super) fn left(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.zombies)
    }

    pub(in crate::cli) fn verdict(&self) -> Verdict {
        match self.stayed() {
            _ if self.made == 0 => Verdict::Unknown,
            0 => Verdict::Clean,
            _ => Verdict::Leak,
        }
    }
}

impl Course<'_> {
    /// Goes through with it. However it ends, what was made is removed.
    pub(in crate::cli) fn run(&self) -> Result<Report, Error> {
        let name = format!("kmemtrace-reproduce-{}", std::process::id());
        let mut made = Made::new(
            self.root.path(&self.parent).join(&name),
            self.directory.join(&name),
        );
        let accounting = self.make(&mut made)?;
        let all = made.count;
        let mut steps = Vec::new();
        if self.workload != Workload::Sockets {
            made.close();
        }
        // Only now: what others left is freed meanwhile.
        let accounted = accounted(&leaf(&made.base, 0));
        let before = self.zombies(&made.base)?.0;
        made.remove_cgroups();
        self.look(&mut steps, Done::Removed, &made.base, before)?;
        let zombies = |steps: &[Step]| steps.last().is_some_and(|step: &Step| step.zombies > 0);
        if self.reclaim && zombies(&steps) && !self.interrupt.pressed() {
            let file = "/proc/sys/vm/drop_caches";
            rustix::fs::sync();
            fs::write(file, "3")
                .map_err(|error| Error::caused(format!("cannot write to {file}"), &error))?;
            self.look(&mut steps, Done::DropCaches, &made.base, before)?;
        }
        if made.close() && zombies(&steps) {
            self.look(&mut steps, Done::Closed, &made.base, before)?;
        }
        made.remove_files();
        if zombies(&steps) && self.workload != Workload::Sockets {
            self.look(&mut steps, Done::FilesRemoved, &made.base, before)?;
        }
        if zombies(&steps) && shrink::of_leaves(self.root, name.as_bytes()) > 0 {
            self.look(&mut steps, Done::Shrink, &made.base, before)?;
        }
        Ok(Report {
            kernel: host::facts(self.root).kernel,
            hierarchy: self.hierarchy.version.as_str(),
            workload: self.workload,
            made: all,
            accounting,
            accounted,
            whole_machine: self.hierarchy.version == Version::V1
                && !steps.iter().any(|step| step.at_least),
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

    /// Waits until no zombie is left, or until time is up, and notes what is left.
    fn look(
        &self,
        steps: &mut Vec<Step>,
        done: Done,
        base: &Path,
        before: u64,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let (mut zombies, mut at_least) = self.zombies(base)?;
        let mut fell = began;
        let progress = bar(
            self.wait.as_millis() as u64,
            self.catalogue.word("reproduce-waiting"),
        );
        while zombies > before && began.elapsed() < self.wait && !self.interrupt.pressed() {
            if done != Done::Removed {
                self.nudge(base);
            }
            thread::sleep(LOOK_EVERY);
            progress.set_position(began.elapsed().as_millis() as u64);
            let now = self.zombies(base)?;
            if now.0 < zombies {
                fell = Instant::now();
            }
            (zombies, at_least) = now;
        }
        progress.finish_and_clear();
        let stat = fs::read(base.join("memory.stat")).ok();
        let held = stat.and_then(|stat| Kinds::of(&stat, self.hierarchy.version));
        let kernel_memory = fs::read_to_string(base.join("memory.kmem.usage_in_bytes")).ok();
        let on_v2 = self.hierarchy.version == Version::V2;
        steps.push(Step {
            done,
            zombies: own(zombies, before, at_least),
            at_least,
            after_ms: fell.duration_since(began).as_millis() as u64,
            file: held.map(|held| held.file),
            shmem: held.map(|held| held.shmem),
            anon: held.map(|held| held.anon),
            slab: held.filter(|_| on_v2).map(|held| held.slab),
            sock: held.filter(|_| on_v2).map(|held| held.sock),
            kernel_memory: kernel_memory.and_then(|text| text.trim().parse().ok()),
        });
        Ok(())
    }

    /// Has the kernel give back what processors keep of cgroups below the base (`drain_all_stock`), where it may reclaim as
    /// well: what is left is to go.
    fn nudge(&self, base: &Path) {
        // Neither is there on all kernels, and nothing depends on it.
        match self.hierarchy.version {
            Version::V1 => {
                let _ = fs::write(base.join("memory.force_empty"), "0");
            }
            Version::V2 => {
                let high = base.join("memory.high");
                let _ = fs::write(&high, "0");
                let _ = fs::write(&high, "max");
            }
        }
    }

    /// Zombies, and whether there may be more. Of its own alone, where the kernel tells: on v2 each directory counts, on
    /// 3.10 slab caches have the names. Else of the whole machine.
    fn zombies(&self, base: &Path) -> Result<(u64, bool), Error> {
        if self.hierarchy.version == Version::V2 {
            let stat = fs::read_to_string(base.join("cgroup.stat")).unwrap_or_default();
            let dying = stat
                .lines()
                .find_map(|line| line.strip_prefix("nr_dying_descendants "));
            return Ok((
                dying
                    .and_then(|number| number.trim().parse().ok())
                    .unwrap_or(0),
                false,
            ));
        }
        let slab = host::slab_memcgs(self.root);
        if slab.layout == Some(SlabLayout::TopLevel) {
            let name = base.file_name().unwrap_or_default().as_encoded_bytes();
            let own = slab
                .with_cache()
                .filter(|(_, memcg)| memcg.leaf.starts_with(name));
            return Ok((own.count() as u64, true));
        }
        let count = counted(self.root, self.hierarchy, None)?;
        Ok((count.zombies_min, false))
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

/// How many of the zombies are what was made: the cgroup that they were all in lives as long as one of them. Slab caches
/// name them alone.
fn own(zombies: u64, before: u64, named: bool) -> u64 {
    let more = zombies.saturating_sub(before);
    if named { more } else { more.saturating_sub(1) }
}
