//! The backend of this executor's Flight service.

use std::sync::Arc;

use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use udfleet_edge::auth::Principal;
use udfleet_edge::engine::{AnswerStream, Engine, Incoming, describe};
use udfleet_edge::flight::{Admitted, Backend};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, FunctionDefinition, OnError};

use super::busy;
use super::served::{FunctionTable, ServedFunction, StreamSlot};
use super::stream::serve;
use super::target::Call;

/// Streams through the functions of this executor.
#[derive(Debug, Clone)]
pub struct FunctionStreams {
    table: Arc<FunctionTable>,
}

impl FunctionStreams {
    /// Serves what is in the table.
    #[must_use]
    pub fn new(table: Arc<FunctionTable>) -> Self {
        Self { table }
    }

    fn serve(&self, call: Call, first: FlightData, input: Incoming) -> Result<AnswerStream, Error> {
        let slot = self.table.admit().map_err(|error| error.function(&call.target.name))?;
        Ok(Box::pin(serve(call, slot, Some(first), input)))
    }
}

/// A function with the place of one stream.
#[derive(Debug)]
pub struct AdmittedFunction {
    function: Arc<ServedFunction>,
    slot: StreamSlot,
}

impl Admitted for AdmittedFunction {
    fn definition(&self) -> &FunctionDefinition {
        &self.function.definition
    }

    fn name(&self) -> &str {
        &self.function.name
    }
}

impl Backend for FunctionStreams {
    type Admitted = AdmittedFunction;

    fn admit(&self, function: &FunctionRef) -> Result<AdmittedFunction, Error> {
        let function = self.table.resolve(function)?;
        let slot = self.table.admit().map_err(|error| error.function(&function.name))?;
        Ok(AdmittedFunction { function, slot })
    }

    fn call(
        &self,
        admitted: AdmittedFunction,
        request: ExchangeRequest,
        first: Option<FlightData>,
        input: Incoming,
    ) -> Result<AnswerStream, Error> {
        let call = Call::asked(Arc::clone(&admitted.function.target), &request)?;
        Ok(Box::pin(serve(call, admitted.slot, first, input)))
    }

    fn exchange(
        &self,
        route: Route,
        caller: &Principal,
        first: FlightData,
        input: Incoming,
    ) -> Result<AnswerStream, Error> {
        let call = match &route {
            Route::Path(function) => {
                Call::new(Arc::clone(&self.table.resolve(function)?.target), OnError::Unspecified)?
            }
            Route::Exchange(function, request) => {
                Call::asked(Arc::clone(&self.table.resolve(function)?.target), request)?
            }
            Route::Composed(request) => match &request.stage {
                Some(stage) => {
                    may_use_all(caller, &stage.functions)?;
                    Call::asked(self.table.stage(stage)?, request)?
                }
                None => {
                    return Err(Error::new(ErrorCode::InvalidInput, "an executor runs stages, not plans")
                        .hint("send the plan to the coordinator, which makes stages of it"));
                }
            },
        };
        if let Route::Exchange(_, request) | Route::Composed(request) = &route
            && request.refuse_if_busy
        {
            busy::check(&call.target)?;
        }
        self.serve(call, first, input)
    }

    fn describe(
        &self,
        route: Route,
        _: &Principal,
        engine: Engine,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Error> {
        let function = self.table.resolve(route.function()?)?;
        describe(&function.definition, engine, descriptor, Vec::new(), &[])
    }

    fn list(
        &self,
        caller: Arc<Principal>,
        engine: Engine,
    ) -> impl Iterator<Item = Result<FlightInfo, Error>> + Send + 'static {
        let usable = move |function: &Arc<ServedFunction>| caller.functions.include(&function.definition.name);
        self.table.all().into_iter().filter(usable).map(move |function| {
            let descriptor = FlightDescriptor::new_path(vec![function.definition.name.clone()]);
            describe(&function.definition, engine, descriptor, Vec::new(), &[])
        })
    }
}

/// Checks the functions of a stage, which are named with their versions.
fn may_use_all(caller: &Principal, functions: &[String]) -> Result<(), Error> {
    functions.iter().try_for_each(|function| {
        let parsed = FunctionRef::parse(function).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
        caller.demand_function(&parsed.name)
    })
}
