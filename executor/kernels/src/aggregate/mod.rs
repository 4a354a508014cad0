//! SQL's built-in aggregates: accumulators by group, which can be taken to another process and merged there.

mod extreme;
mod moments;
mod sums;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use udfleet_proto::error::Error;
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::{DataType, ErrorCode};

use extreme::Extreme;
use moments::Moments;
use sums::Sums;

/// The accumulators of one aggregate, by group.
pub struct BuiltinAggregate {
    accumulators: Accumulators,
    /// Groups have had rows, or accumulators of rows.
    fed: bool,
}

enum Accumulators {
    Count(Vec<i64>),
    Sums(Sums),
    Extreme(Extreme),
    Moments(Moments),
}

/// The bytes of an accumulator are not what this aggregate has made.
fn malformed() -> Error {
    Error::new(ErrorCode::InvalidPlan, "accumulators of another aggregate")
}

impl BuiltinAggregate {
    /// For results of a type that the coordinator has found.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPlan`] where there is no such aggregate.
    pub fn new(builtin: Builtin, result: &DataType) -> Result<Self, Error> {
        let accumulators = match builtin {
            Builtin::Unspecified => return Err(Error::new(ErrorCode::InvalidPlan, "an aggregate without a name")),
            Builtin::Count => Accumulators::Count(Vec::new()),
            Builtin::Sum | Builtin::Avg => Accumulators::Sums(Sums::new(builtin == Builtin::Avg, result)),
            Builtin::Min | Builtin::Max => Accumulators::Extreme(Extreme::new(builtin, result)?),
            Builtin::StddevPop | Builtin::StddevSamp | Builtin::VarPop | Builtin::VarSamp => {
                Accumulators::Moments(Moments::new(builtin))
            }
        };
        Ok(Self { accumulators, fed: false })
    }

    /// True before the first row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.fed
    }

    /// Takes rows in: the group of each, of `count` groups, and the column, where there is one.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where a sum of decimals is out of range.
    pub fn update(&mut self, column: Option<&ArrayRef>, groups: &[u32], count: usize) -> Result<(), Error> {
        self.grow(count);
        self.fed |= !groups.is_empty();
        match (&mut self.accumulators, column) {
            (Accumulators::Count(counts), column) => {
                let nulls = column.and_then(|column| column.logical_nulls());
                for (row, group) in groups.iter().enumerate() {
                    counts[*group as usize] += i64::from(nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
                }
                Ok(())
            }
            (Accumulators::Sums(sums), Some(column)) => sums.update(column, groups),
            (Accumulators::Extreme(extreme), Some(column)) => extreme.update(column, groups),
            (Accumulators::Moments(moments), Some(column)) => moments.update(column, groups),
            (_, None) => Err(malformed()),
        }
    }

    /// Takes accumulators in that [`BuiltinAggregate::states`] has made.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPlan`] where they are of another aggregate, and as [`BuiltinAggregate::update`].
    pub fn merge(&mut self, states: &ArrayRef, groups: &[u32], count: usize) -> Result<(), Error> {
        self.grow(count);
        self.fed |= !groups.is_empty();
        let states = states.as_binary_opt::<i32>().ok_or_else(malformed)?;
        for (state, group) in states.iter().zip(groups) {
            let (state, group) = (state.ok_or_else(malformed)?, *group as usize);
            match &mut self.accumulators {
                Accumulators::Count(counts) => counts[group] += i64::from_le_bytes(fixed(state)?),
                Accumulators::Sums(sums) => sums.merge(state, group)?,
                Accumulators::Extreme(extreme) => extreme.merge(state, group),
                Accumulators::Moments(moments) => moments.merge(state, group)?,
            }
        }
        Ok(())
    }

    /// The accumulators of some groups, of `count`, as BYTES.
    #[must_use]
    pub fn states(&mut self, groups: Range<usize>, count: usize) -> ArrayRef {
        self.grow(count);
        let states: BinaryArray = match &self.accumulators {
            Accumulators::Count(counts) => counts[groups].iter().map(|count| Some(count.to_le_bytes())).collect(),
            Accumulators::Sums(sums) => groups.map(|group| Some(sums.state(group))).collect(),
            Accumulators::Extreme(extreme) => groups.map(|group| Some(extreme.state(group))).collect(),
            Accumulators::Moments(moments) => groups.map(|group| Some(moments.state(group))).collect(),
        };
        Arc::new(states)
    }

    /// The results of some groups, of `count`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where a result is out of the range of its type.
    pub fn results(&mut self, groups: Range<usize>, count: usize) -> Result<ArrayRef, Error> {
        self.grow(count);
        match &self.accumulators {
            Accumulators::Count(counts) => Ok(Arc::new(Int64Array::from(counts[groups].to_vec()))),
            Accumulators::Sums(sums) => sums.results(groups),
            Accumulators::Extreme(extreme) => extreme.results(groups),
            Accumulators::Moments(moments) => Ok(moments.results(groups)),
        }
    }

    fn grow(&mut self, count: usize) {
        match &mut self.accumulators {
            Accumulators::Count(counts) => counts.resize(count.max(counts.len()), 0),
            Accumulators::Sums(sums) => sums.grow(count),
            Accumulators::Extreme(extreme) => extreme.grow(count),
            Accumulators::Moments(moments) => moments.grow(count),
        }
    }
}

/// Bytes of a known number.
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| malformed())
}

#[cfg(test)]
mod tests;
