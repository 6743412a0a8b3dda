use std::{fs, path::Path};

use proptest::prelude::*;

use super::{
    Has::{No, Unknown, Yes},
    table::{FREES_IDS, NOKMEM, PAGE_CACHE_PINS, REPARENTS_SLAB},
    *,
};

/// One row a release that somebody reported or that a vendor ships.
#[test]
fn which_kernels_give_ids_back() {
    for (release, right) in [
        ("2.6.32-754.el6.x86_64", No),
        ("3.10.0-514.26.2.el7.x86_64", No),
        ("3.10.0-1160.119.1.el7.x86_64", No),
        ("3.10.0-327.ali2019.alios7.x86_64", No),
        ("3.10.107-1-tlinux2-0053", No),
        ("3.13.0-85-generic", No),
        ("3.16.0-4-amd64", No),
        ("3.18.3", No),
        // Sent to 3.19 and later: of these series nobody wrote down which release took it.
        ("3.19.0", No),
        ("3.19.8-100.fc20.x86_64", Unknown),
        ("3.19.0-25-generic", Unknown),
        ("4.1.12-124.48.6.el7uek.x86_64", Unknown),
        ("4.2.0-42-generic", Unknown),
        ("4.4.18", No),
        ("4.4.19", Yes),
        ("4.4.248-1.el7.elrepo.x86_64", Yes),
        ("4.4.180-94.164-default", Yes),
        ("4.4.16-1.el7.elrepo.x86_64", No),
        ("4.4.21-coreos", Yes),
        ("4.4.86+", Yes),
        ("4.4.0-1096-aws", Yes),
        ("4.4.0-210-generic", Yes),
        ("4.4.0-31-generic", No),
        ("4.4.0-36-generic", Unknown),
        // A rebuild may have its base's number without its base's fixes.
        ("4.4.58-20171215.kylin.server.YUN+-generic", Unknown),
        ("4.4.131-20190726.kylin.server-generic", Unknown),
        ("4.6.0", No),
        ("4.6.0-1-amd64", Unknown),
        ("4.6.0-rc2", No),
        ("4.6.7-300.fc24.x86_64", Unknown),
        ("4.7.10", Unknown),
        ("4.8.0", Yes),
        ("4.9.0-0.bpo.6-amd64", Yes),
        ("4.18.0-553.el8.x86_64", Yes),
        ("4.19.91-26.al7.x86_64", Yes),
        ("6.18.44-fc-v769", Yes),
        ("7.1.0-rc1", Yes),
        ("custom", Unknown),
        ("", Unknown),
    ] {
        assert_eq!(FREES_IDS.is_in(release), right, "{release}");
    }
}

#[test]
fn what_vendors_took() {
    assert_eq!(NOKMEM.is_in("3.10.0-1160.el7.x86_64"), Yes);
    assert_eq!(NOKMEM.is_in("3.10.0-957.el7.x86_64"), Unknown);
    assert_eq!(NOKMEM.is_in("3.10.0-514.el7.x86_64"), No);
    assert_eq!(NOKMEM.is_in("3.18.3"), No);
    assert_eq!(NOKMEM.is_in("4.4.248-1.el7.elrepo.x86_64"), No);
    assert_eq!(REPARENTS_SLAB.is_in("4.18.0-147.el8.x86_64"), Yes);
    assert_eq!(REPARENTS_SLAB.is_in("4.18.0-80.el8.x86_64"), Unknown);
    assert_eq!(REPARENTS_SLAB.is_in("4.18.0-25-generic"), No);
    assert_eq!(PAGE_CACHE_PINS.is_in("3.13.0-85-generic"), No);
    assert_eq!(PAGE_CACHE_PINS.is_in("4.4.0-210-generic"), Yes);
}

#[test]
fn the_document_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kernels-history.md");
    let right = document();
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        fs::write(&path, &right).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        right,
        "{}",
        path.display()
    );
}

proptest! {
    /// A later kernel has what an earlier mainline kernel has, and no text does harm.
    #[test]
    fn changes_stay(major in 2..9u32, minor in 0..30u32, rest in ".{0,20}", text: String) {
        for change in CHANGES {
            let now = change.is_in(&format!("{major}.{minor}.0"));
            let later = change.is_in(&format!("{}.{minor}.0", major + 1));
            prop_assert!(now != Yes || later == Yes, "{}", change.id);
            change.is_in(&text);
            change.is_in(&format!("{major}.{minor}{rest}"));
        }
    }
}
