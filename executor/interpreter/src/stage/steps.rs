//! Steps with at most one output row per input row.

use std::rc::Rc;

use udfleet_kernels::{Value, compute, fields, is_true};
use udfleet_proto::error::Error;

use super::chunk::Chunk;
use super::context::{Called, Context, locate};
use super::{Step, StepKind};
use crate::function::Function;

/// Runs steps one after the other.
pub fn run(
    context: &mut Context<'_, '_>,
    slots: &[Rc<Function>],
    steps: &[Step],
    mut chunk: Chunk,
) -> Result<Chunk, Error> {
    for step in steps {
        chunk = one(context, slots, step, chunk)?;
    }
    Ok(chunk)
}

fn one(context: &mut Context<'_, '_>, slots: &[Rc<Function>], step: &Step, mut chunk: Chunk) -> Result<Chunk, Error> {
    match &step.kind {
        StepKind::Literal(value) => chunk.registers.push(value.clone()),
        StepKind::Compute { operator, operands, result, field } => {
            let values = operands.iter().map(|index| chunk.register(*index)).collect::<Result<Vec<_>, _>>()?;
            let value = compute(*operator, &values, result, *field, chunk.rows)
                .map_err(|error| locate(error, None, &step.text, &chunk.origin))?;
            chunk.registers.push(value);
        }
        StepKind::Invoke(call) => {
            let function = slots.get(call.slot).ok_or_else(|| Error::internal("a stage without that slot"))?;
            match context.call(function, call, &chunk, &step.text)? {
                Called::All(column) => chunk.registers.push(Value::Column(column)),
                Called::Some(column, rows) => {
                    chunk = chunk.take(&rows, &step.live)?;
                    chunk.registers.push(Value::Column(column));
                }
            }
        }
        StepKind::Filter(register) => {
            let mask = is_true(chunk.register(*register)?, chunk.rows);
            let mask = mask.map_err(|error| locate(error, None, &step.text, &chunk.origin))?;
            if mask.true_count() < chunk.rows {
                chunk = chunk.filter(&mask, &step.live)?;
            }
        }
        StepKind::Flatten(register) => {
            let parts = fields(chunk.register(*register)?);
            chunk.registers.extend(parts.map_err(|error| locate(error, None, &step.text, &chunk.origin))?);
        }
    }
    Ok(chunk)
}
