//! The table of leaked memcgs, as JSON for the page's script.

use std::{collections::HashMap, io};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::words;
use crate::{
    catalogue::{Catalogue, Message, say},
    event::Path,
    report::{Fate, Leak, Report},
    text::{
        columns::wide,
        escape::{Name, is_hidden},
    },
};

/// What the script reads. Names are escaped as people see them; the script sets them as text.
#[derive(Debug, Serialize)]
struct Data {
    /// When the report begins, in milliseconds since the Unix epoch: rows count from here.
    began: i64,
    /// Names of directories, each once.
    dirs: Texts,
    /// Kinds and names of owners.
    owners: Vec<(String, String)>,
    /// What became of them, in words.
    states: Texts,
    /// What keeps them, in words.
    pins: Texts,
    /// Names of tasks.
    tasks: Texts,
    rows: Vec<LeakRow>,
    words: ScriptWords,
}

/// What the script says itself.
#[derive(Debug, Serialize)]
struct ScriptWords {
    /// What stands before the facts of a row that was chosen, all of one width.
    labels: Vec<String>,
    /// "{0} of {1}".
    found: String,
    /// "the first {0} of {1}".
    printed: String,
}

/// A row, as an array: names of fields would be half of the page.
#[derive(Debug, Serialize)]
struct LeakRow(
    /// Its directory.
    Option<usize>,
    /// Its own name.
    String,
    /// Its owner.
    usize,
    /// When it was removed, in milliseconds since the beginning.
    Option<i64>,
    /// For how long it was a zombie, in milliseconds.
    Option<u64>,
    /// 1 if it may have been one for longer.
    u8,
    /// What became of it.
    usize,
    /// Bytes charged at its removal.
    Option<u64>,
    /// What keeps it.
    Option<usize>,
    /// What it holds so, in bytes.
    Option<u64>,
    /// Slab caches of its own.
    Option<u32>,
    /// Its memcg id.
    Option<u32>,
    /// Its cgroup id: a string, since JavaScript's numbers are shorter.
    Option<String>,
    /// Who made it.
    Option<usize>,
);

/// Texts, each once.
#[derive(Debug, Default)]
struct Texts {
    all: Vec<String>,
    index: HashMap<String, usize>,
}

impl Texts {
    fn add(&mut self, text: String) -> usize {
        let next = self.all.len();
        *self.index.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            next
        })
    }
}

impl Serialize for Texts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

/// The order in which they are shown first: those that are left, the oldest first.
pub(super) fn order(report: &Report) -> Vec<&Leak> {
    let mut leaks: Vec<_> = report.leaks.iter().collect();
    leaks.sort_by_key(|leak| {
        let age = std::cmp::Reverse(leak.zombie_ns);
        (!leak.is_left(), age, leak.leaked_ns)
    });
    leaks
}

/// JSON that may stand in a `script` element: with nothing that could end it, or that a terminal or an editor would obey.
pub(super) fn json(report: &Report, leaks: &[&Leak], catalogue: &Catalogue) -> io::Result<String> {
    let began = report.series.began_ns;
    let mut data = Data {
        began: began.div_euclid(1_000_000),
        dirs: Texts::default(),
        owners: Vec::new(),
        states: Texts::default(),
        pins: Texts::default(),
        tasks: Texts::default(),
        rows: Vec::with_capacity(leaks.len()),
        words: script_words(catalogue),
    };
    // Only those that the rows name.
    let mut owners = HashMap::new();
    for leak in leaks {
        let owner = *owners.entry(leak.owner).or_insert_with(|| {
            let owner = report.owners.get(leak.owner);
            let kind = owner.map_or("unknown", |owner| owner.kind);
            let name = owner.map(|owner| Name::whole(owner.name.as_bytes()).to_string());
            data.owners
                .push((words::owner(kind, catalogue), name.unwrap_or_default()));
            data.owners.len() - 1
        });
        let (dir, name) = split(leak.path.as_ref());
        data.rows.push(LeakRow(
            dir.map(|dir| data.dirs.add(dir)),
            name,
            owner,
            leak.offlined_ns
                .map(|at| at.saturating_sub(began).div_euclid(1_000_000)),
            leak.zombie_ns.map(|ns| ns / 1_000_000),
            leak.at_least.into(),
            data.states.add(state(report, leak, catalogue)),
            leak.usage_bytes,
            leak.held_by()
                .map(|by| data.pins.add(catalogue.word(words::held_by(by)))),
            leak.held_bytes(),
            leak.slab.map(|slab| slab.caches),
            leak.memcg_id,
            leak.cgroup_id.map(|id| id.to_string()),
            leak.creator
                .map(|task| data.tasks.add(Name::whole(task.comm()).to_string())),
        ));
    }
    let mut out = Vec::new();
    data.serialize(&mut Serializer::with_formatter(&mut out, Embedded))?;
    String::from_utf8(out).map_err(io::Error::other)
}

