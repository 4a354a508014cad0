//! Groups as rows: keys, then the results of the aggregates.

use std::rc::Rc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;
use pyo3::prelude::*;
use udfleet_kernels::{BuiltinAggregate, Value};
use udfleet_proto::error::Error;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{FunctionKind, OnError};

use super::super::chunk::{Chunk, Origin};
use super::super::context::{Context, locate};
use super::super::table_rows::{CallResult, Rows};
use super::{Accumulators, Aggregator, aggregation_of, slot, unexpected};
use crate::failure::returned;
use crate::from_python::{Column, to_array};

/// The groups that have not been read yet.
pub struct Results {
    aggregator: Aggregator,
    next: usize,
    total: usize,
}

/// The columns of one aggregate, and the group of each row where there may be several or none.
struct Columns {
    columns: Vec<ArrayRef>,
    groups: Option<Vec<u32>>,
}

impl Results {
    pub fn new(aggregator: Aggregator) -> Self {
        // Without rows and keys there is one group, but a partial aggregation of no rows has nothing to merge.
        let empty = aggregator.accumulators.iter().all(|(accumulators, _)| accumulators.is_empty());
        let partial = aggregation_of(&aggregator.stage, aggregator.segment)
            .is_ok_and(|(aggregation, _)| aggregation.phase == Phase::Partial);
        let total = if partial && empty && !aggregator.accumulators.is_empty() { 0 } else { aggregator.groups.len() };
        Self { aggregator, next: 0, total }
    }

    /// True when all have been read.
    pub fn is_done(&self) -> bool {
        self.next >= self.total
    }

    /// The next groups.
    pub fn next(&mut self, context: &mut Context<'_, '_>) -> Result<Option<Chunk>, Error> {
        if self.is_done() {
            return Ok(None);
        }
        let groups = self.next..self.total.min(self.next + self.aggregator.stage.max_rows);
        self.next = groups.end;
        let stage = Rc::clone(&self.aggregator.stage);
        let (aggregation, text) = aggregation_of(&stage, self.aggregator.segment)?;
        let mut registers = self.aggregator.groups.columns(groups.clone())?;
        let mut rows = groups.len();
        for (index, aggregate) in aggregation.aggregates.iter().enumerate() {
            if let (Accumulators::Builtin(builtin), _) = &mut self.aggregator.accumulators[index] {
                registers.push(builtin_results(
                    builtin,
                    aggregation.phase,
                    groups.clone(),
                    self.total,
                    &aggregate.text,
                )?);
                continue;
            }
            let function = Rc::clone(slot(&self.aggregator.slots, aggregate)?);
            context.enter(&function);
            let given = self.aggregate(context, index, aggregation.phase, groups.clone());
            let given = given.map_err(|error| locate(error, Some(&function), text, &Origin::Unknown))?;
            if let Some(of_row) = given.groups {
                let positions = UInt32Array::from(of_row);
                let repeated = registers.iter().map(|column| take(column, &positions, None)).collect::<Result<_, _>>();
                registers = repeated.map_err(|e| Error::internal(format!("keys of groups: {e}")))?;
                rows = positions.len();
            }
            registers.extend(given.columns);
        }
        let registers = registers.into_iter().map(Value::Column).collect();
        Ok(Some(Chunk { registers, rows, origin: Origin::Unknown }))
    }

    fn aggregate(
        &mut self,
        context: &mut Context<'_, '_>,
        index: usize,
        phase: Phase,
        groups: std::ops::Range<usize>,
    ) -> Result<Columns, Error> {
        let stage = Rc::clone(&self.aggregator.stage);
        let (aggregation, _) = aggregation_of(&stage, self.aggregator.segment)?;
        let aggregate = &aggregation.aggregates[index];
        let function = Rc::clone(slot(&self.aggregator.slots, aggregate)?);
        let (all, count) = (self.total, groups.len());
        let (accumulators, _) = &mut self.aggregator.accumulators[index];
        let table = function.kind == FunctionKind::TableAggregate;
        context.timed(aggregate.call.slot, 0, |py| match accumulators {
            Accumulators::General(general) => {
                general.create(py, &function, all)?;
                if phase == Phase::Partial {
                    return Ok(Columns { columns: vec![general.pickled(py, groups)?], groups: None });
                }
                if table {
                    let emitted = general.values(py, &function, "emit_value", groups)?;
                    return emit(py, emitted, &function.result);
                }
                single(general.values(py, &function, "get_value", groups)?, count, &function.result)
            }
            Accumulators::Builtin(_) => Err(Error::internal("a built-in aggregate calls no function")),
            Accumulators::Vector(vector) => {
                single(vector.values(py, &function, aggregate, groups, all)?, count, &function.result)
            }
        })
    }
}

impl Accumulators {
    fn is_empty(&self) -> bool {
        match self {
            Self::General(general) => general.is_empty(),
            Self::Vector(vector) => vector.is_empty(),
            Self::Builtin(builtin) => builtin.is_empty(),
        }
    }
}

/// Results, or in PARTIAL accumulators.
fn builtin_results(
    builtin: &mut BuiltinAggregate,
    phase: Phase,
    groups: std::ops::Range<usize>,
    all: usize,
    text: &str,
) -> Result<ArrayRef, Error> {
    if phase == Phase::Partial {
        return Ok(builtin.states(groups, all));
    }
    builtin.results(groups, all).map_err(|error| locate(error, None, text, &Origin::Unknown))
}

/// One value per group. Errors are about groups, not about rows of the input.
fn single(values: Vec<Bound<'_, PyAny>>, count: usize, result: &udfleet_proto::v1::DataType) -> Result<Columns, Error> {
    let column = to_array(&Column::of_items(values, (0..count).collect()), result)?;
    Ok(Columns { columns: vec![column], groups: None })
}

/// Any number of rows per group.
fn emit<'py>(
    py: Python<'py>,
    emitted: Vec<Bound<'py, PyAny>>,
    result: &udfleet_proto::v1::DataType,
) -> Result<Columns, Error> {
    let mut rows = Rows::new(py);
    for (group, value) in emitted.into_iter().enumerate() {
        let outcome = match CallResult::of(value).map_err(unexpected)? {
            CallResult::Nothing => Ok(()),
            CallResult::One(value) => rows.push(group, &value),
            CallResult::List(list) => rows.extend(group, list.as_any(), usize::MAX >> 1).1,
            CallResult::Iterator(results) => rows.extend(group, &results, usize::MAX >> 1).1,
        };
        returned(py, outcome)?;
    }
    let columns = rows.columns(result, OnError::Fail, &mut Vec::new())?;
    Ok(Columns { columns, groups: Some(rows.sources) })
}
