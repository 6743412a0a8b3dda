//! The machine's files under a root directory: the first byte says which of them holds the rest.

#![no_main]

use std::fs;

use kmemtrace::host::{self, Hierarchy, Root, Version};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const FILES: [&str; 5] = [
    "proc/self/mountinfo",
    "proc/cgroups",
    "sys/fs/cgroup/cgroup.stat",
    "proc/self/status",
    "proc/cmdline",
];

std::thread_local! {
    // A file system in memory: thousands of files a second.
    static MACHINE: TempDir = TempDir::new_in("/dev/shm").expect("a directory");
}

fuzz_target!(|data: &[u8]| {
    let Some((which, content)) = data.split_first() else {
        return;
    };
    MACHINE.with(|machine| {
        let path = machine
            .path()
            .join(FILES[usize::from(*which) % FILES.len()]);
        fs::create_dir_all(path.parent().expect("it has one")).expect("directories");
        fs::write(&path, content).expect("a file");
        let root = Root::at(machine.path());
        let facts = host::facts(&root);
        for version in [Version::V1, Version::V2] {
            let hierarchy = Hierarchy {
                version,
                id: 0,
                mount: "/sys/fs/cgroup".into(),
            };
            let _ = host::counts(&root, &hierarchy);
        }
        if let Ok(hierarchy) = facts.memory {
            let _ = host::counts(&root, &hierarchy);
        }
        fs::remove_file(&path).expect("it is there");
    });
});
