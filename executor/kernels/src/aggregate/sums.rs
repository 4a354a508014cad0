//! SUM and AVG: integers and decimals exactly, in 128 bits; floating-point numbers in double precision.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow_schema::DataType as Arrow;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use super::fixed;
use crate::{cast_array, unexpected};

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    /// Of integers and decimals, in units of their last digit.
    exact: i128,
    /// Of floating-point numbers.
    real: f64,
}

pub(super) struct Sums {
    average: bool,
    result: DataType,
    groups: Vec<Sum>,
}

impl Sums {
    pub(super) fn new(average: bool, result: &DataType) -> Self {
        Self { average, result: result.clone(), groups: Vec::new() }
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.groups.resize(count.max(self.groups.len()), Sum::default());
    }

    pub(super) fn update(&mut self, column: &ArrayRef, groups: &[u32]) -> Result<(), Error> {
        if column.data_type().is_floating() {
            let column = cast_array(column, &Arrow::Float64)?;
            for (value, group) in column.as_primitive::<Float64Type>().iter().zip(groups) {
                let sum = &mut self.groups[*group as usize];
                sum.count += u64::from(value.is_some());
                sum.real += value.unwrap_or(0.0);
            }
            return Ok(());
        }
        if self.result.root() == TypeRoot::Decimal {
            // In units of the result's last digit, so that accumulators of all processes agree.
            let column = cast_array(column, &arrow_type(&self.result))?;
            let values = column.as_primitive::<Decimal128Type>().iter();
            return values.zip(groups).try_for_each(|(value, group)| self.add(value, *group as usize));
        }
        let column = cast_array(column, &Arrow::Int64)?;
        let values = column.as_primitive::<Int64Type>().iter();
        values.zip(groups).try_for_each(|(value, group)| self.add(value.map(i128::from), *group as usize))
    }

    fn add(&mut self, value: Option<i128>, group: usize) -> Result<(), Error> {
        let Some(value) = value else { return Ok(()) };
        let sum = &mut self.groups[group];
        let Some(exact) = sum.exact.checked_add(value) else { return Err(out_of_range(&self.result)) };
        (sum.exact, sum.count) = (exact, sum.count + 1);
        Ok(())
    }

    pub(super) fn merge(&mut self, state: &[u8], group: usize) -> Result<(), Error> {
        let state: [u8; 32] = fixed(state)?;
        let part = |at: usize| fixed::<8>(&state[at..at + 8]);
        let exact = i128::from_le_bytes(fixed(&state[8..24])?);
        let sum = &mut self.groups[group];
        let Some(exact) = sum.exact.checked_add(exact) else { return Err(out_of_range(&self.result)) };
        sum.exact = exact;
        sum.count += u64::from_le_bytes(part(0)?);
        sum.real += f64::from_le_bytes(part(24)?);
        Ok(())
    }

    pub(super) fn state(&self, group: usize) -> [u8; 32] {
        let Sum { count, exact, real } = self.groups[group];
        let mut state = [0; 32];
        state[..8].copy_from_slice(&count.to_le_bytes());
        state[8..24].copy_from_slice(&exact.to_le_bytes());
        state[24..].copy_from_slice(&real.to_le_bytes());
        state
    }

    pub(super) fn results(&self, groups: Range<usize>) -> Result<ArrayRef, Error> {
        let sums = self.groups[groups].iter().map(|sum| (sum.count > 0).then_some(sum));
        match self.result.root() {
            TypeRoot::Bigint => {
                let narrow = |sum: &Sum| i64::try_from(sum.exact).map_err(|_| out_of_range(&self.result));
                let values = sums.map(|sum| sum.map(narrow).transpose()).collect::<Result<Vec<_>, _>>()?;
                Ok(Arc::new(Int64Array::from(values)))
            }
            TypeRoot::Decimal => {
                let array: Decimal128Array = sums.map(|sum| sum.map(|sum| self.decimal(sum))).collect();
                let (precision, scale) = (self.result.precision as u8, self.result.scale as i8);
                let array = array.with_precision_and_scale(precision, scale).map_err(unexpected)?;
                array.validate_decimal_precision(precision).map_err(|_| out_of_range(&self.result))?;
                Ok(Arc::new(array))
            }
            _ => {
                let value = |sum: &Sum| {
                    // One of both is zero.
                    let total = sum.exact as f64 + sum.real;
                    if self.average { total / sum.count as f64 } else { total }
                };
                Ok(Arc::new(sums.map(|sum| sum.map(value)).collect::<Float64Array>()))
            }
        }
    }

    /// In units of the result's last digit; an average is rounded half away from zero.
    fn decimal(&self, sum: &Sum) -> i128 {
        if !self.average {
            return sum.exact;
        }
        let count = i128::from(sum.count);
        let (quotient, rest) = (sum.exact / count, sum.exact % count);
        if rest.unsigned_abs() * 2 >= count.unsigned_abs() { quotient + sum.exact.signum() } else { quotient }
    }
}

fn out_of_range(result: &DataType) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("a sum is out of range of {}", sql(result)))
        .hint("CAST the column to DOUBLE, or to a DECIMAL with fewer places")
}
