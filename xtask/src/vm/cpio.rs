//! Writes cpio archives in the "newc" format, which the kernel unpacks into its first file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

const DIRECTORY: u32 = 0o04_0000;
const FILE: u32 = 0o10_0000;
const CHARACTER_DEVICE: u32 = 0o02_0000;

/// An archive that is being written. Everything in it belongs to root, and has no time.
pub(crate) struct Archive<W> {
    output: W,
    /// How much has been written.
    length: u64,
    inode: u32,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(output: W) -> Self {
        Self {
            output,
            length: 0,
            inode: 0,
            directories: BTreeSet::new(),
        }
    }

    /// Adds a directory, and those above it.
    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above)?;
        }
        if self.directories.insert(path.to_owned()) {
            self.entry(path, DIRECTORY | 0o755, 2, (0, 0), &[])?;
        }
        Ok(())
    }

    /// Adds a file, and the directories above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above)?;
        }
        self.entry(path, FILE | mode, 1, (0, 0), content)
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, mode: u32, number: (u32, u32)) -> io::Result<()> {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above)?;
        }
        self.entry(path, CHARACTER_DEVICE | mode, 1, number, &[])
    }

    /// Writes the closing entry.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.write_entry("TRAILER!!!", 0, 1, (0, 0), &[])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn entry(
        &mut self,
        path: &str,
        mode: u32,
        links: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        self.inode += 1;
        self.write_entry(path, mode, links, device, content)
    }

    fn write_entry(
        &mut self,
        path: &str,
        mode: u32,
        links: u32,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other(format!("{path} has more than 4 GiB")))?;
        let name = path.len() as u32 + 1;
        let mut header = String::from("070701");
        // inode, mode, uid, gid, links, mtime, size, the file system's device, the device's own, name's length, checksum
        for field in [
            self.inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name, 0,
        ] {
            header.push_str(&format!("{field:08x}"));
        }
        self.put(header.as_bytes())?;
        self.put(path.as_bytes())?;
        self.put(&[0])?;
        self.pad()?;
        self.put(content)?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.output.write_all(bytes)
    }

    /// Names and contents end at multiples of four.
    fn pad(&mut self) -> io::Result<()> {
        let short = self.length.next_multiple_of(4) - self.length;
        self.put(&[0; 3][..short as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, mode, device, content.
    type Entry = (String, u32, (u32, u32), Vec<u8>);

    /// Reads an archive back.
    fn read(mut bytes: &[u8]) -> Vec<Entry> {
        let mut found = Vec::new();
        let whole = bytes.len();
        loop {
            assert_eq!(&bytes[..6], b"070701", "at {}", whole - bytes.len());
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * n..14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name) = (field(1), field(6) as usize, field(11) as usize);
            let path = String::from_utf8(bytes[110..110 + name - 1].to_vec()).unwrap();
            assert_eq!(bytes[110 + name - 1], 0);
            let start = (110 + name).next_multiple_of(4);
            let content = bytes[start..start + size].to_vec();
            let device = (field(9), field(10));
            bytes = &bytes[(start + size).next_multiple_of(4)..];
            if path == "TRAILER!!!" {
                assert!(bytes.is_empty());
                return found;
            }
            found.push((path, mode, device, content));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut archive = Archive::new(Vec::new());
        archive.device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("init", 0o755, b"12345").unwrap();
        archive.file("a/b/empty", 0o644, b"").unwrap();
        archive.file("a/b/four", 0o644, b"1234").unwrap();
        let found = read(&archive.finish().unwrap());
        let none = (0, 0);
        assert_eq!(
            found,
            [
                ("dev".to_owned(), 0o04_0755, none, Vec::new()),
                ("dev/console".to_owned(), 0o02_0600, (5, 1), Vec::new()),
                ("init".to_owned(), 0o10_0755, none, b"12345".to_vec()),
                ("a".to_owned(), 0o04_0755, none, Vec::new()),
                ("a/b".to_owned(), 0o04_0755, none, Vec::new()),
                ("a/b/empty".to_owned(), 0o10_0644, none, Vec::new()),
                ("a/b/four".to_owned(), 0o10_0644, none, b"1234".to_vec()),
            ]
        );
    }
}