/// A path's directory, with its slash, and its last name, as people see them.
fn split(path: Option<&Path>) -> (Option<String>, String) {
    let Some(path) = path else {
        return (None, String::new());
    };
    let slash = path.bytes.iter().rposition(|&byte| byte == b'/');
    let (dir, name) = path.bytes.split_at(slash.map_or(0, |slash| slash + 1));
    let dir = (!dir.is_empty()).then(|| Name::whole(dir).to_string());
    (dir, Name::whole(name).to_string())
}

/// The words of the script.
fn script_words(catalogue: &Catalogue) -> ScriptWords {
    const WIDTH: usize = 14;
    let labels = [
        say::PAGE_ROW_PATH,
        say::PAGE_OWNER,
        say::PAGE_STATE,
        say::PAGE_ZOMBIE_FOR,
        say::PAGE_REMOVED,
        say::PAGE_ROW_CHARGED,
        say::PAGE_HELD_BY,
        say::PAGE_HOLDS,
        say::PAGE_ROW_CACHES,
        say::PAGE_MEMCG_ID,
        say::PAGE_ROW_CGROUP_ID,
        say::PAGE_ROW_MADE_BY,
    ];
    let of = |sentence| {
        let says = Message::new(sentence).arg("shown", "{0}");
        catalogue.text(&says.arg("all", "{1}"))
    };
    ScriptWords {
        labels: labels
            .map(|label| wide(&catalogue.word(label), WIDTH))
            .into(),
        found: of(say::PAGE_FOUND),
        printed: of(say::PAGE_PRINTED),
    }
}

/// What became of one, in words.
pub(super) fn state(report: &Report, leak: &Leak, catalogue: &Catalogue) -> String {
    let mut text = catalogue.word(match leak.fate {
        Fate::Leaked if leak.by_count.is_some() => say::PAGE_STATE_SUSPECTED,
        Fate::Leaked => say::PAGE_LEAKED,
        Fate::Recovered => say::PAGE_FREED_AFTER_ALL,
        Fate::Unseen => say::PAGE_STATE_UNSEEN,
    });
    if let Some(by) = leak.by_count {
        let says = Message::new(say::PAGE_STATE_BY_COUNT)
            .arg("zombies", by.zombies)
            .arg("candidates", by.candidates);
        text.push_str(&catalogue.text(&says));
    } else if leak.across_gap {
        text.push_str(&catalogue.word(say::PAGE_STATE_GAP));
    }
    if leak.run + 1 < report.runs.len() && leak.is_left() {
        // Of a later run's zombies nothing tells which of them were there before.
        let run = leak.run as u64 + 1;
        let says = Message::new(say::PAGE_STATE_RUN).arg("run", run);
        text.push_str(&catalogue.text(&says));
    }
    text
}

/// Compact JSON that is harmless within HTML.
struct Embedded;

impl Formatter for Embedded {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let special = |c: char| matches!(c, '<' | '>' | '&') || is_hidden(c);
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| special(*c)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}
