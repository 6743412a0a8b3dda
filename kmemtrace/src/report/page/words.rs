//! What things are called that the trace and the tracker know by a type.

use crate::{
    catalogue::{Catalogue, Sentence, say},
    event::GapReason,
    report::leaks::HeldBy,
    tracker::Pin,
};

/// What keeps a zombie.
pub(super) fn held_by(by: HeldBy) -> Sentence {
    match by {
        HeldBy::Pin(Pin::PageCache) => say::PIN_PAGE_CACHE,
        HeldBy::Pin(Pin::Tmpfs) => say::PAGE_PIN_TMPFS,
        HeldBy::Pin(Pin::Anonymous) => say::PAGE_PIN_ANONYMOUS,
        HeldBy::Pin(Pin::Unevictable) => say::PAGE_PIN_UNEVICTABLE,
        HeldBy::Pin(Pin::Swap) => say::PIN_SWAP,
        HeldBy::Pin(Pin::Sockets) => say::PIN_SOCKETS,
        HeldBy::Pin(Pin::Children) => say::PAGE_PIN_CHILDREN,
        HeldBy::Pin(Pin::References) => say::PAGE_PIN_REFERENCES,
        HeldBy::SlabCaches => say::PAGE_PIN_SLAB,
    }
}

/// Why events may have been lost.
pub(super) fn gap(reason: GapReason) -> Sentence {
    match reason {
        GapReason::RingFull => say::PAGE_GAP_RING,
        GapReason::Recursion => say::PAGE_GAP_RECURSION,
        GapReason::BadRecord => say::PAGE_GAP_RECORD,
        GapReason::KernelLog => say::PAGE_GAP_LOG,
        GapReason::LatePoll => say::PAGE_GAP_POLL,
        GapReason::TraceLost => say::PAGE_GAP_TRACE,
    }
}

/// A kind of owner; runtimes and the like have the same name in all languages.
pub(super) fn owner(kind: &str, catalogue: &Catalogue) -> String {
    let word = match kind {
        "pod" => say::PAGE_POD,
        "container" => say::PAGE_CONTAINER,
        "unit" => say::PAGE_UNIT,
        "path" => say::PAGE_ROW_PATH,
        "unknown" => say::PAGE_OWNER_UNKNOWN,
        "others" => say::PAGE_OWNER_OTHERS,
        other => return other.to_owned(),
    };
    catalogue.word(word)
}
