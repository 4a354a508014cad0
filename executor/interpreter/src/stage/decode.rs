//! Decodes and validates a StageSpec.

use std::cell::RefCell;

use arrow_schema::Schema;
use udfleet_kernels::literal;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_field, simple};
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{self, DataType, ErrorCode, FunctionKind, StageSpec, TypeRoot, step};

use super::{
    Aggregate, Aggregation, Invocation, Segment, SegmentEnd, SegmentEndKind, Source, Stage, Step, StepKind, live,
};
use crate::arguments::Declared;
use crate::encode::Encoder;
use crate::functions::Functions;

/// Rows of a part where no function says how many.
const DEFAULT_ROWS: usize = 10_000;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidPlan, message.into())
}

/// What is known while steps are read.
struct Decoder<'a> {
    functions: &'a Functions,
    numbers: &'a [u32],
    /// Of the registers so far.
    types: Vec<DataType>,
    segments: Vec<Segment>,
    pipeline_breaker: Option<usize>,
}

/// The stage that a spec describes.
pub fn decode(spec: &StageSpec, functions: &Functions) -> Result<Stage, Error> {
    let stage = spec.stage.clone().unwrap_or_default();
    let type_of = |field: &v1::Field| field.r#type.clone().unwrap_or_default();
    let inputs: Vec<DataType> = stage.inputs.iter().map(type_of).collect();
    let mut decoder = Decoder {
        functions,
        numbers: &spec.functions,
        types: inputs.clone(),
        segments: vec![Segment { steps: Vec::new(), end: None }],
        pipeline_breaker: None,
    };
    for step in &stage.steps {
        decoder.step(step).map_err(|error| error.with(|info| info.expression.clone_from(&step.text)))?;
    }
    let results = decoder.registers(&stage.results)?.into_iter().map(Source::Register).collect::<Vec<_>>();
    let fields = stage.outputs.iter().map(|field| arrow_field(&field.name, &type_of(field)));
    let encoder = Encoder::new(Schema::new(fields.collect::<Vec<_>>()));
    let encoder = encoder.map_err(|e| invalid(format!("the columns of a stage: {e}")))?;
    if results.len() != encoder.schema().fields().len() {
        return Err(invalid(format!("{} results for {} columns", results.len(), encoder.schema().fields().len())));
    }
    let max_rows = spec.functions.iter().filter_map(|number| functions.get(*number)).map(|function| function.max_rows);
    let max_rows = max_rows.min().unwrap_or(DEFAULT_ROWS);
    live::mark(&mut decoder.segments, &results);
    Ok(Stage {
        functions: spec.functions.clone(),
        inputs: Some(inputs.iter().map(Declared::new).collect()),
        segments: decoder.segments,
        results,
        encoder: RefCell::new(encoder),
        pipeline_breaker: decoder.pipeline_breaker,
        max_rows,
    })
}

