//! A trace's bytes, unpacked on the way.

use std::io::{self, BufRead, BufReader, Read};

/// How much is read at a time.
const CHUNK: usize = 128 << 10;

/// What every zstd frame begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A trace's bytes as they were written, plain or zstd: the first ones tell which, and not the file's name.
pub struct Input<R: Read>(Packing<R>);

enum Packing<R: Read> {
    None(BufReader<Counted<R>>),
    Zstd(BufReader<Frames<R>>),
}

impl<R: Read> Input<R> {
    /// Looks at the first bytes of `file`.
    ///
    /// # Errors
    ///
    /// They cannot be read, or there is no memory to unpack them.
    pub fn new(file: R) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(CHUNK, Counted { file, bytes: 0 });
        let packed = file.fill_buf()?.starts_with(&ZSTD_MAGIC);
        Ok(Self(if packed {
            let decoder = zstd::Decoder::with_buffer(file)?;
            let frames = Frames {
                decoder,
                torn: false,
            };
            Packing::Zstd(BufReader::with_capacity(CHUNK, frames))
        } else {
            Packing::None(file)
        }))
    }

    /// How many bytes of the file have been read, packed as they are.
    pub fn position(&self) -> u64 {
        match &self.0 {
            Packing::None(file) => file.get_ref().bytes,
            Packing::Zstd(frames) => frames.get_ref().decoder.get_ref().get_ref().bytes,
        }
    }

    /// Whether it is zstd.
    pub fn is_packed(&self) -> bool {
        matches!(self.0, Packing::Zstd(_))
    }

    /// Whether it ended within a zstd frame. What had been flushed of that frame was read.
    pub fn is_torn(&self) -> bool {
        match &self.0 {
            Packing::None(_) => false,
            Packing::Zstd(frames) => frames.get_ref().torn,
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Packing::None(file) => file.read(buffer),
            Packing::Zstd(frames) => frames.read(buffer),
        }
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Packing::None(file) => file.fill_buf(),
            Packing::Zstd(frames) => frames.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.0 {
            Packing::None(file) => file.consume(amount),
            Packing::Zstd(frames) => frames.consume(amount),
        }
    }
}

impl<R: Read> std::fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Packing::None(_) => "Input::None",
            Packing::Zstd(_) => "Input::Zstd",
        })
    }
}

/// Counts what is read.
struct Counted<R> {
    file: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// zstd frames one after another. The last one may have been cut off by whatever ended the writer.
struct Frames<R: Read> {
    decoder: zstd::Decoder<'static, BufReader<Counted<R>>>,
    torn: bool,
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.torn {
            return Ok(0);
        }
        match self.decoder.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.torn = true;
                Ok(0)
            }
            result => result,
        }
    }
}
