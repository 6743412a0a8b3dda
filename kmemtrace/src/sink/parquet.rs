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

use super::{
    Sink,
    line::Lines,
    runs::{Runs, SharedOut},
};
use crate::{
    event::{
        Stamp,
        header::Header,
        json::{Column, ColumnType, FieldValue, Line},
    },
    tracker::{Change, Status},
};

/// So many rows are held until they are written: a row group.
const GROUP: usize = 1 << 16;

/// For `export`: one table of all runs.
pub(super) fn export(out: SharedOut, _several: bool) -> Box<dyn Runs> {
    Box::new(Export {
        out,
        table: Rc::default(),
    })
}

/// The table of all runs; nothing before the first one.
struct Export {
    out: SharedOut,
    table: Rc<RefCell<Option<ParquetFile>>>,
}

impl Runs for Export {
    fn begin(&mut self, _: usize, _: &Header) -> io::Result<Box<dyn Sink>> {
        let mut begun = self.table.borrow_mut();
        if begun.is_none() {
            *begun = Some(ParquetFile::new(self.out.clone())?);
        }
        Ok(Box::new(ParquetRows {
            lines: Lines::default(),
            table: Rc::clone(&self.table),
        }))
    }

    /// Ends the table: one without rows, if nothing began it.
    fn finish(&mut self) -> io::Result<()> {
        let table = self.table.borrow_mut().take();
        match table {
            Some(table) => table.finish(),
            None => ParquetFile::new(self.out.clone())?.finish(),
        }
    }
}

/// A run's rows. The header and the summary, which have other fields, are left out.
struct ParquetRows {
    lines: Lines,
    table: Rc<RefCell<Option<ParquetFile>>>,
}

impl Sink for ParquetRows {
    fn header(&mut self, _: Stamp, header: &Header) -> io::Result<()> {
        self.lines = Lines::of(header, true);
        Ok(())
    }

    fn change(&mut self, change: &Change, _state: Status<'_>) -> io::Result<()> {
        let mut table = self.table.borrow_mut();
        let added = table
            .as_mut()
            .and_then(|table| self.lines.line(change, |line| table.add(line)));
        added.unwrap_or(Ok(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A Parquet file.
struct ParquetFile {
    writer: SerializedFileWriter<Unwritten>,
    pipe: Unwritten,
    out: SharedOut,
    columns: Vec<ColumnCells>,
    rows: usize,
}

impl ParquetFile {
    fn new(out: SharedOut) -> io::Result<Self> {
        let fields = Line::COLUMNS.iter();
        let fields = fields.map(|column| field(*column).map(Arc::new));
        let schema = Type::group_type_builder("kmemtrace")
            .with_fields(fields.collect::<Result<_, _>>()?)
            .build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("kmemtrace version ", env!("CARGO_PKG_VERSION")).to_owned());
        let pipe = Unwritten::default();
        let properties = Arc::new(properties.build());
        Ok(Self {
            writer: SerializedFileWriter::new(pipe.clone(), Arc::new(schema), properties)?,
            pipe,
            out,
            columns: Line::COLUMNS
                .iter()
                .map(|column| ColumnCells::new(column.of))
                .collect(),
            rows: 0,
        })
    }

    fn add(&mut self, line: &Line<'_>) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(line.cells()) {
            column.add(cell)?;
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
fn field(Column { name, of }: Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match of {
        ColumnType::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
        ),
        ColumnType::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
        ColumnType::Signed => (Physical::INT64, Some(LogicalType::integer(64, true))),
        ColumnType::Flag => (Physical::BOOLEAN, None),
        ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL)
        .build()
}

/// The cells of a column that are still to be written.
struct ColumnCells {
    /// For each row 1 if it has a value, else 0.
    known: Vec<i16>,
    values: Values,
}

enum Values {
    Numbers(Vec<i64>),
    Flags(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl ColumnCells {
    fn new(of: ColumnType) -> Self {
        let values = match of {
            ColumnType::Time | ColumnType::Unsigned | ColumnType::Signed => {
                Values::Numbers(Vec::new())
            }
            ColumnType::Flag => Values::Flags(Vec::new()),
            ColumnType::Text => Values::Texts(Vec::new()),
        };
        Self {
            known: Vec::new(),
            values,
        }
    }

    fn add(&mut self, cell: Option<FieldValue<'_>>) -> Result<(), ParquetError> {
        self.known.push(cell.is_some().into());
        match (&mut self.values, cell) {
            (_, None) => {}
            (Values::Numbers(numbers), Some(FieldValue::Time(time))) => numbers.push(time.0),
            (Values::Numbers(numbers), Some(FieldValue::Signed(number))) => numbers.push(number),
            // Parquet's unsigned numbers are the bits of a signed one.
            (Values::Numbers(numbers), Some(FieldValue::Unsigned(number))) => {
                numbers.push(number.cast_signed());
            }
            (Values::Flags(flags), Some(FieldValue::Flag(is))) => flags.push(is),
            (Values::Texts(texts), Some(FieldValue::Text(text))) => {
                texts.push(text.into_owned().into_bytes().into());
            }
            (Values::Texts(texts), Some(FieldValue::List(json))) => {
                texts.push(json.into_bytes().into());
            }
            _ => return Err(mistyped()),
        }
        Ok(())
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
            _ => return Err(mistyped()),
        }
        self.known.clear();
        writer.close()
    }
}

fn mistyped() -> ParquetError {
    ParquetError::General("a column is not of its type".to_owned())
}

/// What the writer has made and `out` has not got yet: the writer wants to own what it writes to, and to send it anywhere.
#[derive(Clone, Debug, Default)]
struct Unwritten(Arc<Mutex<Vec<u8>>>);

impl Unwritten {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Unwritten {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
