//! What ARCHITECTURE.md promises about the source, read from the source.

mod circles;
mod names;
mod places;
mod verbs;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::Trial;

use crate::{
    cli::verbs,
    harness::{Result, output, program, test},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("rules::modules_depend_in_one_direction", directions),
        test("rules::modules_make_no_circles", circles::none),
        test("rules::a_circle_is_found", circles::found),
        test("rules::a_name_means_one_type", names::types),
        test("rules::a_comment_says_something", names::comments),
        test("rules::a_row_is_in_one_place", places::rows),
        test("rules::verbs_do_not_use_each_other", verbs::apart),
        test("rules::aya_and_tokio_stay_in_their_place", places),
        test("rules::unsafe_is_in_named_modules_only", unsafe_modules),
        test(
            "rules::the_readers_page_size_is_asked_for_in_one_place",
            pages,
        ),
        test("rules::the_machines_files_are_opened_in_one_place", opens),
        test("rules::every_verb_and_option_is_in_the_readme", readme),
    ]
}

/// What each module may use, besides itself: the table in ARCHITECTURE.md.
fn allowed() -> std::result::Result<HashMap<String, Vec<String>>, Box<dyn std::error::Error>> {
    let document = fs::read_to_string(root().join("../../ARCHITECTURE.md"))?;
    let table = document
        .split("| module | may use |\n| --- | --- |\n")
        .nth(1)
        .ok_or("no table of modules")?;
    let names = |cell: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let mut rows = HashMap::new();
    for line in table.lines().take_while(|line| line.starts_with('|')) {
        let (modules, used) = line[1..].split_once('|').ok_or("a row of two cells")?;
        for module in names(modules) {
            let twice = rows.insert(module, names(used));
            assert!(twice.is_none(), "two rows for one module: {line}");
        }
    }
    Ok(rows)
}

fn directions() -> Result {
    let rows = allowed()?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, text) in sources(&root()) {
        let module = module(&file);
        let Some(allowed) = rows.get(&module) else {
            assert!(
                matches!(module.as_str(), "lib" | "main" | "cli"),
                "{} has no row",
                file.display()
            );
            continue;
        };
        for used in uses(&text) {
            seen += 1;
            if used != module && !allowed.contains(&used) {
                wrong.push(format!("{}: uses {used}", file.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} uses were found: is the test blind?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn places() -> Result {
    let mut wrong = Vec::new();
    for (file, text) in sources(&root()) {
        let at = file
            .strip_prefix(root())
            .unwrap_or(&file)
            .to_string_lossy()
            .into_owned();
        let of = |module: &str| {
            let rest = at.strip_prefix(module);
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        let (bpf, waits) = (
            of("source/bpf"),
            of("source") || of("cli") || of("interrupt"),
        );
        if text.contains("aya::") && !bpf {
            wrong.push(format!("{at}: aya"));
        }
        if text.contains("tokio::") && !waits {
            wrong.push(format!("{at}: tokio"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Sizes in pages are of the node's, which may be a copy of another machine: `host/page.rs` tells which that is.
fn pages() -> Result {
    let asks = ["param::page_size", "_SC_PAGESIZE", "PageSize::running"];
    let mut home = false;
    for (file, text) in sources(&root()) {
        if !asks.iter().any(|name| text.contains(name)) {
            continue;
        }
        let at = file.strip_prefix(root())?.display().to_string();
        home |= at == "host/page.rs";
        // eBPF runs on this machine, and its maps are mapped here.
        let allowed = at.starts_with("host/page") || at.starts_with("source/bpf/");
        assert!(allowed, "{at}: a page size that may be the reader's");
    }
    assert!(home, "the test is blind");
    Ok(())
}

fn unsafe_modules() -> Result {
    let mut found: Vec<_> = sources(&root())
        .into_iter()
        .filter(|(_, text)| text.contains("unsafe {") || text.contains("unsafe impl"))
        .map(|(file, _)| {
            file.strip_prefix(root())
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    assert_eq!(found, ["event/wire.rs", "source/bpf/carrier/ring.rs"]);
    Ok(())
}

/// So that what a look costs can be counted: `host/open.rs`. What is not polled may stand elsewhere.
fn opens() -> Result {
    const ELSEWHERE: [&str; 8] = [
        "host/archive/",
        "host/glob.rs",
        "host/logs/places.rs",
        "host/copy/kmsg.rs",
        "host/open.rs",
        "host/pods.rs",
        "host/symbols.rs",
        "host/tracing.rs",
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources(&root()) {
        let file = file.strip_prefix(root())?.to_string_lossy().into_owned();
        let opens = ["File::open(", "openat(", "fs::read(", "read_dir("];
        if file.starts_with("host/")
            && !ELSEWHERE.iter().any(|other| file.starts_with(other))
            && opens.iter().any(|open| text.contains(open))
        {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} open files by themselves");
    Ok(())
}

/// What `--help` offers, the README explains.
fn readme() -> Result {
    let readme = fs::read_to_string(root().join("../../README.md"))?;
    for verb in verbs() {
        assert!(
            readme.contains(&format!("`{verb}`")),
            "README.md does not explain {verb}"
        );
        let help = output(program([verb.as_str(), "--help"]));
        let help = String::from_utf8(help.stdout)?;
        for option in help
            .split_whitespace()
            .filter(|word| word.starts_with("--"))
        {
            let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
            assert!(
                readme.contains(option),
                "README.md does not explain {option} of {verb}"
            );
        }
    }
    Ok(())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kmemtrace/src")
}

/// The source files below a directory but for its unit tests.
fn sources(root: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("the source")
            .map_while(std::result::Result::ok)
        {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let code: Vec<_> = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                files.push((path, code.join("\n")));
            }
        }
    }
    files
}

/// The top-level module that a file belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root()).expect("below the root");
    let first = inside.components().next().expect("a name");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The top-level modules that a file names after `crate::`, alone or in braces.
fn uses(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if !rest.starts_with('{') {
            found.push(word(rest));
            continue;
        }
        let mut depth = 0;
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(c, '{' | ',') {
                found.push(word(&rest[at + 1..]));
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}
