//! What Flight clients can learn about a function before they call it.

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use arrow_schema::Schema;
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::describe;
use udfleet_proto::types::arrow_field;
use udfleet_proto::v1::FunctionDefinition;

use crate::routes::{Server, Target};

/// What comes back: one column, `result`.
pub(super) fn result_schema(definition: &FunctionDefinition) -> Schema {
    let result = definition.result_type.as_ref().map(|result_type| arrow_field("result", result_type));
    Schema::new(result.into_iter().collect::<Vec<_>>())
}

/// The function with the executors that serve it, for direct exchange.
pub(super) fn flight_info(target: &Target, descriptor: FlightDescriptor) -> Result<FlightInfo, Error> {
    let endpoint = |server: &Server| {
        FlightEndpoint::new()
            .with_ticket(Ticket::new(target.function.name.clone()))
            .with_location(format!("grpc+tcp://{}", server.endpoint.address))
    };
    describe(&target.function.definition, descriptor, target.servers.iter().map(endpoint).collect())
}
