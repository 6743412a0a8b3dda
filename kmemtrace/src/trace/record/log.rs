//! The file that is written to: plain lines, or zstd frames.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::tail::{FileEnd, tail};
use crate::{error::Error, event::json::Item, text::escape::Name, trace::Trace};

/// A second at most is lost if the process is killed: sources tell of the time at least once a second.
const FLUSH_EVERY: Duration = Duration::from_millis(400);

/// A frame is ended after so many bytes or that time. What begins after its end can be read without it; what comes of a
/// frame without an end is what was flushed.
const FRAME_BYTES: usize = 1 << 20;
const FRAME_TIME: Duration = Duration::from_mins(1);

/// So many bytes of lines are written at once.
const CHUNK: usize = 64 << 10;

/// A file of lines. Written to, it holds them until [`Write::flush`].
pub(super) struct Log {
    file: File,
    /// Bytes of the file that were written whole.
    length: u64,
    packed: bool,
    lines: Vec<u8>,
    frame: Option<Frame>,
    flushed: Instant,
}

struct Frame {
    encoder: zstd::Encoder<'static, Vec<u8>>,
    began: Instant,
    bytes: usize,
}

impl Frame {
    fn new() -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            encoder,
            began: Instant::now(),
            bytes: 0,
        })
    }
}

impl Log {
    /// A new file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = options().create_new(true).open(path)?;
        // Nobody else had it; where it cannot be locked, that was said when the first file was opened.
        if let Lock::Another = lock(&file) {
            return Err(Errno::WOULDBLOCK.into());
        }
        Ok(Self::new(file, 0, is_packed(path)))
    }

    /// A file to append to, and what there is to say about it: what was wrong with its end, that it cannot be locked.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<String>), Error> {
        Self::open_locked(path, lock)
    }

    pub(super) fn open_locked(
        path: &Path,
        lock: impl Fn(&File) -> Lock,
    ) -> Result<(Self, Option<String>), Error> {
        let name = Name::whole(path.as_os_str().as_bytes());
        let cannot = |error: io::Error| Error::caused(format!("cannot record to {name}"), error);
        let file = options().create(true).open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(
                Error::new(format!("cannot record to {name}: it is no regular file"))
                    .help("`kmemtrace watch --all --format json` writes to stdout"),
            );
        }
        let unlocked = match lock(&file) {
            Lock::Ours => None,
            Lock::Another => {
                return Err(Error::new(format!(
                    "cannot record to {name}: another process is recording to it"
                )));
            }
            Lock::None(why) if file.metadata().map_err(cannot)?.len() > 0 => {
                return Err(Error::new(format!(
                    "cannot append to {name}: cannot lock it ({why}): another process may be recording to it"
                ))
                .help("name a new file"));
            }
            Lock::None(why) => Some(format!(
                "cannot lock {name} ({why}): do not record to it with a second process"
            )),
        };
        let packed = is_packed(path);
        let foreign = |what: &str| {
            Error::new(format!("cannot append to {name}: {what}")).help("name another file")
        };
        let length = file.metadata().map_err(cannot)?.len();
        if length > 0 {
            let begins = Trace::open(path).map(|mut trace| (trace.is_packed(), trace.next()));
            match begins {
                Ok((is, Some(Ok(Item::Header(..))))) if is == packed => {}
                Ok((true, Some(Ok(Item::Header(..))))) => {
                    return Err(foreign(
                        "it is packed with zstd, and its name does not end in .zst",
                    ));
                }
                Ok((false, Some(Ok(Item::Header(..))))) => {
                    return Err(foreign(
                        "it is not packed with zstd, and its name ends in .zst",
                    ));
                }
                _ => return Err(foreign("it is no trace of kmemtrace")),
            }
        }
        let FileEnd { whole, rest } = tail(&file, packed).map_err(cannot)?;
        let mut log = Self::new(file, whole, packed);
        if whole == length {
            return Ok((log, unlocked));
        }
        log.file.set_len(whole).map_err(cannot)?;
        log.lines = rest;
        log.finish().map_err(cannot)?;
        let mended = format!("{name} ended in the middle of a line, which was cut off");
        Ok((log, Some(mended)))
    }

    fn new(file: File, length: u64, packed: bool) -> Self {
        Self {
            file,
            length,
            packed,
            lines: Vec::with_capacity(CHUNK),
            frame: None,
            flushed: Instant::now(),
        }
    }

    /// Bytes in the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Everything so far reaches the file, as something that can be read whatever comes after it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_out()?;
        if let Some(frame) = self.frame.take() {
            let end = frame.encoder.finish()?;
            self.append(&end)?;
        }
        Ok(())
    }

    /// Everything so far reaches the file.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        self.pack()?;
        self.flushed = Instant::now();
        let Some(frame) = &mut self.frame else {
            return Ok(());
        };
        frame.encoder.flush()?;
        let bytes = std::mem::take(frame.encoder.get_mut());
        let ends = frame.bytes > FRAME_BYTES || frame.began.elapsed() > FRAME_TIME;
        self.append(&bytes)?;
        if ends && let Some(frame) = self.frame.take() {
            let end = frame.encoder.finish()?;
            self.append(&end)?;
        }
        Ok(())
    }

    /// Everything in the file reaches the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The lines go to the file, or into the frame.
    fn pack(&mut self) -> io::Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        if self.packed && !lines.is_empty() {
            let frame = match &mut self.frame {
                Some(frame) => frame,
                none => none.insert(Frame::new()?),
            };
            frame.bytes += lines.len();
            frame.encoder.write_all(&lines)?;
        } else {
            self.append(&lines)?;
        }
        lines.clear();
        self.lines = lines;
        Ok(())
    }

    /// Adds to the file; on an error nothing is added.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.length))?;
        if let Err(error) = self.file.write_all(bytes) {
            // A disk that is full lets go of what did not fit. If it does not, the line is torn.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(bytes);
        if self.lines.len() >= CHUNK {
            self.pack()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is packed is packed the worse the more often it is flushed.
        if self.packed && self.flushed.elapsed() < FLUSH_EVERY {
            return Ok(());
        }
        self.write_out()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({:?}, {} bytes)", self.file, self.length)
    }
}

/// Whether a file is ours alone to write to.
#[derive(Debug)]
pub(super) enum Lock {
    Ours,
    Another,
    /// That cannot be told here, and why: on 3.10 some file systems do not know flock(2).
    None(Errno),
}

fn lock(file: &File) -> Lock {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Lock::Ours,
        Err(Errno::WOULDBLOCK) => Lock::Another,
        Err(why) => Lock::None(why),
    }
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "zst")
}

/// Readable by whoever may read the directory's other files: a trace holds names, as `ps` shows them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Not by way of a link that somebody else may have put there: it is root that records.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options
        .read(true)
        .write(true)
        .custom_flags(flags.bits() as i32);
    options
}
