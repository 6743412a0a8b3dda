//! The lines that a snapshot has of logs: `read FILE` for each file that was read, `unknown FILE` for one in which no line has a
//! time, `skip FILE` for one that is packed, and `FILE:NUMBER:TEXT` for each line.

use super::{LogFile, LogText, Logs, logs};
use crate::host::{
    Root,
    parse::{lines, number},
};

/// The file's name, at the root of a snapshot.
pub(crate) const COPIED: &str = "log-lines.txt";

/// What earlier versions wrote: lines in which a cgroup could not be made.
const EARLIER: &str = "runtime-log.txt";

/// So many bytes of lines are copied.
const MOST: usize = 15_000_000;

/// What a copy has of the logs; `None` if it has the logs themselves, or nothing.
pub(super) fn read(root: &Root) -> Option<Logs> {
    let copied = root.read(COPIED).or_else(|_| root.read(EARLIER));
    Some(parse(&copied.ok()?))
}

/// What a snapshot has: `None` if there is no log. `journal` is what was found in the journal.
pub(crate) fn to_copy(root: &Root, journal: &[LogFile]) -> Option<Vec<u8>> {
    let mut logs = logs(root);
    logs.files.extend_from_slice(journal);
    let mut text = Vec::new();
    for file in &logs.files {
        let read = if file.stamped { "read" } else { "unknown" };
        text.extend_from_slice(format!("{read} {}\n", file.name).as_bytes());
    }
    for file in &logs.skipped {
        text.extend_from_slice(format!("skip {file}\n").as_bytes());
    }
    let most = text.len() + MOST;
    for file in &logs.files {
        for line in &file.lines {
            let number = line
                .number
                .map_or_else(String::new, |number| number.to_string());
            text.extend_from_slice(format!("{}:{number}:", file.name).as_bytes());
            text.extend_from_slice(&line.text);
            text.push(b'\n');
        }
    }
    text.truncate(most);
    (!text.is_empty()).then_some(text)
}

pub(super) fn parse(text: &[u8]) -> Logs {
    let mut logs = Logs::default();
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (_, line) in lines(text) {
        for (word, stamped) in [("read ", true), ("unknown ", false)] {
            if let Some(name) = line.strip_prefix(word.as_bytes()) {
                logs.files.push(file(text_of(name), stamped));
            }
        }
        if let Some(name) = line.strip_prefix(b"skip ") {
            logs.skipped.push(text_of(name));
        }
        // No file's path begins with a word and a blank.
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (Some(name), Some(at), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let name = text_of(name);
        let at = LogText {
            number: number(at),
            text: text.to_vec(),
        };
        match logs.files.iter_mut().rfind(|file| file.name == name) {
            Some(file) => file.lines.push(at),
            None => logs.files.push(LogFile {
                lines: vec![at],
                ..file(name, true)
            }),
        }
    }
    logs
}

fn file(name: String, stamped: bool) -> LogFile {
    LogFile {
        log: log(&name).to_owned(),
        name,
        stamped,
        lines: Vec::new(),
    }
}

/// The log of which this is a file: without what rotating it added.
fn log(name: &str) -> &str {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let dated = stem
        .rsplit_once('-')
        .filter(|(_, end)| end.len() == 8 && digits(end));
    let numbered = stem
        .rsplit_once('.')
        .filter(|(_, end)| end.len() == 1 && digits(end));
    dated.or(numbered).map_or(name, |(log, _)| log)
}
