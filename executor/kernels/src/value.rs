//! A register: a column, or one value for all rows.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Datum, Scalar, UInt32Array};
use arrow_schema::DataType;
use arrow_select::filter::filter;
use arrow_select::take::take;
use udfleet_proto::error::Error;

use crate::unexpected;

/// A register's content.
#[derive(Debug, Clone)]
pub enum Value {
    /// One value per row.
    Column(ArrayRef),
    /// An array of one value, which all rows have.
    Constant(ArrayRef),
}

impl Value {
    /// The array: of one value for constants.
    #[must_use]
    pub fn array(&self) -> &ArrayRef {
        match self {
            Self::Column(array) | Self::Constant(array) => array,
        }
    }

    /// Its Arrow type.
    #[must_use]
    pub fn data_type(&self) -> &DataType {
        self.array().data_type()
    }

    /// True for a value that all rows have.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// The same kind with another array.
    #[must_use]
    pub fn with(&self, array: ArrayRef) -> Self {
        match self {
            Self::Column(_) => Self::Column(array),
            Self::Constant(_) => Self::Constant(array),
        }
    }

    /// One value per row.
    ///
    /// # Errors
    /// Where memory for repeating a constant can't be laid out (more than 2 GiB of text).
    pub fn column(&self, rows: usize) -> Result<ArrayRef, Error> {
        match self {
            Self::Column(array) => Ok(Arc::clone(array)),
            Self::Constant(array) => {
                let zeros = UInt32Array::from_value(0, rows);
                take(array, &zeros, None).map_err(unexpected)
            }
        }
    }

    /// The rows from `start`.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> Self {
        match self {
            Self::Column(array) => Self::Column(array.slice(start, length)),
            Self::Constant(array) => Self::Constant(Arc::clone(array)),
        }
    }

    /// The rows at these positions; a null position gives a null.
    ///
    /// # Errors
    /// As [`Value::column`].
    pub fn take(&self, positions: &UInt32Array) -> Result<Self, Error> {
        match self {
            Self::Column(array) => take(array, positions, None).map(Self::Column).map_err(unexpected),
            Self::Constant(array) => Ok(Self::Constant(Arc::clone(array))),
        }
    }

    /// The rows for which the mask is true.
    ///
    /// # Errors
    /// As [`Value::column`].
    pub fn filter(&self, mask: &BooleanArray) -> Result<Self, Error> {
        match self {
            Self::Column(array) => filter(array, mask).map(Self::Column).map_err(unexpected),
            Self::Constant(array) => Ok(Self::Constant(Arc::clone(array))),
        }
    }

    /// As Arrow's kernels take it.
    pub(crate) fn datum(&self) -> Box<dyn Datum> {
        match self {
            Self::Column(array) => Box::new(Arc::clone(array)),
            Self::Constant(array) => Box::new(Scalar::new(Arc::clone(array))),
        }
    }
}

/// What an operator gives for these operands: constant where all of them are.
pub(crate) fn like(operands: &[&Value], array: ArrayRef) -> Value {
    if operands.iter().all(|operand| operand.is_constant()) && !operands.is_empty() {
        Value::Constant(array)
    } else {
        Value::Column(array)
    }
}
