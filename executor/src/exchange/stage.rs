//! Checks stages. A coordinator compiles them, but any client may send one: every index in it is checked before an
//! interpreter gets it.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_STAGE_FUNCTIONS;
use udfleet_proto::types::{simple, validate};
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::step::Kind;
use udfleet_proto::v1::{
    AggregateCall, Aggregation, Compute, DataType, ErrorCode, Field, FunctionKind, Invocation, Stage, Step, TypeRoot,
    operation::Operator,
};

use super::served::ServedFunction;

/// The most registers that a stage may have at once.
const MAX_REGISTERS: usize = 10_000;

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidPlan, message).hint("stages are compiled by a coordinator: send it the plan")
}

/// Checks slots, registers, kinds and environments.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] naming step and expression.
pub(super) fn check(stage: &Stage, functions: &[Arc<ServedFunction>]) -> Result<(), Error> {
    if functions.len() > MAX_STAGE_FUNCTIONS {
        let message = format!("a stage of {} functions, more than the limit of {MAX_STAGE_FUNCTIONS}", functions.len());
        return Err(Error::new(ErrorCode::LimitExceeded, message).hint("cut the plan into several"));
    }
    if let Some(other) = functions.iter().find(|function| function.environment != stage.environment) {
        let message =
            format!("{} runs in environment {}, the stage in {}", other.name, other.environment, stage.environment);
        return Err(invalid(message).function(&other.name));
    }
    let mut registers = Registers { types: types_of(&stage.inputs, "input")?, functions };
    let mut pipeline_breaker = false;
    for (index, step) in stage.steps.iter().enumerate() {
        let at = |error: Error| {
            error.with(|info| {
                info.message = format!("step {index}: {}", info.message);
                info.expression.clone_from(&step.text);
            })
        };
        pipeline_breaker |= registers.step(step).map_err(at)?;
        if registers.types.len() > MAX_REGISTERS {
            return Err(at(invalid(format!("more than {MAX_REGISTERS} registers"))));
        }
    }
    if pipeline_breaker != stage.pipeline_breaker {
        return Err(invalid("`pipeline_breaker` contradicts the steps".to_owned()));
    }
    if !stage.pipeline_breaker && !stage.partition_by.is_empty() {
        return Err(invalid("it is partitioned by keys, and aggregates nothing".to_owned()));
    }
    if stage.results.len() != stage.outputs.len() {
        let (results, outputs) = (stage.results.len(), stage.outputs.len());
        return Err(invalid(format!("{results} results for {outputs} outputs")));
    }
    types_of(&stage.outputs, "output")?;
    registers.all(&stage.results)
}

fn types_of(fields: &[Field], what: &str) -> Result<Vec<DataType>, Error> {
    let one = |field: &Field| {
        let missing = || invalid(format!("{what} {:?} has no type", field.name));
        let data_type = field.r#type.clone().ok_or_else(missing)?;
        validate(&data_type).map(|()| data_type)
    };
    fields.iter().map(one).collect()
}

struct Registers<'a> {
    types: Vec<DataType>,
    functions: &'a [Arc<ServedFunction>],
}

