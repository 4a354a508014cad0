//! The Flight service of coordinator and executors: which function a stream calls, authentication, and translation for
//! engines. The calls themselves are up to a [`Backend`].

mod actions;
mod service;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use tonic::Status;
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ExchangeRequest, FunctionDefinition};

use crate::auth::Principal;
use crate::engine::{AnswerStream, Engine, Incoming};

pub use service::FlightFrontend;

/// What answers streams behind a [`FlightFrontend`]: an executor runs functions, the coordinator routes batches.
pub trait Backend: Clone + Send + Sync + 'static {
    /// A function, and the room for one stream of calls.
    type Admitted: Admitted;

    /// Learns what it can about what a stream or a question is about, before that is let in or refused. Where everything is
    /// known it costs nothing.
    fn prepare(&self, _route: &Route) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Lets a stream of calls of one function in.
    ///
    /// # Errors
    /// Why it is refused: no such function, no room.
    fn admit(&self, function: &FunctionRef) -> Result<Self::Admitted, Error>;

    /// Answers the calls of an admitted stream, numbered, as `request` says beside the function. `first`: a message that was
    /// read before, if it counts.
    ///
    /// # Errors
    /// As [`Backend::admit`].
    fn call(
        &self,
        admitted: Self::Admitted,
        request: ExchangeRequest,
        first: Option<FlightData>,
        input: Incoming,
    ) -> Result<AnswerStream, Error>;

    /// Answers a stream that one of ours has opened, under CMD. The function that the route names is one that `caller`
    /// may use; those that a plan or a stage is made of are for the backend to check.
    ///
    /// # Errors
    /// As [`Backend::admit`].
    fn exchange(
        &self,
        route: Route,
        caller: &Principal,
        first: FlightData,
        input: Incoming,
    ) -> Result<AnswerStream, Error>;

    /// What `engine` is told about what a stream would ask for; `caller` as in [`Backend::exchange`].
    ///
    /// # Errors
    /// `FUNCTION_NOT_FOUND` and others.
    fn describe(
        &self,
        route: Route,
        caller: &Principal,
        engine: Engine,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Error>;

    /// What `caller` shows to executors in place of its token; none where it needs nothing.
    fn ticket(&self, _caller: &Principal) -> Option<String> {
        None
    }

    /// All functions that `caller` may use, as `engine` is told about them; described one after the other as the client
    /// reads.
    fn list(
        &self,
        caller: Arc<Principal>,
        engine: Engine,
    ) -> impl Iterator<Item = Result<FlightInfo, Error>> + Send + 'static;
}

/// Tables about the fleet, which DoGet reads by their names.
pub trait SystemTables: Send + Sync {
    /// The messages of the table that a ticket names: its schema, then its rows.
    ///
    /// # Errors
    /// `INVALID_INPUT` where there is no such table.
    fn read(&self, ticket: &[u8]) -> Result<Vec<FlightData>, Error>;
}

/// The function of an admitted stream.
pub trait Admitted: Send {
    /// As it was registered.
    fn definition(&self) -> &FunctionDefinition;

    /// `add@3`
    fn name(&self) -> &str;
}

/// The refusal of parts of Flight that functions have no use for.
#[must_use]
pub fn unsupported(rpc: &str) -> Status {
    Status::unimplemented(format!("udfleet serves functions through DoExchange; {rpc} does not exist here"))
}
