//! What an ELF file tells about where it runs.

use std::fmt;

use object::{
    Endianness,
    elf::{DT_NEEDED, ET_DYN, FileHeader64, PT_LOAD, SHT_SYMTAB},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
};

use crate::target::Target;

/// The type of the note by which the C library says what kernel it needs (glibc, `csu/abi-note.c`).
const ABI_TAG: u32 = 1;

/// What an executable needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// It can be loaded anywhere: a static-pie if it is static.
    pie: bool,
    /// The program that it asks to be started by.
    interpreter: Option<String>,
    /// How many shared libraries it needs.
    libraries: usize,
    /// Its symbols are gone.
    stripped: bool,
    /// The oldest kernel that its C library starts on; none if it does not say.
    kernel: Option<[u32; 3]>,
    /// What its segments are aligned to: no kernel with larger pages loads it.
    aligned: Option<u64>,
}

/// Reads `bytes`; an error says why that is no executable for `target`.
pub(crate) fn read(bytes: &[u8], target: &Target) -> Result<Facts, String> {
    facts(bytes, target.machine)
        .map_err(|error| format!("cannot read it as ELF: {error}"))?
        .ok_or_else(|| format!("it is for another processor than {}", target.arch))
}

fn facts(bytes: &[u8], machine: u16) -> object::Result<Option<Facts>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    if header.e_machine(endian) != machine {
        return Ok(None);
    }
    let symbols = header
        .sections(endian, bytes)?
        .symbols(endian, bytes, SHT_SYMTAB)?;
    let mut facts = Facts {
        pie: header.e_type(endian) == ET_DYN,
        interpreter: None,
        libraries: 0,
        stripped: symbols.is_empty(),
        kernel: None,
        aligned: None,
    };
    for segment in header.program_headers(endian, bytes)? {
        if segment.p_type(endian) == PT_LOAD {
            let align = segment.p_align(endian);
            facts.aligned = Some(facts.aligned.map_or(align, |least| least.min(align)));
        }
        if let Some(name) = segment.interpreter(endian, bytes)? {
            facts.interpreter = Some(String::from_utf8_lossy(name).into_owned());
        }
        if let Some(entries) = segment.dynamic(endian, bytes)? {
            let needed = entries
                .iter()
                .filter(|entry| entry.d_tag(endian) == DT_NEEDED);
            facts.libraries = needed.count();
        }
        let Some(mut notes) = segment.notes(endian, bytes)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() == b"GNU" && note.n_type(endian) == ABI_TAG {
                facts.kernel = kernel(note.desc());
            }
        }
    }
    Ok(Some(facts))
}

/// The oldest kernel that an ABI note names: the system (0 is Linux) and three numbers.
fn kernel(note: &[u8]) -> Option<[u32; 3]> {
    let mut words = note
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word));
    if words.next()? != 0 {
        return None;
    }
    Some([words.next()?, words.next()?, words.next()?])
}

