//! Small copies of machines, one for each cause.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    harness::{output, program, text},
    schema::check_diagnosis,
};

const V1: &str = "/sys/fs/cgroup/memory";

/// Accounting of kernel memory in a directory, as `memory.kmem.slabinfo` tells it.
#[derive(Clone, Copy)]
pub(super) enum Kmem {
    /// An I/O error.
    Off,
    /// A header.
    On,
    /// A header and a cache.
    Cache,
    /// An empty file: 4.x and later.
    Empty,
}

/// A copy of a machine's files.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(super) fn put(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
        self
    }

    /// A machine that has been up for ten days and has plenty of memory.
    fn machine(release: &str, cmdline: &str) -> Self {
        let tree = Self::new();
        tree.put("/proc/sys/kernel/osrelease", &format!("{release}\n"))
            .put("/proc/sys/kernel/hostname", "node-7\n")
            .put(
                "/proc/cmdline",
                &format!("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro {cmdline}\n"),
            )
            .put("/proc/uptime", "864000.00 1700000.00\n")
            .put(
                "/proc/meminfo",
                "MemTotal: 131072000 kB\nMemFree: 40000000 kB\nMemAvailable: 90000000 kB\n",
            )
            .put("kmsg-raw.txt", "6,0,0,-;Linux version\n")
            .put("snapshot.txt", "page size: 4096 bytes\n");
        tree
    }

    /// With memory on v1, and so many memory cgroups by the kernel's count.
    fn v1(&self, num_cgroups: u64) -> &Self {
        self.put(
            "/proc/self/mountinfo",
            "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        );
        self.put(
            "/proc/cgroups",
            &format!(
                "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t{num_cgroups}\t1\n"
            ),
        )
    }

    /// A directory of the memory hierarchy; `usage` is what it and all below it have of kernel memory.
    pub(super) fn cgroup(&self, path: &str, kmem: Kmem, usage: u64) -> &Self {
        let at = format!("{V1}{path}");
        self.put(&format!("{at}/cgroup.procs"), "");
        self.put(
            &format!("{at}/memory.kmem.usage_in_bytes"),
            &format!("{usage}\n"),
        );
        self.put(
            &format!("{at}/memory.kmem.limit_in_bytes"),
            "9223372036854771712\n",
        );
        let header = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n";
        match kmem {
            Kmem::Off => self.put(
                &format!("{at}/memory.kmem.slabinfo.error"),
                "Input/output error\n",
            ),
            Kmem::On => self.put(&format!("{at}/memory.kmem.slabinfo"), header),
            Kmem::Cache => self.put(
                &format!("{at}/memory.kmem.slabinfo"),
                &format!("{header}dentry 21 21 192 21 1 : tunables 0 0 0 : slabdata 1 1 0\n"),
            ),
            Kmem::Empty => self.put(&format!("{at}/memory.kmem.slabinfo"), ""),
        }
    }

    /// A slab cache of a memcg on 3.10.
    fn cache(&self, id: u64, leaf: &str) -> &Self {
        self.put(
            &format!("/sys/kernel/slab/dentry({id}:{leaf})/objects"),
            "21 N0=21\n",
        )
    }

    pub(super) fn diagnose(&self, args: &[&str]) -> (i32, String) {
        let mut command = program(["diagnose", "--root"]);
        command.arg(self.0.path()).args(args);
        let run = output(command);
        assert_eq!(text(&run.stderr), "");
        (run.status.code().unwrap_or(-1), text(&run.stdout))
    }

    /// JSON, whatever stderr is told.
    pub(super) fn spoiled(&self) -> (i32, Value) {
        let mut command = program(["diagnose", "--format", "json", "--root"]);
        command.arg(self.0.path());
        let run = output(command);
        let told = serde_json::from_slice(&run.stdout);
        let told = told.unwrap_or_else(|error| panic!("{error}: {}", text(&run.stderr)));
        (run.status.code().unwrap_or(-1), told)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn json(&self) -> (i32, Value) {
        self.json_in("en")
    }

    pub(super) fn json_in(&self, lang: &str) -> (i32, Value) {
        let (status, told) = self.diagnose(&["--format", "json", "--lang", lang]);
        let told = serde_json::from_str(&told).expect("JSON");
        check_diagnosis(&told);
        (status, told)
    }
}

pub(super) const POD: &str = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";
const ID: &str = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376";
const ID2: &str = "9ab2a0a4ad8b9f3a1d2e41ebdb1ff0ed1fa1ad4f6ee9fcb1ec4bb9b4e0d3c1aa";
const EL7: &str = "3.10.0-1160.119.1.el7.x86_64";

fn kubepods(tree: &Tree, kmem: Kmem, usage: u64) {
    tree.cgroup("", Kmem::Off, usage)
        .cgroup("/kubepods", kmem, usage)
        .cgroup("/kubepods/burstable", kmem, usage)
        .cgroup(POD, kmem, usage);
}

fn centos(tree: &Tree, release: &str) {
    tree.put("/etc/os-release", "NAME=\"CentOS Linux\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nPRETTY_NAME=\"CentOS Linux 7 (Core)\"\n")
        .put(&format!("/boot/config-{release}"), "CONFIG_MEMCG=y\nCONFIG_MEMCG_KMEM=y\n");
}

/// Kubelet switched accounting on; a container of docker's own has it off. Three zombies are left below the pod.
pub(super) fn kubelet_only() -> Tree {
    let tree = Tree::machine(EL7, "crashkernel=auto");
    centos(&tree, EL7);
    kubepods(&tree, Kmem::On, 300_000);
    tree.v1(7)
        .cgroup(&format!("{POD}/{ID}"), Kmem::Cache, 4096)
        .cgroup("/docker", Kmem::Off, 0)
        .cgroup(&format!("/docker/{ID2}"), Kmem::Off, 0)
        .cache(0, ID)
        .cache(1, "gone1")
        .cache(2, "gone2")
        .cache(6, "gone3")
        .put("/usr/bin/kubelet", "memory.kmem.limit_in_bytes")
        .put(
            "/usr/bin/runc",
            "kernel memory accounting disabled in this runc build",
        );
    tree
}

/// Kubelet's directories have it off, and the containers on.
pub(super) fn runc_only() -> Tree {
    let tree = Tree::machine("3.10.0-957.el7.x86_64", "");
    centos(&tree, "3.10.0-957.el7.x86_64");
    kubepods(&tree, Kmem::Off, 0);
    tree.v1(5)
        .cgroup(&format!("{POD}/{ID}"), Kmem::Cache, 4096)
        .cache(0, ID);
    tree
}

/// Kubelet's directories have it on, and so has a container of docker's own, whose parent has it off.
pub(super) fn both() -> Tree {
    let tree = Tree::machine(EL7, "swapaccount=1");
    centos(&tree, EL7);
    kubepods(&tree, Kmem::On, 4096);
    tree.v1(7)
        .cgroup(&format!("{POD}/{ID}"), Kmem::Cache, 4096)
        .cgroup("/docker", Kmem::Off, 0)
        .cgroup(&format!("/docker/{ID2}"), Kmem::Cache, 0)
        .cache(0, ID)
        .cache(1, ID2);
    tree
}

pub(super) fn nokmem() -> Tree {
    let tree = Tree::machine(EL7, "cgroup.memory=nokmem");
    centos(&tree, EL7);
    kubepods(&tree, Kmem::Off, 0);
    tree.v1(5).cgroup(&format!("{POD}/{ID}"), Kmem::Off, 0);
    tree
}

/// 514 does not know the option.
pub(super) fn nokmem_ignored() -> Tree {
    let release = "3.10.0-514.el7.x86_64";
    let tree = Tree::machine(release, "cgroup.memory=nokmem");
    centos(&tree, release);
    kubepods(&tree, Kmem::On, 0);
    tree.v1(4);
    tree
}

/// Slab caches of its own for each memcg, below those of all; the count has the zombies.
pub(super) fn on_4_19() -> Tree {
    let tree = Tree::machine("4.19.0-27-amd64", "");
    tree.v1(905)
        .put(
            "/etc/os-release",
            "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 10 (buster)\"\n",
        )
        .put(
            "/boot/config-4.19.0-27-amd64",
            "CONFIG_MEMCG=y\nCONFIG_MEMCG_KMEM=y\n",
        )
        .cgroup("", Kmem::Empty, 900_000)
        .cgroup("/kubepods", Kmem::Empty, 900_000)
        .cgroup("/kubepods/burstable", Kmem::Empty, 900_000)
        .cgroup(POD, Kmem::Empty, 900_000)
        .cgroup(&format!("{POD}/{ID}"), Kmem::Cache, 4096)
        .put(
            &format!("{V1}/kubepods/memory.stat"),
            "total_cache 52428800\ntotal_rss 0\ntotal_shmem 1048576\n",
        )
        .put(
            &format!("{V1}{POD}/memory.stat"),
            "total_cache 1048576\ntotal_rss 0\ntotal_shmem 0\n",
        );
    for id in 0..3 {
        tree.put(
            &format!("/sys/kernel/slab/dentry/cgroup/dentry({id}:gone{id})/objects"),
            "21\n",
        );
    }
    tree
}

pub(super) fn on_5_10() -> Tree {
    let tree = Tree::machine("5.10.0-33-amd64", "");
    tree.v1(8)
        .put(
            "/etc/os-release",
            "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\n",
        )
        .cgroup("", Kmem::Empty, 0)
        .cgroup("/kubepods", Kmem::Empty, 0)
        .cgroup(POD, Kmem::Empty, 0)
        .put("/proc/config.gz.error", "Permission denied (os error 13)\n");
    tree
}

pub(super) fn on_6_12_v2() -> Tree {
    let tree = Tree::machine("6.12.9-amd64", "");
    let at = "/sys/fs/cgroup";
    tree.put("/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n")
        .put("/proc/self/mountinfo", "34 30 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        .put(&format!("{at}/cgroup.controllers"), "cpu memory\n")
        .put(&format!("{at}/cgroup.subtree_control"), "memory\n")
        .put(&format!("{at}/cgroup.stat"), "nr_descendants 2\nnr_dying_descendants 700\nnr_subsys_memory 3\nnr_dying_subsys_memory 612\n")
        .put(&format!("{at}/memory.stat"), "anon 0\n");
    for (path, file) in [
        ("kubepods.slice", 90_000_000),
        ("kubepods.slice/kubepods-burstable.slice", 10_000_000),
    ] {
        tree.put(&format!("{at}/{path}/cgroup.subtree_control"), "memory\n")
            .put(&format!("{at}/{path}/cgroup.procs"), "")
            .put(
                &format!("{at}/{path}/memory.stat"),
                &format!("anon 0\nfile {file}\nshmem 5000000\nsock 4096\nslab 0\n"),
            );
    }
    tree
}

pub(super) fn exhausted() -> Tree {
    let tree = Tree::machine(EL7, "");
    centos(&tree, EL7);
    kubepods(&tree, Kmem::On, 1 << 30);
    let log = "\
6,0,0,-;Linux version
4,900,7200000000,-;SLUB: Unable to allocate memory on node -1 (gfp=0xd0)
4,901,7200000001,-;  cache: dentry(3:c1), object size: 192, buffer size: 192, default order: 0, min order: 0
4,902,7200000002,-;  node 0: slabs: 49, objs: 1029, free: 0
4,903,7300000000,-;Task in /kubepods/burstable/pod1/c1 killed as a result of limit of /kubepods/burstable/pod1
3,904,7300000001,-;Memory cgroup out of memory: Kill process 4711 (java) score 1972 or sacrifice child
";
    let messages = "\
Nov 24 01:00:00 node-7 kubelet: I1124 fine
Nov 24 01:02:03 node-7 kubelet: E1124 CreatePodSandbox failed: mkdir /sys/fs/cgroup/memory/kubepods/burstable/pod1: cannot allocate memory
Nov 24 03:02:03 node-7 dockerd: mkdir /sys/fs/cgroup/memory/docker/1: cannot allocate memory
";
    tree.v1(4)
        .cache(65_533, "gone")
        .put("kmsg-raw.txt", log)
        .put("/var/log/messages", messages);
    tree
}
