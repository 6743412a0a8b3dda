//! Nodes rebuilt from public reports: what `diagnose` must say of each, as the person who solved it did.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, OnceLock},
};

use kmemtrace::host::archive::unpack;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::harness::{Result, data, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests: Vec<_> = NODES
        .iter()
        .map(|node| Trial::test(format!("field::{}", node.name), || is_right(node)))
        .collect();
    tests.push(test("field::every_node_has_a_row", every_node));
    tests.push(test("field::a_scan_says_where_live_cgroups_crowd", crowd));
    tests
}

/// The nodes' names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NODES.iter().map(|node| node.name)
}

/// A node, and what is right for it.
struct Node {
    /// The archive in `tests/data/field`.
    name: &'static str,
    /// The state, or each that would be right.
    states: &'static [&'static str],
    /// By finding: what its sentences and evidence must have in them; with a `!` before it, what they must not.
    says: &'static [(&'static str, &'static [&'static str])],
    /// Remedies that must apply; with a `!` before it, that must not.
    remedies: &'static [&'static str],
}

const NODES: [Node; 18] = [
    // galaxyproject/galaxy#7766, #7429, #6293
    Node {
        name: "01-slurm-el7",
        states: &["leaking", "exhausted"],
        says: &[
            ("runtime-log", &["slurmstepd", "ENOMEM", "ENOSPC"]),
            ("accounting", &["Slurm", "/slurm/"]),
        ],
        remedies: &[
            "runtime-setting",
            "reboot",
            "!runc-nokmem",
            "!kubelet-nokmem",
        ],
    },
    // canonical/lxd#1961, lxc/lxc#1443
    Node {
        name: "02-lxd-3.13",
        states: &["failing"],
        says: &[("runtime-log", &["ENOSPC", "/lxc/"])],
        remedies: &["reboot", "!reclaim-memory"],
    },
    // moby/moby#27576
    Node {
        name: "03-slub-in-messages",
        states: &["at-risk", "leaking", "exhausted"],
        says: &[("kernel-log", &["/var/log/messages", "before this boot"])],
        remedies: &[],
    },
    // docker/for-linux#1001
    Node {
        name: "04-dmesg-T",
        states: &["healthy"],
        says: &[("kernel-log", &["!no failed slab allocation", "2020"])],
        remedies: &["!reboot"],
    },
    // docker/for-linux#774, kubernetes#82534
    Node {
        name: "05-ubuntu-4.4-docker",
        states: &["piling-up"],
        says: &[
            ("kernel", &["Ubuntu"]),
            ("accounting", &["runc", "slab cache"]),
        ],
        remedies: &["runc-nokmem", "reclaim-memory", "!reboot"],
    },
    // rancher/rancher#35494
    Node {
        name: "06-rancher-rke1",
        states: &["leaking"],
        says: &[
            ("accounting", &["kubelet switched"]),
            ("runtime-log", &["kubelet", "-json.log"]),
        ],
        remedies: &["kubelet-nokmem", "!runc-nokmem"],
    },
    // hashicorp/nomad#10127, #6538
    Node {
        name: "07-nomad-el7",
        states: &["leaking"],
        says: &[
            ("accounting", &["Nomad", "/nomad/"]),
            ("runtime-log", &["nomad"]),
        ],
        remedies: &["runtime-update", "!kubelet-nokmem", "!runc-nokmem"],
    },
    // huzhengchuan/dailywork#58, moby#24559
    Node {
        name: "11-live-dirs-el7",
        states: &["crowded"],
        says: &[(
            "ids",
            &["64734 of 65535", "/kubepods", "64732 of them", "!zombies"],
        )],
        remedies: &["remove-empty", "!newer-kernel"],
    },
    // labring/sealos#722
    Node {
        name: "12-sealos-grub-not-made",
        states: &["leaking"],
        says: &[("configured", &["/etc/default/grub", "cgroup.memory=nokmem"])],
        remedies: &["nokmem-boot"],
    },
    // rancher/rke2#4849, hashicorp/nomad#23405, canonical/lxd#6257
    Node {
        name: "13-cpuset-enospc",
        states: &["healthy"],
        says: &[("runtime-log", &["!ENOSPC 1"])],
        remedies: &["!reboot", "!newer-kernel"],
    },
    // SLES 12 and others with CONFIG_SLAB
    Node {
        name: "14-slab-allocator",
        states: &["piling-up", "healthy"],
        says: &[("kernel-log", &["1 failed slab allocation"])],
        remedies: &["!reboot"],
    },
    // a post on haomeiwen
    Node {
        name: "15-kylin-4.4.58-arm64",
        states: &["exhausted"],
        says: &[("kernel", &["Kylin", "!Ubuntu"]), ("ids", &["all 65535"])],
        remedies: &["kubelet-nokmem", "runc-nokmem", "reclaim-memory", "reboot"],
    },
    // docker/for-linux#841 and posts
    Node {
        name: "16-mkdir-by-hand",
        states: &["leaking"],
        says: &[(
            "runtime-log",
            &["3 failed mkdir", "crun", "systemd", "ENOSPC", "ENOMEM"],
        )],
        remedies: &["reboot"],
    },
    // koordinator#1016, #1032
    Node {
        name: "17-al7-4.19",
        states: &["piling-up"],
        says: &[("kernel", &["Alibaba"])],
        remedies: &["memcg-reaper", "!kubelet-nokmem"],
    },
    // kubernetes#83044, moby#37722
    Node {
        name: "18-oom-by-kmem",
        states: &["leaking"],
        says: &[("memcg-oom", &["ernel memory", "!used up their own limits"])],
        remedies: &["kubelet-nokmem"],
    },
    // rkt/rkt#3688
    Node {
        name: "19-rkt-3.18",
        states: &["exhausted"],
        says: &[("ids", &["all 65535"])],
        remedies: &["reboot", "!reclaim-memory"],
    },
    // kubernetes#117793
    Node {
        name: "21-oom-group",
        states: &["healthy"],
        says: &[("memcg-oom", &["4 processes", "1 memory cgroup"])],
        remedies: &["!reboot"],
    },
    // the workaround of many posts on CentOS 7
    Node {
        name: "23-elrepo-4.4",
        states: &["piling-up", "healthy"],
        says: &[("kernel", &["ELRepo", "!Red Hat"])],
        remedies: &["reclaim-memory", "!reboot"],
    },
];