impl Facts {
    /// Whether it runs alone, on the kernel `oldest`, and where pages have `page_bytes`.
    pub(crate) fn fits(&self, oldest: [u32; 3], page_bytes: u64) -> Result<(), String> {
        if let Some(interpreter) = &self.interpreter {
            return Err(format!("it is not static: it is started by {interpreter}"));
        }
        if self.libraries > 0 {
            let count = self.libraries;
            return Err(format!(
                "it is not static: it needs {count} shared libraries"
            ));
        }
        if !self.stripped {
            return Err("its symbols are not stripped".to_owned());
        }
        if let Some(aligned) = self.aligned.filter(|aligned| *aligned < page_bytes) {
            return Err(format!(
                "its segments are aligned to {aligned} bytes, and pages may have {page_bytes}"
            ));
        }
        match self.kernel {
            None => Err("it does not say what kernel its C library needs".to_owned()),
            Some(kernel) if kernel > oldest => Err(format!(
                "its C library needs Linux {}, and it has to start on {}",
                dotted(kernel),
                dotted(oldest)
            )),
            Some(_) => Ok(()),
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let linked = match (&self.interpreter, self.libraries, self.pie) {
            (None, 0, true) => "static-pie",
            (None, 0, false) => "static",
            _ => "dynamic",
        };
        let symbols = if self.stripped {
            "stripped"
        } else {
            "with symbols"
        };
        write!(f, "{linked}, {symbols}")?;
        match self.kernel {
            Some(kernel) => write!(
                f,
                ", its C library starts on Linux {} or later",
                dotted(kernel)
            ),
            None => f.write_str(", its C library does not say on what kernel it starts"),
        }
    }
}

fn dotted(kernel: [u32; 3]) -> String {
    kernel.map(|part| part.to_string()).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TARGETS;

    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    const PT_NOTE: u32 = 4;

    /// An ELF file without sections, with these segments.
    fn file(machine: u16, segments: &[(u32, &[u8])]) -> Vec<u8> {
        let (head, each) = (64, 56);
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(3_u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        for word in [0, head, 0_u64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0_u32.to_le_bytes());
        for half in [64, each, segments.len() as u16, 64, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        let mut at = head + u64::from(each) * segments.len() as u64;
        for (kind, content) in segments {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(4_u32.to_le_bytes());
            let size = content.len() as u64;
            for word in [at, at, at, size, size, 4] {
                bytes.extend(word.to_le_bytes());
            }
            at += size;
        }
        for (_, content) in segments {
            bytes.extend(*content);
        }
        bytes
    }

    /// An ABI note with these words.
    fn note(words: [u32; 4]) -> Vec<u8> {
        let mut note = [4_u32, 16, ABI_TAG].map(u32::to_le_bytes).concat();
        note.extend(b"GNU\0");
        note.extend(words.map(u32::to_le_bytes).concat());
        note
    }

    fn dynamic(tags: &[u64]) -> Vec<u8> {
        tags.iter()
            .flat_map(|tag| [*tag, 0].map(u64::to_le_bytes).concat())
            .collect()
    }

    const OLDEST: [u32; 3] = [3, 10, 0];

    /// What segments are aligned to in `file`.
    const ALIGNED: u64 = 4;

    #[test]
    fn a_static_pie_for_an_old_kernel_fits() {
        for target in &TARGETS {
            let bytes = file(
                target.machine,
                &[
                    (PT_NOTE, &note([0, 3, 2, 0])),
                    (PT_DYNAMIC, &dynamic(&[30, 0])),
                    (PT_LOAD, b"code"),
                ],
            );
            let facts = read(&bytes, target).expect("an ELF file");
            assert_eq!(facts.fits(OLDEST, ALIGNED), Ok(()));
            let why = facts.fits(OLDEST, target.page_bytes).expect_err("pages");
            assert!(why.contains("aligned to 4 bytes"), "{why}");
            assert_eq!(
                facts.to_string(),
                "static-pie, stripped, its C library starts on Linux 3.2.0 or later"
            );
        }
    }

    #[test]
    fn what_needs_more_does_not_fit() {
        let old = note([0, 3, 2, 0]);
        for (segments, said) in [
            (
                &[(PT_NOTE, &old[..]), (PT_INTERP, b"/lib/ld.so\0")][..],
                "/lib/ld.so",
            ),
            (
                &[(PT_NOTE, &old), (PT_DYNAMIC, &dynamic(&[1, 1, 0]))],
                "2 shared libraries",
            ),
            (&[(PT_NOTE, &note([0, 4, 18, 0]))], "needs Linux 4.18.0"),
            (
                &[(PT_NOTE, &note([2, 3, 2, 0]))],
                "does not say what kernel",
            ),
            (&[], "does not say what kernel"),
        ] {
            let facts = read(&file(62, segments), &TARGETS[0]).expect("an ELF file");
            let why = facts.fits(OLDEST, ALIGNED).expect_err(said);
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn what_is_no_executable_for_the_target_is_refused() {
        let [x86, arm] = &TARGETS;
        for (bytes, target, said) in [
            (file(arm.machine, &[]), x86, "another processor than x86_64"),
            (
                file(x86.machine, &[]),
                arm,
                "another processor than aarch64",
            ),
            (b"#!/bin/sh\n".to_vec(), x86, "as ELF"),
            (file(62, &[(PT_NOTE, &[])])[..70].to_vec(), x86, "as ELF"),
        ] {
            let why = read(&bytes, target).expect_err(said);
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn this_test_is_a_dynamic_program_with_symbols() {
        if cfg!(target_env = "gnu") {
            let own = std::env::current_exe().expect("a path");
            let bytes = std::fs::read(own).expect("a file");
            let target = Target::own().expect("a target");
            let facts = read(&bytes, target).expect("an ELF file");
            let why = facts.fits(OLDEST, target.page_bytes).expect_err("dynamic");
            assert!(why.contains("not static"), "{why}");
        }
    }
}
