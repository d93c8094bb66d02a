//! Parquet: tables of one row an output time, for programs that read tables rather than arrays.

use std::{fs::File, path::Path, sync::Arc};

use ionoscope_dynamics::trajectory::Trajectory;
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type},
};

use super::{Block, Layout, Precision, status};
use crate::{Error, Result, artifact::Staged};

/// Whose rows a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One trajectory: `time` and the variables, for the times that were reached.
    Trajectory,
    /// Many: `experiment`, `time`, the variables and `status`; all times, NaN where they were not reached.
    Experiments,
}

/// A table that is being written.
pub struct Parquet {
    staged: Staged,
    writer: SerializedFileWriter<File>,
    layout: Layout,
    rows: Rows,
}

impl Parquet {
    /// Begins the file, under a temporary name. Units and `meta`, a JSON document, stand in its metadata.
    ///
    /// # Errors
    /// A file that cannot be written; more rows than fit into a group of rows.
    pub fn create(path: &Path, layout: Layout, rows: Rows, meta: &str) -> Result<Self> {
        let (staged, file) = Staged::open(path)?;
        let failed = |e: ParquetError| Error::write(path, e.into());
        let units = |i: usize| {
            KeyValue::new(
                format!("unit:{}", layout.variables[i]),
                layout.units[i].clone(),
            )
        };
        let mut pairs: Vec<KeyValue> = (0..layout.variables.len()).map(units).collect();
        pairs.push(KeyValue::new("unit:time".into(), layout.time_unit.clone()));
        pairs.push(KeyValue::new("ionoscope".into(), meta.to_owned()));
        // Of the columns only these repeat their values.
        let properties = ["experiment", "time", "status"]
            .into_iter()
            .fold(
                WriterProperties::builder().set_dictionary_enabled(false),
                |p, name| p.set_column_dictionary_enabled(ColumnPath::from(name), true),
            )
            .set_created_by(format!("ionoscope {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(pairs))
            .build();
        let schema = schema(&layout, rows).map_err(failed)?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(failed)?;
        Ok(Parquet {
            staged,
            writer,
            layout,
            rows,
        })
    }

    /// Writes a block as a group of rows.
    ///
    /// # Errors
    /// As [`Layout::check`]; the file cannot be written.
    pub fn put(&mut self, block: &Block) -> Result<()> {
        self.layout.check(&block.trajectories)?;
        self.group(block)
            .map_err(|e| Error::write(self.staged.path(), e.into()))
    }

    /// Ends the file, which has its name only after [`Staged::commit`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<Staged> {
        self.writer
            .finish()
            .map_err(|e| Error::write(self.staged.path(), e.into()))?;
        self.writer
            .inner()
            .sync_all()
            .map_err(|e| Error::write(self.staged.path(), e))?;
        Ok(self.staged)
    }

    fn group(&mut self, block: &Block) -> ParquetResult<()> {
        let (layout, all) = (&self.layout, &block.trajectories);
        let count = |t: &Trajectory| {
            if self.rows == Rows::Experiments {
                layout.times.count
            } else {
                t.len()
            }
        };
        let mut group = self.writer.next_row_group()?;
        if self.rows == Rows::Experiments {
            let rows = all
                .iter()
                .enumerate()
                .flat_map(|(k, t)| std::iter::repeat_n((block.first + k) as i64, count(t)));
            column::<Int64Type>(&mut group, &rows.collect::<Vec<_>>())?;
        }
        let times = all
            .iter()
            .flat_map(|t| (0..count(t)).map(|k| layout.times.time(k)));
        column::<DoubleType>(&mut group, &times.collect::<Vec<_>>())?;
        for i in 0..layout.variables.len() {
            let values = all.iter().flat_map(|t| {
                t.variable(i)
                    .chain(std::iter::repeat_n(f64::NAN, count(t) - t.len()))
            });
            match layout.precision {
                Precision::Double => column::<DoubleType>(&mut group, &values.collect::<Vec<_>>())?,
                Precision::Single => {
                    column::<FloatType>(&mut group, &values.map(|v| v as f32).collect::<Vec<_>>())?
                }
            }
        }
        if self.rows == Rows::Experiments {
            let texts = all
                .iter()
                .flat_map(|t| std::iter::repeat_n(ByteArray::from(status(&t.outcome)), count(t)));
            column::<ByteArrayType>(&mut group, &texts.collect::<Vec<_>>())?;
        }
        group.close().map(drop)
    }
}

/// Writes one trajectory as a table.
///
/// # Errors
/// As [`Layout::check`]; the file cannot be written.
pub fn write_trajectory(
    path: &Path,
    layout: &Layout,
    trajectory: &Trajectory,
    meta: &str,
) -> Result<Staged> {
    let mut table = Parquet::create(path, layout.clone(), Rows::Trajectory, meta)?;
    table.put(&Block {
        first: 0,
        trajectories: vec![trajectory.clone()],
        extrapolated: vec![false],
    })?;
    table.finish()
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> ParquetResult<()> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("more columns than the schema has".into()))?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn schema(layout: &Layout, rows: Rows) -> ParquetResult<Type> {
    let field = |name, physical| {
        Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED)
    };
    let wide = if layout.precision == Precision::Double {
        Physical::DOUBLE
    } else {
        Physical::FLOAT
    };
    let mut fields = Vec::new();
    if rows == Rows::Experiments {
        fields.push(field("experiment", Physical::INT64).build()?);
    }
    fields.push(field("time", Physical::DOUBLE).build()?);
    for name in &layout.variables {
        fields.push(field(name, wide).build()?);
    }
    if rows == Rows::Experiments {
        fields.push(
            field("status", Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String))
                .build()?,
        );
    }
    Type::group_type_builder("trajectories")
        .with_fields(fields.into_iter().map(Arc::new).collect())
        .build()
}
