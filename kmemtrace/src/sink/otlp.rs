//! OpenTelemetry log records in OTLP's JSON: a request a line, as collectors' file receivers take them.
//!
//! Attributes are named as the semantic conventions name them, where they do (`k8s.pod.uid`, `container.id`, `host.name`,
//! `process.pid`), and `kmemtrace.FIELD` otherwise.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{
    Sink,
    line::Lines,
    runs::{Runs, SharedOut},
};
use crate::{
    event::{
        Stamp,
        header::Header,
        json::{FieldValue, Line, kind},
    },
    tracker::{Change, Status, Summary, What},
};

/// For `export`: each run's requests.
pub(super) fn export(out: SharedOut, _several: bool) -> Box<dyn Runs> {
    Box::new(move |_: usize, _: &Header| {
        let sink: Box<dyn Sink> = Box::new(Otlp::new(out.clone()));
        Ok(sink)
    })
}

/// Records of one request.
const BATCH: usize = 512;

/// Writes requests.
#[derive(Debug)]
struct Otlp<W> {
    lines: Lines,
    out: W,
    resource: Value,
    version: String,
    records: Vec<Value>,
}

impl<W: Write> Otlp<W> {
    /// Writes to `out`.
    fn new(out: W) -> Self {
        Self {
            lines: Lines::default(),
            out,
            resource: Value::Null,
            version: String::new(),
            records: Vec::new(),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let request = json!({ "resourceLogs": [{
            "resource": self.resource,
            "scopeLogs": [{
                "scope": { "name": "kmemtrace", "version": self.version },
                "logRecords": std::mem::take(&mut self.records),
            }],
        }] });
        serde_json::to_writer(&mut self.out, &request)?;
        self.out.write_all(b"\n")
    }
}

impl<W: Write> Sink for Otlp<W> {
    fn header(&mut self, _: Stamp, header: &Header) -> io::Result<()> {
        self.send()?;
        self.lines = Lines::of(header, false);
        self.version.clone_from(&header.version);
        let known = [
            ("service.name", Some("kmemtrace")),
            ("service.version", Some(&*header.version)),
            ("host.name", header.hostname.as_deref()),
            ("os.type", Some("linux")),
            ("os.version", header.kernel.as_deref()),
            ("kmemtrace.boot_id", header.boot_id.as_deref()),
            ("kmemtrace.source", Some(&*header.source)),
        ];
        let page = header
            .page_bytes
            .and_then(|bytes| i64::try_from(bytes).ok());
        let page = page.map(|bytes| attribute("kmemtrace.page_bytes", &integer(bytes)));
        let attributes = known
            .iter()
            .filter_map(|(key, value)| Some(attribute(key, &text((*value)?))))
            .chain(page);
        self.resource = json!({ "attributes": attributes.collect::<Vec<_>>() });
        Ok(())
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        let record = match &change.what {
            What::Summary(summary) => of_summary(summary, change)?,
            _ => match self.lines.line(change, |line| of_line(line, change)) {
                Some(record) => record,
                None => return Ok(()),
            },
        };
        let (number, severity) = severity(&change.what);
        let time = change.time.wall_ns.max(0).to_string();
        self.records.push(json!({
            "timeUnixNano": time,
            "observedTimeUnixNano": time,
            "severityNumber": number,
            "severityText": severity,
            "eventName": format!("kmemtrace.{}", record.kind),
            "body": { "stringValue": record.body },
            "attributes": record.attributes,
        }));
        if self.records.len() >= BATCH || matches!(change.what, What::Summary(_)) {
            self.send()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }
}

fn severity(what: &What) -> (u8, &'static str) {
    match what {
        What::SlabFailure(_) | What::MkdirFailure(_) => (17, "ERROR"),
        What::Leaked(_) | What::LeakedUnseen { .. } | What::Gap(_) => (13, "WARN"),
        What::Tick(_) | What::Walked { .. } | What::Present(_) => (5, "DEBUG"),
        _ => (9, "INFO"),
    }
}

/// What of a record depends on the kind of the change.
struct LogRecord {
    kind: String,
    body: String,
    attributes: Vec<Value>,
}

fn of_line(line: &Line<'_>, change: &Change) -> LogRecord {
    let kind = line.kind.as_ref().map_or("", |kind| &*kind.0);
    let suspected = matches!(&change.what, What::Leaked(subject) if subject.by_count.is_some());
    let says = if suspected { "suspected leak" } else { kind };
    let columns = Line::COLUMNS.iter().map(|column| column.name);
    let cells = columns.zip(line.cells());
    let mut cells: Vec<_> = cells
        .filter_map(|(field, cell)| Some((field, cell?)))
        .filter(|(field, _)| !matches!(*field, "time" | "kind"))
        .collect();
    cells.sort_unstable_by_key(|(field, _)| *field);
    let attributes = cells.into_iter().map(|(field, cell)| {
        let value = match cell {
            FieldValue::Text(said) => text(&said),
            FieldValue::List(json) => text(&json),
            FieldValue::Flag(is) => json!({ "boolValue": is }),
            FieldValue::Signed(number) => integer(number),
            FieldValue::Time(time) => integer(time.0),
            // beyond what it has integers for
            FieldValue::Unsigned(number) => {
                i64::try_from(number).map_or_else(|_| text(&number.to_string()), integer)
            }
        };
        attribute(&name(field), &value)
    });
    LogRecord {
        kind: kind.to_owned(),
        body: match &line.path {
            Some(path) => format!("{says} {}", path.0),
            None => kind.to_owned(),
        },
        attributes: attributes.collect(),
    }
}

fn of_summary(summary: &Summary, change: &Change) -> io::Result<LogRecord> {
    let Value::Object(mut fields) = serde_json::to_value(summary)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    fields.insert("mono_ns".into(), change.time.mono_ns.into());
    let attributes = fields.iter().map(|(field, value)| {
        let value = match value {
            Value::String(said) => text(said),
            Value::Bool(is) => json!({ "boolValue": is }),
            // beyond what it has integers for, and what is no single value
            other => other
                .as_i64()
                .map_or_else(|| text(&other.to_string()), integer),
        };
        // Numbers of them, and not of one of them.
        attribute(&format!("kmemtrace.summary.{field}"), &value)
    });
    Ok(LogRecord {
        kind: kind::SUMMARY.to_owned(),
        body: kind::SUMMARY.to_owned(),
        attributes: attributes.collect(),
    })
}

/// A field's name by the conventions.
fn name(field: &str) -> String {
    match field {
        "pod_uid" => "k8s.pod.uid".into(),
        "container_id" => "container.id".into(),
        "runtime" => "container.runtime.name".into(),
        "pid" => "process.pid".into(),
        "errno_name" => "error.type".into(),
        _ => format!("kmemtrace.{field}"),
    }
}

/// An attribute, as protobuf's JSON has it.
fn attribute(key: &str, value: &Value) -> Value {
    json!({ "key": key, "value": value })
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

/// A 64-bit integer is a string there.
fn integer(value: i64) -> Value {
    json!({ "intValue": value.to_string() })
}
