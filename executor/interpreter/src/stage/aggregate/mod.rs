//! Aggregation: rows go into accumulators, one per group; results come out at the end.

mod distinct;
mod general;
mod groups;
mod results;
mod vector;

use std::rc::Rc;

use arrow_array::{BooleanArray, UInt32Array};
use pyo3::prelude::*;
use udfleet_kernels::{BuiltinAggregate, Value, is_true};
use udfleet_proto::error::Error;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{FuncType, OnError};

use super::chunk::Chunk;
use super::context::{Context, locate};
use super::pipeline::{Input, Pipeline};
use super::{Aggregate, Aggregation, SegmentEnd, SegmentEndKind, Stage};
use crate::function::Function;
use crate::functions::Functions;
use distinct::Distinct;
use general::General;
use groups::Groups;
pub use results::Results;
use vector::Vector;

/// The accumulators of one aggregate, by group.
enum Accumulators {
    /// Python objects of a general function.
    General(General),
    /// The rows themselves, for a pandas or arrow function.
    Vector(Vector),
    /// Of a built-in aggregate.
    Builtin(BuiltinAggregate),
}

/// An aggregation that takes rows in.
pub struct Aggregator {
    stage: Rc<Stage>,
    slots: Vec<Rc<Function>>,
    /// The segment that the step ends.
    segment: usize,
    groups: Groups,
    accumulators: Vec<(Accumulators, Option<Distinct>)>,
}

fn aggregation_of(stage: &Stage, segment: usize) -> Result<(&Aggregation, &str), Error> {
    match stage.segments.get(segment).and_then(|segment| segment.end.as_ref()) {
        Some(SegmentEnd { kind: SegmentEndKind::Aggregate(aggregation), text, .. }) => Ok((aggregation, text)),
        _ => Err(Error::internal("a stage without that aggregation")),
    }
}

fn slot<'a>(slots: &'a [Rc<Function>], aggregate: &Aggregate) -> Result<&'a Rc<Function>, Error> {
    slots.get(aggregate.call.slot).ok_or_else(|| Error::internal("a stage without that slot"))
}

impl Aggregator {
    /// Without groups.
    pub fn new(stage: &Rc<Stage>, segment: usize, slots: &[Rc<Function>]) -> Result<Self, Error> {
        let (aggregation, _) = aggregation_of(stage, segment)?;
        let accumulators = |aggregate: &Aggregate| {
            let distinct = aggregate.distinct.then(Distinct::default);
            if let Some((builtin, result)) = &aggregate.builtin {
                return Ok((Accumulators::Builtin(BuiltinAggregate::new(*builtin, result)?), distinct));
            }
            let function = slot(slots, aggregate)?;
            let accumulators = match function.func_type {
                FuncType::Pandas | FuncType::Arrow => Accumulators::Vector(Vector::default()),
                FuncType::General | FuncType::Unspecified => Accumulators::General(General::default()),
            };
            Ok((accumulators, distinct))
        };
        Ok(Self {
            stage: Rc::clone(stage),
            slots: slots.to_vec(),
            segment,
            groups: Groups::new(&aggregation.key_types)?,
            accumulators: aggregation.aggregates.iter().map(accumulators).collect::<Result<_, Error>>()?,
        })
    }

    /// Takes rows in.
    pub fn feed(&mut self, context: &mut Context<'_, '_>, chunk: &Chunk) -> Result<(), Error> {
        if chunk.rows == 0 {
            return Ok(());
        }
        let stage = Rc::clone(&self.stage);
        let (aggregation, text) = aggregation_of(&stage, self.segment)?;
        let keys = aggregation.keys.iter().map(|index| chunk.register(*index)?.column(chunk.rows));
        let of_row = self.groups.assign(&keys.collect::<Result<Vec<_>, _>>()?, chunk.rows)?;
        let count = self.groups.len();
        for (aggregate, (accumulators, distinct)) in aggregation.aggregates.iter().zip(&mut self.accumulators) {
            let rows = Selected::of(chunk, aggregate, aggregation.phase, &of_row, distinct.as_mut())?;
            let rows = rows.unwrap_or_else(|| Selected::all(chunk, &of_row));
            if let Accumulators::Builtin(builtin) = accumulators {
                feed_builtin(builtin, aggregate, aggregation.phase, &rows, count)
                    .map_err(|error| locate(error, None, &aggregate.text, &rows.chunk.origin))?;
                continue;
            }
            let function = slot(&self.slots, aggregate)?;
            context.enter(function);
            let fed = match accumulators {
                Accumulators::Builtin(_) => Ok(Vec::new()),
                Accumulators::General(general) if aggregation.phase == Phase::Merge => {
                    general.merge(context, function, aggregate, &rows, count).map(|()| Vec::new())
                }
                Accumulators::General(general) => general.accumulate(context, function, aggregate, &rows, count),
                Accumulators::Vector(vector) => {
                    vector.collect(context, function, aggregate, &rows).map(|()| Vec::new())
                }
            };
            let located = |error| locate(error, Some(function), text, &rows.chunk.origin);
            let failures = fed.map_err(located)?.into_iter().map(located).collect();
            context.tally.failures(function, failures);
        }
        Ok(())
    }

