//! What makes cgroups for containers and jobs: one row a runtime, and all that kmemtrace knows of it.
//!
//! Attribution takes the cgroups' names from here, `diagnose` the programs, the log files, the journal's units and who switches
//! kernel-memory accounting on. `deploy/kmemtrace-snapshot.sh` has the same programs, files and units; a test compares them.

impl Runtime {
    /// The name its makers use, in lower case: what traces and JSON have.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// What is known of it.
    pub fn row(self) -> &'static Row {
        &RUNTIMES[self as usize]
    }
}

/// What is known of a runtime.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The runtime that this row is of.
    pub runtime: Runtime,
    /// The name its makers use, in lower case.
    pub name: &'static str,
    /// The name as texts have it.
    pub title: &'static str,
    /// What it puts before a container's id: `PREFIX-ID.scope`, `PREFIX-ID`, `slice:PREFIX:ID`.
    pub prefixes: &'static [&'static str],
    /// Directories whose children with a container's id for a name are its containers.
    pub parents: &'static [&'static str],
    /// How it names cgroups by something else, or elsewhere.
    pub patterns: &'static [Pattern],
    /// Its programs, and the option by which each tells its version.
    pub programs: &'static [(&'static str, &'static str)],
    /// Its log files, absolute; `*` stands for any name.
    pub logs: &'static [&'static str],
    /// Its systemd units, without `.service`; `*` stands for any text.
    pub units: &'static [&'static str],
    /// Whether it switches kernel-memory accounting on by itself.
    pub accounting: Accounting,
    /// The command that moves its work away from the node before a reboot, if it has one.
    pub drain: Option<&'static str>,
}

/// How the end of a path is named, with `<` and `>` around the runtime's own name in it.
///
/// `#` is a digit, or more if it is the last of several; `*` is a name or a part of one; `{uuid}` is one, `{guid}` one or Diego's of 28
/// characters, `{id}` 64 hexadecimal digits, `{task}` 32 or a UUID. What else there is stands for itself.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The text.
    pub text: &'static str,
    /// Of how many names it is.
    pub names: usize,
}

const fn pattern(text: &'static str) -> Pattern {
    let (bytes, mut names, mut at) = (text.as_bytes(), 1, 0);
    while at < bytes.len() {
        if bytes[at] == b'/' {
            names += 1;
        }
        at += 1;
    }
    Pattern { text, names }
}

/// Of the longest pattern.
pub const PATTERN_NAMES: usize = 4;

/// Whether a runtime switches kernel-memory accounting on by itself, by `memory.kmem.limit_in_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// No version does, unless a container asks for a limit of kernel memory.
    No,
    /// It runs runc, and that does.
    ByRunc,
    /// Versions before this one do.
    Before(&'static str),
    /// It does where this setting is `yes`; versions before the second do by default.
    Setting(&'static str, &'static str),
}

/// A row that knows nothing.
const NONE: Row = Row {
    runtime: Runtime::Kubelet,
    name: "",
    title: "",
    prefixes: &[],
    parents: &[],
    patterns: &[],
    programs: &[],
    logs: &[],
    units: &[],
    accounting: Accounting::No,
    drain: None,
};

/// Makes [`Runtime`] and [`RUNTIMES`] of the rows, so that a runtime is one row and nothing else.
macro_rules! runtimes {
    ($(Row {
        runtime: Runtime::$runtime:ident,
        name: $name:literal,
        title: $title:literal,
        $($known:tt)*
    }),+ $(,)?) => {
        /// A runtime, in the order of [`RUNTIMES`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Runtime {
            $(#[doc = concat!($title, ".")] $runtime,)+
        }

        /// All of them, in [`Runtime`]'s order.
        pub const RUNTIMES: [Row; [$(Runtime::$runtime),+].len()] = [$(Row {
            runtime: Runtime::$runtime,
            name: $name,
            title: $title,
            $($known)*
        }),+];
    };
}

