//! What the page looks like, and that no name becomes more than text.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    catalogue::{Catalogue, Lang},
    diagnose::{Provenance, diagnose, facts::Traced},
    event::header::{HookReport, Refusal},
    report::{
        diagnosis::facts,
        page::{Diagnosed, Fix, verdict::verdict},
    },
    text::escape::is_hidden,
};

pub(super) fn page(report: &Report) -> String {
    page_with(report, &Diagnosed::default())
}

fn page_with(report: &Report, diagnosed: &Diagnosed) -> String {
    page_in(Lang::En, report, diagnosed)
}

fn page_in(lang: Lang, report: &Report, diagnosed: &Diagnosed) -> String {
    let mut out = Vec::new();
    let catalogue = Catalogue::exact(lang);
    super::super::page::write(report, diagnosed, &[], &catalogue, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A diagnosis all of whose words are this.
fn diagnosed(text: &str) -> Diagnosed {
    let text = || text.to_owned();
    Diagnosed {
        findings: vec![["alarm".to_owned(), text(), text(), text()]],
        untold: vec!["programs"],
        fixes: vec![Fix {
            title: text(),
            why: text(),
            commands: vec![text(), text()],
            takes: [text(), text(), text()],
        }],
    }
}

/// The page's own script and what it reads, and no other; nothing that hides.
pub(super) fn check(page: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(page.matches("<script").count(), 2);
    prop_assert_eq!(page.matches("</script").count(), 2);
    prop_assert!(!page.chars().any(|c| c != '\n' && is_hidden(c)));
    let rows = data(page)["rows"].as_array().map_or(0, Vec::len);
    prop_assert!(rows < 100);
    Ok(())
}

fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

/// Names that would run, end, or hide something.
const HOSTILE: [&str; 8] = [
    "/x<script>alert(1)</script>",
    "/</script><script>document.title=1</script>",
    "/<img src=x onerror=alert(1)>",
    "/\" onmouseover=\"alert(1)\" x='",
    "/--><!--<script>",
    "/&lt;script&gt;&#60;",
    "/{{ title }}{% include \"/etc/passwd\" %}",
    "/\u{2028}\u{2029}\u{202e}\u{0}\u{1b}[2J]]>",
];

fn hostile(text: &str) -> Report {
    let header = Header {
        hostname: Some(text.into()),
        kernel: Some(text.into()),
        boot_id: Some(text.into()),
        hierarchy: Some(text.into()),
        source: text.into(),
        version: text.into(),
        refused: vec![Refusal {
            way: text.into(),
            reason: text.into(),
        }],
        hooks: vec![HookReport {
            hook: text.into(),
            way: Some(text.into()),
            refused: vec![Refusal {
                way: text.into(),
                reason: text.into(),
            }],
            lost: Some(text.into()),
        }],
        ..header("")
    };
    let comm = task(text.as_bytes().get(..15).unwrap_or(text.as_bytes()));
    let cgroup = || Cgroup {
        task: Some(comm),
        ..cgroup(7, text.to_owned())
    };
    let facts = vec![
        (0, Fact::Created(cgroup())),
        (1_000, Fact::Offlined(cgroup())),
        (
            2_000,
            Fact::SlabFailure(SlabFailure {
                cache: Some(text.to_owned().into()),
                task: Some(comm),
                ..SlabFailure::default()
            }),
        ),
        (
            3_000,
            Fact::MkdirFailure(MkdirFailure {
                path: Some(Path::whole(format!("{text}/c"))),
                task: Some(comm),
                ..MkdirFailure::default()
            }),
        ),
        (32_000, Fact::Tick(Counts::default())),
    ];
    let mut fold = Fold::new();
    // Twice, so that the list of runs is there, too.
    run(&mut fold, 0, &header, facts.clone());
    run(&mut fold, 100_000, &header, facts);
    fold.finish()
}

#[test]
fn names_stay_text() {
    for name in HOSTILE {
        let report = hostile(name);
        let page = page_with(&report, &diagnosed(name));
        check(&page).unwrap();
        let (html, _) = page.split_once("id=\"data\">").unwrap();
        for markup in ["<img", "alert(1)</script>", "onmouseover=\"", "<!--"] {
            // In the JSON quotes are escaped in another way.
            let shown = html.contains(markup);
            assert!(!shown, "{markup} of {name}");
        }
        let data = data(&page);
        let row = &data["rows"][0];
        let dir = row[0].as_u64().unwrap() as usize;
        let path = format!(
            "{}{}",
            data["dirs"][dir].as_str().unwrap(),
            row[1].as_str().unwrap()
        );
        let shown = crate::text::escape::Name::whole(name.as_bytes()).to_string();
        assert_eq!(path, shown);
    }
}

#[test]
fn the_page_s_policy_knows_its_script() {
    let sum = BASE64_STANDARD.encode(Sha256::digest(super::super::page::SCRIPT));
    assert_eq!(
        super::super::page::SCRIPT_SHA256,
        sum,
        "the script has changed: SCRIPT_SHA256 is to be {sum}"
    );
    // Nothing of it is fetched from anywhere.
    let page = page(&small_report());
    for address in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(address), "{address}");
    }
}

