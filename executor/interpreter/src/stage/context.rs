//! What steps need besides rows: Python, tallies, output, caches.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, StructArray, UInt32Array};
use arrow_schema::{Field, Fields};
use pyo3::prelude::*;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::OnError;

use super::Invocation;
use super::chunk::{Chunk, Origin};
use crate::arguments::registers;
use crate::eval::{self, Call, Messages, ValueCache};
use crate::function::Function;
use crate::output::Output;
use crate::private::WritableInput;
use crate::tally::Tally;

/// Of one command.
pub struct Context<'a, 'py> {
    pub py: Python<'py>,
    pub output: &'a mut Output,
    pub tally: Tally,
    /// Overrides the registered on_error.
    pub on_error: OnError,
    pub values: ValueCache,
    /// What user code may write to of the command's input.
    pub writable: Option<WritableInput>,
}

/// A result column, and which rows it is for.
pub enum Called {
    All(ArrayRef),
    /// Only these rows are left.
    Some(ArrayRef, UInt32Array),
}

impl Context<'_, '_> {
    /// Output and samples belong to this function from here on.
    pub fn enter(&mut self, function: &Rc<Function>) {
        self.output.switch_to(self.py, function);
        self.tally.ran(function);
    }

    /// The arguments of a call, in the function's declared types.
    pub fn arguments(&self, function: &Function, call: &Invocation, chunk: &Chunk) -> Result<Vec<Value>, Error> {
        let values = call.arguments.iter().map(|index| chunk.register(*index).cloned());
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if call.row.is_empty() {
            return registers(values, function.inputs.as_deref());
        }
        let declared = function.inputs.as_deref().filter(|inputs| inputs.len() == values.len());
        let values = registers(values, declared)?;
        Ok(vec![Value::Column(row_of(&call.row, &values, chunk.rows)?)])
    }

    /// Calls a scalar function for all rows of a chunk.
    pub fn call(
        &mut self,
        function: &Rc<Function>,
        call: &Invocation,
        chunk: &Chunk,
        text: &str,
    ) -> Result<Called, Error> {
        let located = |error| locate(error, Some(function), text, &chunk.origin);
        let arguments = self.arguments(function, call, chunk).map_err(located)?;
        self.enter(function);
        let given = Call {
            arguments: &arguments,
            rows: chunk.rows,
            values: Some(&self.values),
            writable: self.writable.as_ref(),
        };
        let mut run_ns = 0;
        let evaluated = eval::evaluate_rows(self.py, function, &given, self.on_error, Messages::Never, &mut run_ns);
        let evaluated = evaluated.map_err(located)?;
        self.tally.failures(function, evaluated.failures.into_iter().map(located).collect());
        let called = match evaluated.kept {
            None => Called::All(evaluated.column),
            Some(kept) => Called::Some(evaluated.column, kept),
        };
        self.tally.add(call.slot, chunk.rows, run_ns);
        Ok(called)
    }

    /// Runs user code and counts its time for a slot.
    pub fn timed<T>(&mut self, slot: usize, rows: usize, run: impl FnOnce(Python<'_>) -> T) -> T {
        let started = Instant::now();
        let result = run(self.py);
        self.tally.add(slot, rows, started.elapsed().as_nanos() as u64);
        result
    }
}

/// Columns as the fields of one row.
fn row_of(names: &[String], values: &[Value], rows: usize) -> Result<ArrayRef, Error> {
    let columns = values.iter().map(|value| value.column(rows)).collect::<Result<Vec<_>, _>>()?;
    let field = |(name, column): (&String, &ArrayRef)| Field::new(name, column.data_type().clone(), true);
    let fields: Fields = names.iter().zip(&columns).map(field).collect();
    let row = StructArray::try_new(fields, columns, None);
    Ok(Arc::new(row.map_err(|e| Error::internal(format!("a row of {} columns: {e}", values.len())))?))
}

/// Says where in the plan and in the input an error belongs.
pub fn locate(error: Error, function: Option<&Rc<Function>>, text: &str, origin: &Origin) -> Error {
    let error = error.with(|info| {
        info.row = info.row.and_then(|row| origin.row(row));
        if info.expression.is_empty() {
            text.clone_into(&mut info.expression);
        }
    });
    match function {
        Some(function) => error.function(&function.name),
        None => error,
    }
}