runtimes![
    // Alone, or inside of k3s, rke2, microk8s.
    Row {
        runtime: Runtime::Kubelet,
        name: "kubelet",
        title: "kubelet",
        // OpenShift 3 runs it as hyperkube.
        programs: &[("kubelet", "--version"), ("hyperkube", "--version")],
        // Rancher's RKE1 runs kubelet in docker: its log is a container's.
        logs: &[
            "/var/log/kubelet.log",
            "/var/log/kubelet/kubelet.log",
            "/var/lib/rancher/rke/log/kubelet_*.log",
            "/var/lib/rancher/rke2/agent/logs/kubelet.log",
        ],
        units: &[
            "kubelet",
            "k3s",
            "k3s-agent",
            "rke2-agent",
            "rke2-server",
            "k0scontroller",
            "k0sworker",
            "snap.microk8s.daemon-containerd",
            "snap.microk8s.daemon-kubelet",
            "snap.microk8s.daemon-kubelite",
            "snap.kubelet.daemon",
            "atomic-openshift-node",
            "origin-node",
        ],
        // It has libcontainer in it: runc 1.0.0-rc94's, which stopped, came with 1.22.
        accounting: Accounting::Before("1.22"),
        ..NONE
    },
    // What Docker, containerd and others run.
    Row {
        runtime: Runtime::Runc,
        name: "runc",
        title: "runc",
        // RHEL 7's Docker has its own, with names of their own.
        programs: &[
            ("runc", "--version"),
            ("docker-runc", "--version"),
            ("docker-runc-current", "--version"),
        ],
        accounting: Accounting::Before("1.0.0-rc94"),
        ..NONE
    },
    Row {
        runtime: Runtime::Crun,
        name: "crun",
        title: "crun",
        programs: &[("crun", "--version")],
        ..NONE
    },
    // Through its CRI plugin, nerdctl or ctr.
    Row {
        runtime: Runtime::Containerd,
        name: "containerd",
        title: "containerd",
        prefixes: &["cri-containerd", "nerdctl"],
        // `/NAMESPACE/ID`: nerdctl; from ctr only if someone chose such a name.
        parents: &["default", "k8s.io"],
        programs: &[("containerd", "--version")],
        logs: &[
            "/var/log/containerd.log",
            "/var/lib/rancher/k3s/agent/containerd/containerd.log",
            "/var/lib/rancher/rke2/agent/containerd/containerd.log",
        ],
        units: &["containerd"],
        accounting: Accounting::ByRunc,
        ..NONE
    },
    Row {
        runtime: Runtime::CriO,
        name: "cri-o",
        title: "CRI-O",
        prefixes: &["crio", "crio-conmon"],
        programs: &[("crio", "--version")],
        logs: &["/var/log/crio.log", "/var/log/crio/crio.log"],
        units: &["crio", "cri-o"],
        accounting: Accounting::ByRunc,
        ..NONE
    },
    Row {
        runtime: Runtime::Docker,
        name: "docker",
        title: "Docker",
        prefixes: &["docker"],
        // dockerd's cgroup parent for the cgroupfs driver.
        parents: &["docker"],
        programs: &[("dockerd", "--version"), ("dockerd-current", "--version")],
        logs: &[
            "/var/log/docker.log",
            "/var/log/docker",
            "/var/log/upstart/docker.log",
        ],
        units: &["docker", "snap.docker.dockerd"],
        accounting: Accounting::ByRunc,
        ..NONE
    },
    Row {
        runtime: Runtime::Podman,
        name: "podman",
        title: "Podman",
        // The last: `--cgroups=split`, quadlets.
        prefixes: &["libpod", "libpod-conmon", "libpod-payload"],
        programs: &[("podman", "--version")],
        units: &["podman"],
        accounting: Accounting::ByRunc,
        ..NONE
    },
    Row {
        runtime: Runtime::Lxc,
        name: "lxc",
        title: "LXC",
        // Of LXD's and Incus's containers too: nothing in their paths tells them from LXC's.
        patterns: &[
            pattern("lxc/<*>"),
            pattern("lxc.payload/<*>"),
            pattern("lxc.monitor/<*>"),
            pattern("lxc.payload.<*>"),
            pattern("lxc.monitor.<*>"),
        ],
        programs: &[("lxc-start", "--version")],
        logs: &["/var/log/lxc/*.log"],
        units: &["lxc", "lxc@*"],
        ..NONE
    },
    // It runs LXC.
    Row {
        runtime: Runtime::Lxd,
        name: "lxd",
        title: "LXD",
        programs: &[("lxd", "--version")],
        logs: &[
            "/var/log/lxd/lxd.log",
            "/var/log/lxd/*/lxc.log",
            "/var/snap/lxd/common/lxd/logs/lxd.log",
            "/var/snap/lxd/common/lxd/logs/*/lxc.log",
            "/var/log/incus/incusd.log",
            "/var/log/incus/*/lxc.log",
        ],
        units: &["lxd", "snap.lxd.daemon", "incus"],
        ..NONE
    },
    Row {
        runtime: Runtime::Slurm,
        name: "slurm",
        title: "Slurm",
        // With the node's name where several slurmd run on one machine.
        patterns: &[
            pattern("slurm/uid_#/<job_#>"),
            pattern("slurm/uid_#/<job_#/step_*>"),
            pattern("slurm_*/uid_#/<job_#>"),
            pattern("slurm_*/uid_#/<job_#/step_*>"),
            pattern("slurmstepd.scope/<job_#>"),
            pattern("slurmstepd.scope/<job_#/step_*>"),
            pattern("*_slurmstepd.scope/<job_#>"),
            pattern("*_slurmstepd.scope/<job_#/step_*>"),
        ],
        programs: &[("slurmd", "-V")],
        logs: &[
            "/var/log/slurmd.log",
            "/var/log/slurm/slurmd.log",
            "/var/log/slurm/slurmd.*.log",
            "/var/log/slurm-llnl/slurmd.log",
        ],
        units: &["slurmd"],
        drain: Some("scontrol update nodename=$(hostname -s) state=drain reason=kmem"),
        accounting: Accounting::Setting("ConstrainKmemSpace", "18.08"),
        ..NONE
    },
    Row {
        runtime: Runtime::Nomad,
        name: "nomad",
        title: "Nomad",
        // Up to 1.1 the UUID is one that the executor makes up; later it is the allocation's.
        patterns: &[
            pattern("nomad/<{uuid}>"),
            pattern("nomad/<{uuid}>.*"),
            pattern("nomad.slice/<{uuid}>.*.scope"),
            pattern("nomad.slice/share.slice/<{uuid}>.*.scope"),
            pattern("nomad.slice/reserve.slice/<{uuid}>.*.scope"),
        ],
        programs: &[("nomad", "version")],
        logs: &["/var/log/nomad.log", "/var/log/nomad/nomad.log"],
        units: &["nomad"],
        drain: Some("nomad node drain -self -enable -yes"),
        // Its exec and java drivers have libcontainer in them: 1.3 came with runc 1.0.3's.
        accounting: Accounting::Before("1.3"),
        ..NONE
    },
    // Of Cloud Foundry.
    Row {
        runtime: Runtime::Garden,
        name: "garden",
        title: "Garden",
        // By handle; `good` and `bad` are for throttled CPU.
        patterns: &[
            pattern("garden/<{guid}>"),
            pattern("garden/good/<{guid}>"),
            pattern("garden/bad/<{guid}>"),
        ],
        programs: &[("gdn", "--version")],
        logs: &[
            "/var/vcap/sys/log/garden/garden.stdout.log",
            "/var/vcap/sys/log/garden/garden.stderr.log",
        ],
        accounting: Accounting::ByRunc,
        ..NONE
    },
    Row {
        runtime: Runtime::Yarn,
        name: "yarn",
        title: "YARN",
        // Its directory's name is a setting (`hadoop-yarn`, `yarn`): the container's is its own.
        patterns: &[
            pattern("<container_##########_####_##_######>"),
            pattern("<container_e#_##########_####_##_######>"),
        ],
        logs: &[
            "/var/log/hadoop-yarn/*nodemanager*.log",
            "/var/log/hadoop-yarn/yarn/*nodemanager*.log",
            "/var/log/hadoop/yarn/*nodemanager*.log",
        ],
        units: &["hadoop-yarn-nodemanager"],
        ..NONE
    },
    Row {
        runtime: Runtime::ISulad,
        name: "isulad",
        title: "iSulad",
        prefixes: &["isulad"],
        parents: &["isulad"],
        programs: &[("isulad", "--version")],
        logs: &["/var/log/isulad/isulad.log"],
        units: &["isulad"],
        ..NONE
    },
    Row {
        runtime: Runtime::Kata,
        name: "kata",
        title: "Kata Containers",
        // The sandbox's; of what is beside the virtual machine, outside of the pod's limits, the name tells.
        patterns: &[
            pattern("<kata_overhead>"),
            pattern("<kata_overhead/{id}>"),
            pattern("kata_<{id}>"),
        ],
        programs: &[("kata-runtime", "--version")],
        ..NONE
    },
    Row {
        runtime: Runtime::Mesos,
        name: "mesos",
        title: "Mesos",
        patterns: &[pattern("mesos/<{uuid}>")],
        programs: &[("mesos-agent", "--version")],
        logs: &[
            "/var/log/mesos/mesos-slave.INFO",
            "/var/log/mesos/mesos-agent.INFO",
        ],
        units: &["mesos-slave", "mesos-agent", "dcos-mesos-slave"],
        ..NONE
    },
    Row {
        runtime: Runtime::Ecs,
        name: "ecs",
        title: "Amazon ECS",
        // Fargate's containers.
        patterns: &[pattern("ecs/{task}/<{task}-##########>")],
        logs: &["/var/log/ecs/ecs-agent.log"],
        units: &["ecs"],
        accounting: Accounting::ByRunc,
        ..NONE
    },
];

