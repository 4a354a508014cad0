//! Running batches: functions called by themselves and stages, results in parts, groups of streams.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef};
use arrow_schema::{ArrowError, Field, Schema};
use prost::Message;
use pyo3::prelude::*;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Cancel, FunctionKind, Invoke, OnError, StageSpec};

use crate::arguments::columns;
use crate::encode::{Encoded, Encoder};
use crate::eval::{self, Call, Made};
use crate::functions::Functions;
use crate::input::Schemas;
use crate::load::Function;
use crate::output::Output;
use crate::region::Mapping;
use crate::stage::{Chunk, Context, Gathering, Pipeline, Stage, Stages, policy};
use crate::tally::Tally;

/// Everything between commands that has to do with functions.
#[derive(Default)]
pub struct Work {
    pub functions: Functions,
    schemas: Schemas,
    stages: Stages,
    /// Calls with more output, by command.
    parked: HashMap<u64, Pipeline>,
    /// Groups of streams, by session.
    sessions: HashMap<u64, Gathering>,
}

/// What comes of a command.
pub enum Answer {
    SchemaUnknown,
    StageUnknown,
    Finished(Finished),
}

/// Of a command that ran.
pub struct Finished {
    pub encoded: Option<Encoded>,
    pub rows: usize,
    pub tally: Tally,
    pub more: bool,
    /// There is a second column that says why rows have failed.
    pub errors_column: bool,
    /// For errors.
    pub name: String,
}

/// Results beside the reasons of those that are missing. Rare: its encoder is made for it.
fn with_messages(results: ArrayRef, messages: ArrayRef) -> Result<Encoded, ArrowError> {
    let column = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
    let schema = Schema::new(vec![column("result", &results), column("error", &messages)]);
    let rows = results.len();
    Encoder::new(schema)?.encode(vec![results, messages], rows)
}

fn no_batch(error: std::io::Error) -> Error {
    Error::internal(format!("shared memory with the executor: {error}"))
}

impl Work {
    /// Takes a loaded function in.
    pub fn insert(&mut self, py: Python<'_>, output: &mut Output, function: Function) {
        self.forget(py, output, function.number);
        self.functions.insert(function);
    }

    /// Takes a function out, and all that still runs with it.
    pub fn remove(&mut self, py: Python<'_>, output: &mut Output, number: u32) -> Option<Rc<Function>> {
        self.forget(py, output, number);
        self.functions.remove(number)
    }

    fn forget(&mut self, py: Python<'_>, output: &mut Output, number: u32) {
        self.stages.forget(number);
        let uses = |pipeline: &Pipeline| pipeline.stage().functions.contains(&number);
        let calls: Vec<u64> = self.parked.iter().filter(|(_, call)| uses(call)).map(|(id, _)| *id).collect();
        calls.into_iter().for_each(|call| self.cancel(py, output, &Cancel { call, session: 0 }));
        self.sessions.retain(|_, session| !session.uses(number));
    }

    /// Gives up what a call has left, or the groups of a session.
    pub fn cancel(&mut self, py: Python<'_>, output: &mut Output, cancel: &Cancel) {
        self.sessions.remove(&cancel.session);
        if let Some(mut call) = self.parked.remove(&cancel.call) {
            // What generators say while they end belongs to one of the call's functions.
            if let Some(function) = call.slots().first().cloned() {
                output.switch_to(py, &function);
            }
            call.close(py);
        }
    }

    /// Runs a batch.
    pub fn invoke(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        mapping: Arc<Mapping>,
        invoke: &Invoke,
    ) -> Result<Answer, Error> {
        let function = self.functions.get(invoke.function).cloned();
        if !invoke.end && !self.schemas.knows(invoke) {
            return Ok(Answer::SchemaUnknown);
        }
        if let Some(function) = &function
            && matches!(function.kind, FunctionKind::Scalar | FunctionKind::Unspecified)
        {
            return self.scalar(py, output, function, mapping, invoke);
        }
        let known = self.stages.get(invoke.function);
        let stage = match (&invoke.stage, function) {
            // A function by itself, as a stage; one without declared inputs takes any number of columns.
            (None, Some(function)) => match known {
                Some(stage) if function.inputs.is_some() || invoke.end => stage,
                _ => self.plain(&function, &mapping, invoke)?,
            },
            (Some(slice), _) => {
                let spec = StageSpec::decode(mapping.bytes(slice).map_err(no_batch)?);
                let spec = spec.map_err(|e| Error::internal(format!("malformed StageSpec: {e}")))?;
                let stage = Stage::decode(&spec, &self.functions)?;
                self.stages.insert(invoke.function, stage)
            }
            (None, None) => match known {
                Some(stage) => stage,
                None => return Ok(Answer::StageUnknown),
            },
        };
        self.stage(py, output, id, mapping, invoke, stage)
    }

    fn plain(&mut self, function: &Rc<Function>, mapping: &Arc<Mapping>, invoke: &Invoke) -> Result<Rc<Stage>, Error> {
        let given = if invoke.end { 0 } else { self.schemas.get(mapping, invoke)?.fields().len() };
        let columns = function.inputs.as_ref().map_or(given, Vec::len);
        Ok(self.stages.insert(function.number, Stage::plain(function, columns)?))
    }

