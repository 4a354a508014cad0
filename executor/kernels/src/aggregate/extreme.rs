//! MIN and MAX: the row format of arrow-row, whose bytes are in the order of the values.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, SortField};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::{canonical, cast_array, unexpected};

/// The best value of each group so far, as a row; none: no value yet.
pub(super) struct Extreme {
    converter: RowConverter,
    data_type: arrow_schema::DataType,
    greatest: bool,
    best: Vec<Box<[u8]>>,
}

impl Extreme {
    pub(super) fn new(builtin: Builtin, data_type: &DataType) -> Result<Self, Error> {
        let arrow = arrow_type(data_type);
        let converter = RowConverter::new(vec![SortField::new(arrow.clone())]).map_err(|e| {
            let message = format!("{} of {}: {e}", builtin.as_str_name(), sql(data_type));
            Error::new(ErrorCode::InvalidPlan, message)
        })?;
        Ok(Self { converter, data_type: arrow, greatest: builtin == Builtin::Max, best: Vec::new() })
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.best.resize_with(count.max(self.best.len()), Box::default);
    }

    pub(super) fn update(&mut self, column: &ArrayRef, groups: &[u32]) -> Result<(), Error> {
        let column = canonical(&cast_array(column, &self.data_type)?);
        let nulls = column.logical_nulls();
        let rows = self.converter.convert_columns(&[column]).map_err(unexpected)?;
        for (row, group) in groups.iter().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.merge(rows.row(row).as_ref(), *group as usize);
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, state: &[u8], group: usize) {
        let best = &mut self.best[group];
        let better = if self.greatest { state > &**best } else { state < &**best };
        if !state.is_empty() && (best.is_empty() || better) {
            *best = state.into();
        }
    }

    pub(super) fn state(&self, group: usize) -> &[u8] {
        &self.best[group]
    }

    pub(super) fn results(&self, groups: Range<usize>) -> Result<ArrayRef, Error> {
        let parser = self.converter.parser();
        let nothing =
            self.converter.convert_columns(&[arrow_array::new_null_array(&self.data_type, 1)]).map_err(unexpected)?;
        let rows = self.best[groups].iter().map(|row| if row.is_empty() { nothing.row(0) } else { parser.parse(row) });
        let mut columns = self.converter.convert_rows(rows).map_err(unexpected)?;
        columns.pop().ok_or_else(|| Error::internal("rows of one column had none"))
    }
}
