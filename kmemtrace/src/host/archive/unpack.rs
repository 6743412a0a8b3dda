//! Unpacking an archive that comes from elsewhere: only directories, files and links, none of which leads out of it.

mod place;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use place::Place;
use tar::EntryType;

/// How many bytes an archive may unpack to, with all its headers.
pub(super) const BYTES: u64 = 1 << 30;

/// How many entries there may be.
const ENTRIES: u64 = 2_000_000;

/// How long a path or a link's target may be, in bytes.
const NAME: u64 = 64 << 10;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read, or what is in it cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something in it would end up elsewhere, or is more than there can be.
    #[error("{path}: {problem}")]
    Unsafe {
        /// The path in the archive; bytes that are not ASCII are escaped.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It has more entries than any snapshot.
    #[error("more than {ENTRIES} entries")]
    Entries,
}

/// What was unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// The directories that have a `proc`, in order of their paths within the archive: snapshots. An empty path is the
    /// archive's root itself.
    pub snapshots: Vec<PathBuf>,
    /// Entries that are neither files nor directories nor symbolic links, and were passed over.
    pub passed_over: u64,
}

/// Unpacks a tar archive, plain or compressed with gzip or zstd, as its first bytes tell, into an empty directory.
///
/// # Errors
///
/// It cannot be read, or it holds what is not safe to unpack.
pub fn unpack(archive: &Path, into: &Path) -> Result<Unpacked, UnpackError> {
    let mut file = BufReader::new(File::open(archive)?);
    let first = file.fill_buf()?;
    let (zstd, gzip) = (
        first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        first.starts_with(&[0x1f, 0x8b]),
    );
    let stream: Box<dyn Read> = if zstd {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else if gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    unpack_stream(
        Limited {
            stream,
            left: BYTES,
        },
        into,
    )
}

pub(super) fn unpack_stream(stream: impl Read, into: &Path) -> Result<Unpacked, UnpackError> {
    let mut place = Place::new(into)?;
    let mut archive = tar::Archive::new(stream);
    let (mut long_path, mut long_link) = (None, None);
    let (mut entries, mut passed_over) = (0, 0);
    // Raw: long names are read here, with a limit.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        entries += 1;
        if entries > ENTRIES {
            return Err(UnpackError::Entries);
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                long_path = Some(name(&mut entry)?);
                continue;
            }
            EntryType::GNULongLink => {
                long_link = Some(name(&mut entry)?);
                continue;
            }
            EntryType::XHeader => {
                let bytes = extension(&mut entry)?;
                for (key, value) in tar::PaxExtensions::new(&bytes)
                    .filter_map(Result::ok)
                    .map(|extension| (extension.key_bytes(), extension.value_bytes()))
                {
                    match key {
                        b"path" => long_path = Some(value.to_vec()),
                        b"linkpath" => long_link = Some(value.to_vec()),
                        _ => {}
                    }
                }
                continue;
            }
            EntryType::XGlobalHeader => continue,
            _ => {}
        }
        let path = long_path.take();
        let path = path.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let target = long_link.take();
        match kind {
            EntryType::Directory => place.directory(&path)?,
            EntryType::Regular | EntryType::Continuous => place.file(&path, &mut entry)?,
            EntryType::Symlink => {
                let own = entry.header().link_name_bytes().map(Cow::into_owned);
                place.link(&path, &target.or(own).unwrap_or_default())?;
            }
            _ => passed_over += 1,
        }
    }
    Ok(Unpacked {
        snapshots: snapshots(into)?,
        passed_over,
    })
}

/// What `..._name` entries and pax headers hold.
fn extension(entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    Ok(super::super::open::bounded(entry, NAME)?)
}

/// A name in an entry of its own, which ends with a zero byte.
fn name(entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut name = extension(entry)?;
    if let Some(end) = name.iter().position(|&byte| byte == 0) {
        name.truncate(end);
    }
    Ok(name)
}

/// The directories with a `proc` in them, not far from the top.
fn snapshots(top: &Path) -> io::Result<Vec<PathBuf>> {
    const DEPTH: usize = 4;
    let mut found = Vec::new();
    let mut folders = vec![(top.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let inside = |path: &Path| path.strip_prefix(top).unwrap_or(path).to_path_buf();
        if folder
            .join("proc")
            .symlink_metadata()
            .is_ok_and(|proc| proc.is_dir())
        {
            found.push(inside(&folder));
        } else if depth < DEPTH {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), depth + 1));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A stream that ends in an error where it has given too much.
struct Limited<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let most = BYTES >> 20;
            let kind = io::ErrorKind::FileTooLarge;
            io::Error::new(kind, format!("unpacks to more than {most} MiB"))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
