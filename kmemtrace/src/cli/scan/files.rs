//! The files that hold zombies, as people read them.

use std::{
    fmt,
    io::{self, Write},
};

use crate::{
    census::files::{CachedFile, FileSearch, ZombiePages},
    text::{
        escape::Name,
        units::{self, Bytes},
    },
};

/// So many files of a zombie are in the text.
const LISTED: usize = 10;

impl FileSearch {
    /// A line among the sums.
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "  files      ")?;
        if let (Some(reason), 0) = (&self.refused, self.zombies) {
            return writeln!(out, "not known: {reason}");
        }
        write!(
            out,
            "of {} of {} in the lists of {} of {} zombies below ({})",
            Bytes(self.seen_bytes),
            Bytes(self.of_bytes),
            self.zombies,
            self.zombies_of,
            units::Duration(self.took_ns)
        )?;
        match &self.refused {
            Some(reason) => writeln!(out, ", then: {reason}"),
            None if self.complete => writeln!(out),
            None => writeln!(out, ": its time was up, --files=TIME gives it more"),
        }
    }
}

impl ZombiePages {
    /// A line for each of the files that hold most, and for all others.
    pub(crate) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in self.list.iter().take(LISTED) {
            row(file.bytes, file, out)?;
        }
        let rest = self.list.get(LISTED..).unwrap_or_default();
        let more = rest.len() as u64 + self.list_more.unwrap_or(0);
        if more > 0 {
            let bytes = rest.iter().map(|file| file.bytes).sum::<u64>();
            let bytes = bytes + self.more_bytes.unwrap_or(0);
            row(bytes, &format!("{more} more files"), out)?;
        }
        for (bytes, what) in [
            (self.anon_bytes, "anonymous memory"),
            (
                self.other_bytes,
                "of no file any more, or of one that could not be told",
            ),
            (
                self.of_bytes.saturating_sub(self.seen_bytes),
                if self.complete {
                    "locked in memory, or gone meanwhile"
                } else {
                    "not looked at"
                },
            ),
        ] {
            if bytes > 0 {
                row(bytes, &what, out)?;
            }
        }
        Ok(())
    }
}

fn row(bytes: u64, what: &dyn fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    // Written first, as sizes do not pad themselves.
    let bytes = Bytes(bytes).to_string();
    writeln!(out, "  {bytes:>13}    {what}")
}

impl fmt::Display for CachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.block_device) {
            (Some(path), _) => write!(f, "{}", Name::whole(path.as_bytes()))?,
            (None, Some(device)) => return write!(f, "block device {device}"),
            (None, None) => write!(f, "inode {}", self.inode)?,
        }
        let fs = Name::whole(self.fs.as_bytes());
        match &self.path {
            None => write!(f, " of {fs} ({})", self.device)?,
            Some(path) if self.out_of_reach && path.starts_with('/') => {
                write!(f, " of {fs} ({}), which is not mounted here", self.device)?;
            }
            Some(_) => {}
        }
        if self.deleted {
            write!(f, " (deleted)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
