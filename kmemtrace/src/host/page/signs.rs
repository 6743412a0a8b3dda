//! What each file shows of the page size: bytes in, a size or nothing out.

use super::PageSize;
use crate::host::parse::{lines, number};

/// What a snapshot says of it: `page size: 65536 bytes`.
pub(in crate::host) const RECORDED: &str = "page size: ";

/// A line of `snapshot.txt`.
pub(super) fn recorded(text: &[u8]) -> Option<PageSize> {
    let said = lines(text).find_map(|(_, line)| line.strip_prefix(RECORDED.as_bytes()))?;
    let end = said.iter().position(|&byte| byte == b' ')?;
    let (bytes, unit) = said.split_at(end);
    unit.starts_with(b" bytes")
        .then(|| PageSize::of(number(bytes)?))?
}

/// `AT_PAGESZ` of `/proc/PID/auxv`: pairs of words, of the copied machine's width and byte order, up to `AT_NULL`.
pub(super) fn auxv(bytes: &[u8]) -> Option<PageSize> {
    const AT_NULL: u64 = 0;
    const AT_PAGESZ: u64 = 6;
    let word = |bytes: &[u8], little: bool| {
        let add = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        if little {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        }
    };
    let of = |(width, little): (usize, bool)| {
        let mut found = None;
        for pair in bytes.chunks_exact(2 * width) {
            let (key, value) = pair.split_at(width);
            match word(key, little) {
                AT_NULL => return found,
                AT_PAGESZ => found = PageSize::of(word(value, little)),
                _ => {}
            }
        }
        // It has no end: these are no such words.
        None
    };
    [(8, true), (8, false), (4, true), (4, false)]
        .into_iter()
        .find_map(of)
}

/// The least `KernelPageSize` of `/proc/PID/smaps`: that of a mapping of huge pages is theirs (`vma_kernel_pagesize`).
pub(super) fn smaps(text: &[u8]) -> Option<PageSize> {
    let sizes = lines(text).filter_map(|(_, line)| line.strip_prefix(b"KernelPageSize:"));
    let sizes = sizes.filter_map(|size| number::<u64>(size.strip_suffix(b" kB")?));
    PageSize::of(sizes.min()?.checked_mul(1024)?)
}

/// `memory.limit_in_bytes` of a v1 cgroup that has no limit, from 3.19 on: `LONG_MAX / PAGE_SIZE` pages. Before that it is
/// `LLONG_MAX` or `ULLONG_MAX` (`RES_COUNTER_MAX`), which tells nothing, nor does a kernel of 32 bits.
pub(super) fn limit(text: &[u8]) -> Option<PageSize> {
    let limit: u64 = number(lines(text).next()?.1)?;
    PageSize::of((1u64 << 63).checked_sub(limit)?)
}

/// The kernel's configuration.
pub(super) fn config(text: &[u8]) -> Option<PageSize> {
    /// Options that name the size, or an architecture that has no other.
    const OPTIONS: [(&[u8], u64); 17] = [
        (b"CONFIG_PAGE_SIZE_4KB", 4),
        (b"CONFIG_PAGE_SIZE_8KB", 8),
        (b"CONFIG_PAGE_SIZE_16KB", 16),
        (b"CONFIG_PAGE_SIZE_32KB", 32),
        (b"CONFIG_PAGE_SIZE_64KB", 64),
        (b"CONFIG_PAGE_SIZE_256KB", 256),
        (b"CONFIG_ARM64_4K_PAGES", 4),
        (b"CONFIG_ARM64_16K_PAGES", 16),
        (b"CONFIG_ARM64_64K_PAGES", 64),
        (b"CONFIG_PPC_4K_PAGES", 4),
        (b"CONFIG_PPC_16K_PAGES", 16),
        (b"CONFIG_PPC_64K_PAGES", 64),
        (b"CONFIG_PPC_256K_PAGES", 256),
        (b"CONFIG_X86", 4),
        (b"CONFIG_ARM", 4),
        (b"CONFIG_S390", 4),
        (b"CONFIG_RISCV", 4),
    ];
    const SHIFTS: [&[u8]; 3] = [
        b"CONFIG_PAGE_SHIFT",
        b"CONFIG_ARM64_PAGE_SHIFT",
        b"CONFIG_PPC_PAGE_SHIFT",
    ];
    let mut size = None;
    for (_, line) in lines(text) {
        let Some(equals) = line.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (option, value) = (&line[..equals], &line[equals + 1..]);
        let told = if value == b"y" {
            let named = OPTIONS.iter().find(|(name, _)| *name == option);
            named.and_then(|(_, kib)| PageSize::of(kib << 10))
        } else if SHIFTS.contains(&option) {
            number(value).and_then(|shift| PageSize::of(1u64.checked_shl(shift)?))
        } else {
            None
        };
        // One that says two things says nothing.
        match (size, told) {
            (Some(one), Some(other)) if one != other => return None,
            _ => size = size.or(told),
        }
    }
    size
}