    /// All groups, as rows.
    pub fn results(self) -> Results {
        Results::new(self)
    }
}

/// Rows, or in MERGE accumulators, into a built-in aggregate.
fn feed_builtin(
    builtin: &mut BuiltinAggregate,
    aggregate: &Aggregate,
    phase: Phase,
    rows: &Selected,
    count: usize,
) -> Result<(), Error> {
    let argument = aggregate.call.arguments.first();
    let column = argument.map(|index| rows.chunk.register(*index)?.column(rows.chunk.rows)).transpose()?;
    match (phase, column) {
        (Phase::Merge, Some(states)) => builtin.merge(&states, &rows.groups, count),
        (_, column) => builtin.update(column.as_ref(), &rows.groups, count),
    }
}

/// The rows that count for one aggregate.
struct Selected {
    chunk: Chunk,
    /// The group of each.
    groups: Vec<u32>,
}

impl Selected {
    fn all(chunk: &Chunk, groups: &[u32]) -> Self {
        let chunk = Chunk { registers: chunk.registers.clone(), rows: chunk.rows, origin: chunk.origin.clone() };
        Self { chunk, groups: groups.to_vec() }
    }

    /// `None`: all of them.
    fn of(
        chunk: &Chunk,
        aggregate: &Aggregate,
        phase: Phase,
        groups: &[u32],
        distinct: Option<&mut Distinct>,
    ) -> Result<Option<Self>, Error> {
        if phase == Phase::Merge {
            return Ok(None);
        }
        let mut kept: Option<BooleanArray> = None;
        if let Some(index) = aggregate.filter {
            kept = Some(is_true(chunk.register(index)?, chunk.rows)?);
        }
        if let Some(distinct) = distinct {
            let arguments = aggregate.call.arguments.iter().map(|index| chunk.register(*index)?.column(chunk.rows));
            kept = Some(distinct.first(groups, &arguments.collect::<Result<Vec<_>, _>>()?, kept.as_ref())?);
        }
        let Some(kept) = kept else { return Ok(None) };
        let rows = (0..chunk.rows).filter(|row| kept.value(*row));
        let positions: Vec<u32> = rows.map(|row| row as u32).collect();
        let groups = positions.iter().map(|row| groups[*row as usize]).collect();
        let live = vec![true; chunk.registers.len()];
        Ok(Some(Self { chunk: chunk.take(&UInt32Array::from(positions), &live)?, groups }))
    }
}

/// The aggregation of a stream, from its first row to its end.
pub struct AggregationSession {
    aggregator: Aggregator,
}

impl AggregationSession {
    /// For a stage with a pipeline breaker.
    pub fn new(stage: &Rc<Stage>, functions: &Functions) -> Result<Self, Error> {
        let segment = stage
            .pipeline_breaker
            .ok_or_else(|| Error::internal("a stage without pipeline breaker has no sessions"))?;
        Ok(Self { aggregator: Aggregator::new(stage, segment, &functions.all(&stage.functions)?)? })
    }

    /// The functions, by slot.
    pub fn slots(&self) -> &[Rc<Function>] {
        &self.aggregator.slots
    }

    /// True where it calls this function.
    pub fn uses(&self, function: u32) -> bool {
        self.aggregator.stage.functions.contains(&function)
    }

    /// Takes a batch in, through the steps before the aggregation.
    pub fn feed(&mut self, context: &mut Context<'_, '_>, functions: &Functions, chunk: Chunk) -> Result<(), Error> {
        let stage = Rc::clone(&self.aggregator.stage);
        let mut rows =
            Pipeline::new(stage, functions, Input::Rows(Some(chunk)), 0, self.aggregator.segment, context.on_error)?;
        while let Some(chunk) = rows.pull(context)? {
            self.aggregator.feed(context, &chunk)?;
        }
        Ok(())
    }

    /// The part of the stage after the aggregation, with all groups as its input.
    pub fn finish(self, functions: &Functions, on_error: OnError) -> Result<Pipeline, Error> {
        let stage = Rc::clone(&self.aggregator.stage);
        let (first, last) = (self.aggregator.segment + 1, stage.segments.len() - 1);
        Pipeline::new(stage, functions, Input::Groups(Box::new(self.aggregator.results())), first, last, on_error)
    }
}

/// The arguments of an aggregate, in its function's declared types, as columns.
fn arguments(
    context: &Context<'_, '_>,
    function: &Rc<Function>,
    aggregate: &Aggregate,
    chunk: &Chunk,
) -> Result<Vec<Value>, Error> {
    context.arguments(function, &aggregate.call, chunk)
}

fn unexpected(error: PyErr) -> Error {
    Error::internal(format!("an aggregate function: {error}"))
}
