//! Runs batches: functions called by themselves and stages, results in parts, aggregations of streams.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef};
use arrow_schema::{ArrowError, Field, Schema};
use prost::Message;
use pyo3::prelude::*;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Cancel, FunctionKind, Invoke, KeyedBundle, OnError, StageSpec};

use crate::arguments::columns;
use crate::encode::{Encoded, Encoder};
use crate::eval::{self, Call, Messages, ValueCache};
use crate::function::Function;
use crate::functions::Functions;
use crate::input::Schemas;
use crate::keyed;
use crate::mapping::Mapping;
use crate::output::Output;
use crate::private::WritableInput;
use crate::stage::{AggregationSession, Chunk, Context, Pipeline, Stage, Stages};
use crate::tally::Tally;

/// The state that batches need between commands: functions, schemas, stages, parked results.
#[derive(Default)]
pub struct BatchRunner {
    pub functions: Functions,
    schemas: Schemas,
    stages: Stages,
    /// Calls with more output, by command.
    parked: HashMap<u64, Pipeline>,
    /// Aggregations of streams, by session.
    sessions: HashMap<u64, AggregationSession>,
    /// Keyed functions by session, which each have an instance of their own.
    instances: HashMap<u64, Rc<Function>>,
}

/// Where a command's batch lies.
pub struct CommandInput {
    pub mapping: Arc<Mapping>,
    /// The part of it that user code may write to.
    pub writable: Option<WritableInput>,
}

/// The result of a command.
pub enum CommandResult {
    SchemaUnknown,
    StageUnknown,
    Finished(Finished),
}

/// A command that has run.
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

/// A batch of results, and of messages that say why results are missing. Rare, so it gets an encoder of its own.
fn with_messages(results: ArrayRef, messages: ArrayRef) -> Result<Encoded, ArrowError> {
    let column = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
    let schema = Schema::new(vec![column("result", &results), column("error", &messages)]);
    let rows = results.len();
    Encoder::new(schema)?.encode(vec![results, messages], rows)
}

/// The next part of a call's rows, how many they are, and whether there are more. After the last a bundle is finished.
fn encoded_part(pipeline: &mut Pipeline, context: &mut Context<'_, '_>) -> Result<(Encoded, usize, bool), Error> {
    let (part, more) = pipeline.next_part(context)?;
    let rows = part.rows;
    let encoded = pipeline.stage().encoder.borrow_mut().encode(part.columns, rows);
    let encoded = encoded.map_err(|e| Error::internal(format!("the rows of a stage: {e}")))?;
    if !more && let Some(bundle) = &pipeline.keyed {
        bundle.finish(context.py)?;
    }
    Ok((encoded, rows, more))
}

fn no_batch(error: std::io::Error) -> Error {
    Error::internal(format!("shared memory with the executor: {error}"))
}

impl BatchRunner {
    /// Adds a loaded function.
    pub fn insert(&mut self, py: Python<'_>, output: &mut Output, function: Function) {
        self.forget(py, output, function.number);
        self.functions.insert(function);
    }

