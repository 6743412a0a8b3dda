//! Names from outside, made harmless for a terminal.
//!
//! A cgroup's name or a comm may hold any byte. What would drive the terminal, hide or reorder text is shown as an escape;
//! JSON needs less, and uses the same test ([`is_hidden`]).

use std::fmt::{self, Display, Write};

/// Whether a character shows as something other than itself: control characters (C1 drives a terminal as escape sequences
/// do), bidirectional and other format characters, zero width, odd spaces, what is unassigned.
pub fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        // Hangul fillers and the empty braille pattern are letters and symbols, and blank
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => true,
        // the standard library's table of what is printable, by which `{:?}` goes
        _ => c.escape_debug().len() > 1,
    }
}

/// Whether all of it is printable ASCII, as most names are.
pub fn is_plain(bytes: &[u8]) -> bool {
    // with no way out of the loop the compiler looks at many bytes at a time
    bytes
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Bytes as harmless text in at most so many characters: the middle is left out of what is longer.
///
/// A backslash is left alone, since systemd writes `\x2d` into names: text is for people, JSON is exact.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    bytes: &'a [u8],
    max: usize,
}

impl<'a> Name<'a> {
    /// The whole name.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self::short(bytes, usize::MAX)
    }

    /// The name in at most `max` characters.
    pub fn short(bytes: &'a [u8], max: usize) -> Self {
        Self { bytes, max }
    }

    /// The name's characters, each as it is shown.
    fn shown(self) -> impl Iterator<Item = Shown> + Clone {
        self.bytes.utf8_chunks().flat_map(|chunk| {
            let chars = chunk.valid().chars().map(Shown::Char);
            chars.chain(chunk.invalid().iter().copied().map(Shown::Byte))
        })
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.max.saturating_sub(1);
        let head = kept / 2;
        let tail = kept - head;
        if is_plain(self.bytes)
            && let Ok(text) = str::from_utf8(self.bytes)
        {
            if text.len() <= self.max {
                return f.write_str(text);
            }
            let (head, tail) = (text.get(..head), text.get(text.len() - tail..));
            return write!(
                f,
                "{}…{}",
                head.unwrap_or_default(),
                tail.unwrap_or_default()
            );
        }
        let width = self.shown().map(Shown::width).sum::<usize>();
        if width <= self.max {
            return self.shown().try_for_each(|shown| write!(f, "{shown}"));
        }
        let tail_from = width - tail;
        let (mut at, mut cut) = (0, false);
        for shown in self.shown() {
            let end = at + shown.width();
            if end <= head && !cut {
                write!(f, "{shown}")?;
            } else if !cut {
                f.write_char('…')?;
                cut = true;
            }
            if at >= tail_from {
                write!(f, "{shown}")?;
            }
            at = end;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Shown {
    Char(char),
    Byte(u8),
}

impl Shown {
    fn width(self) -> usize {
        match self {
            Self::Byte(_) => 4,
            Self::Char(c) if !is_hidden(c) => 1,
            Self::Char(c) if c.is_ascii() => 4,
            Self::Char(c) => c.escape_unicode().len(),
        }
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Byte(byte) => write!(f, "\\x{byte:02x}"),
            Self::Char(c) if !is_hidden(c) => f.write_char(c),
            Self::Char(c) if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c)),
            Self::Char(c) => write!(f, "{}", c.escape_unicode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_deceive_is_escaped() {
        for (name, shown) in [
            (&b"/plain/caf\xc3\xa9 \"<b>&"[..], "/plain/café \"<b>&"),
            (b"\x1b[2J\r\n\t\x7f\0", r"\x1b[2J\x0d\x0a\x09\x7f\x00"),
            (b"\xff/\xc3", r"\xff/\xc3"),
            ("\u{9b}2J".as_bytes(), r"\u{9b}2J"),
            (
                "\u{202e}cod\u{2066}\u{200b}".as_bytes(),
                r"\u{202e}cod\u{2066}\u{200b}",
            ),
            (
                "\u{2028}\u{feff}\u{3164}\u{a0}".as_bytes(),
                r"\u{2028}\u{feff}\u{3164}\u{a0}",
            ),
            ("日本語".as_bytes(), "日本語"),
            (br"machine-qemu\x2d1.scope", r"machine-qemu\x2d1.scope"),
            (b"", ""),
        ] {
            assert_eq!(Name::whole(name).to_string(), shown);
        }
    }

    #[test]
    fn the_middle_of_a_long_name_is_left_out() {
        assert_eq!(Name::short(b"0123456789", 10).to_string(), "0123456789");
        assert_eq!(Name::short(b"0123456789a", 10).to_string(), "0123…6789a");
        assert_eq!(
            Name::short(b"01\x1b456789abc", 10).to_string(),
            "01…789abc".replace("789abc", "89abc")
        );
        assert_eq!(Name::short(&[0xff; 9], 10).to_string(), r"\xff…\xff");
    }

    proptest! {
        #[test]
        fn nothing_hidden_gets_through(bytes: Vec<u8>, text: String, max in 0..50_usize) {
            for name in [&bytes[..], text.as_bytes()] {
                let whole = Name::whole(name).to_string();
                prop_assert!(!whole.chars().any(is_hidden), "{whole:?}");
                let short = Name::short(name, max).to_string();
                prop_assert!(!short.chars().any(is_hidden), "{short:?}");
                prop_assert!(short.chars().count() <= max.max(1));
                prop_assert!(short == whole || short.contains('…'));
            }
        }
    }
}
