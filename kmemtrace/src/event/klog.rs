//! The failure messages of the slab allocators in the kernel log, in the wordings that kernels have had. SLUB's:
//!
//! ```text
//! SLUB: Unable to allocate memory on node -1 (gfp=0xd0)                                         3.10
//! SLUB: Unable to allocate memory on node -1, gfp=0xa20(GFP_ATOMIC)                             4.x to 6.11
//! SLUB: Unable to allocate memory on CPU 0 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)        6.12 and later
//!   cache: sigqueue, object size: 80, buffer size: 80, default order: 0, min order: 0
//!   sigqueue debugging increased min order, use slab_debug=O to disable.                        if it did
//!   node 0: slabs: 3396, objs: 173196, free: 0                                                  for each node
//! ```
//!
//! And SLAB's, to 6.7 (`mm/slab.c`), of which the node's line loses its last figure in 4.10:
//!
//! ```text
//! SLAB: Unable to allocate memory on node 0 (gfp=0x20)
//!   cache: kmalloc-1024, object size: 1024, order: 0
//!   node 0: slabs: 663/663, objs: 2652/2652, free: 0
//! ```
//!
//! Each line is a record of its own in the log (`slab_out_of_memory`): [`message`] understands the first, [`detail`] the
//! others, [`Assembler`] puts them together, and [`LogReader`] does all that with a file of this boot's. [`records()`] finds the records
//! of any text that holds a kernel log: in all of `dmesg`'s forms, in syslogs, in a journal's export, broken by a terminal.
//!
//! The message has a rate limit of its own (`slub_oom_rs`): before the next one that it lets through, the log says how many it
//! held back (`___ratelimit`), which [`suppressed`] understands:
//!
//! ```text
//! slab_out_of_memory: 17786 callbacks suppressed
//! ```
//!
//! To 3.15 it was `printk_ratelimit()`, called in `__slab_alloc`: its count takes in everybody's messages, and is left out.

mod assembler;
mod export;
mod reader;
mod record;
mod records;
mod stamp;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use memchr::memmem;

pub use assembler::{Assembler, PATIENCE_NS};
pub use reader::{LogError, LogFault, LogReader, LogTally};
pub use record::{LogLine, Record, Time, line, record};
pub use records::{records, records_in};

use super::{NodeSlabs, SlabFailure};

/// What a text came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KlogTally {
    /// Records of the kernel.
    pub records: u64,
    /// Lines of other programs.
    pub others: u64,
}

/// With `SLUB: ` or `SLAB: ` before it.
const MESSAGE: &[u8] = b": Unable to allocate memory on ";

/// The names of the allocators that say so.
const ALLOCATORS: [&[u8]; 2] = [b"SLUB", b"SLAB"];

/// `MAX_NUMNODES` of the largest configuration.
const NODES_MAX: usize = 1024;

/// Finds a failure message in `text`, wherever in it the line begins, and takes in its other lines if they follow.
pub fn slab_failure(text: &[u8]) -> Option<SlabFailure> {
    let at = begin(text)?;
    let mut lines = text[at..].split(|&byte| byte == b'\n');
    let mut failure = message(lines.next()?)?;
    for line in lines {
        detail(&mut failure, line);
    }
    Some(failure)
}

/// The message's first line, wherever in `text` it begins.
pub fn message(text: &[u8]) -> Option<SlabFailure> {
    let line = &text[begin(text)? + ALLOCATORS[0].len() + MESSAGE.len()..];
    let gfp = find(line, b"gfp=0x").map(|at| &line[at + 6..]);
    Some(SlabFailure {
        // the last "node N" is the one asked for: since 6.12 the CPU's own comes first, as "of node N"
        node: find_last(line, b"node ").and_then(|at| number(&line[at + 5..])),
        cpu: line.strip_prefix(b"CPU ").and_then(number),
        gfp: gfp.and_then(hex),
        gfp_flags: gfp.and_then(flags),
        ..SlabFailure::default()
    })
}

/// Where a message begins.
fn begin(text: &[u8]) -> Option<usize> {
    let at = find(text, MESSAGE)?.checked_sub(ALLOCATORS[0].len())?;
    let named = ALLOCATORS.iter().any(|name| text[at..].starts_with(name));
    named.then_some(at)
}

/// How many messages before this one the rate limit held back: the function's name is as the compiler has it (`__func__`), whatever
/// the symbol is called.
pub fn suppressed(text: &[u8]) -> Option<u64> {
    let rest = text.strip_prefix(b"slab_out_of_memory: ")?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    let (count, rest) = rest.split_at(end);
    (rest == b" callbacks suppressed").then(|| number(count))?
}