/// All programs, and the option by which each tells its version.
pub fn programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    RUNTIMES.iter().flat_map(|row| row.programs.iter().copied())
}

/// All log files.
pub fn logs() -> impl Iterator<Item = &'static str> {
    RUNTIMES.iter().flat_map(|row| row.logs.iter().copied())
}

/// All units of the journal.
pub fn units() -> impl Iterator<Item = &'static str> {
    RUNTIMES.iter().flat_map(|row| row.units.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_well_formed() {
        for row in RUNTIMES {
            assert!(!row.name.is_empty() && row.name == row.name.to_lowercase());
            assert!(!row.title.is_empty());
            assert!(row.logs.iter().all(|log| log.starts_with('/')));
            assert!(row.units.iter().all(|unit| !unit.ends_with(".service")));
            for pattern in row.patterns {
                assert!(pattern.names <= PATTERN_NAMES, "{}", pattern.text);
                let names = pattern.text.matches(['<', '>']).collect::<String>();
                assert_eq!(names, "<>", "{}", pattern.text);
            }
        }
    }

    #[test]
    fn nothing_belongs_to_two_runtimes() {
        let all = |of: fn(&Row) -> Vec<&'static str>| {
            let mut all: Vec<_> = RUNTIMES.iter().flat_map(of).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{all:?}");
        };
        all(|row| row.prefixes.to_vec());
        all(|row| row.parents.to_vec());
        all(|row| row.programs.iter().map(|(name, _)| *name).collect());
        all(|row| row.logs.to_vec());
        all(|row| row.units.to_vec());
    }

    #[test]
    fn the_script_asks_the_same_programs() {
        let script = include_str!("../../deploy/kmemtrace-snapshot.sh");
        let (_, list) = script.split_once("for program in ").unwrap();
        let (list, _) = list.split_once("; do").unwrap();
        let asked: Vec<_> = list
            .split_whitespace()
            .filter_map(|one| one.split_once(':'))
            .collect();
        assert_eq!(asked, programs().collect::<Vec<_>>());
    }
}
