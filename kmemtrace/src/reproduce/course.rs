//! The course of a reproduction, and what is seen on the way.

use std::{io, path::Path};

use super::{
    Course, Workload,
    cgroups::Cgroups,
    charge::{ChargeOrder, Charges, Process},
    observer::Observer,
    outcome::{AccountedBy, Action, Reproduction},
    workload::{leaf, together},
};
use crate::{
    catalogue::say,
    error::Error,
    host::{self, Version},
    text::progress::bar,
};

impl Course<'_> {
    /// Goes through with it. However it ends, what was made is removed.
    pub(crate) fn run(&self) -> Result<Reproduction, Error> {
        self.charged_by(&mut Process::default())
    }

    /// The same, with somebody else to charge.
    pub(crate) fn charged_by(&self, charges: &mut dyn Charges) -> Result<Reproduction, Error> {
        let name = format!("kmemtrace-reproduce-{}", std::process::id());
        let base = self.parent.join(&name);
        let mut observer = Observer::new(self, &base);
        let mut made = Cgroups {
            root: self.root,
            acts: self.acts,
            charges,
            base: base.clone(),
            files: self.directory.join(&name),
            count: 0,
            clean: false,
        };
        let accounting = self.make(&mut made)?;
        let all = made.count;
        if self.workload != Workload::Sockets {
            made.charges.close();
        }
        observer.alive(all);
        let not_removed = made.remove_cgroups();
        observer.look(Action::Removed);
        if self.reclaim && !observer.none_left() && !self.interrupt.pressed() {
            let file = "/proc/sys/vm/drop_caches";
            // Dirty pages cannot be dropped.
            self.acts.sync();
            self.acts
                .write(Path::new(file), "3")
                .map_err(|error| Error::caused(format!("cannot write to {file}"), error))?;
            observer.look(Action::DropCaches);
        }
        if made.charges.close() && !observer.none_left() {
            observer.look(Action::Closed);
        }
        made.remove_files();
        if !observer.none_left() && self.workload != Workload::Sockets {
            observer.look(Action::FilesRemoved);
        }
        if !observer.none_left() && made.shrink() > 0 {
            observer.look(Action::Shrink);
        }
        made.clean = true;
        let whole_machine = observer.by_machine();
        let Observer {
            steps,
            pin_walks,
            alive,
            ..
        } = observer;
        let refused = pin_walks.err();
        let any = steps
            .iter()
            .any(|step| step.zombies.is_none_or(|zombies| zombies > 0));
        Ok(Reproduction {
            kernel: host::facts(self.root).kernel,
            hierarchy: self.hierarchy.version.as_str(),
            workload: self.workload,
            made: all,
            not_removed: not_removed.as_ref().map(|(count, _)| *count),
            why_not_removed: not_removed.map(|(_, reason)| reason),
            accounting,
            accounted: alive.accounted(),
            whole_machine,
            walk_refused: refused.filter(|_| any),
            steps,
            interrupted: all < self.count,
        })
    }

    /// Makes the cgroups, and has something charged to each.
    fn make(&self, made: &mut Cgroups<'_>) -> Result<AccountedBy, Error> {
        let cannot = |what: &Path, error: io::Error| Error::file("make", what, error);
        let directory = |path: &Path| {
            let done = self.acts.make_directory(path);
            done.map_err(|error| cannot(path, error))
        };
        directory(&made.base)?;
        directory(&made.files)?;
        match self.hierarchy.version {
            // Where the root is not hierarchical (3.10 without systemd), what is below would not be counted.
            Version::V1 => {
                let _ = self
                    .acts
                    .write(&made.base.join("memory.use_hierarchy"), "1");
            }
            Version::V2 => {
                let control = made.base.join("cgroup.subtree_control");
                self.acts.write(&control, "+memory").map_err(|error| {
                    let mount = self.hierarchy.mount.display();
                    Error::caused("cgroups below the root have no memory controller", error)
                        .help(format!("echo +memory > {mount}/cgroup.subtree_control"))
                })?;
            }
        }
        let mut accounting = AccountedBy::Default;
        let all = together(&made.base);
        directory(&all)?;
        if self.hierarchy.version == Version::V2 {
            let control = all.join("cgroup.subtree_control");
            let written = self.acts.write(&control, "+memory");
            written.map_err(|error| cannot(&control, error))?;
        }
        let progress = bar(self.count * 2, self.catalogue.word(say::REPRODUCE_MAKING));
        for number in 0..self.count {
            if self.interrupt.pressed() {
                break;
            }
            let cgroup = leaf(&made.base, number);
            directory(&cgroup)?;
            made.count += 1;
            // As runc does. It takes a cgroup without tasks, and later kernels know no such limit.
            let limit = cgroup.join("memory.kmem.limit_in_bytes");
            let write = |text| self.acts.write(&limit, text).is_ok();
            if self.switch_on && write("1") && write("-1") {
                accounting = AccountedBy::SwitchedOn;
            }
            progress.inc(1);
        }
        let base = self.root.path(&made.base);
        let files = self.root.path(&made.files);
        let wanted = ChargeOrder {
            base: &base,
            count: made.count,
            workload: self.workload,
            files: &files,
        };
        made.charges.charge(&wanted, &mut || {
            progress.inc(1);
            !self.interrupt.pressed()
        })?;
        progress.finish_and_clear();
        Ok(accounting)
    }
}
