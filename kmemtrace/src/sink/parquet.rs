//! A table for data frames and query engines: a row a change, a column a field of [`Line`], each of its type.
//!
//! All runs are rows of one table, since a Parquet file has one end, which tells where everything is.

use std::{
    cell::RefCell,
    io::{self, Write},
    mem,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::Type,
};
use serde_json::Value;

use super::{Sink, jsonl::JsonLines};
use crate::{
    event::{
        Stamp,
        header::Header,
        json::{FieldType, Line},
    },
    tracker::{Change, State, What},
};

/// So many rows are held until they are written: a row group.
const GROUP: usize = 1 << 16;

/// The table of all runs; nothing before the first one.
pub type Shared<W> = Rc<RefCell<Option<Table<W>>>>;

/// A run's rows. The header and the summary, which have other fields, are left out.
pub struct Rows<W: Write> {
    lines: JsonLines<Vec<u8>>,
    table: Shared<W>,
}

impl<W: Write> Rows<W> {
    /// Adds to a table, which is begun in `out` if there is none yet.
    ///
    /// # Errors
    ///
    /// It cannot be begun.
    pub fn new(table: &Shared<W>, out: W) -> io::Result<Self> {
        let mut begun = table.borrow_mut();
        if begun.is_none() {
            *begun = Some(Table::new(out)?);
        }
        Ok(Self {
            lines: JsonLines::new(Vec::new()).with_hostname(),
            table: Rc::clone(table),
        })
    }
}

impl<W: Write> Sink for Rows<W> {
    fn header(&mut self, time: Stamp, header: &Header) -> io::Result<()> {
        self.lines.header(time, header)
    }

    fn change(&mut self, change: &Change, state: State<'_>) -> io::Result<()> {
        if matches!(change.what, What::Summary(_)) {
            return Ok(());
        }
        self.lines.get_mut().clear();
        self.lines.change(change, state)?;
        let mut row: Value = serde_json::from_slice(self.lines.get_ref())?;
        row["time"] = Value::from(change.time.wall_ns);
        match &mut *self.table.borrow_mut() {
            Some(table) => table.add(&row),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends the table: one without rows, if nothing began it.
///
/// # Errors
///
/// It cannot be written.
pub fn finish<W: Write>(table: &Shared<W>, out: W) -> io::Result<()> {
    let table = table.borrow_mut().take();
    match table {
        Some(table) => table.finish(),
        None => Table::new(out)?.finish(),
    }
}

/// A Parquet file.
pub struct Table<W> {
    writer: SerializedFileWriter<Pipe>,
    pipe: Pipe,
    out: W,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write> Table<W> {
    fn new(out: W) -> io::Result<Self> {
        let fields = Line::FIELDS.iter().zip(Line::TYPES);
        let fields = fields.map(|(name, of)| field(name, *of).map(Arc::new));
        let schema = Type::group_type_builder("kmemtrace")
            .with_fields(fields.collect::<Result<_, _>>()?)
            .build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("kmemtrace version ", env!("CARGO_PKG_VERSION")).to_owned());
        let pipe = Pipe::default();
        let properties = Arc::new(properties.build());
        Ok(Self {
            writer: SerializedFileWriter::new(pipe.clone(), Arc::new(schema), properties)?,
            pipe,
            out,
            columns: Line::TYPES.iter().map(|of| Column::new(*of)).collect(),
            rows: 0,
        })
    }

    fn add(&mut self, row: &Value) -> io::Result<()> {
        for (column, name) in self.columns.iter_mut().zip(Line::FIELDS) {
            column.add(&row[name]);
        }
        self.rows += 1;
        if self.rows >= GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            if let Some(writer) = group.next_column()? {
                column.write(writer)?;
            }
        }
        group.close()?;
        self.rows = 0;
        self.writer.flush()?;
        self.out.write_all(&self.pipe.take())
    }

    fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.writer.close()?;
        self.out.write_all(&self.pipe.take())?;
        self.out.flush()
    }
}

/// A column's name and type. Any of them may be unknown.
fn field(name: &str, of: FieldType) -> Result<Type, ParquetError> {
    let (physical, logical) = match of {
        FieldType::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
        ),
        FieldType::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
        FieldType::Signed => (Physical::INT64, Some(LogicalType::integer(64, true))),
        FieldType::Flag => (Physical::BOOLEAN, None),
        FieldType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

/// The cells of a column that are still to be written.
struct Column {
    /// For each row 1 if it has a value, else 0.
    known: Vec<i16>,
    values: Values,
}

enum Values {
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl Column {
    fn new(of: FieldType) -> Self {
        let values = match of {
            FieldType::Time | FieldType::Unsigned | FieldType::Signed => {
                Values::Numbers(Vec::new())
            }
            FieldType::Flag => Values::Flags(Vec::new()),
            FieldType::Text => Values::Texts(Vec::new()),
        };
        Self {
            known: Vec::new(),
            values,
        }
    }

    fn add(&mut self, cell: &Value) {
        let known = match &mut self.values {
            // Parquet's unsigned numbers are the bits of a signed one.
            Values::Numbers(numbers) => {
                let number = cell.as_i64().or(cell.as_u64().map(u64::cast_signed));
                numbers.extend(number);
                number.is_some()
            }
            Values::Flags(flags) => {
                flags.extend(cell.as_bool());
                cell.is_boolean()
            }
            Values::Texts(texts) => {
                let text = match cell {
                    Value::Null => None,
                    Value::String(text) => Some(text.as_bytes().to_vec()),
                    // a list, as JSON
                    other => Some(other.to_string().into_bytes()),
                };
                let known = text.is_some();
                texts.extend(text.map(ByteArray::from));
                known
            }
        };
        self.known.push(known.into());
    }

    fn write(&mut self, mut writer: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let known = Some(&self.known[..]);
        match (writer.untyped(), &mut self.values) {
            (ColumnWriter::Int64ColumnWriter(writer), Values::Numbers(numbers)) => {
                writer.write_batch(numbers, known, None)?;
                numbers.clear();
            }
            (ColumnWriter::BoolColumnWriter(writer), Values::Flags(flags)) => {
                writer.write_batch(flags, known, None)?;
                flags.clear();
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Texts(texts)) => {
                writer.write_batch(texts, known, None)?;
                texts.clear();
            }
            _ => {
                return Err(ParquetError::General(
                    "a column is not of its type".to_owned(),
                ));
            }
        }
        self.known.clear();
        writer.close()
    }
}

/// What the writer has made and `out` has not got yet: the writer wants to own what it writes to, and to send it anywhere.
#[derive(Clone, Debug, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
