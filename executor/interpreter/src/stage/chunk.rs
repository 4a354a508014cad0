//! Rows in a stage.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, NullArray, UInt32Array};
use arrow_select::filter::filter;
use arrow_select::take::take;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;

/// Registers of equally many rows.
pub struct Chunk {
    pub registers: Vec<Value>,
    pub rows: usize,
    pub origin: Origin,
}

/// The row of the input batch that each row comes from.
#[derive(Clone)]
pub enum Origin {
    /// They are that batch.
    Same,
    Rows(UInt32Array),
    /// Groups come from many rows.
    Unknown,
}

/// Stands for a register that nothing reads any more.
fn dead() -> Value {
    Value::Constant(Arc::new(NullArray::new(1)))
}

fn unexpected(error: arrow_schema::ArrowError) -> Error {
    Error::internal(format!("selecting rows: {error}"))
}

impl Chunk {
    /// The columns of a batch.
    pub fn of_columns(columns: Vec<ArrayRef>, rows: usize) -> Self {
        Self { registers: columns.into_iter().map(Value::Column).collect(), rows, origin: Origin::Same }
    }

    /// A register.
    pub fn register(&self, index: usize) -> Result<&Value, Error> {
        self.registers.get(index).ok_or_else(|| Error::internal(format!("a stage has no register {index}")))
    }

    /// The rows for which the mask is true; registers that are not `live` lose their content.
    pub fn filter(&self, mask: &BooleanArray, live: &[bool]) -> Result<Self, Error> {
        let kept = |(index, value): (usize, &Value)| if is_live(live, index) { value.filter(mask) } else { Ok(dead()) };
        let registers = self.registers.iter().enumerate().map(kept).collect::<Result<_, _>>()?;
        let origin = match &self.origin {
            Origin::Unknown => Origin::Unknown,
            origin => {
                let rows = filter(&origin.rows(self.rows), mask).map_err(unexpected)?;
                Origin::Rows(rows.to_data().into())
            }
        };
        Ok(Self { registers, rows: mask.true_count(), origin })
    }

    /// The rows at these positions, any number of times.
    pub fn take(&self, positions: &UInt32Array, live: &[bool]) -> Result<Self, Error> {
        let kept =
            |(index, value): (usize, &Value)| if is_live(live, index) { value.take(positions) } else { Ok(dead()) };
        let registers = self.registers.iter().enumerate().map(kept).collect::<Result<_, _>>()?;
        let origin = match &self.origin {
            Origin::Unknown => Origin::Unknown,
            Origin::Same => Origin::Rows(positions.clone()),
            Origin::Rows(rows) => Origin::Rows(take(rows, positions, None).map_err(unexpected)?.to_data().into()),
        };
        Ok(Self { registers, rows: positions.len(), origin })
    }
}

fn is_live(live: &[bool], index: usize) -> bool {
    live.get(index).copied().unwrap_or(false)
}

impl Origin {
    fn rows(&self, rows: usize) -> UInt32Array {
        match self {
            Self::Rows(rows) => rows.clone(),
            Self::Same | Self::Unknown => UInt32Array::from_iter_values(0..rows as u32),
        }
    }

    /// As a column of the output.
    pub fn column(&self, rows: usize) -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(self.rows(rows).values().iter().map(|row| *row as i32)))
    }

    /// From a row here to the row of the input batch.
    pub fn row(&self, row: u64) -> Option<u64> {
        match self {
            Self::Same => Some(row),
            Self::Rows(rows) => rows.values().get(row as usize).map(|row| u64::from(*row)),
            Self::Unknown => None,
        }
    }
}
