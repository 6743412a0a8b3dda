//! `kmemtrace report`: the command, and its page in a real browser.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    browser::{self, Browser},
    harness::{Result, data, output, program, test, test_if, text},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("report::a_recording_becomes_a_page", recording),
        test("report::it_says_what_to_do", diagnosis),
        test("report::what_cannot_be_read_is_said_and_noted", unreadable),
        test("report::what_cannot_be_reported_is_an_error", errors),
        test_if("report::browser::names_stay_text", browser::missing, names),
        test_if(
            "report::browser::the_table_is_searched_sorted_and_printed",
            browser::missing,
            table,
        ),
        test_if("report::browser::light_and_dark", browser::missing, colors),
    ]
}

const LEAK: &str = "leak-6.18-v1.jsonl";

/// The first line of a trace.
const HEADER: &str = r#"{"time":"2026-03-14T12:31:04.000000000Z","mono_ns":5000000000,"kind":"header","schema":1,"version":"0.1.0","source":"bpf","hostname":"node-7","kernel":"3.10.0-514.el7.x86_64","boot_id":"0b1a6e3c-1d5f-4d0e-9f5c-0c8e4f1f7a11","hierarchy":"v1","grace_ns":2000000000}"#;

fn line(second: u64, kind: &str, fields: &Value) -> String {
    let mut line = json!({
        "time": format!("2026-03-14T{:02}:{:02}:{:02}.000000000Z", 13 + second / 3600, second / 60 % 60, second % 60),
        "mono_ns": (5 + 1736 + second) * 1_000_000_000,
        "kind": kind,
    });
    let all = line.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    line.to_string()
}

/// A trace in which all these paths leak, one a second, and a little apart from what follows.
fn leaking<'a>(paths: impl IntoIterator<Item = &'a str>) -> String {
    let mut trace = format!("{HEADER}\n");
    let mut second = 0;
    for path in paths {
        second += 1;
        let cgroup = json!({"cgroup_id": 100 + second, "memcg_id": second, "memory": true, "path": path, "comm": "x<b>y", "pid": 7, "usage_bytes": second * 1000});
        for kind in ["created", "offlined"] {
            let _ = writeln!(trace, "{}", line(second, kind, &cgroup));
        }
    }
    let _ = writeln!(trace, "{}", line(second + 5, "tick", &json!({})));
    trace
}

/// Runs `kmemtrace report FROM -o TO`, with more arguments.
fn reported(from: &Path, to: &Path, more: &[&str]) -> Output {
    let args = [
        "report".as_ref(),
        from.as_os_str(),
        "-o".as_ref(),
        to.as_os_str(),
    ];
    output(program(args.into_iter().chain(more.iter().map(OsStr::new))))
}

/// Writes a trace and makes a page of it.
fn page(folder: &Path, trace: &str) -> PathBuf {
    let (from, to) = (folder.join("trace.jsonl"), folder.join("report.html"));
    fs::write(&from, trace).expect("a trace is written");
    let done = reported(&from, &to, &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stderr), "");
    to
}

