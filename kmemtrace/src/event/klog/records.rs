//! The records in a text that holds a kernel log, in whatever form.

use super::{KNOWN, KlogTally, LogLine, Record, export, find, line};

/// A terminal breaks a line of the kernel's into so many parts at most.
const PARTS: usize = 8;

/// Hands over each record of a text with the number of its line, counted from 1.
///
/// The lines may be in any form that [`line()`] knows, or a journal's export. A record that a terminal broke into several lines is put
/// together.
pub fn records(bytes: &[u8], each: &mut dyn FnMut(u64, &Record<'_>)) -> KlogTally {
    if export::begins(bytes) {
        return export::records(bytes, each);
    }
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n'));
    records_in(lines, each)
}

/// The same of lines that come with their numbers.
pub fn records_in<'a>(
    lines: impl Iterator<Item = (u64, &'a [u8])>,
    each: &mut dyn FnMut(u64, &Record<'_>),
) -> KlogTally {
    let mut tally = KlogTally::default();
    let mut broken: Option<Broken<'_>> = None;
    for (number, bytes) in lines {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let read = line(bytes);
        if let (None | Some(LogLine::More), Some(broken)) = (&read, &mut broken)
            && broken.takes(bytes)
        {
            continue;
        }
        if let Some(broken) = broken.take() {
            broken.hand_over(each);
        }
        match read {
            Some(LogLine::Record(record)) => {
                tally.records += 1;
                if record.sequence.is_none() && !whole(&record.text) {
                    broken = Some(Broken {
                        number,
                        parts: vec![bytes],
                    });
                } else {
                    each(number, &record);
                }
            }
            Some(LogLine::Other) => tally.others += 1,
            Some(LogLine::More) | None => {}
        }
    }
    if let Some(broken) = broken {
        broken.hand_over(each);
    }
    tally
}

/// Whether nothing is missing at a text's end, or it is of no interest.
fn whole(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let known = KNOWN.iter().find(|(begin, _)| {
        // It may be broken within its first words.
        let begin = begin.as_bytes();
        let both = begin.len().min(text.len());
        both >= 5 && text[..both] == begin[..both]
    });
    let Some((begin, end)) = known else {
        return true;
    };
    let end = end.as_bytes();
    if text.len() < begin.len() {
        return false;
    }
    match find(text, end) {
        // Figures and paths may go on in the next line: there is always something behind these.
        Some(at) if end.ends_with(b" ") || end.ends_with(b"=") => text.len() > at + end.len(),
        found => found.is_some(),
    }
}

/// A record whose end is in the lines that follow.
struct Broken<'a> {
    number: u64,
    parts: Vec<&'a [u8]>,
}

impl<'a> Broken<'a> {
    /// Takes a line in, if it may be the next part.
    fn takes(&mut self, bytes: &'a [u8]) -> bool {
        let more = !bytes.is_empty()
            && self.parts.len() < PARTS
            && !record_text(&self.joined(b"")).is_some_and(|text| whole(&text));
        if more {
            self.parts.push(bytes);
        }
        more
    }

    fn joined(&self, between: &[u8]) -> Vec<u8> {
        self.parts.join(between)
    }

    /// A terminal breaks anywhere, a mail program at a blank, which it drops: the text with more of the words that are known is right.
    fn hand_over(self, each: &mut dyn FnMut(u64, &Record<'_>)) {
        let (as_is, blank) = (self.joined(b""), self.joined(b" "));
        let joined = if words(&blank) > words(&as_is) {
            blank
        } else {
            as_is
        };
        if let Some(LogLine::Record(record)) = line(&joined) {
            each(self.number, &record);
        }
    }
}

fn record_text(bytes: &[u8]) -> Option<Vec<u8>> {
    match line(bytes)? {
        LogLine::Record(record) => Some(record.text.into_owned()),
        LogLine::More | LogLine::Other => None,
    }
}

/// How many of the known words are in a text.
fn words(text: &[u8]) -> usize {
    const WORDS: [&str; 14] = [
        "cache: ",
        "node ",
        "Unable to allocate memory on node ",
        ", object size: ",
        ", buffer size: ",
        "default order: ",
        ", min order: ",
        ", order: ",
        ": slabs: ",
        ", objs: ",
        ", free: ",
        " killed as a result of limit of /",
        "Memory cgroup out of memory: Kill",
        ", limit ",
    ];
    let has = |word: &&&str| find(text, word.as_bytes()).is_some();
    WORDS.iter().filter(has).count()
}
