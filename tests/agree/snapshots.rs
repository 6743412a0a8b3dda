//! Snapshots of booted kernels: `data/recordings/README.md` says what was done on each.

use kmemtrace::host::archive::unpack;
use serde_json::Value;

use super::{run, state};
use crate::harness::{Result, data};

/// What is right of one.
struct Right {
    name: &'static str,
    state: &'static str,
    /// What this kernel does with zombies.
    era: &'static str,
    /// With a directory, the root included.
    live: u64,
    /// Zombies: so many at least, and whether that is all of them.
    zombies: (u64, bool),
    /// memcg ids in use: at least, at most, and at one time.
    ids: (u64, Option<u64>, Option<u64>),
    /// The remedies that help, the most useful first.
    remedies: &'static [&'static str],
    /// What the finding `pins` names, and with `!` what it does not.
    pins: &'static [&'static str],
}

/// Few or many zombies of a kernel that counts them all and gives their ids back.
const fn counted(name: &'static str, era: &'static str, live: u64, zombies: u64) -> Right {
    let many = zombies > 50;
    Right {
        name,
        state: if many { "piling-up" } else { "healthy" },
        era,
        live,
        zombies: (zombies, true),
        ids: (live, Some(live), None),
        remedies: if many {
            &["newer-kernel", "reclaim-memory"]
        } else {
            &[]
        },
        pins: &["!slab"],
    }
}

const SLAB_PINS: &[&str] = &["slab and other kernel memory", "tmpfs or anonymous"];

const ALL: [Right; 11] = [
    Right {
        name: "el7-514-exhausted-65531-snapshot",
        state: "exhausted",
        era: "opt-in",
        live: 4,
        zombies: (1, false),
        ids: (5, None, Some(65_535)),
        remedies: &[
            "reboot",
            "shrink-caches",
            "nokmem-boot",
            "runc-nokmem",
            "newer-kernel",
        ],
        pins: &["slab caches of 1", "1023.9 MiB of kernel memory"],
    },
    Right {
        name: "el7-514-leaking-20-snapshot",
        state: "leaking",
        era: "opt-in",
        live: 6,
        zombies: (20, false),
        ids: (26, None, Some(29)),
        remedies: &[
            "shrink-caches",
            "nokmem-boot",
            "kubelet-nokmem",
            "runc-nokmem",
            "newer-kernel",
            "reboot",
        ],
        pins: &["slab caches of 20", "1.5 MiB of kernel memory"],
    },
    Right {
        pins: SLAB_PINS,
        ..counted("snapshot-4.19.222-v1-320tmpfs", "frees-ids", 19, 320)
    },
    Right {
        pins: SLAB_PINS,
        ..counted("snapshot-4.19.222-v1-83zombies-slab", "frees-ids", 8, 83)
    },
    Right {
        pins: SLAB_PINS,
        ..counted("snapshot-4.19.222-v2-80zombies-slab", "frees-ids", 8, 80)
    },
    counted("snapshot-504.286-v1-301tmpfs", "reparents-slab", 19, 301),
    counted("snapshot-504.286-v1-44zombies", "reparents-slab", 8, 44),
    counted("snapshot-504.286-v2-44zombies", "reparents-slab", 8, 44),
    counted(
        "snapshot-el8.1-418.147-v1-300tmpfs",
        "reparents-slab",
        19,
        300,
    ),
    counted(
        "snapshot-el8.1-418.147-v1-45zombies",
        "reparents-slab",
        8,
        45,
    ),
    counted(
        "snapshot-el8.1-418.147-v2-46zombies",
        "reparents-slab",
        8,
        46,
    ),
];

pub(super) fn all() -> Result {
    for right in ALL {
        let name = right.name;
        let directory = tempfile::tempdir()?;
        let archive = data(&format!("recordings/{name}.tar.zst"));
        let unpacked = unpack(&archive, directory.path())?;
        let root = directory.path().join(&unpacked.snapshots[0]);
        assert_eq!(state(&root), right.state, "{name}");

        let (_, scan) = run(&["scan", "--format", "json"], &root);
        let number = |field: &str| scan[field].as_u64();
        let (least, exact) = right.zombies;
        assert_eq!(number("live"), Some(right.live), "{name}: {scan}");
        assert_eq!(number("zombies_min"), Some(least), "{name}: {scan}");
        assert_eq!(number("zombies"), exact.then_some(least), "{name}: {scan}");
        let ids = (
            number("ids_min").unwrap_or(0),
            number("ids_max"),
            number("ids_peak"),
        );
        assert_eq!(ids, right.ids, "{name}: {scan}");

        let (_, told) = run(&["diagnose", "--no-exec", "--format", "json"], &root);
        assert_eq!(told["era"], right.era, "{name}: {told}");
        let remedies = told["remedies"].as_array().into_iter().flatten();
        let remedies = remedies.filter(|one| one["applies"] == true);
        let remedies: Vec<_> = remedies.filter_map(|one| one["id"].as_str()).collect();
        assert_eq!(remedies, right.remedies, "{name}: {told}");
        let findings = told["findings"].as_array().into_iter().flatten();
        let pins = findings.into_iter().find(|one| one["id"] == "pins");
        let says = pins.and_then(|pins: &Value| pins["says"].as_str());
        let says = says.unwrap_or_default();
        for word in right.pins {
            match word.strip_prefix('!') {
                Some(word) => assert!(!says.contains(word), "{name}: {word} in {says}"),
                None => assert!(says.contains(word), "{name}: no {word} in {says}"),
            }
        }
        // Where slab pins, what is told to do says so.
        let slab_pins = right.era == "frees-ids";
        let reclaim = told["remedies"].as_array().into_iter().flatten();
        let reclaim = reclaim
            .into_iter()
            .find(|one| one["id"] == "reclaim-memory");
        let why = reclaim.map_or_else(String::new, ToString::to_string);
        assert_eq!(
            why.contains("of slab and other kernel memory"),
            slab_pins,
            "{name}: {why}"
        );
    }
    Ok(())
}