impl<'a> Registers<'a> {
    /// Follows one step. True where it is a pipeline breaker.
    fn step(&mut self, step: &Step) -> Result<bool, Error> {
        match step.kind.as_ref().ok_or_else(|| invalid("it does nothing".to_owned()))? {
            Kind::Literal(literal) => self.push(literal.r#type.as_ref())?,
            Kind::Compute(compute) => {
                self.compute(compute)?;
                self.push(compute.r#type.as_ref())?;
            }
            Kind::Invoke(call) => {
                let function = self.call(call, &[FunctionKind::Scalar])?;
                self.push(function.definition.result_type.as_ref())?;
            }
            Kind::Filter(register) => drop(self.get(*register)?),
            Kind::Unnest(unnest) => {
                let call = unnest.call.as_ref().ok_or_else(|| invalid("it calls nothing".to_owned()))?;
                let function = self.call(call, &[FunctionKind::Table])?;
                self.types.extend(columns(function));
            }
            Kind::Flatten(register) => {
                let row = self.get(*register)?.clone();
                if row.root() != TypeRoot::Row {
                    return Err(invalid(format!("register {register} is no ROW")));
                }
                self.types.extend(types_of(&row.fields, "field")?);
            }
            Kind::Aggregation(aggregation) => return self.aggregation(aggregation),
        }
        Ok(false)
    }

    fn get(&self, register: u32) -> Result<&DataType, Error> {
        let missing = || invalid(format!("there is no register {register}, but {}", self.types.len()));
        self.types.get(register as usize).ok_or_else(missing)
    }

    fn all(&self, registers: &[u32]) -> Result<(), Error> {
        registers.iter().try_for_each(|register| self.get(*register).map(drop))
    }

    fn push(&mut self, data_type: Option<&DataType>) -> Result<(), Error> {
        let data_type = data_type.ok_or_else(|| invalid("its type is missing".to_owned()))?;
        validate(data_type)?;
        self.types.push(data_type.clone());
        Ok(())
    }

    fn compute(&self, compute: &Compute) -> Result<(), Error> {
        self.all(&compute.operands)?;
        let operator = compute.operator();
        let wanted = match operator {
            Operator::Unspecified => return Err(invalid("its operator is unknown".to_owned())),
            Operator::Negate
            | Operator::Not
            | Operator::IsNull
            | Operator::IsNotNull
            | Operator::Cast
            | Operator::TryCast
            | Operator::Get => 1,
            Operator::If => 3,
            // They check their operands themselves.
            _ if operator.is_builtin_function() => compute.operands.len(),
            _ => 2,
        };
        if compute.operands.len() != wanted {
            let (name, given) = (compute.operator().as_str_name(), compute.operands.len());
            return Err(invalid(format!("{name} takes {wanted} operands, given {given}")));
        }
        if compute.operator() == Operator::Get {
            let row = self.get(compute.operands[0])?;
            if compute.field as usize >= row.fields.len() {
                return Err(invalid(format!("there is no field {} in {} fields", compute.field, row.fields.len())));
            }
        }
        Ok(())
    }

    fn slot(&self, call: &Invocation, kinds: &[FunctionKind]) -> Result<&'a ServedFunction, Error> {
        let missing = || invalid(format!("there is no function {} in {} slots", call.function, self.functions.len()));
        let function = self.functions.get(call.function as usize).ok_or_else(missing)?;
        // Unspecified stands for scalar, as it does in the first definitions.
        let kind = match function.definition.kind() {
            FunctionKind::Unspecified => FunctionKind::Scalar,
            kind => kind,
        };
        if !kinds.contains(&kind) {
            let message = format!("{} of kind {} can't be called here", function.name, kind.as_str_name());
            return Err(invalid(message).function(&function.name));
        }
        Ok(function)
    }

    fn call(&self, call: &Invocation, kinds: &[FunctionKind]) -> Result<&'a ServedFunction, Error> {
        let function = self.slot(call, kinds)?;
        let definition = &function.definition;
        self.all(&call.arguments)?;
        if !call.row.is_empty() && call.row.len() != call.arguments.len() {
            let (names, given) = (call.row.len(), call.arguments.len());
            return Err(invalid(format!("a row of {names} names for {given} columns")).function(&function.name));
        }
        let given = call.arguments.len();
        if call.row.is_empty() && definition.input_typed && definition.input_types.len() != given {
            let message = format!("{} takes {} arguments, given {given}", function.name, definition.input_types.len());
            return Err(invalid(message).function(&function.name));
        }
        Ok(function)
    }

    /// Replaces the registers. True where it needs the whole input before it gives anything.
    fn aggregation(&mut self, aggregation: &Aggregation) -> Result<bool, Error> {
        let phase = aggregation.phase();
        if phase == Phase::Unspecified {
            return Err(invalid("its phase is unknown".to_owned()));
        }
        let mut types = Vec::new();
        for key in &aggregation.keys {
            types.push(self.get(*key)?.clone());
        }
        for aggregate in &aggregation.aggregates {
            self.aggregate(aggregate, phase, &mut types)?;
        }
        self.types = types;
        Ok(phase != Phase::Partial)
    }

    fn aggregate(&self, aggregate: &AggregateCall, phase: Phase, types: &mut Vec<DataType>) -> Result<(), Error> {
        let call = aggregate.call.as_ref().ok_or_else(|| invalid("an aggregate calls nothing".to_owned()))?;
        if let Some(filter) = aggregate.filter.checked_sub(1) {
            self.get(filter)?;
        }
        if aggregate.builtin() != Builtin::Unspecified {
            return self.builtin(aggregate, call, phase, types);
        }
        let kinds = [FunctionKind::Aggregate, FunctionKind::TableAggregate];
        let function = match phase {
            // Its only argument is the accumulator.
            Phase::Merge => {
                let [accumulator] = call.arguments.as_slice() else {
                    return Err(invalid("merging takes one register, of accumulators".to_owned()));
                };
                self.get(*accumulator)?;
                self.slot(call, &kinds)?
            }
            _ => self.call(call, &kinds)?,
        };
        match phase {
            Phase::Partial => types.push(simple(TypeRoot::Varbinary)),
            _ if function.definition.kind() == FunctionKind::TableAggregate => types.extend(columns(function)),
            _ => types.extend(function.definition.result_type.clone()),
        }
        Ok(())
    }
}

impl Registers<'_> {
    fn builtin(
        &self,
        aggregate: &AggregateCall,
        call: &Invocation,
        phase: Phase,
        types: &mut Vec<DataType>,
    ) -> Result<(), Error> {
        self.all(&call.arguments)?;
        let counts_rows = aggregate.builtin() == Builtin::Count && phase != Phase::Merge;
        if call.arguments.len() != 1 && !(call.arguments.is_empty() && counts_rows) {
            let name = aggregate.builtin().as_str_name();
            return Err(invalid(format!("{name} takes one column, given {}", call.arguments.len())));
        }
        let result = aggregate.r#type.as_ref().ok_or_else(|| invalid("its type is missing".to_owned()))?;
        validate(result)?;
        types.push(if phase == Phase::Partial { simple(TypeRoot::Varbinary) } else { result.clone() });
        Ok(())
    }
}

/// The columns that a table function, or a table aggregate function, gives.
fn columns(function: &ServedFunction) -> Vec<DataType> {
    match &function.definition.result_type {
        Some(row) if row.root() == TypeRoot::Row => {
            row.fields.iter().filter_map(|field| field.r#type.clone()).collect()
        }
        other => other.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests;
