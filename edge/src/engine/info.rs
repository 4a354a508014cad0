//! FlightInfo of functions: the same on the coordinator and on executors.

use std::collections::HashMap;

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc};
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::{COORDINATORS_METADATA, KIND_METADATA, MAX_ATTEMPTS_METADATA, TICKET_METADATA};
use udfleet_proto::v1::{FunctionDefinition, FunctionKind};

use super::Engine;
use super::columns::{described_inputs, described_outputs};

/// A function as a caller of this engine sees it. `coordinators`: where they can be reached, as one of them says.
///
/// # Errors
/// `INTERNAL` where the schema can't be encoded.
pub fn describe(
    definition: &FunctionDefinition,
    engine: Engine,
    descriptor: FlightDescriptor,
    endpoints: Vec<FlightEndpoint>,
    coordinators: &[String],
) -> Result<FlightInfo, Error> {
    let inputs = described_inputs(definition, engine);
    // A function without declared inputs takes any columns: their number is unknown. Clients of arrow-udf take the number
    // for a position in the schema, and their list of all functions fails where it is none.
    let unknown = if engine == Engine::ArrowUdf { 0 } else { -1 };
    let count = if definition.input_typed { inputs.len() as i64 } else { unknown };
    let attempts = (!definition.deterministic).then(|| udfleet_proto::config::max_attempts(definition));
    let facts = FunctionFacts { kind: definition.kind(), attempts, coordinators };
    of_columns(inputs, described_outputs(definition, engine), facts, count, descriptor, endpoints)
}

/// What a caller has to know besides the columns.
pub(super) struct FunctionFacts<'c> {
    pub kind: FunctionKind,
    /// How often a batch may run, where it may have side effects.
    pub attempts: Option<u64>,
    /// Where all coordinators can be reached, as one of them says.
    pub coordinators: &'c [String],
}

/// Schema = inputs, then outputs; `total_records` = number of inputs (the contract of arrow-udf and Databend).
pub(super) fn of_columns(
    inputs: Vec<Field>,
    outputs: Vec<Field>,
    facts: FunctionFacts<'_>,
    total_records: i64,
    descriptor: FlightDescriptor,
    endpoints: Vec<FlightEndpoint>,
) -> Result<FlightInfo, Error> {
    let mut metadata = HashMap::from([
        ("x-databend-udf-input-count".to_owned(), inputs.len().to_string()),
        // An aggregate's results come at the end of the input only, which callers have to know.
        (KIND_METADATA.to_owned(), facts.kind.as_str_name().to_owned()),
    ]);
    if !facts.coordinators.is_empty() {
        metadata.insert(COORDINATORS_METADATA.to_owned(), facts.coordinators.join(","));
    }
    metadata.extend(facts.attempts.map(|attempts| (MAX_ATTEMPTS_METADATA.to_owned(), attempts.to_string())));
    let fields: Vec<_> = inputs.into_iter().chain(outputs).collect();
    let schema = Schema::new_with_metadata(fields, metadata);
    let options = Default::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(&schema, &options))
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

/// The same, with what the caller shows to executors in the schema's metadata, which every Flight client can read.
///
/// # Errors
/// `INTERNAL` where the schema can't be read or encoded.
pub fn with_ticket(info: FlightInfo, ticket: String) -> Result<FlightInfo, Error> {
    let failed = |e: arrow_schema::ArrowError| Error::internal(format!("the schema of a FlightInfo: {e}"));
    let schema = Schema::try_from(IpcMessage(info.schema)).map_err(failed)?;
    let mut metadata = schema.metadata;
    metadata.insert(TICKET_METADATA.to_owned(), ticket);
    let schema = Schema::new_with_metadata(schema.fields, metadata);
    let options = Default::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(&schema, &options)).map_err(failed)?;
    Ok(FlightInfo { schema: message.0, ..info })
}
