//! What Flight clients are told about a function: the same on the coordinator and on executors.

use arrow_flight::{ActionType, FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use tonic::Status;

use crate::engine::{Connection, Engine, described_inputs, described_outputs};
use crate::error::Error;
use crate::types::arrow_field;
use crate::v1::{ErrorCode, FunctionDefinition, FunctionKind, TypeRoot};

/// The action by which remote-function clients (RisingWave) ask for the protocol version.
pub const PROTOCOL_VERSION_ACTION: &str = "protocol_version";
const PROTOCOL_VERSION: u8 = 2;

/// Of a plain call of a table function: the row of the input batch, from 0.
pub const ROW_COLUMN: &str = "row";

/// Metadata of the schema: the kind of the function, as in `FunctionKind`.
pub const KIND_METADATA: &str = "x-udfleet-kind";

/// The columns that a plain call of the function gives back: `result`; of table functions `row`, the row of the input
/// batch that they belong to, then the columns of the result; of table aggregate functions the columns alone.
#[must_use]
pub fn result_fields(definition: &FunctionDefinition) -> Vec<Field> {
    let Some(result) = &definition.result_type else { return Vec::new() };
    let columns = || match result.root() {
        TypeRoot::Row => {
            let fields = result.fields.iter();
            fields.filter_map(|field| Some(arrow_field(&field.name, field.r#type.as_ref()?))).collect()
        }
        _ => vec![arrow_field("result", result)],
    };
    match definition.kind() {
        FunctionKind::Table => {
            let row = Field::new(ROW_COLUMN, DataType::Int32, false);
            std::iter::once(row).chain(columns()).collect()
        }
        FunctionKind::TableAggregate => columns(),
        FunctionKind::Unspecified | FunctionKind::Scalar | FunctionKind::Aggregate => {
            vec![arrow_field("result", result)]
        }
    }
}

/// A function as a caller of this engine sees it.
///
/// # Errors
/// [`ErrorCode::Internal`] where the schema can't be encoded.
pub fn describe(
    definition: &FunctionDefinition,
    engine: Engine,
    descriptor: FlightDescriptor,
    endpoints: Vec<FlightEndpoint>,
) -> Result<FlightInfo, Error> {
    let inputs = described_inputs(definition, engine);
    // A function without declared inputs takes any columns: their number is unknown.
    let count = if definition.input_typed { inputs.len() as i64 } else { -1 };
    of_columns(inputs, described_outputs(definition, engine), definition.kind(), count, descriptor, endpoints)
}

/// Schema = inputs, then outputs; `total_records` = number of inputs (the contract of arrow-udf and Databend).
pub(crate) fn of_columns(
    inputs: Vec<Field>,
    outputs: Vec<Field>,
    kind: FunctionKind,
    total_records: i64,
    descriptor: FlightDescriptor,
    endpoints: Vec<FlightEndpoint>,
) -> Result<FlightInfo, Error> {
    let metadata = [
        ("x-databend-udf-input-count".to_owned(), inputs.len().to_string()),
        // An aggregate's results come at the end of the input only, which callers have to know.
        (KIND_METADATA.to_owned(), kind.as_str_name().to_owned()),
    ];
    let fields: Vec<_> = inputs.into_iter().chain(outputs).collect();
    let schema = Schema::new_with_metadata(fields, std::collections::HashMap::from(metadata));
    let options = Default::default();
    let message = arrow_flight::IpcMessage::try_from(SchemaAsIpc::new(&schema, &options))
        .map_err(|e| Error::internal(format!("encoding a schema: {e}")))?;
    Ok(FlightInfo {
        schema: message.0,
        flight_descriptor: Some(descriptor),
        endpoint: endpoints,
        total_records,
        total_bytes: -1,
        ordered: true,
        app_metadata: Bytes::new(),
    })
}

/// The answer to an action. Who asks for the protocol version is noted with its connection.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for actions that don't exist.
pub fn action(name: &str, connection: &Connection) -> Result<Bytes, Error> {
    match name {
        PROTOCOL_VERSION_ACTION => {
            connection.asked_for_version();
            Ok(Bytes::from_static(&[PROTOCOL_VERSION]))
        }
        other => {
            Err(Error::new(ErrorCode::InvalidInput, format!("no Flight action {other:?}")).hint("see ListActions"))
        }
    }
}

/// What [`action`] takes.
#[must_use]
pub fn actions() -> [ActionType; 1] {
    let description = "the version of the arrow-udf protocol that PATH streams speak: one byte".to_owned();
    [ActionType { r#type: PROTOCOL_VERSION_ACTION.to_owned(), description }]
}

/// The refusal of CMD descriptors on the listener that asks for no token.
#[must_use]
pub fn commands_refused() -> Error {
    Error::new(ErrorCode::InvalidInput, "engine_listen takes PATH descriptors [function name] only")
        .hint("use the port of `listen`, with the fleet's token")
}

/// For the parts of Flight that functions have no use for.
#[must_use]
pub fn unsupported(rpc: &str) -> Status {
    Status::unimplemented(format!("udfleet serves functions through DoExchange; {rpc} does not exist here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::simple;
    use crate::v1;

    #[test]
    fn columns_of_a_plain_call_follow_the_kind() {
        let row = v1::DataType {
            fields: vec![
                v1::Field { name: "w".to_owned(), r#type: Some(simple(TypeRoot::Varchar)) },
                v1::Field { name: "n".to_owned(), r#type: Some(simple(TypeRoot::Int)) },
            ],
            ..simple(TypeRoot::Row)
        };
        let names = |kind: FunctionKind, result: &v1::DataType| {
            let definition =
                FunctionDefinition { kind: kind as i32, result_type: Some(result.clone()), ..Default::default() };
            result_fields(&definition).iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(FunctionKind::Scalar, &row), ["result"]);
        assert_eq!(names(FunctionKind::Table, &row), ["row", "w", "n"]);
        assert_eq!(names(FunctionKind::Table, &simple(TypeRoot::Int)), ["row", "result"]);
        assert_eq!(names(FunctionKind::Aggregate, &simple(TypeRoot::Int)), ["result"]);
        assert_eq!(names(FunctionKind::TableAggregate, &row), ["w", "n"]);
    }
}
