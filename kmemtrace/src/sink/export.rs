//! The formats of `export`: one table.

use super::runs::{Runs, SharedOut};

/// A format.
#[derive(Clone, Copy, Debug)]
pub struct ExportFormat {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Whether a terminal can be shown it.
    pub is_text: bool,
    /// Begins an export; `several` if its runs are of several nodes.
    pub begin: fn(out: SharedOut, several: bool) -> Box<dyn Runs>,
}

/// All of them.
pub const FORMATS: &[ExportFormat] = &[
    ExportFormat {
        name: "jsonl",
        about: "JSON lines of all changes, with verdicts, as `replay --all --format json` shows them",
        is_text: true,
        begin: super::jsonl::export,
    },
    ExportFormat {
        name: "csv",
        about: "A table with a row for each change",
        is_text: true,
        begin: super::csv::export,
    },
    ExportFormat {
        name: "parquet",
        about: "The same table as Parquet, for data frames and query engines",
        is_text: false,
        begin: super::parquet::export,
    },
    ExportFormat {
        name: "otlp-json",
        about: "OpenTelemetry log records, as collectors read them from files",
        is_text: true,
        begin: super::otlp::export,
    },
    ExportFormat {
        name: "perfetto",
        about: "A trace for <https://ui.perfetto.dev>",
        is_text: false,
        begin: super::perfetto::export,
    },
];
