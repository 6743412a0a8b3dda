//! Where a copy of a machine's files shows its page size.

use super::{NodePage, PageFact, PageSign, PageSize, decide, signs};
use crate::host::{
    Root, config_text, files,
    mounts::{self, Version},
    release,
};

/// Of the machine itself the running kernel tells; of a copy its files do.
pub(in crate::host) fn read(root: &Root) -> PageFact {
    if root.is_live() {
        return Ok(NodePage {
            size: PageSize::running(),
            by: PageSign::Running,
        });
    }
    let read = |path: &str| root.read(path).unwrap_or_default();
    let release = release(root);
    let processes = ["self", "1"];
    let of = |file: &str, size: fn(&[u8]) -> Option<PageSize>| {
        let mut files = processes.iter();
        files.find_map(|process| size(&read(&format!("/proc/{process}/{file}"))))
    };
    let meminfo = read("/proc/meminfo");
    let config = config_text(root, release.as_deref()).ok();
    let signs = [
        (PageSign::Recorded, signs::recorded(&read(files::NOTE))),
        (PageSign::Auxv, of("auxv", signs::auxv)),
        (PageSign::Smaps, of("smaps", signs::smaps)),
        (PageSign::Limit, limit(root)),
        (
            PageSign::Vmstat,
            signs::vmstat(&read("/proc/vmstat"), &meminfo),
        ),
        (
            PageSign::Config,
            config.and_then(|config| signs::config(&config.text)),
        ),
        (
            PageSign::Architecture,
            signs::architecture(&read("/proc/sys/kernel/arch")),
        ),
        (PageSign::Meminfo, signs::meminfo(&meminfo)),
    ];
    let told = signs.into_iter();
    let told: Vec<_> = told
        .filter_map(|(by, size)| Some(NodePage { size: size?, by }))
        .collect();
    decide(&told, release.as_deref().and_then(signs::suggested))
}

/// By the limit of the v1 memory hierarchy's root, which cannot have one.
fn limit(root: &Root) -> Option<PageSize> {
    let mountinfo = root.read("/proc/self/mountinfo").ok()?;
    let mounts: Vec<_> = mounts::parse(&mountinfo).filter_map(Result::ok).collect();
    let mut memory = mounts::cgroups(&mounts).into_iter().filter(|mount| {
        mount.version == Version::V1 && mount.options.iter().any(|option| option == "memory")
    });
    memory.find_map(|mount| {
        let files = ["memory.limit_in_bytes", "memory.kmem.limit_in_bytes"];
        files
            .iter()
            .find_map(|file| signs::limit(&root.read(mount.mount.join(file)).ok()?))
    })
}