/// What the diagnosis of a trace rests on was read in the trace, and nowhere else.
#[test]
fn evidence_is_of_the_trace() {
    let report = small_report();
    let at = Provenance::Trace("node-7.jsonl".to_owned(), Some(1));
    let mut traced = Traced::default();
    let failed = MkdirFailure {
        errno: Some(12),
        ..MkdirFailure::default()
    };
    let here = Provenance::Trace("node-7.jsonl".to_owned(), Some(9));
    traced.mkdir(&here, 0, &failed);
    let mut facts = facts(&report, report.last().unwrap(), &traced, &at);
    let count = facts.count.as_mut().unwrap();
    (count.peak, count.with_caches) = (Some(70), 3);
    let diagnosis = diagnose(&facts);
    let evidence = diagnosis.findings.iter().flat_map(|one| &one.evidence);
    let mut lines: Vec<_> = evidence
        .map(|evidence| match &evidence.at {
            Provenance::Trace(file, line) => {
                assert_eq!(file, "node-7.jsonl");
                *line
            }
            // Nothing could be told, and the file of that is the trace.
            other => {
                assert_eq!(other.file(), "node-7.jsonl");
                None
            }
        })
        .collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines, [None, Some(1), Some(9)]);
}

#[test]
fn small_page() {
    let page = page_with(&small_report(), &diagnosed("as it is"));
    let page = page.replace(super::super::page::STYLE, "…");
    insta::assert_snapshot!(page.replace(super::super::page::SCRIPT, "…"));
}

/// A page's texts, without its tags, its style and its script.
fn texts(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let (body, _) = body.split_once("<script").unwrap();
    let mut texts = String::new();
    for part in body.split('<') {
        let (tag, text) = part.split_once('>').unwrap_or(("", part));
        for name in ["aria-label", "placeholder"] {
            let value = tag.split_once(&format!("{name}=\""));
            let value = value.and_then(|(_, rest)| rest.split('"').next());
            texts.extend(value.map(|value| format!("{value}\n")));
        }
        if !text.trim().is_empty() {
            texts.push_str(text.trim());
            texts.push('\n');
        }
    }
    texts
}

#[test]
fn the_page_in_chinese() {
    let report = small_report();
    let chinese = page_in(Lang::Zh, &report, &diagnosed("as it is"));
    check(&chinese).unwrap();
    assert!(chinese.contains("<html lang=\"zh\">"));
    let words = &data(&chinese)["words"];
    insta::assert_snapshot!(format!("{}{words:#}\n", texts(&chinese)));
    // The script's table is the same.
    let english = page(&report);
    for field in ["began", "dirs", "tasks", "rows"] {
        assert_eq!(data(&english)[field], data(&chinese)[field], "{field}");
    }
    // So are the charts, but for their words.
    for shape in ["<path", "<rect", "<td", "<tr"] {
        let count = |page: &str| page.matches(shape).count();
        let diagnosed = page_in(Lang::En, &report, &diagnosed("as it is"));
        assert_eq!(count(&diagnosed), count(&chinese), "{shape}");
    }
}

proptest! {
    #[test]
    fn the_page_s_verdict_is_the_run_s(
        leaked in 0..3_u64,
        more in 0..3_u64,
        [leaks, slab, suppressed, mkdir, gaps] in any::<[u8; 5]>().prop_map(|all| all.map(|n| u64::from(n % 3))),
        inherited in proptest::option::of(0..2_u64),
        held_bytes in proptest::option::of(0..5_000_u64),
        state in 0..9_usize,
    ) {
        use crate::judge::State::{
            AtRisk, Crowded, Exhausted, Failing, Healthy, Leaking, PilingUp, Unknown,
        };
        let states = [
            Exhausted, Crowded, Failing, Leaking, PilingUp, Healthy, AtRisk, Unknown, Healthy,
        ];
        let summary = Summary {
            totals: Totals { live: 7, zombies: leaked + more, leaked },
            leaks: leaked + leaks,
            slab_failures: slab,
            slab_failures_suppressed: suppressed,
            mkdir_failures: mkdir,
            gaps,
            inherited,
            held_bytes,
            state: states[state],
            ..Summary::default()
        };
        let page = verdict(&summary, &Catalogue::exact(Lang::En));
        prop_assert_eq!(page, crate::sink::tail::summary::RunVerdict(&summary).to_string());
        let chinese = verdict(&summary, &Catalogue::exact(Lang::Zh));
        prop_assert!(!chinese.is_empty() && !chinese.contains("page-"));
    }
}

#[test]
fn an_empty_trace_has_a_page() {
    let page = page(&Fold::new().finish());
    check(&page).unwrap();
    assert!(page.contains("could not tell: the trace holds no run"));
}
