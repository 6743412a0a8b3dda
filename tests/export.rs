//! Traces converted for other tools, and read back.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::Value;

use crate::harness::{Result, data, output, program, test, test_if, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("export::jsonl_is_a_trace_again", jsonl),
        test("export::csv_has_a_row_for_each_change", csv),
        test("export::parquet_has_a_row_for_each_change", parquet),
        test_if(
            "export::parquet_is_read_by_others",
            no_reader,
            parquet_elsewhere,
        ),
        test("export::otlp_has_a_record_for_each_line", otlp),
        test_if(
            "export::perfetto_is_read_by_its_trace_processor",
            no_trace_processor,
            perfetto,
        ),
        test_if(
            "export::perfetto_is_as_its_definitions_say",
            no_definitions,
            defined,
        ),
        test("export::what_cannot_be_written_is_named", unwritable),
    ]
}

/// Two files of one run, in which containers of three pods leak.
fn traces() -> [String; 2] {
    [2, 1].map(|part| {
        let path = data(&format!("traces/schema-1/bpf-6.18-part-{part}.jsonl.zst"));
        path.display().to_string()
    })
}

fn export(to: &str) -> std::process::Output {
    let traces = traces();
    let run = output(program(["export", &traces[0], &traces[1], "--to", to]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert_eq!(text(&run.stderr), "");
    run
}

fn lines(bytes: &[u8]) -> serde_json::Result<Vec<Value>> {
    text(bytes).lines().map(serde_json::from_str).collect()
}

/// How many there are of each kind of change.
fn kinds<'a>(kinds: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn jsonl() -> Result {
    let traces = traces();
    let exported = export("jsonl").stdout;
    let mut replay = program(["replay", &traces[0], &traces[1]]);
    replay.args(["--all", "--format", "json"]);
    assert_eq!(text(&exported), text(&output(replay).stdout));
    // and once more, from the export
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("exported.jsonl");
    fs::write(&file, &exported)?;
    let again = folder.path().join("again.jsonl");
    let run = output(program([
        "export".as_ref(),
        file.as_os_str(),
        "--to".as_ref(),
        "jsonl".as_ref(),
        "-o".as_ref(),
        again.as_os_str(),
    ]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(run.stdout.is_empty());
    assert_eq!(text(&fs::read(&again)?), text(&exported));
    Ok(())
}

fn csv() -> Result {
    let table = export("csv").stdout;
    let mut reader = csv::Reader::from_reader(&table[..]);
    let titles = reader.headers()?.clone();
    let column = |title: &str| titles.iter().position(|t| t == title).expect("a column");
    let rows: Vec<_> = reader.records().collect::<std::result::Result<_, _>>()?;
    let changes = lines(&export("jsonl").stdout)?;
    let changes: Vec<_> = changes
        .iter()
        .filter(|line| line["kind"] != "header" && line["kind"] != "summary")
        .collect();
    assert_eq!(rows.len(), changes.len());
    for (row, line) in rows.iter().zip(changes) {
        for field in ["kind", "path", "pod_uid", "comm"] {
            assert_eq!(
                &row[column(field)],
                line[field].as_str().unwrap_or_default()
            );
        }
        for field in ["mono_ns", "cgroup_id", "zombie_ns", "live", "leaked"] {
            let known = line[field].as_u64();
            assert_eq!(row[column(field)].parse().ok(), known, "{field} {line}");
        }
        assert_eq!(&row[column("hostname")], "vm");
    }
    Ok(())
}

fn parquet() -> Result {
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("trace.parquet");
    fs::write(&file, export("parquet").stdout)?;
    let reader = SerializedFileReader::new(fs::File::open(&file)?)?;
    let rows: Vec<_> = reader
        .get_row_iter(None)?
        .collect::<std::result::Result<_, _>>()?;
    let changes = lines(&export("jsonl").stdout)?;
    let changes: Vec<_> = changes
        .iter()
        .filter(|line| line["kind"] != "header" && line["kind"] != "summary")
        .collect();
    assert_eq!(rows.len(), changes.len());
    for (row, line) in rows.iter().zip(changes) {
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field, &line[name]) {
                ("time", Field::Long(ns), Value::String(text)) => {
                    assert_eq!(format!("{:09}", ns % 1_000_000_000), text[20..29]);
                }
                ("hostname", Field::Str(host), _) => assert_eq!(host, "vm"),
                (_, Field::Null, Value::Null) => {}
                (_, Field::Str(text), Value::String(expected)) => assert_eq!(text, expected),
                (_, Field::ULong(number), expected) => assert_eq!(Value::from(*number), *expected),
                (_, Field::Long(number), expected) => assert_eq!(Value::from(*number), *expected),
                (_, Field::Bool(flag), expected) => assert_eq!(Value::from(*flag), *expected),
                (_, Field::Str(list), expected) => assert_eq!(*list, expected.to_string()),
                (name, field, expected) => panic!("{name}: {field} and {expected}"),
            }
        }
    }
    Ok(())
}

/// Reads a Parquet file with whatever there is, and says how many rows of each kind it has.
const READ: &str = "
import json, sys
try:
    import pyarrow, pyarrow.parquet
    table = pyarrow.parquet.read_table(sys.argv[1])
    times = table.column('time').cast(pyarrow.int64())
    rows = list(zip(table.column('kind').to_pylist(), table.column('cgroup_id').to_pylist(), times.to_pylist()))
except ImportError:
    import duckdb
    rows = duckdb.read_parquet(sys.argv[1]).project('kind, cgroup_id, epoch_ns(time)').fetchall()
kinds = {}
for kind, _, _ in rows:
    kinds[kind] = kinds.get(kind, 0) + 1
print(json.dumps({
    'kinds': kinds,
    'ids': sum(id or 0 for _, id, _ in rows),
    'first': min(time for _, _, time in rows) % 1000000000,
}))
";

/// A Python with pyarrow or duckdb: `KMEMTRACE_TESTS_PYTHON` names one, else it is `python3`.
fn python() -> Command {
    let python = std::env::var("KMEMTRACE_TESTS_PYTHON");
    Command::new(python.unwrap_or_else(|_| "python3".to_owned()))
}

fn has(module: &str) -> bool {
    let run = python().args(["-c", &format!("import {module}")]).output();
    run.is_ok_and(|run| run.status.success())
}

fn no_reader() -> Option<String> {
    (!has("pyarrow.parquet") && !has("duckdb")).then(|| {
        "needs a python3 with pyarrow or duckdb; KMEMTRACE_TESTS_PYTHON names another one"
            .to_owned()
    })
}

/// What a script says of an export, as JSON.
fn read_by(script: &str, format: &str) -> std::result::Result<Value, Failed> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, export(format).stdout)?;
    let run = python().args(["-c", script]).arg(file.path()).output()?;
    assert!(run.status.success(), "{}", text(&run.stderr));
    Ok(serde_json::from_slice(&run.stdout)?)
}