impl Decoder<'_> {
    fn register(&self, index: u32) -> Result<usize, Error> {
        let index = index as usize;
        if index < self.types.len() { Ok(index) } else { Err(invalid(format!("there is no register {index}"))) }
    }

    fn registers(&self, indices: &[u32]) -> Result<Vec<usize>, Error> {
        indices.iter().map(|index| self.register(*index)).collect()
    }

    fn step(&mut self, step: &v1::Step) -> Result<(), Error> {
        let kind = step.kind.as_ref().ok_or_else(|| invalid("a step of no kind"))?;
        let text = step.text.clone();
        match kind {
            step::Kind::Literal(value) => {
                let constant = literal(value)?;
                self.push(text, StepKind::Literal(constant), vec![value.r#type.clone().unwrap_or_default()]);
            }
            step::Kind::Compute(compute) => {
                let operator = Operator::try_from(compute.operator).map_err(|e| invalid(e.to_string()))?;
                let operands = self.registers(&compute.operands)?;
                let result = compute.r#type.clone().unwrap_or_default();
                let kind = StepKind::Compute { operator, operands, result: result.clone(), field: compute.field };
                self.push(text, kind, vec![result]);
            }
            step::Kind::Invoke(call) => {
                let call = self.invocation(call)?;
                let result = self.result(&call)?;
                self.push(text, StepKind::Invoke(call), vec![result]);
            }
            step::Kind::Filter(index) => {
                let index = self.register(*index)?;
                self.push(text, StepKind::Filter(index), Vec::new());
            }
            step::Kind::Flatten(index) => {
                let index = self.register(*index)?;
                let columns = columns_of(&self.types[index]);
                self.push(text, StepKind::Flatten(index), columns);
            }
            step::Kind::Unnest(unnest) => {
                let call = self.invocation(&unnest.call.clone().unwrap_or_default())?;
                let columns = columns_of(&self.result(&call)?);
                self.types.extend(columns);
                self.end(text, SegmentEndKind::Unnest { call, outer: unnest.outer });
            }
            step::Kind::Aggregation(aggregation) => {
                let aggregation = self.aggregation(aggregation)?;
                let segment = self.segments.len() - 1;
                if aggregation.phase != Phase::Partial && self.pipeline_breaker.replace(segment).is_some() {
                    return Err(invalid("a stage has at most one pipeline breaker"));
                }
                self.types = self.aggregated(&aggregation)?;
                self.end(text, SegmentEndKind::Aggregate(aggregation));
            }
        }
        Ok(())
    }

    fn push(&mut self, text: String, kind: StepKind, results: Vec<DataType>) {
        self.types.extend(results);
        if let Some(segment) = self.segments.last_mut() {
            segment.steps.push(Step { text, kind, live: Vec::new() });
        }
    }

    fn end(&mut self, text: String, kind: SegmentEndKind) {
        if let Some(segment) = self.segments.last_mut() {
            segment.end = Some(SegmentEnd { text, kind, live: Vec::new() });
        }
        self.segments.push(Segment { steps: Vec::new(), end: None });
    }

    fn invocation(&self, call: &v1::Invocation) -> Result<Invocation, Error> {
        let slot = call.function as usize;
        let arguments = self.registers(&call.arguments)?;
        if slot >= self.numbers.len() {
            return Err(invalid(format!("there is no slot {slot}")));
        }
        if !call.row.is_empty() && call.row.len() != arguments.len() {
            return Err(invalid(format!("{} names for a row of {}", call.row.len(), arguments.len())));
        }
        Ok(Invocation { slot, arguments, row: call.row.clone() })
    }

    fn result(&self, call: &Invocation) -> Result<DataType, Error> {
        Ok(self.functions.need(self.numbers[call.slot])?.result.clone())
    }

    fn aggregation(&self, aggregation: &v1::Aggregation) -> Result<Aggregation, Error> {
        let keys = self.registers(&aggregation.keys)?;
        let key_types = keys.iter().map(|index| self.types[*index].clone()).collect();
        let aggregate = |aggregate: &v1::AggregateCall| {
            let call = aggregate.call.clone().unwrap_or_default();
            let (call, builtin) = match aggregate.builtin() {
                Builtin::Unspecified => (self.invocation(&call)?, None),
                builtin => {
                    let arguments = self.registers(&call.arguments)?;
                    let call = Invocation { slot: usize::MAX, arguments, row: Vec::new() };
                    (call, Some((builtin, aggregate.r#type.clone().unwrap_or_default())))
                }
            };
            Ok(Aggregate {
                builtin,
                text: aggregate.text.clone(),
                types: call.arguments.iter().map(|index| self.types[*index].clone()).collect(),
                call,
                distinct: aggregate.distinct,
                filter: aggregate.filter.checked_sub(1).map(|index| self.register(index)).transpose()?,
            })
        };
        let aggregates = aggregation.aggregates.iter().map(aggregate).collect::<Result<Vec<_>, Error>>()?;
        match aggregation.phase() {
            Phase::Unspecified => Err(invalid("an aggregation of no phase")),
            phase => Ok(Aggregation { keys, key_types, aggregates, phase }),
        }
    }

    /// The types of the registers after an aggregation.
    fn aggregated(&self, aggregation: &Aggregation) -> Result<Vec<DataType>, Error> {
        let mut types = aggregation.key_types.clone();
        for aggregate in &aggregation.aggregates {
            if let Some((_, result)) = &aggregate.builtin {
                let partial = aggregation.phase == Phase::Partial;
                types.push(if partial { simple(TypeRoot::Varbinary) } else { result.clone() });
                continue;
            }
            let function = self.functions.need(self.numbers[aggregate.call.slot])?;
            match (aggregation.phase, function.kind) {
                (Phase::Partial, _) => types.push(simple(TypeRoot::Varbinary)),
                (_, FunctionKind::TableAggregate) if aggregation.aggregates.len() > 1 => {
                    return Err(invalid("a table aggregate function stands alone"));
                }
                (_, FunctionKind::TableAggregate) => types.extend(columns_of(&function.result)),
                _ => types.push(function.result.clone()),
            }
        }
        Ok(types)
    }
}

/// The fields of a ROW, or the one column that it is.
pub fn columns_of(data_type: &DataType) -> Vec<DataType> {
    if data_type.root() == TypeRoot::Row {
        data_type.fields.iter().map(|field| field.r#type.clone().unwrap_or_default()).collect()
    } else {
        vec![data_type.clone()]
    }
}
