//! Names that are meant to break something, trees too deep and too wide, and renames.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::Stdio,
};

use kmemtrace::event::{
    Event, Fact,
    json::{Content, parse},
};

use super::world::{World, is_v1, remove};
use crate::harness::{Result, Watch, below, program};

/// Names that the kernel takes. (It refuses newlines: `cgroup_mkdir`.)
pub(super) fn names() -> Vec<Vec<u8>> {
    let names: [&[u8]; 8] = [
        b"\x1b[31mred\x1b[0m",
        b"\x1b]0;title\x07",
        b"tab\tand\rreturn",
        b"quote\"and\\back",
        b"\xff\xfe not utf-8 \x80",
        b"<script>alert(1)<!--",
        "\u{202e}rtl\u{2066}\u{85}".as_bytes(),
        &[b'n'; 255],
    ];
    names.map(<[u8]>::to_vec).to_vec()
}

/// Text shows nothing that a terminal obeys.
pub(super) fn shown() -> Result {
    let world = World::new("names");
    let names = names();
    let args = ["watch", "--all", "--for", "60s", "--color", "never"];
    let mut child = program(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut shown = String::new();
    // Until so many lines with `word` came, or the program ended.
    let mut read = |word: &str, count: usize| -> std::io::Result<()> {
        let has = |shown: &str| shown.lines().filter(|line| line.contains(word)).count();
        while has(&shown) < count && lines.read_line(&mut shown)? > 0 {}
        Ok(())
    };
    read(" watching ", 1)?;
    for name in &names {
        let cgroup = world.base.join(OsStr::from_bytes(name));
        fs::create_dir(&cgroup)?;
        remove(&cgroup);
    }
    read(" freed ", names.len())?;
    child.kill()?;
    child.wait()?;
    assert!(shown.contains("\\x1b[31mred"), "{shown}");
    let control = |c: char| c.is_control() && c != '\n';
    let bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert_eq!(
        shown.chars().find(|c| control(*c) || bidi(*c)),
        None,
        "{shown}"
    );
    Ok(())
}

/// A line's path in the kernel's bytes.
pub(super) fn path_bytes(line: &serde_json::Value) -> Vec<u8> {
    let parsed = parse(line.to_string().as_bytes(), 1).expect("a line");
    match parsed.content {
        Content::Event(Event {
            fact: Fact::Created(cgroup),
            ..
        }) => cgroup.path.expect("a path").bytes.to_vec(),
        other => panic!("no cgroup: {other:?}"),
    }
}

/// How many levels: more than a program rebuilds, and with these names a path of over 4 KiB. (The kernel takes minutes for
/// 4,096 levels, since every level costs it all levels above.)
const LEVELS: usize = 264;

/// The kernel itself cuts the paths of its tracepoints; kmemtrace does not.
pub(super) fn deep() -> Result {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let world = World::new("deep");
    let mut watch = Watch::start(&["--ring-size", "64M"]);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut here = openat(CWD, &world.base, flags, Mode::empty())?;
    for level in 0..LEVELS {
        mkdirat(&here, format!("deep-{level:015x}"), Mode::RWXU)?;
        here = openat(&here, format!("deep-{level:015x}"), flags, Mode::empty())?;
        if !is_v1() {
            // else the next level has no memcg
            let control = openat(
                &here,
                "cgroup.subtree_control",
                OFlags::WRONLY,
                Mode::empty(),
            )?;
            fs::File::from(control).write_all(b"+memory")?;
        }
    }
    drop(here);
    let base = world.path.clone();
    let created = watch.wait_for_all("created lines", LEVELS, |line| {
        line["kind"] == "created" && below(line, &base)
    });
    let mut expected = base.clone();
    for (level, line) in created.iter().enumerate() {
        expected.push_str(&format!("/deep-{level:015x}"));
        assert_eq!(
            line["path"].as_str(),
            Some(expected.as_str()),
            "level {level}"
        );
        assert!(line.get("path_cut").is_none(), "level {level}");
    }
    drop(world);
    watch.wait_for_all("freed lines", LEVELS, |line| line["kind"] == "freed");
    watch.stop();
    Ok(())
}

/// On v1 a directory can be renamed (not on v2); what dies later dies under its new name, and so does what is below it.
pub(super) fn renamed() -> Result {
    let world = World::new("renamed");
    let old = world.make("old");
    world.make("old/child");
    let mut watch = Watch::start(&[]);
    let new = world.base.join("new");
    fs::rename(&old, &new)?;
    remove(&new.join("child"));
    remove(&new);
    watch.wait_for_all("freed lines", 2, |line| {
        line["kind"] == "freed" && below(line, &world.path)
    });
    let path = |line: &serde_json::Value| line["path"].as_str().map(Path::new).map(Path::to_owned);
    let offlined: Vec<_> = watch.of("offlined", &world.path).filter_map(path).collect();
    let new = Path::new(&world.path).join("new");
    assert_eq!(offlined, [new.join("child"), new.clone()]);
    assert_eq!(
        watch
            .of("renamed", &world.path)
            .filter_map(path)
            .collect::<Vec<_>>(),
        [new]
    );
    watch.stop();
    Ok(())
}
