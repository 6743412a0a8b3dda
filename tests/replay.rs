//! Recorded traces, played through the tracker into the sinks.

use std::{
    fs::{self, File},
    io::BufReader,
    time::{Duration, Instant},
};

use kmemtrace::{
    event::json::{Item, Reader},
    sink::{
        Sink,
        jsonl::JsonLines,
        tail::{Tail, TailOptions},
    },
    tracker::{Config, Kept, Tracker},
};
use libtest_mimic::Trial;

use crate::harness::{Result, data, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("replay::a_recorded_leak_reads_as_it_was_shown", leak),
        test("replay::json_of_a_replay_is_the_trace", fixpoint),
        test("replay::the_program_shows_what_was_shown", program_shows),
        test("replay::from_and_to_show_a_part", from_and_to),
        test("replay::ten_times_as_fast_takes_a_tenth", paced),
        test("replay::lines_that_cannot_be_read_are_named", unreadable),
        test(
            "replay::what_another_architectures_registers_told_is_no_zombie",
            registers,
        ),
        test("replay::a_copy_that_was_recorded_is_shown_again", copy),
    ]
}

/// Recorded on 6.18 with cgroup v1: three containers of a pod leak, one of them recovers, a mkdir fails, a slab allocation
/// fails.
const LEAK: &str = "leak-6.18-v1.jsonl";

fn replay(name: &str, sink: &mut dyn Sink) -> Result {
    let mut reader = Reader::new(BufReader::new(File::open(data(name))?));
    let mut tracker = Tracker::new(Config {
        grace: Duration::from_secs(2),
        polled: false,
        kept: Kept::No,
    });
    let mut changes = Vec::new();
    for item in &mut reader {
        match item? {
            Item::Header(time, header) => sink.header(time, &header)?,
            Item::Event(event) => tracker.apply(&event, &mut changes),
            Item::End(_) => {}
        }
        for change in changes.drain(..) {
            sink.change(&change, tracker.state())?;
        }
    }
    sink.flush()?;
    Ok(())
}

fn leak() -> Result {
    let mut tail = Tail::new(Vec::new(), TailOptions { color: false });
    replay(LEAK, &mut tail)?;
    insta::assert_snapshot!(String::from_utf8(tail.into_inner())?);
    Ok(())
}

/// What a replay writes is what was recorded, byte for byte, up to the summary, which has the end of the run.
fn fixpoint() -> Result {
    let mut lines = JsonLines::new(Vec::new());
    replay(LEAK, &mut lines)?;
    let written = String::from_utf8(lines.into_inner())?;
    let recorded = fs::read_to_string(data(LEAK))?;
    let recorded: Vec<_> = recorded
        .lines()
        .filter(|l| !l.contains("\"kind\":\"summary\""))
        .collect();
    assert_eq!(written.lines().collect::<Vec<_>>(), recorded);
    Ok(())
}

/// `replay` of a trace, with options: what it shows, what it says, and its status.
fn run(options: &[&str], trace: &str) -> (String, String, Option<i32>) {
    let run = output(program([&["replay", trace], options].concat()));
    (text(&run.stdout), text(&run.stderr), run.status.code())
}

fn program_shows() -> Result {
    let trace = data(LEAK);
    let trace = trace.to_str().ok_or("a path")?;
    let recorded = fs::read_to_string(trace)?;
    let (shown, said, status) = run(&["--all", "--format", "json"], trace);
    assert_eq!((said.as_str(), status), ("", Some(1)));
    let (shown, summary) = without_summary(&shown)?;
    let (recorded, in_trace) = without_summary(&recorded)?;
    assert_eq!(shown, recorded);
    // A summary is concluded anew, and may say more than that of the version that took the trace.
    for (field, value) in in_trace.as_object().ok_or("an object")? {
        assert_eq!(summary[field], *value, "{field}");
    }
    // packed, and from stdin
    let folder = tempfile::TempDir::new()?;
    let packed = folder.path().join("trace");
    fs::write(&packed, zstd::encode_all(File::open(trace)?, 0)?)?;
    let (text, _, _) = run(&[], trace);
    let (from_packed, _, _) = run(&[], packed.to_str().ok_or("a path")?);
    assert_eq!(text, from_packed);
    let mut command = program(["replay", "-"]);
    command.stdin(File::open(&packed)?);
    assert_eq!(text, crate::harness::text(&output(command).stdout));
    Ok(())
}

/// The lines but the last, which is the summary, and that.
fn without_summary(
    lines: &str,
) -> std::result::Result<(&str, serde_json::Value), libtest_mimic::Failed> {
    let (lines, last) = lines.trim_end().rsplit_once('\n').ok_or("two lines")?;
    Ok((lines, serde_json::from_str(last)?))
}

fn from_and_to() -> Result {
    let trace = data(LEAK);
    let trace = trace.to_str().ok_or("a path")?;
    let (shown, _, status) = run(&["--from", "4.5s", "--to", "2026-11-24 20:06:34.6"], trace);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[1].contains("mkdir failed"), "{shown}");
    assert!(
        lines[2].starts_with(
            "FAILING: memory cgroups could not be made; LEAK: 2 memory cgroups leaked, 1 mkdir failed"
        ),
        "{shown}"
    );
    assert_eq!(status, Some(1));
    let (_, said, status) = run(&["--from", "yesterday"], trace);
    assert!(said.contains("not a time such as"), "{said}");
    assert_eq!(status, Some(2));
    Ok(())
}