fn parquet_elsewhere() -> Result {
    let read = read_by(READ, "parquet")?;
    let changes = lines(&export("jsonl").stdout)?;
    let changes = changes
        .iter()
        .filter(|line| line["kind"] != "header" && line["kind"] != "summary");
    let expected = kinds(changes.clone().filter_map(|line| line["kind"].as_str()));
    assert_eq!(read["kinds"], serde_json::to_value(expected)?);
    let ids: u64 = changes
        .clone()
        .filter_map(|line| line["cgroup_id"].as_u64())
        .sum();
    assert_eq!(read["ids"], ids);
    let first = changes
        .filter_map(|line| line["time"].as_str())
        .min()
        .ok_or("a line")?;
    let ns: u64 = first[20..29].parse()?;
    assert_eq!(read["first"], ns);
    Ok(())
}

fn otlp() -> Result {
    let requests = lines(&export("otlp-json").stdout)?;
    let mut records = Vec::new();
    for request in &requests {
        let logs = &request["resourceLogs"][0];
        let resource = &logs["resource"]["attributes"];
        assert!(resource.as_array().is_some_and(|attributes| {
            attributes
                .iter()
                .any(|a| a["key"] == "host.name" && a["value"]["stringValue"] == "vm")
        }));
        records.extend(
            logs["scopeLogs"][0]["logRecords"]
                .as_array()
                .into_iter()
                .flatten(),
        );
    }
    let changes = lines(&export("jsonl").stdout)?;
    let name = |record: &&Value| {
        record["eventName"]
            .as_str()
            .and_then(|name| name.strip_prefix("kmemtrace."))
            .map(str::to_owned)
    };
    let names: Vec<_> = records.iter().filter_map(name).collect();
    assert_eq!(
        kinds(names.iter().map(String::as_str)),
        kinds(
            changes
                .iter()
                .filter_map(|line| line["kind"].as_str())
                .filter(|kind| *kind != "header")
        )
    );
    let leaked = changes
        .iter()
        .find(|line| line["kind"] == "leaked")
        .ok_or("a leak")?;
    let record = records
        .iter()
        .find(|record| record["eventName"] == "kmemtrace.leaked")
        .ok_or("a leak")?;
    let attribute = |key: &str| {
        let attributes = record["attributes"].as_array()?;
        Some(&attributes.iter().find(|a| a["key"] == key)?["value"])
    };
    assert_eq!(
        attribute("k8s.pod.uid").map(|v| &v["stringValue"]),
        Some(&leaked["pod_uid"])
    );
    assert_eq!(
        attribute("container.id").map(|v| &v["stringValue"]),
        Some(&leaked["container_id"])
    );
    let pid = attribute("process.pid").and_then(|v| v["intValue"].as_str());
    assert_eq!(pid, Some(leaked["pid"].to_string().as_str()));
    assert_eq!(record["severityText"], "WARN");
    assert!(
        record["timeUnixNano"]
            .as_str()
            .is_some_and(|ns| ns.len() == 19),
        "{record}"
    );
    Ok(())
}

