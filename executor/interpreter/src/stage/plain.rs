//! A stage for a table or aggregate function that is called by itself.

use std::cell::RefCell;

use udfleet_proto::error::Error;
use udfleet_proto::types::simple;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{DataType, FunctionKind, TypeRoot};

use super::decode::columns_of;
use super::{Aggregate, Aggregation, Invocation, Segment, SegmentEnd, SegmentEndKind, Source, Stage, live};
use crate::encode::Encoder;
use crate::function::Function;

/// For input of so many columns. Table functions give the row that each result is for, then their columns.
pub fn plain_stage(function: &Function, columns: usize) -> Result<Stage, Error> {
    let call = Invocation { slot: 0, arguments: (0..columns).collect(), row: Vec::new() };
    let results = columns_of(&function.result).len();
    let table = function.kind == FunctionKind::Table;
    let (kind, results): (_, Vec<Source>) = if table {
        let registers = (columns..columns + results).map(Source::Register);
        (SegmentEndKind::Unnest { call, outer: false }, std::iter::once(Source::Row).chain(registers).collect())
    } else {
        let count = if function.kind == FunctionKind::TableAggregate { results } else { 1 };
        let aggregate = Aggregate {
            call,
            builtin: None,
            text: String::new(),
            types: argument_types(function, columns),
            distinct: false,
            filter: None,
        };
        let aggregation = Aggregation {
            keys: Vec::new(),
            key_types: Vec::new(),
            aggregates: vec![aggregate],
            phase: Phase::Complete,
        };
        (SegmentEndKind::Aggregate(aggregation), (0..count).map(Source::Register).collect())
    };
    let end = SegmentEnd { text: String::new(), kind, live: Vec::new() };
    let mut segments = vec![Segment { steps: Vec::new(), end: Some(end) }, Segment { steps: Vec::new(), end: None }];
    live::mark(&mut segments, &results);
    let schema = function.encoder.borrow().schema().as_ref().clone();
    let encoder = Encoder::new(schema).map_err(|e| Error::internal(format!("the columns of a function: {e}")))?;
    Ok(Stage {
        functions: vec![function.number],
        // The function's own declaration is what its columns are held to.
        inputs: None,
        segments,
        results,
        encoder: RefCell::new(encoder),
        pipeline_breaker: (!table).then_some(0),
        max_rows: function.max_rows,
    })
}

fn argument_types(function: &Function, columns: usize) -> Vec<DataType> {
    match &function.inputs {
        Some(inputs) => inputs.iter().map(|declared| declared.data_type().clone()).collect(),
        None => vec![simple(TypeRoot::Null); columns],
    }
}
