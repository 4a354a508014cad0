//! What Flight clients are told about a function: the same on the coordinator and on executors.

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc};
use arrow_schema::Schema;
use bytes::Bytes;
use tonic::Status;

use crate::error::Error;
use crate::types::arrow_field;
use crate::v1::{ErrorCode, FunctionDefinition};

/// The action by which remote-function clients (RisingWave) ask for the protocol version.
pub const PROTOCOL_VERSION_ACTION: &str = "protocol_version";
const PROTOCOL_VERSION: u8 = 2;

/// Schema = inputs, then the output; `total_records` = number of inputs (the contract of arrow-udf and Databend).
///
/// # Errors
/// [`ErrorCode::Internal`] where the schema can't be encoded.
pub fn describe(
    definition: &FunctionDefinition,
    descriptor: FlightDescriptor,
    endpoints: Vec<FlightEndpoint>,
) -> Result<FlightInfo, Error> {
    let inputs = definition.input_types.iter().enumerate();
    let mut fields: Vec<_> = inputs.map(|(index, input)| arrow_field(&format!("arg{}", index + 1), input)).collect();
    let count = fields.len();
    fields.extend(definition.result_type.as_ref().map(|result| arrow_field("result", result)));
    let metadata = [("x-databend-udf-input-count".to_owned(), count.to_string())];
    let schema = Schema::new_with_metadata(fields, std::collections::HashMap::from(metadata));
    let options = Default::default();
    let message = arrow_flight::IpcMessage::try_from(SchemaAsIpc::new(&schema, &options))
        .map_err(|e| Error::internal(format!("encoding a schema: {e}")))?;
    Ok(FlightInfo {
        schema: message.0,
        flight_descriptor: Some(descriptor),
        endpoint: endpoints,
        // A function without declared inputs takes any columns: their number is unknown.
        total_records: if definition.input_typed { count as i64 } else { -1 },
        total_bytes: -1,
        ordered: true,
        app_metadata: Bytes::new(),
    })
}

/// The answer to an action.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for actions that don't exist.
pub fn action(name: &str) -> Result<Bytes, Error> {
    match name {
        PROTOCOL_VERSION_ACTION => Ok(Bytes::from_static(&[PROTOCOL_VERSION])),
        other => {
            Err(Error::new(ErrorCode::InvalidInput, format!("no Flight action {other:?}")).hint("see ListActions"))
        }
    }
}

/// For the parts of Flight that functions have no use for.
#[must_use]
pub fn unsupported(rpc: &str) -> Status {
    Status::unimplemented(format!("udfleet serves functions through DoExchange; {rpc} does not exist here"))
}
