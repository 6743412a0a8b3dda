//! OpenTelemetry log records in OTLP's JSON: a request a line, as collectors' file receivers take them.
//!
//! Attributes are named as the semantic conventions name them, where they do (`k8s.pod.uid`, `container.id`, `host.name`,
//! `process.pid`), and `kmemtrace.FIELD` otherwise.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Sink, jsonl::JsonLines};
use crate::{
    event::{Stamp, header::Header, json::kind},
    tracker::{Change, State, What},
};

/// Records of one request.
const BATCH: usize = 512;

/// Writes requests.
#[derive(Debug)]
pub struct Otlp<W> {
    lines: JsonLines<Vec<u8>>,
    out: W,
    resource: Value,
    version: String,
    records: Vec<Value>,
}

impl<W: Write> Otlp<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            lines: JsonLines::new(Vec::new()),
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
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.send()?;
        self.lines.header(time, header)?;
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
        let attributes = known
            .iter()
            .filter_map(|(key, value)| Some(attribute(key, &Value::from((*value)?))));
        self.resource = json!({ "attributes": attributes.collect::<Vec<_>>() });
        Ok(())
    }

    fn change(&mut self, change: &Change, state: State<'_>) -> io::Result<()> {
        self.lines.get_mut().clear();
        self.lines.change(change, state)?;
        let mut line: Map<String, Value> = serde_json::from_slice(self.lines.get_ref())?;
        line.remove("time");
        let kind = line.remove("kind").unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        let (number, severity) = severity(&change.what);
        let time = change.time.wall_ns.max(0).to_string();
        let suspected = matches!(&change.what, What::Leaked(subject) if subject.by_count.is_some());
        let says = if suspected { "suspected leak" } else { kind };
        let body = match line.get("path").and_then(Value::as_str) {
            Some(path) => format!("{says} {path}"),
            None => kind.to_owned(),
        };
        let attributes: Vec<_> = line
            .iter()
            .map(|(field, value)| attribute(&name(field, kind), value))
            .collect();
        self.records.push(json!({
            "timeUnixNano": time,
            "observedTimeUnixNano": time,
            "severityNumber": number,
            "severityText": severity,
            "eventName": format!("kmemtrace.{kind}"),
            "body": { "stringValue": body },
            "attributes": attributes,
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

/// A field's name by the conventions.
fn name(field: &str, kind: &str) -> String {
    match field {
        "pod_uid" => "k8s.pod.uid".into(),
        "container_id" => "container.id".into(),
        "runtime" => "container.runtime.name".into(),
        "pid" => "process.pid".into(),
        "errno_name" => "error.type".into(),
        // A summary's numbers of them, and not one of them.
        _ if kind == kind::SUMMARY => format!("kmemtrace.summary.{field}"),
        _ => format!("kmemtrace.{field}"),
    }
}

/// An attribute, as protobuf's JSON has it: a 64-bit integer is a string there.
fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(is) => json!({ "boolValue": is }),
        Value::Number(number) if number.is_i64() => json!({ "intValue": number.to_string() }),
        // beyond what it has integers for, and what is no single value
        other => json!({ "stringValue": other.to_string() }),
    };
    json!({ "key": key, "value": value })
}
