//! What zombies hold on copies of booted kernels.

use serde_json::Value;

use crate::harness::{Result, data, output, program};

/// The finding `pins` of a copy: its verdict and what it says.
fn pins(name: &str) -> std::result::Result<(String, String), libtest_mimic::Failed> {
    let mut command = program(["diagnose", "--format", "json", "--root"]);
    command.arg(data(&format!("recordings/snapshot-{name}.tar.zst")));
    let told: Value = serde_json::from_slice(&output(command).stdout)?;
    let findings = told["findings"].as_array().into_iter().flatten();
    let found = findings.into_iter().find(|one| one["id"] == "pins");
    let word = |key: &str| {
        let word = found.and_then(|one| one[key].as_str());
        word.unwrap_or_default().to_owned()
    };
    Ok((word("verdict"), word("says")))
}

/// 4.19: slab pins, and `memory.stat` reads 0 where zombies hold 0.3 to 1.3 MiB.
pub(super) fn on_4_19() -> Result {
    let v1 = "below 5 cgroups, zombies hold at least: 2.3 MiB slab and other kernel memory, 328.0 KiB page cache, \
        320.0 KiB tmpfs or anonymous memory, 172.0 KiB of unknown kind";
    assert_eq!(
        pins("4.19.222-v1-83zombies-slab")?,
        ("ok".into(), v1.into())
    );
    // v2 counts no kernel memory: it is what is on no list of pages.
    let v2 = "below 4 cgroups, zombies hold at least: 2.4 MiB slab and other kernel memory, 320.0 KiB page cache, \
        320.0 KiB tmpfs or anonymous memory";
    assert_eq!(
        pins("4.19.222-v2-80zombies-slab")?,
        ("ok".into(), v2.into())
    );
    let tmpfs = "below 2 cgroups, zombies hold at least: 1.1 MiB slab and other kernel memory, \
        4.6 MiB tmpfs or anonymous memory, 228.0 KiB of unknown kind";
    assert_eq!(pins("4.19.222-v1-320tmpfs")?, ("ok".into(), tmpfs.into()));
    Ok(())
}

/// 5.4, and RHEL 8.1's 4.18: slab goes to the parent at rmdir, so what a pod has of it is its own.
pub(super) fn on_5_4() -> Result {
    for name in [
        "504.286-v1-44zombies",
        "504.286-v2-44zombies",
        "504.286-v1-301tmpfs",
        "el8.1-418.147-v1-45zombies",
        "el8.1-418.147-v1-300tmpfs",
    ] {
        let (verdict, says) = pins(name)?;
        assert_eq!(verdict, "ok", "{name}: {says}");
        assert!(!says.contains("slab"), "{name}: {says}");
        assert!(says.contains("hold at least: "), "{name}: {says}");
    }
    Ok(())
}