/// A node's diagnosis in one language: the exit status, the JSON, and the line for node-problem-detector.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: i32,
    pub(crate) json: Value,
    pub(crate) line: String,
}

/// The languages.
pub(crate) const LANGS: [&str; 2] = ["en", "zh"];

/// What is told of a node, in each of the languages. It is asked once: several tests look at it.
pub(crate) fn told(name: &str) -> std::result::Result<Arc<[Told; 2]>, Failed> {
    type Once = Arc<OnceLock<std::result::Result<Arc<[Told; 2]>, String>>>;
    static ALL: Mutex<BTreeMap<String, Once>> = Mutex::new(BTreeMap::new());
    let once = {
        let mut all = ALL.lock().map_err(|error| error.to_string())?;
        Arc::clone(all.entry(name.to_owned()).or_default())
    };
    let told = once.get_or_init(|| ask(name).map(Arc::new).map_err(|error| error.to_string()));
    told.clone().map_err(Failed::from)
}

fn ask(name: &str) -> std::result::Result<[Told; 2], Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let unpacked = unpack(&data(&format!("field/{name}.tar.zst")), directory.path())
        .map_err(|error| error.to_string())?;
    let root = directory.path().join(&unpacked.snapshots[0]);
    let one = |lang| -> std::result::Result<Told, serde_json::Error> {
        let run = |format: &str| {
            let mut command =
                program(["diagnose", "--no-exec", "--format", format, "--lang", lang]);
            command.arg("--root").arg(&root);
            output(command)
        };
        let (json, line, shown) = (run("json"), run("npd"), run("text"));
        assert_eq!((json.status, json.status), (line.status, shown.status));
        let whole = text(&shown.stdout);
        assert!(
            whole.lines().count() > 20 && text(&shown.stderr).is_empty(),
            "{whole}"
        );
        Ok(Told {
            status: json.status.code().unwrap_or(-1),
            json: serde_json::from_slice(&json.stdout)?,
            line: text(&line.stdout),
        })
    };
    Ok([one("en")?, one("zh")?])
}

fn is_right(node: &Node) -> Result {
    let both = told(node.name)?;
    let told = &both[0].json;
    let state = told["state"].as_str().unwrap_or_default();
    assert!(node.states.contains(&state), "{state}");
    for one in &*both {
        assert_eq!(one.status, i32::from(state != "healthy"), "{state}");
        assert!(one.line.trim_end().len() <= 80, "{}", one.line);
    }
    // What its sentences and evidence have in them.
    let list = |key: &str| told[key].as_array().cloned().unwrap_or_default();
    let findings: BTreeMap<String, String> = list("findings")
        .iter()
        .map(|one| {
            let parts = [&one["says"], &one["meaning"], &one["evidence"]];
            let id = one["id"].as_str().unwrap_or_default().to_owned();
            (id, parts.map(ToString::to_string).join(" "))
        })
        .collect();
    for (id, parts) in node.says {
        let says = findings.get(*id).map_or("", |says| says);
        for part in *parts {
            let right = match part.strip_prefix('!') {
                Some(absent) => !says.contains(absent),
                None => says.contains(part),
            };
            assert!(right, "{id}: {part}: {says}");
        }
    }
    let applies: Vec<_> = list("remedies")
        .iter()
        .filter(|one| one["applies"] == true)
        .map(|one| one["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    for remedy in node.remedies {
        let right = match remedy.strip_prefix('!') {
            Some(absent) => applies.iter().all(|one| one != absent),
            None => applies.iter().any(|one| one == remedy),
        };
        assert!(right, "{remedy}: {applies:?}");
    }
    Ok(())
}

fn crowd() -> Result {
    let archive = data("field/11-live-dirs-el7.tar.zst");
    let mut command = program(["scan", "--format", "json", "--root"]);
    command.arg(archive);
    let told: Value = serde_json::from_str(&text(&output(command).stdout))?;
    assert_eq!(told["state"], "crowded");
    let right = serde_json::json!({
        "path": "/sys/fs/cgroup/memory/kubepods",
        "children": 64_732,
        "without_children": 64_732,
    });
    assert_eq!(told["crowd"], right);
    Ok(())
}

/// No archive without a row: it would be looked at by nobody.
fn every_node() -> Result {
    for entry in fs::read_dir(data("field"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".tar.zst") {
            assert!(NODES.iter().any(|node| node.name == name), "{name}");
        }
    }
    Ok(())
}
