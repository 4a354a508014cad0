//! Groups by their keys, compared in Arrow's row format: any types, nulls equal to each other, and floating-point numbers
//! equal as `=` has it.

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, Rows, SortField};
use hashbrown::HashMap;
use udfleet_kernels::canonical;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode};

/// Group numbers from 0 in the order in which keys were first seen.
pub struct Groups {
    /// `None`: there are no keys and one group.
    keys: Option<Keys>,
}

struct Keys {
    converter: RowConverter,
    rows: Rows,
    /// hashbrown's own hasher is seeded too, and takes half the time of the standard library's on keys this short.
    numbers: HashMap<Box<[u8]>, u32>,
}

fn unexpected(error: arrow_schema::ArrowError) -> Error {
    Error::internal(format!("group keys: {error}"))
}

impl Groups {
    /// For keys of these types.
    pub fn new(types: &[DataType]) -> Result<Self, Error> {
        if types.is_empty() {
            return Ok(Self { keys: None });
        }
        let fields = types.iter().map(|key| SortField::new(arrow_type(key))).collect();
        let converter = RowConverter::new(fields).map_err(|e| {
            let types: Vec<_> = types.iter().map(sql).collect();
            Error::new(ErrorCode::InvalidPlan, format!("rows can't be grouped by {}: {e}", types.join(", ")))
        })?;
        let rows = converter.empty_rows(0, 0);
        Ok(Self { keys: Some(Keys { converter, rows, numbers: HashMap::new() }) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.as_ref().map_or(1, |keys| keys.rows.num_rows())
    }

    /// The group of each row.
    pub fn assign(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>, Error> {
        let Some(keys) = &mut self.keys else { return Ok(vec![0; rows]) };
        let columns: Vec<ArrayRef> = columns.iter().map(canonical).collect();
        let given = keys.converter.convert_columns(&columns).map_err(unexpected)?;
        let mut numbers = Vec::with_capacity(rows);
        for row in given.iter() {
            let number = match keys.numbers.get(row.as_ref()) {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(keys.rows.num_rows())
                        .map_err(|_| Error::new(ErrorCode::LimitExceeded, "more than 4,294,967,295 groups"))?;
                    keys.rows.push(row);
                    keys.numbers.insert(row.as_ref().into(), number);
                    number
                }
            };
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// The keys of these groups, as columns.
    pub fn columns(&self, groups: impl Iterator<Item = usize>) -> Result<Vec<ArrayRef>, Error> {
        match &self.keys {
            Some(keys) => keys.converter.convert_rows(groups.map(|group| keys.rows.row(group))).map_err(unexpected),
            None => Ok(Vec::new()),
        }
    }
}
