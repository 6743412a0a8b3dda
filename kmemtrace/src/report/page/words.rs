//! What things are called that the trace and the tracker know by a type.

use crate::{
    catalogue::{Catalogue, Message, Sentence, say},
    event::{GapReason, json::errno_name},
    report::{FailedOn, leaks::HeldBy},
    trace::TraceNote,
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
        GapReason::Contradicted => say::PAGE_GAP_CONTRADICTED,
    }
}

/// What could not be read of the traces; a fault of a line has the reader's own words, which are English.
pub(super) fn note(note: &TraceNote, catalogue: &Catalogue) -> String {
    let message = match note {
        TraceNote::Fault(error) => return error.clone(),
        TraceNote::More(more) => Message::new(say::PAGE_NOTE_MORE).arg("number", *more),
        TraceNote::Torn(file) => Message::new(say::PAGE_NOTE_TORN).arg("file", file.clone()),
        TraceNote::Newer(lines, fields) => Message::new(say::PAGE_NOTE_NEWER)
            .arg("lines", *lines)
            .arg("fields", *fields),
    };
    catalogue.text(&message)
}

/// What failed.
pub(super) fn failed(what: &FailedOn, catalogue: &Catalogue) -> String {
    match what {
        FailedOn::Cache(name) => name.clone(),
        FailedOn::Objects(bytes) => {
            catalogue.text(&Message::new(say::PAGE_OBJECTS_OF).arg("bytes", *bytes))
        }
        FailedOn::Errno(errno) => errno_name(*errno).map_or_else(
            || catalogue.text(&Message::new(say::PAGE_ERRNO).arg("errno", errno.to_string())),
            str::to_owned,
        ),
        FailedOn::UnknownErrno => catalogue.word(say::PAGE_ERRNO_UNKNOWN),
        FailedOn::Unknown => catalogue.word(say::PAGE_NOT_KNOWN),
        FailedOn::Others => catalogue.word(say::PAGE_OWNER_OTHERS),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Lang;

    /// In English the page says of the traces what stderr was told.
    #[test]
    fn notes_are_what_stderr_was_told() {
        let english = Catalogue::exact(Lang::En);
        let chinese = Catalogue::exact(Lang::Zh);
        for of in [
            TraceNote::Fault("a.jsonl: line 3: no time".to_owned()),
            TraceNote::More(1),
            TraceNote::More(12_345),
            TraceNote::Torn("a.jsonl".to_owned()),
            TraceNote::Newer(1, 2),
            TraceNote::Newer(0, 1),
        ] {
            assert_eq!(note(&of, &english), of.to_string());
            let translated = !matches!(of, TraceNote::Fault(_));
            assert_eq!(note(&of, &chinese) != of.to_string(), translated, "{of}");
        }
    }
}
