//! Functions of this process that uprobes sit on: to call one is to run the program on it.

use std::{fs, hint::black_box};

/// This program's own file, as the kernel finds it.
pub(super) const OWN_FILE: &str = "/proc/self/exe";

/// Functions that do nothing, each with a body of its own: the compiler makes one of those that are alike.
macro_rules! functions {
    ($($name:ident = $number:literal,)+) => {
        $(
            #[inline(never)]
            pub(super) fn $name() {
                black_box($number);
            }
        )+
    };
}

functions! {
    walk = 1_u32,
    pages = 2_u32,
    file = 3_u32,
    objcgs = 4_u32,
}

/// Where a function is in this program's own file, in bytes: what the kernel wants to know of a uprobe.
///
/// # Errors
///
/// What is mapped into this process cannot be read, or the function is not among it.
pub(super) fn place_in_file(function: fn()) -> Result<u64, String> {
    let maps = fs::read("/proc/self/maps")
        .map_err(|error| format!("cannot read /proc/self/maps: {error}"))?;
    let address = function as usize as u64;
    place(&maps, address).ok_or_else(|| "/proc/self/maps does not show this program".to_owned())
}

/// The place in its file of what is mapped at `address`: `559f4c000000-559f4c001000 r-xp 00002000 fe:00 1835 /usr/bin/x`.
fn place(maps: &[u8], address: u64) -> Option<u64> {
    String::from_utf8_lossy(maps).lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let offset = fields.nth(1)?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        let within = (start..end).contains(&address).then(|| address - start)?;
        number(offset)?.checked_add(within)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const MAPS: &[u8] = b"559f4c000000-559f4c002000 r--p 00000000 fe:00 1835 /usr/bin/kmemtrace
559f4c002000-559f4c009000 r-xp 00002000 fe:00 1835 /usr/bin/kmemtrace
7ffd1c5d6000-7ffd1c5f7000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn a_function_is_where_its_mapping_says() {
        for (address, expected) in [
            (0x559f_4c00_2000, Some(0x2000)),
            (0x559f_4c00_8fff, Some(0x8fff)),
            (0x559f_4c00_0010, Some(0x10)),
            (0x559f_4c00_9000, None),
            (0, None),
        ] {
            assert_eq!(place(MAPS, address), expected, "{address:#x}");
        }
    }

    #[test]
    fn each_function_is_in_this_file_and_at_a_place_of_its_own() {
        let functions: [fn(); 4] = [walk, pages, file, objcgs];
        let places: HashSet<_> = functions.map(|one| place_in_file(one).unwrap()).into();
        assert_eq!(places.len(), functions.len());
        let length = fs::metadata(OWN_FILE).unwrap().len();
        assert!(places.iter().all(|place| *place < length));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(maps in proptest::collection::vec(any::<u8>(), 0..200), address: u64) {
            place(&maps, address);
        }

        #[test]
        fn numbers_never_overflow(start: u64, end: u64, offset: u64, address: u64) {
            place(format!("{start:x}-{end:x} r-xp {offset:x} 0:0 0").as_bytes(), address);
        }
    }
}