/// What `uname -m` is called, of architectures that have no other.
pub(super) fn architecture(name: &[u8]) -> Option<PageSize> {
    let only = ["x86_64", "i386", "i486", "i586", "i686", "s390x", "riscv64"];
    let name = name.trim_ascii();
    only.iter()
        .any(|one| one.as_bytes() == name)
        .then_some(PageSize::LEAST)
}

/// What `/proc/meminfo` has in KiB (`show_val_kb`).
fn kib(meminfo: &[u8], key: &str) -> Option<u64> {
    lines(meminfo).find_map(|(_, line)| {
        let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b":")?;
        number(value.strip_suffix(b" kB")?)
    })
}

/// By what `/proc/vmstat` has in pages. Both are read one after the other while they change: the sizes of pages are a factor of
/// two apart at least, and two of the counts have to agree.
pub(super) fn vmstat(vmstat: &[u8], meminfo: &[u8]) -> Option<PageSize> {
    const SAME: [(&str, &str); 7] = [
        ("nr_free_pages", "MemFree"),
        ("nr_inactive_file", "Inactive(file)"),
        ("nr_active_file", "Active(file)"),
        ("nr_active_anon", "Active(anon)"),
        ("nr_inactive_anon", "Inactive(anon)"),
        ("nr_mapped", "Mapped"),
        ("nr_page_table_pages", "PageTables"),
    ];
    /// Fewer pages change too much.
    const ENOUGH: u64 = 64;
    let pages = |key: &str| {
        lines(vmstat).find_map(|(_, line)| {
            let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?;
            number::<u64>(value)
        })
    };
    let sizes = SAME.iter().filter_map(|(in_pages, in_kib)| {
        let pages = pages(in_pages).filter(|&pages| pages >= ENOUGH)?;
        let bytes = kib(meminfo, in_kib)?.checked_mul(1024)?;
        // The nearest power of two, if it is within an eighth.
        let size = (bytes / pages).checked_add(bytes / pages / 2)?;
        let size = 1u64 << size.checked_ilog2()?;
        let all = size.checked_mul(pages)?;
        Some((all.abs_diff(bytes) <= all / 8).then_some(size))
    });
    let sizes: Option<Vec<u64>> = sizes.collect();
    match &sizes?[..] {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|size| size == first) => {
            PageSize::of(*first)
        }
        _ => None,
    }
}

/// By the greatest power of two that all counts of pages in `/proc/meminfo` are multiples of.
///
/// A page is no larger than that, so 4 KiB is certain. That ten counts, none the sum of others, are all multiples of 16 KiB
/// where pages have 4 KiB happens once in 4^10 times; the same with 64 and 16 KiB. Other sizes are not told in this way, nor
/// is what has finer values: then it is not the kernel's own (lxcfs).
pub(super) fn meminfo(meminfo: &[u8]) -> Option<PageSize> {
    const COUNTS: [&str; 17] = [
        "MemTotal",
        "MemFree",
        "MemAvailable",
        "Buffers",
        "Cached",
        "Active(anon)",
        "Inactive(anon)",
        "Active(file)",
        "Inactive(file)",
        "Mlocked",
        "AnonPages",
        "Mapped",
        "Shmem",
        "SReclaimable",
        "SUnreclaim",
        "PageTables",
        "Committed_AS",
    ];
    const ENOUGH: usize = 10;
    let counts = COUNTS.iter().filter_map(|key| kib(meminfo, key));
    let counts: Vec<u64> = counts.filter(|&kib| kib > 0).collect();
    let shift = counts.iter().map(|kib| kib.trailing_zeros()).min()?;
    match 1u64.checked_shl(shift)? {
        kib @ (4 | 16 | 64) if counts.len() >= ENOUGH => PageSize::of(kib << 10),
        _ => None,
    }
}

/// What the name of a kernel suggests: `5.14.0-362.el9.aarch64+64k`, `6.12.57-arm64-16k`, `3.10.0-514.el7.x86_64`.
pub(super) fn suggested(release: &str) -> Option<PageSize> {
    let words = release.split(['-', '+', '.', '_']);
    let mut sized = words.filter_map(|word| match word {
        "4k" => Some(4),
        "16k" => Some(16),
        "64k" => Some(64),
        _ => None,
    });
    let x86 = ["x86_64", "amd64", "i686"]
        .iter()
        .any(|name| release.ends_with(name));
    let kib = sized.next_back().or(x86.then_some(4))?;
    PageSize::of(kib << 10)
}
