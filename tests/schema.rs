//! The forms of what programs read: their JSON Schemas, and the traces of every version of theirs, which are read for ever.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use kmemtrace::{
    cli::diagnosis_schema,
    trace::{Trace, schema::schema},
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{Result, data, output, program, test, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("schema::the_files_are_what_is_generated", generated),
        test("schema::every_golden_trace_is_valid", golden_is_valid),
        test("schema::every_golden_trace_is_read", golden_is_read),
        test("schema::samples_of_the_document_are_valid", samples),
        test("schema::what_is_wrong_is_refused", wrong),
    ]
}

/// In `docs/`.
const TRACE: &str = "trace.schema.json";
const DIAGNOSIS: &str = "diagnosis.schema.json";

fn document(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

/// `INSTA_UPDATE=always` writes it, as it does with snapshots.
fn generated() -> Result {
    for (file, schema) in [(TRACE, schema()), (DIAGNOSIS, diagnosis_schema())] {
        let path = document(file);
        let generated = format!("{schema:#}\n");
        let update = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
        // Others read it meanwhile.
        if update && fs::read_to_string(&path)? != generated {
            fs::write(&path, &generated)?;
        }
        assert!(
            fs::read_to_string(&path)? == generated,
            "docs/{file} is not what the types say: run this test with INSTA_UPDATE=always"
        );
    }
    Ok(())
}

/// What `diagnose` writes as JSON is of its schema's form.
pub(crate) fn check_diagnosis(told: &Value) {
    // Not by the file, which a virtual machine does not have: a test keeps the two alike.
    let validator = jsonschema::validator_for(&diagnosis_schema()).expect("a schema");
    check(&validator, told, "diagnose");
}

fn validator(name: &str) -> std::result::Result<Validator, Box<dyn std::error::Error>> {
    let file = fs::read_to_string(document(name))?;
    let schema: Value = serde_json::from_str(&file)?;
    Ok(jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)?)
}

fn check(validator: &Validator, value: &Value, from: &str) {
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{from}: {errors:?}: {value}");
}

/// `tests/data/traces/schema-N/`: traces of schema version N.
fn golden() -> Vec<PathBuf> {
    let mut files = vec![data("leak-6.18-v1.jsonl")];
    for folder in fs::read_dir(data("traces")).expect("golden traces") {
        let folder = folder.expect("a folder").path();
        if folder.is_file() {
            continue; // what they are
        }
        files.extend(
            fs::read_dir(folder)
                .expect("a folder of traces")
                .map(|file| file.expect("a file").path()),
        );
    }
    files.sort();
    assert!(files.len() > 4, "{files:?}");
    files
}

fn plain(path: &Path) -> std::io::Result<String> {
    let bytes = fs::read(path)?;
    let bytes = if path.extension().is_some_and(|end| end == "zst") {
        zstd::decode_all(&bytes[..])?
    } else {
        bytes
    };
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

fn golden_is_valid() -> Result {
    let validator = validator(TRACE)?;
    for path in golden() {
        for line in plain(&path)?.lines() {
            let from = path.display().to_string();
            check(&validator, &serde_json::from_str(line)?, &from);
        }
    }
    Ok(())
}

/// Nothing in them is unknown, and they show what they showed when they were made.
fn golden_is_read() -> Result {
    let mut shown = String::new();
    for path in golden() {
        let mut trace = Trace::open(&path)?;
        for item in &mut trace {
            item?;
        }
        let tally = trace.tally();
        assert_eq!(
            (tally.unknown_fields, tally.unknown_kinds, tally.skipped),
            (0, 0, 0)
        );
        assert!(!tally.torn, "{}", path.display());
        let replay = output(program(["replay".as_ref(), path.as_os_str()]));
        let name = path.file_name().unwrap_or_default().display();
        shown += &format!("--- {name}: exit {:?}\n", replay.status.code());
        shown += &text(&replay.stdout);
    }
    let parts = [2, 1].map(|part| data(&format!("traces/schema-1/bpf-6.18-part-{part}.jsonl.zst")));
    let replay = output(program(
        ["replay".as_ref()]
            .into_iter()
            .chain(parts.iter().map(|part| part.as_os_str())),
    ));
    shown += "--- both parts\n";
    shown += &text(&replay.stdout);
    insta::assert_snapshot!(shown);
    Ok(())
}

fn samples() -> Result {
    let validator = validator(TRACE)?;
    let document = fs::read_to_string(document("trace-format.md"))?;
    let mut checked = 0;
    for line in document.lines().filter(|line| line.starts_with('{')) {
        check(
            &validator,
            &serde_json::from_str(line)?,
            "docs/trace-format.md",
        );
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
    Ok(())
}

fn wrong() -> Result {
    let validator = validator(TRACE)?;
    let time = json!({ "time": "2026-03-14T12:31:04.123456789Z", "mono_ns": 5 });
    let with = |more: &Value| {
        let mut line = time.clone();
        let (Some(line_fields), Some(more)) = (line.as_object_mut(), more.as_object()) else {
            return line;
        };
        line_fields.extend(more.clone());
        line
    };
    for right in [
        json!({ "kind": "tick" }),
        json!({ "kind": "created", "cgroup_id": 18_446_744_073_709_551_615_u64 }),
        json!({ "kind": "zombie", "kmemcg_id": 3, "slab_caches": 1, "mood": {} }),
        json!({ "kind": "thawed", "path": 7 }), // a later version's
        json!({ "kind": "leaked", "by_count": 2 }),
    ] {
        assert!(validator.is_valid(&with(&right)), "{right}");
    }
    for wrong in [
        json!({}),
        json!({ "kind": "created" }),
        json!({ "kind": "created", "cgroup_id": -1 }),
        json!({ "kind": "created", "cgroup_id": 1, "path": null }),
        json!({ "kind": "created", "cgroup_id": 1, "path_hex": "F" }),
        json!({ "kind": "tick", "time": "yesterday" }),
        json!({ "kind": "tick", "mono_ns": 1.5 }),
        json!({ "kind": "gap", "reason": "ring_full" }),
        json!({ "kind": "carried", "cgroup_id": 1 }),
        json!({ "kind": "header", "schema": 1 }),
        json!({ "kind": "summary", "live": 1 }),
    ] {
        assert!(!validator.is_valid(&with(&wrong)), "{wrong}");
    }
    let validator = self::validator(DIAGNOSIS)?;
    let right = json!({
        "schema": 1, "state": "leaking", "headline": "", "levels": [], "remedies": [],
        "findings": [{
            "id": "ids", "group": "symptom", "verdict": "fail", "says": "", "remedies": [],
            "evidence": [{ "file": "/proc/cgroups", "line": 5, "says": "" }],
        }],
    });
    assert!(validator.is_valid(&right));
    for (at, wrong) in [
        ("/state", json!("sad")),
        ("/findings/0/verdict", json!(null)),
        ("/findings/0/evidence/0/line", json!(-1)),
        ("/remedies", json!(["newer-kernel"])),
    ] {
        let mut told = right.clone();
        *told.pointer_mut(at).ok_or("a field")? = wrong;
        assert!(!validator.is_valid(&told), "{told}");
    }
    Ok(())
}
