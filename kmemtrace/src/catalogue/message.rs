//! What is to be said, before it has words.

use super::say::{self, Sentence};
use crate::error::Said;

/// A sentence of the catalogue and what goes into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which sentence.
    pub sentence: Sentence,
    /// What goes into it, by name.
    pub args: Vec<(&'static str, Arg)>,
}

/// Something that goes into a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// From outside: whoever renders it sees to what it may hold.
    Text(String),
    /// What the system said.
    Error(Said),
    /// A number.
    Number(u64),
    /// A number with its thousands apart.
    Grouped(u64),
    /// A size, in bytes.
    Bytes(u64),
    /// A stretch of time, in nanoseconds.
    Time(u64),
    /// A moment, in nanoseconds since the Unix epoch.
    Date(i64),
    /// Another sentence.
    Message(Message),
}

impl Message {
    /// The sentence of this name.
    pub const fn new(sentence: Sentence) -> Self {
        Self {
            sentence,
            args: Vec::new(),
        }
    }

    /// One after the other; `None` if there are none.
    pub fn list(all: impl DoubleEndedIterator<Item = Self>) -> Option<Self> {
        all.rev().reduce(|rest, first| {
            Self::new(say::PIN_MORE)
                .arg("first", first)
                .arg("rest", rest)
        })
    }

    /// With something in it.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl Into<Arg>) -> Self {
        self.args.push((name, value.into()));
        self
    }
}

impl From<u64> for Arg {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Said> for Arg {
    fn from(said: Said) -> Self {
        Self::Error(said)
    }
}

impl From<Message> for Arg {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}
