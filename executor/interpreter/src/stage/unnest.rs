//! Unnesting: a table function gives any number of rows for each row, made a bounded number at a time.

use std::rc::Rc;
use std::time::Instant;

use arrow_array::{Array, UInt32Array};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::OnError;

use super::Invocation;
use super::chunk::Chunk;
use super::context::{Context, locate};
use super::table_rows::{CallResult, Rows};
use crate::child::end_if_forked;
use crate::eval::{self, Call};
use crate::failure::{log, user_error};
use crate::function::Function;

/// The output is made in parts of about so many bytes.
pub const PART_BYTES: usize = 4 << 20;
/// Rows of the first part, before anything is known of their size.
const FIRST_ROWS: usize = 1024;

/// How many rows to make at once, learned from the size of the rows before.
pub struct Pace {
    rows: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: FIRST_ROWS }
    }
}

impl Pace {
    fn learn(&mut self, rows: usize, bytes: usize) {
        let fitting = PART_BYTES * rows.max(1) / bytes.max(1);
        self.rows = fitting.clamp(1, self.rows.saturating_mul(16));
    }
}

/// The call of a table function that makes rows of each row.
pub struct UnnestCall<'a> {
    pub function: &'a Rc<Function>,
    pub call: &'a Invocation,
    pub outer: bool,
    pub live: &'a [bool],
    pub text: &'a str,
}

/// The rows of one chunk on their way through a table function.
pub struct Unnesting {
    input: Chunk,
    /// `map(function, *columns)`: CPython's loop makes the calls.
    calls: Py<PyAny>,
    /// The next to call the function for.
    row: usize,
    /// The rest of the results for the row before.
    current: Option<Current>,
}

struct Current {
    results: Py<PyAny>,
    /// There were some already.
    found: bool,
}

fn unexpected(error: PyErr) -> Error {
    Error::internal(format!("a table function's results: {error}"))
}

impl Unnesting {
    /// Of a chunk; nothing is called yet.
    pub fn start(context: &mut Context<'_, '_>, of: &UnnestCall<'_>, input: Chunk) -> Result<Self, Error> {
        let located = |error| locate(error, Some(of.function), of.text, &input.origin);
        let arguments = context.arguments(of.function, of.call, &input).map_err(located)?;
        let given = Call { arguments: &arguments, rows: input.rows, values: None, writable: None };
        let columns = eval::iterables(context.py, &given)?;
        let (callable, columns) = eval::counted(context.py, of.function, columns, input.rows)?;
        let calls = eval::map(context.py, &callable, columns).map_err(unexpected)?.unbind();
        Ok(Self { input, calls, row: 0, current: None })
    }

    /// True when nothing is left to give.
    pub fn is_done(&self) -> bool {
        self.current.is_none() && self.row >= self.input.rows
    }

    /// The next rows, at most `max_rows` of the function; `None` at the end.
    pub fn next(
        &mut self,
        context: &mut Context<'_, '_>,
        of: &UnnestCall<'_>,
        pace: &mut Pace,
    ) -> Result<Option<Chunk>, Error> {
        if self.is_done() {
            return Ok(None);
        }
        let policy = eval::policy(of.function, context.on_error)?;
        context.enter(of.function);
        let limit = pace.rows.min(of.function.max_rows);
        let mut rows = Rows::new(context.py);
        let mut failures = Vec::new();
        let (started, first) = (Instant::now(), self.row);
        let filled = self.fill(context.py, of, policy, limit, &mut rows, &mut failures);
        context.tally.add(of.call.slot, self.row - first, started.elapsed().as_nanos() as u64);
        let columns = filled.and_then(|()| rows.columns(&of.function.result, policy, &mut failures));
        let located = |error| locate(error, Some(of.function), of.text, &self.input.origin);
        context.tally.failures(of.function, failures.into_iter().map(located).collect());
        let columns = columns.map_err(located)?;
        let bytes: usize = columns.iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        pace.learn(rows.len(), bytes);
        let mut chunk = self.input.take(&UInt32Array::from(rows.sources), of.live)?;
        chunk.registers.extend(columns.into_iter().map(Value::Column));
        Ok(Some(chunk))
    }

