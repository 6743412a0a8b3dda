//! What `diagnose` makes of a trace: of its last run's header and events alone, with no file of the node.

use crate::{
    catalogue::{Catalogue, Lang},
    diagnose::{
        Diagnosis, Evidence, Facts, Finding, Remedy, Verdict, diagnose,
        facts::{
            Configuration, Distribution, FileLine, KernelLog, MemcgCount, Reading, Reason,
            SlabFailures, Unread,
        },
    },
    error::Said,
    event::{json::errno_name, klog::Time},
    host::{MEMCG_IDS, NoMemory},
    report::{
        FailureCause, Report, ReportRun,
        page::{Diagnosed, Fix},
    },
    text::units::Date,
};

/// The findings that no trace has facts for, whatever the pure part makes of their absence.
const NOT_IN_TRACES: [&str; 1] = ["memcg-oom"];

/// What mkdir says when the ids are used up: before Linux 4.8 or so, and later.
const USED_UP: [i32; 2] = [12, 28];

/// The diagnosis in words; `None` if there is no run.
pub(super) fn diagnosis(report: &Report, lang: Lang) -> Option<Diagnosed> {
    let diagnosis = diagnose(&facts(report, report.last()?));
    let catalogue = Catalogue::shown(lang);
    let (told, untold): (Vec<_>, Vec<_>) = diagnosis.findings.iter().partition(|one| is_told(one));
    Some(Diagnosed {
        findings: told.iter().map(|one| finding(one, &catalogue)).collect(),
        untold: untold.iter().map(|finding| finding.id).collect(),
        fixes: fixes(&diagnosis, &catalogue),
    })
}

fn is_told(finding: &Finding) -> bool {
    finding.verdict != Verdict::Unknown && !NOT_IN_TRACES.contains(&finding.id)
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

/// What the trace tells of the node, as if it had been read there.
fn facts(report: &Report, run: &ReportRun) -> Facts {
    let header = &run.header;
    let line = |file: &str, text: String| FileLine {
        file: file.to_owned(),
        number: 1,
        text,
    };
    let kernel = header.kernel.clone();
    let cmdline = header.cmdline.as_ref().map(|words| words.join(" "));
    Facts {
        hostname: header.hostname.clone(),
        uptime_ns: Some(run.ended.mono_ns),
        built: None,
        cmdline: cmdline.map_or_else(
            || untold("/proc/cmdline"),
            |words| Ok(line("/proc/cmdline", words)),
        ),
        config: untold("/boot"),
        distribution: kernel.as_deref().map_or_else(
            || untold("/etc/os-release"),
            |release| distribution(release, &line),
        ),
        efi: None,
        // It is not known where they are mounted.
        hierarchy: Err(NoMemory::NotMounted),
        count: Ok(count(report, run)),
        counted: None,
        levels: untold("memory.kmem.slabinfo"),
        pinned: None,
        traced: None,
        crowd: None,
        configured: Configuration::default(),
        reaper: None,
        layout: None,
        reparents: None,
        held: untold("memory.stat"),
        meminfo: untold("/proc/meminfo"),
        log: log(report, run),
        runtime: untold("/var/log"),
        programs: Vec::new(),
        probe: mkdirs(report).map(Err),
        trial: None,
        kernel: kernel.map_or_else(
            || untold("/proc/sys/kernel/osrelease"),
            |release| Ok(line("/proc/sys/kernel/osrelease", release)),
        ),
    }
}

fn untold<T>(file: &str) -> Reading<T> {
    Err(Unread::new(file, Reason::NotInTrace))
}

/// Red Hat's family marks its kernels.
fn distribution(release: &str, line: &dyn Fn(&str, String) -> FileLine) -> Reading<Distribution> {
    if ![".el7", ".el8", ".el9"]
        .iter()
        .any(|mark| release.contains(mark))
    {
        return untold("/etc/os-release");
    }
    Ok(Distribution {
        id: "DISTRIBUTION".to_owned(),
        like: vec!["rhel".to_owned()],
        name: line("/proc/sys/kernel/osrelease", release.to_owned()),
        version: release
            .split_once(".el")
            .map_or_else(String::new, |(_, rest)| rest.chars().take(1).collect()),
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
        peak: summary.kmemcg_peak,
        ids_peak: summary.ids_peak,
        with_caches: with_caches.count() as u64,
        held_bytes: summary.held_bytes,
    }
}

/// Slab failures as they would stand in the kernel log. That there is none says nothing of the whole log.
fn log(report: &Report, run: &ReportRun) -> Reading<KernelLog> {
    if report.slab_failures.is_empty() {
        return untold("/dev/kmsg");
    }
    // On the clock of the last run, which may be of a later boot: then it is 0.
    let since_boot = |wall_ns: i64| {
        let before = run.began.wall_ns.saturating_sub(wall_ns);
        let mono_ns = i64::try_from(run.began.mono_ns).unwrap_or(i64::MAX);
        u64::try_from(mono_ns.saturating_sub(before)).unwrap_or(0)
    };
    let group = |failure: &FailureCause| SlabFailures {
        cache: failure.what.clone(),
        cgroup: Some(failure.place.clone()).filter(|place| !place.is_empty()),
        count: failure.count,
        first: Time::Boot(since_boot(failure.at_ns.0)),
        last: Time::Boot(since_boot(failure.at_ns.1)),
        sizes: None,
        line: Evidence {
            file: "/dev/kmsg".to_owned(),
            line: Some(1),
            says: String::new().into(),
        },
        before_boot: false,
    };
    Ok(KernelLog {
        files: vec!["/dev/kmsg".to_owned()],
        records: report.summary.slab_failures,
        slab: report.slab_failures.iter().map(group).collect(),
        suppressed: report.summary.slab_failures_suppressed,
        killed: Vec::new(),
    })
}

/// mkdirs that failed as they do once the ids are used up: as if one had been tried.
fn mkdirs(report: &Report) -> Option<Unread> {
    let names = USED_UP.map(errno_name);
    let failures = report.mkdir_failures.iter();
    let failures: Vec<_> = failures
        .filter(|failure| names.contains(&Some(&failure.what)))
        .collect();
    let worst = failures.first()?;
    let count: u64 = failures.iter().map(|failure| failure.count).sum();
    let last = failures.iter().map(|failure| failure.at_ns.1).max()?;
    let reason = format!(
        "{}, {count} times in this trace, the last at {} UTC",
        worst.what,
        Date(last)
    );
    Some(Unread::new(
        worst.place.clone(),
        Reason::Said(Said::Text(reason)),
    ))
}
