use std::fs;

use proptest::prelude::*;

use super::*;
use crate::host::{Root, tests::root};

const SIZES: [u64; 3] = [4 << 10, 16 << 10, 64 << 10];

/// Of a machine that has been up for a while: `/proc/meminfo` and `/proc/vmstat`, in pages.
const PAGES: [(&str, &str, u64); 13] = [
    ("MemTotal", "", 502_001),
    ("MemFree", "nr_free_pages", 300_503),
    ("MemAvailable", "", 401_111),
    ("Buffers", "", 2_077),
    ("Cached", "nr_file_pages", 90_002),
    ("Active(anon)", "nr_active_anon", 777),
    ("Inactive(anon)", "nr_inactive_anon", 12_345),
    ("Active(file)", "nr_active_file", 40_000),
    ("Inactive(file)", "nr_inactive_file", 50_001),
    ("Mapped", "nr_mapped", 9_001),
    ("SReclaimable", "nr_slab_reclaimable", 7_003),
    ("SUnreclaim", "nr_slab_unreclaimable", 6_006),
    ("PageTables", "nr_page_table_pages", 411),
];

fn meminfo(page: u64, counts: impl Iterator<Item = u64>) -> String {
    let rows = PAGES.iter().zip(counts);
    let rows = rows.map(|((key, ..), pages)| format!("{key}: {} kB\n", pages * (page >> 10)));
    // What is no count of pages.
    rows.chain([
        "VmallocTotal: 34359738367 kB\nKernelStack: 4112 kB\nHugePages_Total: 3\n".to_owned(),
    ])
    .collect()
}

fn vmstat(counts: impl Iterator<Item = u64>) -> String {
    let rows = PAGES.iter().zip(counts);
    let rows = rows.filter(|((_, key, _), _)| !key.is_empty());
    let rows: Vec<_> = rows
        .map(|((_, key, _), pages)| format!("{key} {pages}\n"))
        .collect();
    rows.concat()
}

fn counts() -> impl Iterator<Item = u64> {
    PAGES.iter().map(|(.., pages)| *pages)
}

fn word(value: u64, width: usize, little: bool) -> Vec<u8> {
    if little {
        value.to_le_bytes()[..width].to_vec()
    } else {
        value.to_be_bytes()[8 - width..].to_vec()
    }
}

/// An auxiliary vector: `AT_HWCAP`, `AT_PAGESZ`, `AT_PHDR`, `AT_NULL`, and what may stand behind it.
fn auxv(page: u64, width: usize, little: bool) -> Vec<u8> {
    let words = [16, 0xbfeb_fbff, 6, page, 3, 0x5581_f040, 0, 0, 6, 8192];
    words
        .iter()
        .flat_map(|&value| word(value, width, little))
        .collect()
}

fn written(files: &[(&str, Vec<u8>)]) -> PageFact {
    let (directory, root) = root(&[]);
    for (path, bytes) in files {
        let path = directory.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root.page()
}

fn page(bytes: u64, by: PageSign) -> NodePage {
    NodePage {
        size: PageSize::of(bytes).unwrap(),
        by,
    }
}

/// A machine of each size, and a file alone that shows it.
#[test]
fn every_sign_shows_the_size() {
    const V1: &str = "33 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    for size in SIZES {
        let kib = size >> 10;
        let limit = format!("{}\n", (1u64 << 63) - size);
        let smaps = format!(
            "55-57 r-xp\nSize: 8 kB\nKernelPageSize:     2048 kB\nKernelPageSize: {kib:8} kB\nMMUPageSize: 4 kB\n"
        );
        let options = [
            format!(
                "CONFIG_ARM64=y\n# CONFIG_ARM64_9K_PAGES is not set\nCONFIG_ARM64_{kib}K_PAGES=y\n"
            ),
            format!("CONFIG_PPC_{kib}K_PAGES=y\n"),
            format!(
                "CONFIG_PAGE_SIZE_{kib}KB=y\nCONFIG_PAGE_SHIFT={}\n",
                size.ilog2()
            ),
            format!("CONFIG_ARM64_PAGE_SHIFT={}\n", size.ilog2()),
        ];
        let mut machines = vec![
            (
                PageSign::Recorded,
                vec![(
                    "snapshot.txt",
                    format!("kmemtrace snapshot, format 1\npage size: {size} bytes (by x)\n")
                        .into(),
                )],
            ),
            (PageSign::Smaps, vec![("/proc/1/smaps", smaps.into())]),
            (
                PageSign::Limit,
                vec![
                    ("/proc/self/mountinfo", V1.into()),
                    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", limit.into()),
                ],
            ),
            (
                PageSign::Vmstat,
                vec![
                    ("/proc/vmstat", vmstat(counts()).into()),
                    ("/proc/meminfo", meminfo(size, counts()).into()),
                ],
            ),
            (
                PageSign::Meminfo,
                vec![("/proc/meminfo", meminfo(size, counts()).into())],
            ),
        ];
        machines.extend(options.map(|text| {
            let files = vec![
                ("/proc/sys/kernel/osrelease", b"6.9\n".to_vec()),
                ("/boot/config-6.9", text.into()),
            ];
            (PageSign::Config, files)
        }));
        for (width, little) in [(8, true), (8, false), (4, true), (4, false)] {
            let bytes = auxv(size, width, little);
            machines.push((PageSign::Auxv, vec![("/proc/self/auxv", bytes)]));
        }
        for (by, files) in machines {
            assert_eq!(written(&files), Ok(page(size, by)), "{size} {by:?}");
        }
    }
    for (name, told) in [
        ("x86_64\n", Some(4 << 10)),
        ("s390x", Some(4 << 10)),
        ("aarch64", None),
    ] {
        let told = told.map(|size| page(size, PageSign::Architecture));
        let shown = written(&[("/proc/sys/kernel/arch", name.into())]);
        assert_eq!(shown.ok(), told, "{name}");
    }
}

