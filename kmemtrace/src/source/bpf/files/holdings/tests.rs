use proptest::prelude::*;

use super::*;

const fn page(folio: u64, mapping: u64, count: u64) -> Page {
    Page {
        folio,
        mapping,
        count,
    }
}

fn file(mapping: u64, names: &[u8]) -> File {
    let mut file = File::asked(1, 2, mapping);
    file.inode = mapping + 1;
    file.device = 8 << 20 | 1;
    file.links = 1;
    file.known = known::INODE | known::NAME;
    file.text_len = names.len() as u32;
    file.text[..names.len()].copy_from_slice(names);
    file.fs[..4].copy_from_slice(b"sda1");
    file
}

#[test]
fn pages_are_added_up_by_file_and_none_twice() {
    let mut seen = PageSums::new(4096, 1 << 20);
    assert!(seen.add(&page(0x1000, 0x80, 1)), "a new file");
    seen.named(&file(0x80, b"log\0var\0/\0"));
    assert!(!seen.add(&page(0x2000, 0x80, 512)), "its name is known");
    assert!(!seen.add(&page(0x2000, 0x80, 512)), "the same again");
    assert!(seen.add(&page(0x3000, 0x90, 1000)));
    seen.named(&file(0x90, b"b\0/\0"));
    assert!(!seen.add(&page(0x4000, 0x80 | ANON, 3)));
    assert!(!seen.add(&page(0x5000, 0, 1)), "truncated");
    assert!(seen.add(&page(0x6000, 0xa0, 1)), "a third file");
    seen.named(&File::asked(1, 2, 0xa0));
    assert!(seen.add(&page(0x7000, 0xa0, 1)), "asked for once more");
    let told = seen.holdings(true, Duration::ZERO);
    let files: Vec<_> = told
        .files
        .iter()
        .map(|file| {
            let path = file.name.path.as_ref().expect("a name");
            (file.bytes / 4096, path.bytes.as_ref())
        })
        .collect();
    assert_eq!(files, [(1000, &b"/b"[..]), (513, b"/var/log")]);
    assert_eq!(told.anon_bytes, 3 * 4096);
    assert_eq!(told.other_bytes, 3 * 4096);
    assert_eq!(told.seen_bytes, 1519 * 4096);
    let name = &told.files[0].name;
    assert_eq!(name.device, Device { major: 8, minor: 1 });
    assert_eq!((&name.fs[..], name.deleted), (&b"sda1"[..], false));
    assert_eq!(name.block_device, None);
}

#[test]
fn a_list_that_never_ends_is_left() {
    let mut seen = PageSums::new(4096, 0);
    for _ in 0..=100_000 {
        assert!(!seen.goes_in_circles());
        seen.add(&page(0x1000, 0x80, 1));
    }
    assert!(seen.goes_in_circles());
    assert_eq!(seen.bytes(), 4096);
}

#[test]
fn paths_are_put_together_from_the_leaf() {
    let whole = |names: &[u8]| Some(path(names, false)?.bytes);
    assert_eq!(whole(b"c\0b\0a\0/\0").as_deref(), Some(&b"/a/b/c"[..]));
    assert_eq!(whole(b"memfd:x\0").as_deref(), Some(&b"memfd:x"[..]));
    assert_eq!(whole(b"/\0"), None, "an inode without a name");
    assert_eq!(whole(b""), None);
    let cut = path(b"c\0b\0", true).expect("a path");
    assert_eq!((&cut.bytes[..], cut.cut), (&b".../b/c"[..], true));
}

proptest! {
    #[test]
    fn garbage_never_panics(
        pages in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u32>()), 0..50),
        text in proptest::collection::vec(any::<u8>(), 0..300),
        len: u32,
        bits: u32,
    ) {
        let mut seen = PageSums::new(4096, u64::MAX >> 4);
        for (folio, mapping, count) in pages {
            if seen.add(&page(folio, mapping, count.into())) {
                let mut file = file(mapping, &text);
                (file.text_len, file.known) = (len, bits);
                seen.named(&file);
            }
        }
        let told = seen.holdings(false, Duration::ZERO);
        let files: u64 = told.files.iter().map(|file| file.bytes).sum();
        prop_assert_eq!(files + told.anon_bytes + told.other_bytes, told.seen_bytes);
    }
}
