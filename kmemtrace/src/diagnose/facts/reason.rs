//! Why a fact is not known, without words: each language has its own.

use std::io;

use crate::{
    catalogue::{Arg, Message, say},
    error::{Error, Said},
    host::NoMemory,
};

/// Why a fact is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What the system said.
    Said(Said),
    /// What could not be done, in English, and what the system said.
    Failed(String, Said),
    /// There are no memory cgroups to be seen.
    NoMemory(NoMemory),
    /// It cannot be read.
    Unreadable,
    /// It cannot be read to its end.
    CutShort,
    /// There is no such file.
    NoFile,
    /// What was looked for is not in it.
    Untold,
    /// It has more directories than this.
    TooMany(u64),
    /// It has no directory with a `memory.stat` but the root.
    RootAlone,
    /// There is no log of a runtime or of a syslog.
    NoLog,
    /// It has no line with a time.
    NoTime,
    /// It has no line of a kernel log.
    NoKernelLog,
    /// It has no `MemTotal` or no `MemAvailable`.
    NoMeminfo,
    /// It has no `ID`.
    NoId,
    /// It does not name `CONFIG_MEMCG`.
    NoConfig,
    /// The program was not asked, as the user wants none to be run.
    NotAsked,
    /// Of a copy no program is run.
    Copied,
    /// The program was not asked, since others than root can write this.
    Writable(String),
    /// The program said nothing.
    SaidNothing,
    /// The program took too long.
    TookTooLong,
    /// What the program said cannot be read.
    NoOutput,
    /// The program failed, with this status.
    Status(String),
    /// A trace without a run.
    NoRun,
    /// A trace of another node.
    OtherNode(String),
    /// A trace does not tell.
    NotInTrace,
}

impl Reason {
    /// What a copy has instead of a file that could not be read on the machine itself.
    pub fn told(text: &str) -> Self {
        Self::Said(Said::told(text))
    }

    /// The number of the system's error, if it is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Said(said) | Self::Failed(_, said) => said.number(),
            _ => None,
        }
    }
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        Self::from(Said::of(error))
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<(String, Said)> for Reason {
    fn from((before, said): (String, Said)) -> Self {
        if before.is_empty() {
            Self::Said(said)
        } else {
            Self::Failed(before, said)
        }
    }
}

impl From<NoMemory> for Reason {
    fn from(none: NoMemory) -> Self {
        Self::NoMemory(none)
    }
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        Self::from(error.parts())
    }
}

impl From<&Reason> for Arg {
    fn from(reason: &Reason) -> Self {
        let message = match reason {
            Reason::Said(said) => return said.clone().into(),
            Reason::Failed(what, said) => Message::new(say::REASON_FAILED)
                .arg("what", what.clone())
                .arg("error", said.clone()),
            Reason::NoMemory(none) => no_memory(*none),
            Reason::Unreadable => Message::new(say::REASON_UNREADABLE),
            Reason::CutShort => Message::new(say::REASON_CUT_SHORT),
            Reason::NoFile => Message::new(say::REASON_NO_FILE),
            Reason::Untold => Message::new(say::REASON_UNTOLD),
            Reason::TooMany(number) => Message::new(say::REASON_TOO_MANY).arg("number", *number),
            Reason::RootAlone => Message::new(say::REASON_ROOT_ALONE),
            Reason::NoLog => Message::new(say::REASON_NO_LOG),
            Reason::NoTime => Message::new(say::REASON_NO_TIME),
            Reason::NoKernelLog => Message::new(say::REASON_NO_KERNEL_LOG),
            Reason::NoMeminfo => Message::new(say::REASON_NO_MEMINFO),
            Reason::NoId => Message::new(say::REASON_NO_ID),
            Reason::NoConfig => Message::new(say::REASON_NO_CONFIG),
            Reason::NotAsked => Message::new(say::REASON_NOT_ASKED),
            Reason::Copied => Message::new(say::REASON_COPIED),
            Reason::Writable(place) => {
                Message::new(say::REASON_WRITABLE).arg("place", place.clone())
            }
            Reason::SaidNothing => Message::new(say::REASON_SAID_NOTHING),
            Reason::TookTooLong => Message::new(say::REASON_TOOK_TOO_LONG),
            Reason::NoOutput => Message::new(say::REASON_NO_OUTPUT),
            Reason::Status(status) => {
                Message::new(say::REASON_STATUS).arg("status", status.clone())
            }
            Reason::NoRun => Message::new(say::REASON_NO_RUN),
            Reason::OtherNode(node) => {
                Message::new(say::REASON_OTHER_NODE).arg("node", node.clone())
            }
            Reason::NotInTrace => Message::new(say::REASON_NOT_IN_TRACE),
        };
        message.into()
    }
}

fn no_memory(none: NoMemory) -> Message {
    Message::new(match none {
        NoMemory::Unread => say::NO_MEMORY_UNREAD,
        NoMemory::Disabled => say::NO_MEMORY_DISABLED,
        NoMemory::V1NotMounted(hierarchy) => {
            let says = Message::new(say::NO_MEMORY_V1_NOT_MOUNTED);
            return says.arg("hierarchy", u64::from(hierarchy));
        }
        NoMemory::Part => say::NO_MEMORY_PART,
        NoMemory::NotOnV2 => say::NO_MEMORY_NOT_ON_V2,
        NoMemory::NotMounted => say::NO_MEMORY_NOT_MOUNTED,
    })
}
