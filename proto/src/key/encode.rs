//! Rows of key columns to bytes.

use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, DataType};

use super::column::KeyColumn;

/// The keys of some rows.
#[derive(Debug, Default, Clone)]
pub struct EncodedKeys {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl EncodedKeys {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of each row.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        self.ends.iter().zip(starts).map(|(end, start)| &self.bytes[*start..*end])
    }
}

/// The keys of `rows` rows; without columns all have the same, empty one.
///
/// # Errors
/// For columns of types that are no keys, see [`is_supported`], and columns of other lengths.
pub fn encode(columns: &[ArrayRef], rows: usize) -> Result<EncodedKeys, ArrowError> {
    if let Some(column) = columns.iter().find(|column| column.len() != rows) {
        let message = format!("a key column of {} values for {rows} rows", column.len());
        return Err(ArrowError::InvalidArgumentError(message));
    }
    let columns = columns.iter().map(KeyColumn::new).collect::<Result<Vec<_>, _>>()?;
    let mut keys = EncodedKeys { bytes: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
    for row in 0..rows {
        for column in &columns {
            column.write(row, &mut keys.bytes);
        }
        keys.ends.push(keys.bytes.len());
    }
    Ok(keys)
}

/// True where values of this type can be keys: all but maps, unions and run-end encoded columns.
#[must_use]
pub fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => is_supported(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_supported(field.data_type())),
        DataType::Dictionary(_, values) => is_supported(values),
        DataType::Map(..) | DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        DataType::Interval(unit) => *unit != arrow_schema::IntervalUnit::DayTime,
        _ => true,
    }
}
