//! The format as JSON Schema: `docs/trace.schema.json` is generated from the types that lines are written from.

use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    event::{
        header::{Header, SCHEMA},
        json::{Line, kind},
    },
    schema::{DIALECT, without_null},
    tracker::Summary,
};

/// What a line of each kind cannot do without, besides time and kind: of each list one field, at least.
const NEEDED: [(&str, &[&[&str]]); 14] = [
    (kind::CREATED, CGROUP),
    (kind::OFFLINED, CGROUP),
    (kind::FREED, CGROUP),
    (kind::RENAMED, CGROUP),
    (kind::PRESENT, CGROUP),
    (kind::ZOMBIE, CGROUP),
    (kind::RECOVERED, CGROUP),
    (kind::LEAKED, &[&["cgroup_id", "kmemcg_id", "by_count"]]),
    (kind::CARRIED, &[&["cgroup_id", "kmemcg_id"], &["state"]]),
    (kind::WALKED, &[&["began_mono_ns"], &["directories"]]),
    (kind::GAP, &[&["from_mono_ns"], &["reason"]]),
    (kind::SLAB_FAILURE, &[]),
    (kind::MKDIR_FAILURE, &[]),
    (kind::TICK, &[]),
];

const CGROUP: &[&[&str]] = &[&["cgroup_id", "kmemcg_id"]];

/// One line of a trace. Fields and kinds that are not named in it pass: they are a later version's.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let header = generator.subschema_for::<Header>();
    let summary = generator.subschema_for::<Summary>();
    let line = generator.subschema_for::<Line<'_>>();
    let mut kinds: Vec<Value> = NEEDED
        .iter()
        .map(|(kind, needed)| {
            let needed = needed.iter().map(|fields| {
                let one = fields.iter().map(|field| json!({ "required": [field] }));
                json!({ "anyOf": one.collect::<Vec<_>>() })
            });
            let needed: Vec<_> = needed.collect();
            let mut all = vec![line.clone().to_value()];
            all.extend(needed);
            if_kind(kind, &json!({ "allOf": all }))
        })
        .collect();
    for (kind, schema) in [(kind::HEADER, header), (kind::SUMMARY, summary)] {
        kinds.push(if_kind(kind, &Schema::to_value(schema)));
    }
    let mut definitions = generator.take_definitions(true);
    definitions.values_mut().for_each(without_null);
    json!({
        "$schema": DIALECT,
        "title": "kmemtrace trace",
        "description": format!("One line of a trace, schema version {SCHEMA}. docs/trace-format.md says what the fields mean."),
        "type": "object",
        "required": ["time", "mono_ns", "kind"],
        "properties": {
            "time": { "type": "string", "format": "date-time" },
            "mono_ns": { "type": "integer", "minimum": 0 },
            "kind": { "type": "string" },
        },
        "allOf": kinds,
        "$defs": definitions,
    })
}

fn if_kind(kind: &str, then: &Value) -> Value {
    json!({
        "if": { "properties": { "kind": { "const": kind } } },
        "then": then,
    })
}