    /// Removes a function, and cancels what still uses it.
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
        // Closing the function closes them.
        self.instances.retain(|_, function| function.number != number);
    }

    /// Cancels the rest of a call, or drops the groups of a session.
    pub fn cancel(&mut self, py: Python<'_>, output: &mut Output, cancel: &Cancel) {
        self.sessions.remove(&cancel.session);
        if let Some(mut call) = self.parked.remove(&cancel.call) {
            // What generators print while they are closed is attributed to one of the call's functions.
            if let Some(function) = call.slots().first().cloned() {
                output.switch_to(py, &function);
            }
            self.close(py, &mut call);
        }
        if let Some(function) = self.instances.remove(&cancel.session) {
            output.switch_to(py, &function);
            keyed::forget(py, &function.object, cancel.session);
        }
    }

    /// Ends a call that is not wanted any more, or has failed. With a bundle its instance of the function goes.
    fn close(&mut self, py: Python<'_>, call: &mut Pipeline) {
        if let Some(bundle) = &call.keyed {
            self.instances.remove(&bundle.session);
        }
        call.close(py);
    }

    /// Runs a batch.
    pub fn invoke(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        input: CommandInput,
        invoke: &Invoke,
    ) -> Result<CommandResult, Error> {
        let function = self.functions.get(invoke.function).cloned();
        if !invoke.end && !self.schemas.knows(invoke) {
            return Ok(CommandResult::SchemaUnknown);
        }
        if let Some(function) = &function
            && matches!(function.kind, FunctionKind::Scalar | FunctionKind::Unspecified)
        {
            return self.scalar(py, output, function, input, invoke);
        }
        if let Some(bundle) = &invoke.keyed {
            let function = function.ok_or_else(|| Error::internal("a bundle of a function that is not loaded"))?;
            return self.bundle(py, output, id, &input.mapping, invoke, bundle, &function);
        }
        let known = self.stages.get(invoke.function);
        let stage = match (&invoke.stage, function) {
            // A function by itself, as a stage; one without declared inputs takes any number of columns.
            (None, Some(function)) => match known {
                Some(stage) if function.inputs.is_some() || invoke.end => stage,
                _ => self.plain(&function, &input.mapping, invoke)?,
            },
            (Some(slice), _) => {
                let spec = StageSpec::decode(input.mapping.bytes(slice).map_err(no_batch)?);
                let spec = spec.map_err(|e| Error::internal(format!("malformed StageSpec: {e}")))?;
                let stage = Stage::decode(&spec, &self.functions)?;
                self.stages.insert(invoke.function, stage)
            }
            (None, None) => match known {
                Some(stage) => stage,
                None => return Ok(CommandResult::StageUnknown),
            },
        };
        self.stage(py, output, id, input, invoke, stage)
    }

    /// A bundle of a keyed function: each row is called with its key's state at hand.
    #[allow(clippy::too_many_arguments, reason = "what every command has, and the bundle")]
    fn bundle(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        mapping: &Arc<Mapping>,
        invoke: &Invoke,
        bundle: &KeyedBundle,
        function: &Rc<Function>,
    ) -> Result<CommandResult, Error> {
        output.switch_to(py, function);
        let named = |error: Error| error.function(&function.name);
        let batch = self.schemas.read(mapping, invoke, true)?;
        let (run, arguments) = match keyed::begin(py, function, invoke.session, bundle, &batch) {
            Ok(begun) => begun,
            Err(error) => {
                self.instances.remove(&invoke.session);
                return Err(named(error));
            }
        };
        self.instances.insert(invoke.session, Rc::clone(function));
        let prepared = columns(&arguments, function.inputs.as_deref()).and_then(|inputs| {
            let stage = self.stages.insert(function.number, Stage::plain(function, inputs.len())?);
            Pipeline::whole(stage, &self.functions, Chunk::of_columns(inputs, batch.num_rows()), OnError::Fail)
        });
        match prepared {
            Ok(mut pipeline) => {
                pipeline.keyed = Some(run);
                self.advance(py, output, id, pipeline, None)
            }
            Err(error) => {
                self.instances.remove(&invoke.session);
                run.discard(py);
                Err(named(error))
            }
        }
    }

    fn plain(&mut self, function: &Rc<Function>, mapping: &Arc<Mapping>, invoke: &Invoke) -> Result<Rc<Stage>, Error> {
        let given = if invoke.end { 0 } else { self.schemas.get(mapping, invoke)?.fields().len() };
        let columns = function.inputs.as_ref().map_or(given, Vec::len);
        Ok(self.stages.insert(function.number, Stage::plain(function, columns)?))
    }

    /// A scalar function called by itself: the hot path.
    fn scalar(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        function: &Rc<Function>,
        CommandInput { mapping, writable }: CommandInput,
        invoke: &Invoke,
    ) -> Result<CommandResult, Error> {
        output.switch_to(py, function);
        let batch = self.schemas.read(&mapping, invoke, false)?;
        drop(mapping);
        let named = |error: Error| error.function(&function.name);
        let arguments = columns(&batch, function.inputs.as_deref()).map_err(named)?;
        let arguments: Vec<Value> = arguments.into_iter().map(Value::Column).collect();
        let given = Call { arguments: &arguments, rows: batch.num_rows(), values: None, writable: writable.as_ref() };
        let mut tally = Tally::default();
        tally.ran(function);
        let on_error = invoke.on_error();
        let evaluated = eval::evaluate_rows(py, function, &given, on_error, Messages::IfWanted, &mut tally.run_ns)
            .map_err(named)?;
        tally.failures(function, evaluated.failures.into_iter().map(named).collect());
        let (result, messages) = (evaluated.column, evaluated.messages);
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
        Ok(CommandResult::Finished(Finished { encoded: Some(encoded), rows, tally, more: false, errors_column, name }))
    }

    fn stage(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        CommandInput { mapping, writable }: CommandInput,
        invoke: &Invoke,
        stage: Rc<Stage>,
    ) -> Result<CommandResult, Error> {
        let on_error = invoke.on_error();
        if invoke.end {
            let session = match self.sessions.remove(&invoke.session) {
                Some(session) => session,
                // A stream without rows.
                None => AggregationSession::new(&stage, &self.functions)?,
            };
            let pipeline = session.finish(&self.functions, on_error)?;
            return self.advance(py, output, id, pipeline, None);
        }
        let batch = self.schemas.read(&mapping, invoke, stage.may_park())?;
        drop(mapping);
        let inputs = columns(&batch, stage.inputs.as_deref())?;
        let chunk = Chunk::of_columns(inputs, batch.num_rows());
        drop(batch);
        if !stage.is_pipeline_breaker() {
            let pipeline = Pipeline::whole(stage, &self.functions, chunk, on_error)?;
            return self.advance(py, output, id, pipeline, writable);
        }
        if !self.sessions.contains_key(&invoke.session) {
            self.sessions.insert(invoke.session, AggregationSession::new(&stage, &self.functions)?);
        }
        let Some(session) = self.sessions.get_mut(&invoke.session) else {
            return Err(Error::internal("a session that was just made"));
        };
        let tally = Tally::of(session.slots());
        let mut context = Context { py, output, tally, on_error, values: ValueCache::default(), writable };
        session.feed(&mut context, &self.functions, chunk)?;
        Ok(CommandResult::Finished(Finished {
            encoded: None,
            rows: 0,
            tally: context.tally,
            more: false,
            errors_column: false,
            name: String::new(),
        }))
    }

    /// The next part of a result that is too large for one.
    pub fn resume(&mut self, py: Python<'_>, output: &mut Output, call: u64) -> Result<CommandResult, Error> {
        let parked = self.parked.remove(&call);
        let pipeline = parked.ok_or_else(|| Error::internal(format!("command {call} has nothing left to give")))?;
        self.advance(py, output, call, pipeline, None)
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        output: &mut Output,
        id: u64,
        mut pipeline: Pipeline,
        writable: Option<WritableInput>,
    ) -> Result<CommandResult, Error> {
        let on_error = pipeline.on_error;
        let tally = Tally::of(pipeline.slots());
        let mut context = Context { py, output, tally, on_error, values: ValueCache::default(), writable };
        let outcome = encoded_part(&mut pipeline, &mut context);
        let tally = context.tally;
        let (encoded, rows, more) = match outcome {
            Ok(part) => part,
            Err(error) => {
                self.close(py, &mut pipeline);
                return Err(error);
            }
        };
        if more {
            self.parked.insert(id, pipeline);
        }
        let (encoded, name) = (Some(encoded), String::new());
        Ok(CommandResult::Finished(Finished { encoded, rows, tally, more, errors_column: false, name }))
    }
}
