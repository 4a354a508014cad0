//! FlightInfo of functions and plans.

use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, SchemaAsIpc, Ticket};
use bytes::Bytes;
use prost::Message as _;
use udfleet_edge::engine::Engine;
use udfleet_edge::engine::describe;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{EndpointCapabilities, ExchangeRequest};

use super::routed_stage::RoutedStage;
use crate::routes::{Routes, Server, Target};

/// The function with the executors that serve it, for direct exchange, and the coordinators that know of it.
pub(super) fn flight_info(
    target: &Target,
    engine: Engine,
    descriptor: FlightDescriptor,
    coordinators: &[String],
) -> Result<FlightInfo, Error> {
    let ticket = Bytes::from(target.function.name.clone());
    let endpoints = answering(&target.servers).map(|server| endpoint(server, &ticket)).collect();
    describe(&target.function.definition, engine, descriptor, endpoints, coordinators)
}

/// An executor, with what it can do.
fn endpoint(server: &Server, ticket: &Bytes) -> FlightEndpoint {
    let capabilities = EndpointCapabilities { reports_progress: server.endpoint.reports_progress };
    FlightEndpoint::new()
        .with_ticket(Ticket::new(ticket.clone()))
        .with_location(server.endpoint.location.as_str())
        .with_app_metadata(capabilities.encode_to_vec())
}

/// Without those of which a stream hangs, as long as there are others.
fn answering(servers: &[Server]) -> impl Iterator<Item = &Server> {
    let all_hang = servers.iter().all(|server| server.endpoint.is_silent());
    servers.iter().filter(move |server| all_hang || !server.endpoint.is_silent())
}

/// A plan: of one stage with the executors that serve it, each to be asked for what the ticket holds; of several, or
/// spread by key, with an endpoint without a location, which is this coordinator.
pub(super) fn of_stages(
    stages: Vec<RoutedStage>,
    routes: &Routes,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Error> {
    let result = stages.last().ok_or_else(|| Error::internal("a plan without stages"))?;
    let options = Default::default();
    let schema = arrow_flight::IpcMessage::try_from(SchemaAsIpc::new(&result.spec.result, &options))
        .map_err(|e| Error::internal(format!("encoding a schema: {e}")))?;
    let endpoint = match &stages[..] {
        [stage] if stage.spec.partition_by.is_empty() => {
            let servers = stage.servers(routes)?;
            let request = ExchangeRequest {
                forwarded: false,
                producer: String::new(),
                refuse_if_busy: servers.len() > 1,
                give_back_after_ms: 0,
                ..stage.request.clone()
            };
            let ticket = Bytes::from(request.encode_to_vec());
            answering(&servers).map(|server| endpoint(server, &ticket)).collect()
        }
        _ => vec![FlightEndpoint::new().with_ticket(Ticket::new(descriptor.cmd.clone()))],
    };
    Ok(FlightInfo {
        schema: schema.0,
        flight_descriptor: Some(descriptor),
        endpoint,
        total_records: -1,
        total_bytes: -1,
        ordered: true,
        app_metadata: Bytes::new(),
    })
}