/// The trace is of 7.8 seconds, and 3.4 to its first leak.
fn paced() -> Result {
    let began = Instant::now();
    let trace = data(LEAK);
    let options = ["--speed", "10x", "--to", "3.5s"];
    let (shown, _, _) = run(&options, trace.to_str().ok_or("a path")?);
    assert!(
        began.elapsed() >= Duration::from_millis(330),
        "{:?}",
        began.elapsed()
    );
    assert!(shown.contains("LEAK: 3 memory cgroups leaked"), "{shown}");
    Ok(())
}

fn unreadable() -> Result {
    let folder = tempfile::TempDir::new()?;
    let path = folder.path().join("trace.jsonl");
    let name = path.to_str().ok_or("a path")?;
    let recorded = fs::read_to_string(data(LEAK))?;
    let mut lines: Vec<_> = recorded.lines().collect();
    lines.insert(3, "\u{1b}[2Jnonsense");
    lines.push(r#"{"kind":"thawed"}"#);
    lines.push("{\"torn\":");
    fs::write(&path, lines.join("\n"))?;
    let (shown, said, status) = run(&[], name);
    let said: Vec<_> = said.lines().collect();
    assert_eq!(
        said,
        [
            format!("kmemtrace: {name}: line 4: column 1: expected value"),
            format!(
                "kmemtrace: {name} ends in the middle of a line, as when its writer was killed"
            ),
            "kmemtrace: ignored what a newer version wrote: 1 line and 0 fields".to_owned(),
        ]
    );
    assert_eq!(status, Some(1));
    assert!(shown.contains("LEAK: 2 memory cgroups"), "{shown}");

    fs::write(&path, "no trace at all\n")?;
    let (_, said, status) = run(&[], name);
    assert!(said.contains("line 1: column 2: expected ident"), "{said}");
    assert_eq!(status, Some(2));
    Ok(())
}

/// Three pods leak, and kprobes that read the registers of another architecture tell of each once more.
fn registers() -> Result {
    let folder = tempfile::TempDir::new()?;
    let path = folder.path().join("trace.jsonl");
    let name = path.to_str().ok_or("a path")?;
    let line = |ms: u64, rest: &str| {
        let (s, ms, ns) = (ms / 1000, ms % 1000, ms * 1_000_000);
        format!(r#"{{"time":"2026-03-14T12:31:{s:02}.{ms:03}Z","mono_ns":{ns},{rest}}}"#)
    };
    let trace = |id: &dyn Fn(u64) -> u64| {
        let mut lines = vec![
            line(
                1,
                r#""kind":"header","schema":1,"version":"0","source":"bpf","grace_ns":30000000000"#,
            ),
            line(
                2,
                r#""kind":"present","cgroup_id":1,"path":"/","memory":true"#,
            ),
            line(
                3,
                r#""kind":"walked","began_mono_ns":1000000,"directories":1,"dying_memory":0"#,
            ),
        ];
        for n in 0..3 {
            let (real, other) = (100 + n, id(n));
            let cgroup = format!(r#""path":"/kubepods/pod{n}","memory":true"#);
            for (ms, kind) in [(10, "created"), (20, "offlined")] {
                let told = format!(r#""kind":"{kind}","cgroup_id":{real},{cgroup}"#);
                lines.push(line(ms + n, &told));
                let told =
                    format!(r#""kind":"{kind}","cgroup_id":{other},"scope":"memcg",{cgroup}"#);
                lines.push(line(ms + n, &told));
            }
        }
        for s in 1..60 {
            lines.push(line(s * 1000, r#""kind":"tick","dying_memory":3"#));
        }
        lines.join("\n") + "\n"
    };
    for id in [0, 0xffff_8000_0123_4567_u64] {
        fs::write(&path, trace(&|_| id))?;
        let (shown, said, status) = run(&[], name);
        assert_eq!(
            said.matches(&format!("no cgroup has the id {id}")).count(),
            6,
            "{said}"
        );
        assert!(
            shown.contains("LEAK: 3 memory cgroups leaked, but"),
            "{shown}"
        );
        assert!(shown.contains("tracked 3, kernel 3"), "{shown}");
        assert!(!shown.contains("zombies 6"), "{shown}");
        assert_eq!(status, Some(1));
    }
    fs::write(&path, trace(&|n| 0x1234_5678 + n))?;
    let (shown, said, _) = run(&[], name);
    assert_eq!(said, "");
    assert!(
        shown.contains("tracked 6, kernel 3: the kernel counts fewer zombies"),
        "{shown}"
    );
    assert!(
        shown.contains("LEAK: 3 memory cgroups leaked, but"),
        "{shown}"
    );
    assert!(
        shown.contains("zombies          tracked 3, kernel 3"),
        "{shown}"
    );
    Ok(())
}

/// Polled facts, from copies of a machine of 4.14: recorded while they are watched, and the same on replay.
fn copy() -> Result {
    let folder = tempfile::TempDir::new()?;
    let trace = folder.path().join("trace.zst");
    let trace = trace.to_str().ok_or("a path")?;
    let copies = [
        data("recordings/k414-leaked-10.tar.zst"),
        data("recordings/k414-leaked-100.tar.zst"),
    ];
    for format in ["json", "text"] {
        let mut watch = program(["watch", "--all", "--format", format, "--record", trace]);
        for copy in &copies {
            watch.arg("--root").arg(copy);
        }
        let live = output(watch);
        assert!(live.stdout.len() > 1000, "{}", text(&live.stderr));
        let (shown, _, _) = run(&["--all", "--format", format], trace);
        assert_eq!(shown, text(&live.stdout));
        fs::remove_file(trace)?;
    }
    Ok(())
}
