//! What the kernel does when it is written to.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{Act, Kernel, Kind, State, World};
use crate::host::{Acts, slab::owner};

type Done = Result<(), Errno>;

impl World {
    /// The path of a cgroup directory within the hierarchy: `/pods/a`.
    fn cgroup(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(self.mount()).ok()?;
        Some(format!("/{}", inside.to_str().unwrap()))
    }

    fn refused(&self, act: Act, path: &Path) -> Done {
        let mut state = self.state.borrow_mut();
        let path = path.to_str().unwrap();
        let mut failures = state.failures.iter_mut();
        let failure =
            failures.find(|one| one.act == act && one.times > 0 && path.contains(&one.part));
        failure.map_or(Ok(()), |failure| {
            failure.times -= 1;
            Err(failure.error)
        })
    }

    fn control(&self, cgroup: &str, file: &str, text: &str) -> Done {
        self.change(|state| {
            let on_el7 = state.kernel == Kernel::El7;
            let parent = state.has_live_children(cgroup);
            let memcg = state.live(cgroup).ok_or(Errno::NOENT)?;
            let occupied = memcg.tasks || parent;
            match file {
                // memcg_update_kmem_limit
                "memory.kmem.limit_in_bytes" if on_el7 && !memcg.accounted && occupied => {
                    Err(Errno::BUSY)
                }
                "memory.kmem.limit_in_bytes" => {
                    memcg.limit = text.trim().parse().ok();
                    state.account(cgroup);
                    Ok(())
                }
                // mem_cgroup_force_empty: EBUSY up to 3.15, reclaim since.
                "memory.force_empty" if on_el7 && occupied => Err(Errno::BUSY),
                "memory.force_empty" if cgroup == "/" => Err(Errno::INVAL),
                "memory.force_empty" | "memory.high" => {
                    state.reclaim(cgroup, u64::MAX);
                    Ok(())
                }
                "memory.reclaim" => {
                    let wanted = text.trim().parse().map_err(|_| Errno::INVAL)?;
                    let got = state.reclaim(cgroup, wanted);
                    if got < wanted {
                        Err(Errno::AGAIN)
                    } else {
                        Ok(())
                    }
                }
                "cgroup.procs" => {
                    memcg.tasks = true;
                    Ok(())
                }
                _ => Ok(()),
            }
        })
    }

    fn shrink(&self, path: &Path) -> Done {
        let name = path.parent().and_then(Path::file_name).unwrap();
        let Some((cache, id, _)) = owner(name.as_encoded_bytes()) else {
            // The machine's own.
            return Ok(());
        };
        self.change(|state| {
            let memcgs = state.memcgs.iter_mut();
            let mut own = memcgs.filter(|(_, memcg)| memcg.id == Some(id));
            let (_, memcg) = own
                .find(|(_, memcg)| !memcg.caches.is_empty())
                .ok_or(Errno::NODEV)?;
            memcg
                .charges
                .retain(|kind, _| !matches!(kind, Kind::Free(free) if free.as_bytes() == cache));
            Ok(())
        })
    }
}

impl State {
    fn has_live_children(&self, cgroup: &str) -> bool {
        let below = format!("{}/", cgroup.trim_end_matches('/'));
        let mut all = self.memcgs.iter();
        all.any(|(path, memcg)| memcg.live && path != "/" && path.starts_with(&below))
    }

    /// Page cache below a cgroup, dead or alive; since 4.0 shrinkers know memcgs, so that dentries and inodes go as well.
    fn reclaim(&mut self, cgroup: &str, most: u64) -> u64 {
        let mut got = self.uncharge(cgroup, Kind::File, most);
        if self.kernel != Kernel::El7 {
            for cache in ["dentry", "inode_cache"] {
                got += self.uncharge(cgroup, Kind::Cached(cache), most - got);
            }
        }
        got
    }
}

impl Acts for World {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.refused(Act::MakeDirectory, path)?;
        let Some(cgroup) = self.cgroup(path) else {
            return fs::create_dir(self.root.path(path));
        };
        if self.exists(&cgroup) {
            return Err(Errno::EXIST.into());
        }
        if !self.exists(super::parent(&cgroup)) {
            return Err(Errno::NOENT.into());
        }
        self.change(|state| state.insert(&cgroup, false, true));
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.refused(Act::RemoveDirectory, path)?;
        let Some(cgroup) = self.cgroup(path) else {
            return fs::remove_dir(self.root.path(path));
        };
        let tasks = self
            .state
            .borrow_mut()
            .live(&cgroup)
            .map(|memcg| memcg.tasks);
        let parent = self.state.borrow().has_live_children(&cgroup);
        match tasks {
            None => Err(Errno::NOENT.into()),
            Some(tasks) if tasks || parent => Err(Errno::BUSY.into()),
            Some(_) => {
                fs::remove_dir_all(self.root.path(path))?;
                self.change(|state| state.remove(&cgroup));
                Ok(())
            }
        }
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let written = (path.to_owned(), text.to_owned());
        self.state.borrow_mut().written.push(written);
        self.refused(Act::Write, path)?;
        if !self.root.path(path).exists() {
            return Err(Errno::NOENT.into());
        }
        let file = path.file_name().unwrap().to_str().unwrap();
        let cgroup = path.parent().and_then(|at| self.cgroup(at));
        if let Some(cgroup) = cgroup {
            self.control(&cgroup, file, text)?;
        } else if file == "shrink" {
            self.shrink(path)?;
        } else if file == "drop_caches" {
            let what: u32 = text.trim().parse().map_err(|_| Errno::INVAL)?;
            self.change(|state| {
                if what & 1 != 0 {
                    state.uncharge("/", Kind::File, u64::MAX);
                }
                for cache in ["dentry", "inode_cache"].iter().filter(|_| what & 2 != 0) {
                    state.uncharge("/", Kind::Cached(cache), u64::MAX);
                }
            });
        }
        Ok(())
    }

    fn sync(&self) {}

    fn pause(&self, time: Duration) {
        self.change(|state| state.pass(time));
    }

    fn now(&self) -> Instant {
        self.state.borrow().now
    }
}