fn recording() -> Result {
    let folder = TempDir::new()?;
    let to = folder.path().join("report.html");
    let from = data(LEAK);
    let done = reported(&from, &to, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(
        (text(&done.stdout), text(&done.stderr)),
        (String::new(), String::new())
    );
    let page = fs::read_to_string(&to)?;
    assert!(page.contains("<h1>FAILING: memory cgroups could not be made"));
    assert!(page.contains("LEAK: 2 memory cgroups leaked, 1 slab allocation and 1 mkdir failed"));
    assert!(page.contains("74c13223-5a00-11e9-b385-42010a80018d"));
    // The same on stdout.
    let stdout = Path::new("-");
    assert_eq!(text(&reported(&from, stdout, &[]).stdout), page);
    // In Chinese, with the same names and numbers.
    let chinese = text(&reported(&from, stdout, &["--lang", "zh"]).stdout);
    assert!(chinese.contains("<html lang=\"zh\">"), "{chinese}");
    assert!(chinese.contains("<h1>失败：无法创建 memory cgroup"));
    assert!(chinese.contains("泄漏：2 个 memory cgroup，失败 1 次 slab 分配、1 次 mkdir"));
    let row = |page: &str| {
        let rows = page
            .split_once("\"rows\":")
            .map(|(_, rest)| rest.to_owned());
        rows.and_then(|rows| Some(rows.split_once(",\"words\"")?.0.to_owned()))
    };
    assert!(row(&page).is_some() && row(&page) == row(&chinese));
    // With another grace time nothing has leaked.
    let patient = reported(&from, stdout, &["--grace", "1h"]);
    let patient = text(&patient.stdout);
    assert!(patient.contains("<h1>FAILING: memory cgroups could not be made"));
    assert!(!patient.contains("LEAK: "));
    Ok(())
}

fn diagnosis() -> Result {
    let folder = TempDir::new()?;
    let failed = json!({"path": "/kubepods/x", "comm": "runc", "pid": 3, "errno": 12});
    let trace = leaking(["/a", "/b"]) + &line(9, "mkdir_failure", &failed) + "\n";
    let shown = |trace: &str| fs::read_to_string(page(folder.path(), trace));
    // A build of RHEL 7 that does not know cgroup.memory=nokmem yet: a later one does.
    let old = shown(&trace)?;
    for told in [
        "in the trace 1 failed to be made, from 2026-03-14 13:00:09 to 2026-03-14 13:00:09; most: ENOMEM in /kubepods",
        "2 zombies",
        "yum --enablerepo=elrepo-kernel",
        "yum update kernel",
        "reboot the node: a stop-gap",
        "which does not tell of: ",
    ] {
        assert!(old.contains(told), "{told}");
    }
    // One that does, with the word and without it.
    let trace = trace.replace("-514.el7", "-1160.el7");
    let without = trace.replace(
        r#""hierarchy":"v1","grace_ns""#,
        r#""hierarchy":"v1","cmdline":[],"grace_ns""#,
    );
    let new = shown(&without)?;
    assert!(new.contains("grubby --update-kernel=ALL --args=cgroup.memory=nokmem"));
    assert!(!new.contains("yum update kernel"));
    let with = without.replace("[]", r#"["cgroup.memory=nokmem"]"#);
    let with = shown(&with)?;
    assert!(!with.contains("grubby") && with.contains("<dd>cgroup.memory=nokmem</dd>"));
    // A kernel that gives ids back has nothing of the kind.
    let new = shown(&trace.replace("3.10.0-1160.el7.x86_64", "6.1.0-40-amd64"))?;
    assert!(new.contains("Page cache and tmpfs files can still pin zombies"));
    assert!(!new.contains("elrepo") && !new.contains("grubby"));
    Ok(())
}

fn unreadable() -> Result {
    let folder = TempDir::new()?;
    let (from, to) = (folder.path().join("trace"), folder.path().join("page"));
    let mut trace = leaking(["/a"]);
    trace.push_str("{\"kind\":17}\n{\"time\":\"2026-03-1");
    fs::write(&from, trace)?;
    let done = reported(&from, &to, &[]);
    assert_eq!(done.status.code(), Some(0));
    let stderr = text(&done.stderr);
    assert!(stderr.contains("trace: line 5: "), "{stderr}");
    assert!(stderr.contains("ends in the middle of a line"), "{stderr}");
    let page = fs::read_to_string(&to)?;
    let notes = page.matches("<p class=\"note\">").count();
    assert_eq!(notes, 2);
    assert!(page.contains("<h1>LEAK: 1 memory cgroup leaked"));
    Ok(())
}

fn errors() -> Result {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    let report = |from: &Path, to: &Path| {
        let done = reported(from, to, &[]);
        assert_eq!(done.status.code(), Some(2));
        text(&done.stderr)
    };
    let none = report(&path("none"), &path("page"));
    assert!(
        none.contains("/none: ") && none.contains("No such file"),
        "{none}"
    );
    fs::write(path("trace"), leaking(["/a"]))?;
    let directory = report(&path("trace"), folder.path());
    assert!(directory.contains("is a directory"), "{directory}");
    let nowhere = report(&path("trace"), &path("none/page"));
    assert!(nowhere.contains("cannot write"), "{nowhere}");
    let second = leaking(["/a"]).replace("node-7", "node-8");
    fs::write(path("two"), leaking(["/a"]) + &second)?;
    let two = report(&path("two"), &path("page"));
    assert!(
        two.contains("several nodes, such as node-7 and node-8"),
        "{two}"
    );
    fs::write(path("empty"), "")?;
    let empty = report(&path("empty"), &path("page"));
    assert!(empty.starts_with("error: "), "{empty}");
    // No page is better than half of one.
    assert!(!path("page").exists());
    Ok(())
}

/// Names that would be a script, or more, were they not escaped.
const HOSTILE: [&str; 6] = [
    "/<script>alert(1)</script>",
    "/a</script><script>document.title='b'</script>",
    "/<img src=x onerror=\"document.title='c'\">",
    "/\"><svg onload=document.title='d'>",
    "/--><style>*{display:none}</style>",
    "/'\u{2028}\u{2029}\\u003cscript>",
];

fn names() -> Result {
    let folder = TempDir::new()?;
    let mut trace = leaking(HOSTILE);
    for hostile in HOSTILE {
        let failed = json!({"path": format!("{hostile}/c"), "comm": "<b>", "pid": 3, "errno": 12});
        let _ = writeln!(trace, "{}", line(30, "mkdir_failure", &failed));
        let _ = writeln!(
            trace,
            "{}",
            line(30, "slab_failure", &json!({"cache": hostile}))
        );
    }
    let trace = trace.replace("node-7", "<script>document.title='e'</script>");
    let page = page(folder.path(), &trace);
    let mut browser = Browser::start();
    browser.open(&page);
    // Whatever a name would have started has had time to.
    browser.value("new Promise(done => setTimeout(done, 200))");
    assert_eq!(
        browser.value("document.title"),
        "kmemtrace: <script>document.title='e'</script>"
    );
    assert_eq!(browser.value("document.scripts.length"), 2);
    assert_eq!(
        browser.value(
            "document.querySelectorAll('img, iframe, body style, [onerror], [onload]').length"
        ),
        0
    );
    assert_eq!(
        browser.value("getComputedStyle(document.querySelector('h1')).display"),
        "block"
    );
    let rows = browser.value(
        "[...document.querySelectorAll('#rows [data-row] td:first-child')].map(cell => cell.title)",
    );
    let rows: Vec<_> = rows
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for hostile in HOSTILE {
        let shown = hostile
            .replace('\u{2028}', "\\u{2028}")
            .replace('\u{2029}', "\\u{2029}");
        assert!(rows.contains(&&*shown), "{shown} is not among {rows:?}");
    }
    assert!(
        browser.complaints().is_empty(),
        "{:?}",
        browser.complaints()
    );
    Ok(())
}

/// The cells' texts, row by row, as the program wrote them.
fn written(page: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once("<tbody id=\"rows\">").expect("rows");
    let (rows, _) = rest.split_once("</tbody>").expect("their end");
    let cells = |row: &str| {
        let cells = row.split("</td>").filter_map(|cell| cell.rsplit_once('>'));
        cells.map(|(_, text)| text.to_owned()).collect::<Vec<_>>()
    };
    let rows = rows.split("</tr>").map(cells).filter(|row| row.len() > 1);
    rows.collect()
}

fn table() -> Result {
    let folder = TempDir::new()?;
    let paths: Vec<_> = (0..3000)
        .map(|n| {
            format!(
                "/kubepods/pod74c13223-5a00-11e9-b385-{:012x}/{:064x}",
                n % 7,
                n
            )
        })
        .collect();
    let page = page(folder.path(), &leaking(paths.iter().map(String::as_str)));
    let mut browser = Browser::start();
    browser.open(&page);
    let frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";
    let texts = "[...document.querySelectorAll('#rows [data-row]')].map(row => [...row.cells].map(cell => cell.textContent))";
    // The script writes what the program wrote, but for the path, of which it shows the end.
    let drawn = browser.value(texts);
    let written = written(&fs::read_to_string(&page)?);
    assert_eq!(written.len(), 50);
    for (at, row) in written.iter().enumerate().take(30) {
        for cell in 1..row.len() {
            assert_eq!(drawn[at][cell], row[cell].as_str(), "row {at}, cell {cell}");
        }
    }
    // Only what is in sight is there.
    let rows = "document.querySelectorAll('#rows [data-row]').length";
    let count = browser.value(rows).as_u64().expect("a number");
    assert!((20..100).contains(&count), "{count} rows");
    assert_eq!(
        browser.value("document.getElementById('found').textContent"),
        "3,000"
    );
    browser.value("document.getElementById('scroll').scrollTop = 1e9");
    browser.value(frame);
    let last =
        browser.value("[...document.querySelectorAll('#rows [data-row]')].at(-1).cells[0].title");
    assert_eq!(last, paths[2999].as_str());
    // Search.
    let search = |text: &str| {
        format!(
            "(() => {{ const search = document.getElementById('search'); search.value = '{text}'; \
             search.dispatchEvent(new Event('input')); return new Promise(done => setTimeout(done, 300)); }})()"
        )
    };
    browser.value(&search("B385-000000000003 leaked"));
    assert_eq!(
        browser.value("document.getElementById('found').textContent"),
        "429 of 3,000"
    );
    browser.value(&search("nothing has this"));
    assert_eq!(browser.value(rows), 0);
    browser.value(&search(""));
    // Sort: by what was charged, the most first, then the least.
    let charged = "document.querySelectorAll('#table th button')[5].click()";
    browser.value(charged);
    assert_eq!(browser.value(texts)[0][5], "2.8 MiB");
    browser.value(charged);
    assert_eq!(browser.value(texts)[0][5], "1000 B");
    assert_eq!(
        browser.value("document.querySelectorAll('#table th')[5].ariaSort"),
        "ascending"
    );
    // All of one.
    browser.value("document.querySelector('#rows [data-row] td').click()");
    let detail = browser.value("document.getElementById('detail').textContent");
    let detail = detail.as_str().expect("text");
    assert!(
        detail.contains(&paths[0]) && detail.contains("cgroup id     101"),
        "{detail}"
    );
    assert!(detail.contains("made by       x<b>y"), "{detail}");
    // On paper the first thousand, with their whole paths.
    browser.value("window.dispatchEvent(new Event('beforeprint'))");
    assert_eq!(browser.value(rows), 1000);
    assert_eq!(browser.value(texts)[0][0], paths[0].as_str());
    browser.value("window.dispatchEvent(new Event('afterprint'))");
    assert!(browser.value(rows).as_u64().is_some_and(|rows| rows < 100));
    let pdf = browser.call("Page.printToPDF", &json!({}));
    assert!(pdf["data"].as_str().is_some_and(|pdf| pdf.len() > 10_000));
    assert!(
        browser.complaints().is_empty(),
        "{:?}",
        browser.complaints()
    );
    Ok(())
}

fn colors() -> Result {
    let folder = TempDir::new()?;
    let page = page(folder.path(), &leaking(["/a", "/b"]));
    let mut browser = Browser::start();
    browser.open(&page);
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        let features = &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", features);
        // The relative luminance of sRGB, as WCAG has it, and the contrast of text with what it stands on.
        let contrast = browser.value(
            "(() => { const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(n => { n /= 255; \
             return n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
             const of = (text, back) => { const [a, b] = [light(getComputedStyle(document.querySelector(text)).color), \
             light(getComputedStyle(document.querySelector(back)).backgroundColor)]; \
             return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }; \
             return [['h2', 'body'], ['h1', 'header'], ['header p', 'header'], ['small', '.figure'], ['.figure.alarm b', '.figure'], ['th', 'body']] \
             .map(([text, back]) => of(text, back)); })()",
        );
        for contrast in contrast.as_array().expect("numbers") {
            assert!(
                contrast.as_f64().is_some_and(|contrast| contrast >= 4.5),
                "{scheme}: {contrast}"
            );
        }
        seen.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        // Nothing is wider than the window.
        assert_eq!(
            browser.value("document.documentElement.scrollWidth <= innerWidth"),
            true
        );
    }
    assert_eq!(seen, ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]);
    Ok(())
}