/// Takes in one of the lines that follow the message's first; `false` if it is none, or one that is known already.
pub fn detail(failure: &mut SlabFailure, text: &[u8]) -> bool {
    if failure.cache.is_none()
        && let Some((name, rest)) = cache(text)
    {
        failure.cache = Some(Bytes::copy_from_slice(name));
        failure.object_size = after(rest, b"object size: ");
        failure.buffer_size = after(rest, b"buffer size: ");
        failure.order = after(rest, b"default order: ").or_else(|| after(rest, b", order: "));
        failure.min_order = after(rest, b"min order: ");
        return true;
    }
    if failure.nodes.len() < NODES_MAX
        && let Some(slabs) = node_slabs(text)
        && failure.nodes.iter().all(|known| known.node != slabs.node)
    {
        failure.nodes.push(slabs);
        return true;
    }
    false
}

/// How the records begin that kmemtrace reads, and what is in them when they are whole.
const KNOWN: [(&str, &str); 15] = [
    ("SLUB: Unable to allocate memory", ")"),
    ("SLAB: Unable to allocate memory", ")"),
    ("slab_out_of_memory: ", "suppressed"),
    // SLAB's ends before these.
    ("cache: ", ", min order: "),
    ("node ", ", free: "),
    ("Linux version ", ""),
    ("Task in /", " killed as a result of limit of /"),
    ("Tasks in /", " set"),
    ("oom-kill:constraint=", ",uid="),
    ("Memory cgroup out of memory: Kill", ")"),
    ("Memory cgroup stats for /", ":"),
    ("memory: usage ", "failcnt "),
    ("memory+swap: usage ", "failcnt "),
    ("swap: usage ", "failcnt "),
    ("kmem: usage ", "failcnt "),
];

/// Whether kmemtrace knows this text for the kernel's, whatever stands before it.
fn known(text: &[u8]) -> bool {
    // `node ` may begin a part of a broken line.
    let begins = |begin: &str| begin.len() > 7 && text.starts_with(begin.as_bytes());
    KNOWN.iter().any(|(begin, _)| begins(begin)) || detail_like(text)
}

/// Whether this is one of a message's further lines, with the blanks that it begins with.
fn detail_like(text: &[u8]) -> bool {
    // Its end may be in the next line.
    let cache = text.starts_with(b"  cache: ");
    let text = text.trim_ascii_start();
    cache
        || (text.starts_with(b"cache: ") && find(text, b", object size: ").is_some())
        || (text.starts_with(b"node ") && find(text, b": slabs: ").is_some())
}

/// The cache's name, and the figures after it.
fn cache(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = &text[find(text, b"cache: ")? + 7..];
    // the last one: on 3.10 the name holds a cgroup's, which may hold anything
    let end = find_last(rest, b", object size: ")?;
    let (name, rest) = rest.split_at(end);
    (!name.is_empty()).then_some((name, rest))
}

fn node_slabs(text: &[u8]) -> Option<NodeSlabs> {
    let at = find(text, b": slabs: ")?;
    let node = &text[find_last(&text[..at], b"node ")? + 5..at];
    let rest = &text[at..];
    // SLAB's are IN USE/ALL.
    let all = |key: &[u8]| -> Option<(u64, Option<u64>)> {
        let figures = &rest[find(rest, key)? + key.len()..];
        let first = number(figures)?;
        let digits = figures.iter().take_while(|byte| byte.is_ascii_digit());
        let second = figures[digits.count()..].strip_prefix(b"/");
        Some(match second.and_then(number) {
            Some(all) => (all, Some(first)),
            None => (first, None),
        })
    };
    let (slabs, _) = all(b"slabs: ")?;
    let (objects, used) = all(b"objs: ")?;
    let free = after(rest, b"free: ");
    Some(NodeSlabs {
        node: str::from_utf8(node).ok()?.parse().ok()?,
        slabs,
        objects,
        free: free.or_else(|| Some(objects.saturating_sub(used?)))?,
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memmem::find(text, what)
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    memmem::rfind(text, what)
}

/// The number that follows `key`.
fn after<T: std::str::FromStr>(text: &[u8], key: &[u8]) -> Option<T> {
    number(&text[find(text, key)? + key.len()..])
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let end = text
        .iter()
        .enumerate()
        .position(|(i, b)| !(b.is_ascii_digit() || (i == 0 && *b == b'-')))
        .unwrap_or(text.len());
    str::from_utf8(&text[..end]).ok()?.parse().ok()
}

fn hex(text: &[u8]) -> Option<u32> {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_hexdigit())
        .unwrap_or(text.len());
    u32::from_str_radix(str::from_utf8(&text[..end]).ok()?, 16).ok()
}

/// `820(GFP_ATOMIC|__GFP_ZERO)`: what is in the parentheses, if it is nothing but flags (`%pGg`).
fn flags(text: &[u8]) -> Option<String> {
    let open = text.iter().position(|b| !b.is_ascii_hexdigit())?;
    let inner = text[open..].strip_prefix(b"(")?;
    let inner = &inner[..inner.iter().position(|&byte| byte == b')')?];
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'|');
    let whole = !inner.is_empty() && inner.iter().all(plain);
    whole.then(|| String::from_utf8_lossy(inner).into_owned())
}
