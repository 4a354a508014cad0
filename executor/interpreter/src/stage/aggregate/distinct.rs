//! DISTINCT: equal arguments count once per group.

use std::collections::HashSet;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_row::{RowConverter, SortField};
use udfleet_kernels::canonical;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The arguments seen so far.
#[derive(Default)]
pub struct Distinct {
    converter: Option<RowConverter>,
    seen: HashSet<(u32, Box<[u8]>)>,
}

impl Distinct {
    /// True for the rows that are the first of their kind, among those that count at all.
    pub fn first(
        &mut self,
        groups: &[u32],
        arguments: &[ArrayRef],
        counting: Option<&BooleanArray>,
    ) -> Result<BooleanArray, Error> {
        let refuse = |e| Error::new(ErrorCode::InvalidPlan, format!("DISTINCT over such arguments: {e}"));
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => {
                let fields = arguments.iter().map(|column| SortField::new(column.data_type().clone())).collect();
                none.insert(RowConverter::new(fields).map_err(refuse)?)
            }
        };
        let arguments: Vec<ArrayRef> = arguments.iter().map(canonical).collect();
        let rows = converter.convert_columns(&arguments).map_err(refuse)?;
        let first = rows.iter().enumerate().map(|(row, arguments)| {
            counting.is_none_or(|counting| counting.value(row))
                && self.seen.insert((groups[row], arguments.as_ref().into()))
        });
        Ok(first.collect::<Vec<_>>().into())
    }
}