/// Perfetto's own reader: what `KMEMTRACE_TRACE_PROCESSOR` names, else `trace_processor_shell` of the search path.
fn trace_processor() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("KMEMTRACE_TRACE_PROCESSOR") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut programs = std::env::split_paths(&path).map(|at| at.join("trace_processor_shell"));
    programs.find(|program| program.is_file())
}

fn no_trace_processor() -> Option<String> {
    trace_processor().is_none().then(|| {
        "needs Perfetto's trace_processor_shell on the PATH, or named by KMEMTRACE_TRACE_PROCESSOR"
            .to_owned()
    })
}

fn perfetto() -> Result {
    let folder = tempfile::TempDir::new()?;
    let trace = folder.path().join("trace.pftrace");
    fs::write(&trace, export("perfetto").stdout)?;
    let changes = lines(&export("jsonl").stdout)?;
    let count = |kind: &str| changes.iter().filter(|line| line["kind"] == kind).count();
    let query = "select (select count(*) from slice where name = 'zombie'), \
         (select count(*) from slice where name = 'leaked'), \
         (select max(value) from counter join counter_track on counter.track_id = counter_track.id where name = 'leaked'), \
         (select sum(value) from stats where name like '%misplaced_end%' or name like '%negative%' or name = 'clock_sync_failure');";
    let file = folder.path().join("query.sql");
    fs::write(&file, query)?;
    let run = Command::new(trace_processor().ok_or("no trace processor")?)
        .arg("-q")
        .arg(&file)
        .arg(&trace)
        .stdin(Stdio::null())
        .output()?;
    let said = text(&run.stdout);
    let most = changes
        .iter()
        .filter_map(|line| line["leaked"].as_u64())
        .max()
        .unwrap_or(0);
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        format!("{},{},{most}.000000,0", count("offlined"), count("leaked")),
        "{said}{}",
        text(&run.stderr)
    );
    Ok(())
}

/// Reads a trace by Perfetto's own definitions, and says what is in it.
const DEFINED: &str = "
import json, sys
from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace
def unknown(message):
    fields = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type:
            fields += sum(unknown(one) for one in (value if field.is_repeated else [value]))
    return fields
trace = Trace()
trace.ParseFromString(open(sys.argv[1], 'rb').read())
tracks, begun, depth, astray = set(), {}, {}, 0
for packet in trace.packet:
    if packet.HasField('track_descriptor'):
        tracks.add(packet.track_descriptor.uuid)
    if packet.HasField('track_event'):
        event = packet.track_event
        step = {event.TYPE_SLICE_BEGIN: 1, event.TYPE_SLICE_END: -1}.get(event.type, 0)
        depth[event.track_uuid] = depth.get(event.track_uuid, 0) + step
        astray += depth[event.track_uuid] < 0 or event.track_uuid not in tracks
        if step > 0:
            begun[event.name] = begun.get(event.name, 0) + 1
print(json.dumps({'unknown': unknown(trace), 'astray': astray, 'begun': begun}))
";

const DEFINITIONS: &str = "perfetto.protos.perfetto.trace.perfetto_trace_pb2";

fn no_definitions() -> Option<String> {
    (!has(DEFINITIONS)).then(|| {
        "needs a python3 with the package perfetto; KMEMTRACE_TESTS_PYTHON names another one"
            .to_owned()
    })
}

fn defined() -> Result {
    let read = read_by(DEFINED, "perfetto")?;
    let changes = lines(&export("jsonl").stdout)?;
    let count = |kind: &str| changes.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(read["unknown"], 0, "{read}");
    assert_eq!(read["astray"], 0, "{read}");
    assert_eq!(read["begun"]["zombie"], count("offlined"), "{read}");
    assert_eq!(read["begun"]["leaked"], count("leaked"), "{read}");
    Ok(())
}

fn unwritable() -> Result {
    let traces = traces();
    for (path, said) in [
        (
            "/nonexistent/x",
            "cannot write /nonexistent/x: No such file",
        ),
        ("/dev/full", "cannot write /dev/full: No space left"),
    ] {
        let run = output(program(["export", &traces[0], "--to", "csv", "-o", path]));
        assert_eq!(run.status.code(), Some(2));
        assert!(text(&run.stderr).contains(said), "{}", text(&run.stderr));
    }
    Ok(())
}