    fn fill<'py>(
        &mut self,
        py: Python<'py>,
        of: &UnnestCall<'_>,
        policy: OnError,
        limit: usize,
        rows: &mut Rows<'py>,
        failures: &mut Vec<Error>,
    ) -> Result<(), Error> {
        while rows.len() < limit && !self.is_done() {
            let outcome = match self.current.take() {
                Some(current) => self.go_on(py, of, current, limit, rows),
                None => self.call(py, of, limit, rows)?,
            };
            end_if_forked(py, outcome.as_ref().err());
            let Err(error) = outcome else { continue };
            let row = self.row - 1;
            let lenient = error.is_instance_of::<PyException>(py) && policy != OnError::Fail;
            let typed = user_error(py, &error).with(|info| info.row = Some(row as u64));
            if !lenient || policy == OnError::Unspecified {
                return Err(typed);
            }
            failures.push(typed);
            rows.withdraw(row).map_err(unexpected)?;
            if policy == OnError::Null {
                rows.push_absent(row);
            }
        }
        Ok(())
    }

    /// Calls for the next row.
    fn call<'py>(
        &mut self,
        py: Python<'py>,
        of: &UnnestCall<'_>,
        limit: usize,
        rows: &mut Rows<'py>,
    ) -> Result<PyResult<()>, Error> {
        let row = self.row;
        self.row += 1;
        let called = self.calls.bind(py).cast::<PyIterator>().map_err(|e| unexpected(e.into()))?.clone().next();
        let value = match called {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Ok(Err(error)),
            // The function raised StopIteration, which `map` takes for the end of its input.
            None => return Ok(Err(pyo3::exceptions::PyStopIteration::new_err(()))),
        };
        Ok(match CallResult::of(value).map_err(unexpected)? {
            CallResult::Nothing => {
                if of.outer {
                    rows.push_absent(row);
                }
                Ok(())
            }
            CallResult::One(value) => rows.push(row, &value),
            CallResult::List(list) if list.len() <= limit - rows.len() => {
                let (found, outcome) = rows.extend(row, list.as_any(), list.len());
                if found == 0 && of.outer {
                    rows.push_absent(row);
                }
                outcome
            }
            CallResult::List(list) => {
                let results = list.try_iter().map_err(unexpected)?.into_any();
                self.go_on(py, of, Current { results: results.unbind(), found: false }, limit, rows)
            }
            CallResult::Iterator(results) => {
                self.go_on(py, of, Current { results: results.unbind(), found: false }, limit, rows)
            }
        })
    }

    /// Takes more results of the latest call.
    fn go_on<'py>(
        &mut self,
        py: Python<'py>,
        of: &UnnestCall<'_>,
        mut current: Current,
        limit: usize,
        rows: &mut Rows<'py>,
    ) -> PyResult<()> {
        let (row, room) = (self.row - 1, limit - rows.len());
        let (found, outcome) = rows.extend(row, current.results.bind(py), room);
        outcome?;
        current.found |= found > 0;
        if found == room {
            self.current = Some(current);
        } else if !current.found && of.outer {
            rows.push_absent(row);
        }
        Ok(())
    }

    /// Ends a generator that is not wanted any more: its `finally` blocks run.
    pub fn close(&mut self, py: Python<'_>) {
        let Some(current) = self.current.take() else { return };
        let results = current.results.bind(py);
        if !results.hasattr("close").unwrap_or(false) {
            return;
        }
        let closed = results.call_method0("close");
        end_if_forked(py, closed.as_ref().err());
        if let Err(error) = closed {
            log(py, &error);
        }
    }
}