    /// A scalar function by itself: the way that must be short.
    fn scalar(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        function: &Rc<Function>,
        mapping: Arc<Mapping>,
        invoke: &Invoke,
    ) -> Result<Answer, Error> {
        output.switch_to(py, function);
        let batch = self.schemas.read(&mapping, invoke, false)?;
        drop(mapping);
        let named = |error: Error| error.function(&function.name);
        let arguments = columns(&batch, function.inputs.as_deref()).map_err(named)?;
        let arguments: Vec<Value> = arguments.into_iter().map(Value::Column).collect();
        let given = Call { arguments: &arguments, rows: batch.num_rows(), made: None };
        let mut tally = Tally::default();
        tally.ran(function);
        let mut messages = None;
        let result = match policy(function, invoke.on_error())? {
            OnError::Fail if invoke.on_error() == OnError::Column && eval::is_by_row(function) => {
                let mut outcome = eval::evaluate_leniently(py, function, &given, &mut tally.run_ns).map_err(named)?;
                messages = outcome.messages(given.rows);
                tally.failures(function, std::mem::take(&mut outcome.failures).into_iter().map(named).collect());
                outcome.with_nulls(given.rows)?
            }
            OnError::Unspecified | OnError::Fail | OnError::Column => {
                eval::evaluate(py, function, &given, &mut tally.run_ns).map_err(named)?
            }
            policy => {
                let mut outcome = eval::evaluate_leniently(py, function, &given, &mut tally.run_ns).map_err(named)?;
                let failures = std::mem::take(&mut outcome.failures);
                tally.failures(function, failures.into_iter().map(named).collect());
                if policy == OnError::Null { outcome.with_nulls(given.rows)? } else { outcome.results }
            }
        };
        let rows = result.len();
        let errors_column = messages.is_some();
        let encoded = match messages {
            None => function.encoder.borrow_mut().encode(vec![result], rows),
            Some(messages) => with_messages(result, messages),
        };
        let encoded = encoded.map_err(|e| Error::internal(format!("result: {e}")))?;
        // Neither input nor arguments are needed now: what still refers to the region is the user's.
        drop((arguments, batch));
        let name = function.name.clone();
        Ok(Answer::Finished(Finished { encoded: Some(encoded), rows, tally, more: false, errors_column, name }))
    }

    fn stage(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        mapping: Arc<Mapping>,
        invoke: &Invoke,
        stage: Rc<Stage>,
    ) -> Result<Answer, Error> {
        let on_error = invoke.on_error();
        if invoke.end {
            let session = match self.sessions.remove(&invoke.session) {
                Some(session) => session,
                // A stream without rows.
                None => Gathering::new(&stage, &self.functions)?,
            };
            let pipeline = session.finish(&self.functions, on_error)?;
            return self.advance(py, output, id, pipeline);
        }
        let batch = self.schemas.read(&mapping, invoke, stage.may_park())?;
        drop(mapping);
        let inputs = columns(&batch, stage.inputs.as_deref())?;
        let chunk = Chunk::of_columns(inputs, batch.num_rows());
        drop(batch);
        if !stage.gathers() {
            let pipeline = Pipeline::whole(stage, &self.functions, chunk, on_error)?;
            return self.advance(py, output, id, pipeline);
        }
        if !self.sessions.contains_key(&invoke.session) {
            self.sessions.insert(invoke.session, Gathering::new(&stage, &self.functions)?);
        }
        let Some(session) = self.sessions.get_mut(&invoke.session) else {
            return Err(Error::internal("a session that was just made"));
        };
        let mut context = Context { py, output, tally: Tally::of(session.slots()), on_error, made: Made::default() };
        session.feed(&mut context, &self.functions, chunk)?;
        Ok(Answer::Finished(Finished {
            encoded: None,
            rows: 0,
            tally: context.tally,
            more: false,
            errors_column: false,
            name: String::new(),
        }))
    }

    /// The next part of a call whose output is too much for one.
    pub fn resume(&mut self, py: Python<'_>, output: &mut Output, call: u64) -> Result<Answer, Error> {
        let parked = self.parked.remove(&call);
        let pipeline = parked.ok_or_else(|| Error::internal(format!("command {call} has nothing left to give")))?;
        self.advance(py, output, call, pipeline)
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        mut pipeline: Pipeline,
    ) -> Result<Answer, Error> {
        let on_error = pipeline.on_error;
        let mut context = Context { py, output, tally: Tally::of(pipeline.slots()), on_error, made: Made::default() };
        let outcome = pipeline.next_part(&mut context);
        let tally = context.tally;
        let (part, more) = match outcome {
            Ok(part) => part,
            Err(error) => {
                pipeline.close(py);
                return Err(error);
            }
        };
        let rows = part.rows;
        let encoded = pipeline.stage().encoder.borrow_mut().encode(part.columns, rows);
        let encoded = encoded.map_err(|e| Error::internal(format!("the rows of a stage: {e}")))?;
        if more {
            self.parked.insert(id, pipeline);
        }
        let (encoded, name) = (Some(encoded), String::new());
        Ok(Answer::Finished(Finished { encoded, rows, tally, more, errors_column: false, name }))
    }
}
