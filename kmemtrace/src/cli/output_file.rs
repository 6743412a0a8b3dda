//! Files that a verb writes whole or not at all.

use std::{fs::File, io, os::unix::ffi::OsStrExt, path::Path};

use crate::{error::Error, text::escape::Name};

/// Writes a file beside its place and puts it there when it is whole: readable by its owner only. What is there already and
/// is no file, a pipe or a device, is written to. `elsewhere` is what helps where there is no room.
pub(super) fn place<T>(
    path: &Path,
    elsewhere: &str,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> Result<T, Error> {
    let name = Name::whole(path.as_os_str().as_bytes());
    let cannot = |error: io::Error| {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let error = Error::caused(format!("cannot write {name}"), error);
        if full { error.help(elsewhere) } else { error }
    };
    if let Ok(kind) = path.metadata().map(|metadata| metadata.file_type())
        && !kind.is_file()
    {
        if kind.is_dir() {
            return Err(Error::new(format!("{name} is a directory")).help("name a file in it"));
        }
        let file = File::options().write(true).open(path).map_err(cannot)?;
        return write(&file).map_err(cannot);
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new()
        .prefix(".kmemtrace-")
        .tempfile_in(parent)
        .map_err(cannot)?;
    // Dropped, the temporary file is removed.
    let written = write(file.as_file()).map_err(cannot)?;
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(path).map_err(|error| cannot(error.error))?;
    Ok(written)
}
