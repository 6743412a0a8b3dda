//! What the diagnosis is of a trace: of its last run's header, counts and failures alone, with no file of the node.

use super::{
    Report, ReportRun,
    page::{Diagnosed, Fix},
};
use crate::{
    catalogue::Catalogue,
    diagnose::{
        Diagnosis, Facts, Finding, Provenance, Remedy, Verdict, diagnose,
        facts::{
            Configuration, Distribution, FileLine, MemcgCount, Reading, Reason, Traced, Unread,
        },
    },
    event::header::Header,
    host::{MEMCG_IDS, NoMemory, NoPageSize, NodePage, PageFact, PageSign, PageSize},
};

/// The diagnosis in words; `None` if there is no run. `header` is where the last run's header was read.
pub fn diagnosis(
    report: &Report,
    traced: &Traced,
    header: &Provenance,
    catalogue: &Catalogue,
) -> Option<Diagnosed> {
    let diagnosis = diagnose(&facts(report, report.last()?, traced, header));
    let (told, untold): (Vec<_>, Vec<_>) = diagnosis.findings.iter().partition(|one| is_told(one));
    Some(Diagnosed {
        findings: told.iter().map(|one| finding(one, catalogue)).collect(),
        untold: untold.iter().map(|finding| finding.id).collect(),
        fixes: fixes(&diagnosis, catalogue),
    })
}

fn is_told(finding: &Finding) -> bool {
    finding.verdict != Verdict::Unknown
}

fn finding(finding: &Finding, catalogue: &Catalogue) -> [String; 4] {
    let verdict = match finding.verdict {
        Verdict::Ok | Verdict::Unknown => "",
        Verdict::Warn => "warning",
        Verdict::Fail => "alarm",
    };
    let meaning = finding.meaning.as_ref();
    [
        verdict.to_owned(),
        finding.id.to_owned(),
        catalogue.text(&finding.says),
        meaning.map_or_else(String::new, |meaning| {
            catalogue.text(meaning).trim_end().to_owned()
        }),
    ]
}

fn fixes(diagnosis: &Diagnosis, catalogue: &Catalogue) -> Vec<Fix> {
    let fix = |remedy: &Remedy| Fix {
        title: catalogue.text(&remedy.title),
        why: catalogue.text(&remedy.why),
        commands: remedy
            .commands
            .iter()
            .map(|line| catalogue.arg(line))
            .collect(),
        takes: [&remedy.cost, &remedy.risk, &remedy.verify].map(|text| catalogue.text(text)),
    };
    let applies = diagnosis.remedies.iter().filter(|remedy| remedy.applies);
    applies.map(fix).collect()
}

/// The node's facts by its trace; each line is the header's.
pub(super) fn facts(report: &Report, run: &ReportRun, traced: &Traced, at: &Provenance) -> Facts {
    let header = &run.header;
    let line = |text: String| FileLine {
        at: at.clone(),
        text,
    };
    let kernel = header.kernel.clone();
    let cmdline = header.cmdline.as_ref().map(|words| words.join(" "));
    Facts {
        trace: Some(at.file().to_owned()),
        hostname: header.hostname.clone(),
        page: page(header),
        uptime_ns: Some(run.ended.mono_ns),
        built: None,
        cmdline: cmdline.map_or_else(|| untold(at), |words| Ok(line(words))),
        config: untold(at),
        distribution: kernel
            .as_deref()
            .and_then(|release| distribution(release, line(release.to_owned())))
            .ok_or_else(|| not_told(at)),
        efi: None,
        // It is not known where they are mounted.
        hierarchy: Err(NoMemory::NotMounted),
        count: Ok(count(report, run)),
        counted: None,
        levels: untold(at),
        pinned: None,
        traced: Some(Ok(traced.clone())),
        crowd: None,
        configured: Configuration::default(),
        reaper: None,
        layout: None,
        reparents: None,
        held: untold(at),
        meminfo: untold(at),
        log: untold(at),
        runtime: untold(at),
        programs: Vec::new(),
        probe: None,
        trial: None,
        kernel: kernel.map_or_else(|| untold(at), |release| Ok(line(release))),
    }
}

/// What the header says of the node's pages.
fn page(header: &Header) -> PageFact {
    let size = header.page_bytes.and_then(PageSize::of);
    let by = PageSign::Header;
    size.map(|size| NodePage { size, by })
        .ok_or(NoPageSize::Untold(None))
}

fn untold<T>(at: &Provenance) -> Reading<T> {
    Err(not_told(at))
}

fn not_told(at: &Provenance) -> Unread {
    Unread::new(at.file(), Reason::NotInTrace)
}

/// Red Hat's family marks its kernels.
fn distribution(release: &str, name: FileLine) -> Option<Distribution> {
    let marks = [".el7", ".el8", ".el9"];
    marks.iter().find(|mark| release.contains(*mark))?;
    let (_, rest) = release.split_once(".el")?;
    Some(Distribution {
        id: String::new(),
        like: vec!["rhel".to_owned()],
        name,
        version: rest.chars().take(1).collect(),
        variant: String::new(),
    })
}

fn count(report: &Report, run: &ReportRun) -> MemcgCount {
    let summary = &run.summary;
    let totals = summary.totals;
    // It says so if the kernel counts them.
    let counted = summary.inherited.is_some();
    let from_before = summary.inherited.unwrap_or(0).min(totals.zombies);
    let max = counted.then_some(totals.zombies);
    let ids = report.kept().ids(totals.live, totals.zombies, max);
    let last = report.runs.len().saturating_sub(1);
    let with_caches = report.leaks.iter().filter(|leak| {
        leak.run == last && leak.is_left() && leak.slab.is_some_and(|slab| slab.caches > 0)
    });
    MemcgCount {
        live: totals.live,
        zombies_min: totals.zombies,
        zombies_max: counted.then_some(totals.zombies),
        staying: totals.leaked.max(from_before),
        none: counted && totals.zombies == 0,
        kept: report.kept(),
        ids_min: ids.min,
        ids_max: ids.max,
        capacity: MEMCG_IDS,
        peak: summary.kmemcg_peak.filter(|&peak| peak > 0),
        ids_peak: summary.ids_peak,
        with_caches: with_caches.count() as u64,
        held_bytes: summary.held_bytes,
    }
}
