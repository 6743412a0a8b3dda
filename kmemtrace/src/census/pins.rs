//! What pins zombies, by walks of the kernel's own tree: for a reproduction and for a diagnosis.

use super::{
    inventory::{Listing, PinTotal, pins},
    walks::Walks,
};
use crate::{
    catalogue::{Arg, Message, say},
    host::{self, Root},
    tracker::Pin,
};

/// Walks of the kernel's own tree of memory cgroups, where that can be done.
pub(crate) struct PinWalks {
    walks: Walks,
    /// Memory cgroups that the last one found, dead or alive, the root included; 0 before the first.
    pub(crate) memcgs: u64,
}

impl PinWalks {
    /// Makes ready to walk.
    pub(crate) fn new(root: &Root) -> Self {
        Self {
            walks: Walks::new(&host::facts(root)),
            memcgs: 0,
        }
    }

    /// The zombies whose paths begin so, by what keeps them, most first.
    ///
    /// # Errors
    ///
    /// Why nothing could be walked, or not all.
    pub(crate) fn below(&mut self, path: &str) -> Result<Vec<PinTotal>, String> {
        self.walks.walk();
        let mut found = self.walks.inventory(&mut |_| None, Listing::default())?;
        if !found.walk.complete {
            return Err("the kernel's tree changed too fast to be walked".to_owned());
        }
        self.memcgs = found.walk.memcgs;
        found.list.retain(|zombie| zombie.path.starts_with(path));
        Ok(pins(&found.list))
    }
}

impl PinTotal {
    /// Whether it is page cache that keeps them.
    pub(crate) fn of_page_cache(&self) -> bool {
        self.pin == Some(Pin::PageCache)
    }
}

/// What some zombies are kept by, and how much they hold.
pub(crate) fn message(total: &PinTotal) -> Message {
    let pin = match total.pin {
        Some(Pin::PageCache) => say::PIN_PAGE_CACHE,
        Some(Pin::Tmpfs) => say::PIN_TMPFS,
        Some(Pin::Anonymous) => say::PIN_ANONYMOUS,
        Some(Pin::Unevictable) => say::PIN_UNEVICTABLE,
        Some(Pin::Swap) => say::PIN_SWAP,
        Some(Pin::Sockets) => say::PIN_SOCKETS,
        Some(Pin::Children) => say::PIN_CHILDREN,
        Some(Pin::References) => say::PIN_REFERENCES,
        None => say::PIN_UNTOLD,
    };
    let held = total.held_bytes.filter(|&bytes| bytes > 0);
    let id = if held.is_some() {
        say::PINNED_HELD
    } else {
        say::PINNED
    };
    Message::new(id)
        .arg("zombies", total.zombies)
        .arg("pin", Message::new(pin))
        .arg("held", Arg::Bytes(held.unwrap_or(0)))
}
