//! Variances and standard deviations, by Welford's method; accumulators are merged as in Chan, Golub and LeVeque,
//! "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType as Arrow;
use udfleet_proto::error::Error;
use udfleet_proto::v1::aggregate_call::Builtin;

use super::{fixed, malformed};
use crate::cast_array;

/// Number, mean, and sum of squared differences from the mean.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moment {
    fn merge(&mut self, other: Self) {
        if other.count == 0 {
            return;
        }
        let count = self.count + other.count;
        let (a, b, all) = (self.count as f64, other.count as f64, count as f64);
        let difference = other.mean - self.mean;
        self.mean += difference * b / all;
        self.squares += other.squares + difference * difference * a * b / all;
        self.count = count;
    }
}

pub(super) struct Moments {
    builtin: Builtin,
    groups: Vec<Moment>,
}

impl Moments {
    pub(super) fn new(builtin: Builtin) -> Self {
        Self { builtin, groups: Vec::new() }
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.groups.resize(count.max(self.groups.len()), Moment::default());
    }

    pub(super) fn update(&mut self, column: &ArrayRef, groups: &[u32]) -> Result<(), Error> {
        let column = cast_array(column, &Arrow::Float64)?;
        for (value, group) in column.as_primitive::<Float64Type>().iter().zip(groups) {
            if let Some(value) = value {
                self.groups[*group as usize].merge(Moment { count: 1, mean: value, squares: 0.0 });
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, state: &[u8], group: usize) -> Result<(), Error> {
        let state: [u8; 24] = fixed(state)?;
        let (chunks, _) = state.as_chunks::<8>();
        let [count, mean, squares] = chunks else { return Err(malformed()) };
        self.groups[group].merge(Moment {
            count: u64::from_le_bytes(*count),
            mean: f64::from_le_bytes(*mean),
            squares: f64::from_le_bytes(*squares),
        });
        Ok(())
    }

    pub(super) fn state(&self, group: usize) -> [u8; 24] {
        let Moment { count, mean, squares } = self.groups[group];
        let mut state = [0; 24];
        state[..8].copy_from_slice(&count.to_le_bytes());
        state[8..16].copy_from_slice(&mean.to_le_bytes());
        state[16..].copy_from_slice(&squares.to_le_bytes());
        state
    }

    /// Null where there are fewer values than the formula needs.
    pub(super) fn results(&self, groups: Range<usize>) -> ArrayRef {
        let sample = matches!(self.builtin, Builtin::StddevSamp | Builtin::VarSamp);
        let root = matches!(self.builtin, Builtin::StddevPop | Builtin::StddevSamp);
        let results = self.groups[groups].iter().map(|moment| {
            let divisor = moment.count.checked_sub(u64::from(sample)).filter(|divisor| *divisor > 0)?;
            let variance = moment.squares / divisor as f64;
            Some(if root { variance.sqrt() } else { variance })
        });
        Arc::new(results.collect::<Float64Array>())
    }
}