#[test]
fn the_machine_itself_tells() {
    let page = NodePage {
        size: PageSize::running(),
        by: PageSign::Running,
    };
    assert_eq!(Root::live().page(), Ok(page));
    assert_eq!(PageSize::of(page.size.bytes()), Some(page.size));
}

/// Neither a name nor what is cut short or out of range shows a size.
#[test]
fn what_shows_nothing() {
    let named = |release: &str| written(&[("/proc/sys/kernel/osrelease", release.into())]);
    for (release, suggested) in [
        ("5.14.0-362.8.1.el9_3.aarch64+64k\n", Some(64)),
        ("6.12.57+deb13-arm64-16k\n", Some(16)),
        ("5.15.0-1030-generic-64k\n", Some(64)),
        ("3.10.0-514.el7.x86_64\n", Some(4)),
        ("6.1.0-40-cloud-amd64\n", Some(4)),
        ("6.1.0-40-arm64\n", None),
    ] {
        let suggested = suggested.and_then(|kib: u64| PageSize::of(kib << 10));
        assert_eq!(
            named(release),
            Err(NoPageSize::Untold(suggested)),
            "{release}"
        );
    }
    let whole = auxv(4096, 8, true);
    for (path, bytes) in [
        ("snapshot.txt", b"page size: 4096".to_vec()),
        ("snapshot.txt", b"page size: 4097 bytes".to_vec()),
        ("snapshot.txt", b"page size: 2048 bytes".to_vec()),
        ("snapshot.txt", b"page size: -4096 bytes".to_vec()),
        ("snapshot.txt", b"note: page size: 4096 bytes".to_vec()),
        ("/proc/self/auxv", whole[..40].to_vec()),
        ("/proc/self/auxv", Vec::new()),
        ("/proc/self/smaps", b"KernelPageSize: 4\n".to_vec()),
        ("/proc/vmstat", vmstat(counts()).into()),
        // As a report has it: too few, and round.
        (
            "/proc/meminfo",
            b"MemTotal: 131072000 kB\nMemFree: 40000000 kB\n".to_vec(),
        ),
        // Not the kernel's own.
        ("/proc/meminfo", meminfo(1024, counts()).into()),
        ("/proc/sys/kernel/arch", b"x86_64x".to_vec()),
    ] {
        let shown = written(&[(path, bytes)]);
        assert_eq!(shown, Err(NoPageSize::Untold(None)), "{path}");
    }
    let both = b"CONFIG_ARM64_4K_PAGES=y\nCONFIG_PAGE_SHIFT=16\n";
    assert_eq!(signs::config(both), None);
    for limit in [
        "9223372036854775807",
        "18446744073709551615",
        "0",
        "-1",
        "max",
        "",
    ] {
        assert_eq!(signs::limit(limit.as_bytes()), None, "{limit}");
    }
}

/// What is wrong somewhere is not believed anywhere.
#[test]
fn signs_that_contradict_each_other_tell_nothing() {
    let small = meminfo(4 << 10, counts());
    let shown = written(&[
        ("snapshot.txt", b"page size: 65536 bytes\n".to_vec()),
        ("/proc/meminfo", small.into()),
        ("/proc/sys/kernel/arch", b"x86_64\n".to_vec()),
    ]);
    let large = page(64 << 10, PageSign::Recorded);
    let wrong = NoPageSize::Contradiction(large, page(4 << 10, PageSign::Architecture));
    assert_eq!(shown, Err(wrong));
    assert_eq!(
        wrong.to_string(),
        "contradiction: 64 KiB (snapshot.txt), 4 KiB (/proc/sys/kernel/arch)"
    );
}

proptest! {
    /// Whatever the machine's memory is used for, and however much it changes between two files, no wrong size comes out.
    #[test]
    fn memory_in_use_shows_no_wrong_size(
        size in prop::sample::select(&SIZES[..]),
        used in prop::array::uniform13(1u64..1 << 24),
        changed in prop::array::uniform13(0u64..200),
    ) {
        let files = |counts: &[u64]| meminfo(size, counts.iter().copied());
        let right = PageSize::of(size);
        let later: Vec<_> = used.iter().zip(changed).map(|(pages, more)| pages + pages * more / 1000).collect();
        let by_both = signs::vmstat(vmstat(used.iter().copied()).as_bytes(), files(&later).as_bytes());
        prop_assert!(by_both.is_none() || by_both == right, "{by_both:?}");
        let alone = signs::meminfo(files(&used).as_bytes());
        prop_assert!(alone.is_none() || alone == right, "{alone:?}");
    }

    #[test]
    fn garbage_never_panics(
        bytes: Vec<u8>,
        line in "(page size: |KernelPageSize: |CONFIG_PAGE_SHIFT=|MemFree: |nr_free_pages )[0-9]{0,22}( kB| bytes)?",
    ) {
        for bytes in [&bytes[..], line.as_bytes()] {
            signs::recorded(bytes);
            signs::auxv(bytes);
            signs::smaps(bytes);
            signs::limit(bytes);
            signs::config(bytes);
            signs::architecture(bytes);
            signs::meminfo(bytes);
            signs::vmstat(bytes, bytes);
            signs::suggested(&String::from_utf8_lossy(bytes));
        }
        signs::vmstat(b"nr_free_pages 64\n", line.as_bytes());
        signs::vmstat(line.as_bytes(), b"MemFree: 64 kB\n");
    }
}
