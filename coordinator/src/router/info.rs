//! What Flight clients can learn about a function before they call it.

use std::collections::HashMap;

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use arrow_schema::Schema;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_field;
use udfleet_proto::v1::FunctionDefinition;

use super::message::schema_bytes;
use crate::routes::Target;

/// What comes back: one column, `result`.
pub(super) fn result_schema(definition: &FunctionDefinition) -> Schema {
    let result = definition.result_type.as_ref().map(|result_type| arrow_field("result", result_type));
    Schema::new(result.into_iter().collect::<Vec<_>>())
}

/// Inputs, then the result, as RisingWave and Databend expect it.
pub(super) fn signature(definition: &FunctionDefinition) -> Schema {
    let inputs = definition.input_types.iter().enumerate();
    let inputs = inputs.map(|(index, input_type)| arrow_field(&format!("arg{}", index + 1), input_type));
    let result = definition.result_type.as_ref().map(|result_type| arrow_field("result", result_type));
    let metadata = HashMap::from([("x-databend-udf-input-count".to_owned(), definition.input_types.len().to_string())]);
    Schema::new(inputs.chain(result).collect::<Vec<_>>()).with_metadata(metadata)
}

/// The function with the executors that serve it, for direct exchange.
pub(super) fn flight_info(target: &Target, descriptor: FlightDescriptor) -> Result<FlightInfo, Error> {
    let definition = &target.function.definition;
    let endpoint = |server: &crate::routes::Server| {
        FlightEndpoint::new()
            .with_ticket(Ticket::new(target.function.name.clone()))
            .with_location(format!("grpc+tcp://{}", server.endpoint.address))
    };
    let inputs = i64::try_from(definition.input_types.len()).unwrap_or(i64::MAX);
    Ok(FlightInfo {
        schema: schema_bytes(&signature(definition))?,
        endpoint: target.servers.iter().map(endpoint).collect(),
        // RisingWave reads the number of inputs from here; -1 is Flight's "unknown".
        total_records: if definition.input_typed { inputs } else { -1 },
        total_bytes: -1,
        ordered: false,
        ..FlightInfo::new().with_descriptor(descriptor)
    })
}
