//! Where a file's last whole line ends.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
};

use crate::event::json::LINE_MAX;

/// The end of a file that may have been torn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileEnd {
    /// Bytes of it that are whole lines, or whole zstd frames.
    pub(super) whole: u64,
    /// Whole lines of the torn frame after them.
    pub(super) rest: Vec<u8>,
}

/// Finds it. A packed file is read through.
pub(super) fn tail(file: &File, packed: bool) -> io::Result<FileEnd> {
    if packed { frames(file) } else { lines(file) }
}

fn lines(mut file: &File) -> io::Result<FileEnd> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(LINE_MAX as u64 + 1);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(LINE_MAX as u64 + 1).read_to_end(&mut end)?;
    Ok(FileEnd {
        whole: from + whole_lines(&end) as u64,
        rest: Vec::new(),
    })
}

fn frames(mut file: &File) -> io::Result<FileEnd> {
    file.seek(SeekFrom::Start(0))?;
    let mut input = Position {
        input: BufReader::new(file),
        bytes: 0,
    };
    loop {
        let whole = input.bytes;
        if input.fill_buf()?.is_empty() {
            let rest = Vec::new();
            return Ok(FileEnd { whole, rest });
        }
        let mut frame = zstd::Decoder::with_buffer(input)?.single_frame();
        match io::copy(&mut frame, &mut io::sink()) {
            Ok(_) => input = frame.finish(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(FileEnd {
                    whole,
                    rest: torn(file, whole)?,
                });
            }
            Err(error) => return Err(error),
        }
    }
}

/// The whole lines of the frame that is without an end.
fn torn(mut file: &File, from: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut frame = zstd::Decoder::new(file)?;
    let mut lines = Vec::new();
    // What came before the error is there.
    let _ = frame.read_to_end(&mut lines);
    lines.truncate(whole_lines(&lines));
    Ok(lines)
}

/// Bytes up to the last newline, with it.
fn whole_lines(bytes: &[u8]) -> usize {
    let newline = bytes.iter().rposition(|&byte| byte == b'\n');
    newline.map_or(0, |at| at + 1)
}

/// Counts what is consumed.
struct Position<R> {
    input: R,
    bytes: u64,
}

impl<R: BufRead> Read for Position<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Position<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.input.consume(amount);
    }
}
