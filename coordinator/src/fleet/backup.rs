//! What a backup is made of, and what a restore puts back.

use futures::Stream;
use tonic::Status;
use udfleet_proto::error::Error;
use udfleet_proto::v1::export_functions_response::Kind as Exported;
use udfleet_proto::v1::import_function_request::Kind as Imported;
use udfleet_proto::v1::{
    ErrorCode, ExportFunctionsResponse, FunctionDefinition, ImportFunctionRequest, ImportFunctionResponse,
    VersionCounter,
};

use super::register::present;
use super::service::FleetContext;
use crate::audit::AuditEvent;
use crate::registry::{self, Function};

/// All functions, then all counters, then all tokens. Definitions are copied as the client takes them.
pub(super) async fn export(
    context: &FleetContext,
) -> Result<impl Stream<Item = Result<ExportFunctionsResponse, Status>> + Send + use<>, Error> {
    let exported = context.registry.export().await?;
    let functions = exported.functions.into_iter().map(|function| {
        let artifacts = registry::artifacts(&function.definition).into_values().cloned().collect();
        ExportFunctionsResponse { kind: Some(Exported::Definition(function.definition.clone())), artifacts }
    });
    let counters = exported.counters.into_iter().map(|(name, last)| ExportFunctionsResponse {
        kind: Some(Exported::Counter(VersionCounter { name, last })),
        artifacts: Vec::new(),
    });
    let access = context
        .access
        .export()
        .await?
        .into_iter()
        .map(|record| ExportFunctionsResponse { kind: Some(Exported::Access(record)), artifacts: Vec::new() });
    Ok(futures::stream::iter(functions.chain(counters).chain(access).map(Ok)))
}

/// What is imported.
pub(super) fn subject(request: &ImportFunctionRequest) -> String {
    match &request.kind {
        Some(Imported::Definition(definition)) => format!("{}@{}", definition.name, definition.version),
        Some(Imported::Counter(counter)) => counter.name.clone(),
        Some(Imported::Access(record)) => format!("token {}", record.name),
        None => String::new(),
    }
}

/// With the hashes of a function that is imported.
pub(super) fn with_content(event: AuditEvent, request: &ImportFunctionRequest) -> AuditEvent {
    match &request.kind {
        Some(Imported::Definition(definition)) => {
            let function = Function::new(definition.clone());
            event.function(&function.hash, &function.environment)
        }
        _ => event,
    }
}

pub(super) async fn import(
    context: &FleetContext,
    request: ImportFunctionRequest,
) -> Result<ImportFunctionResponse, Error> {
    let already_present = match request.kind {
        Some(Imported::Definition(definition)) => import_function(context, definition, request.check_only).await?,
        Some(Imported::Counter(VersionCounter { name, last })) => {
            udfleet_proto::name::validate(&name).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
            if !request.check_only {
                context.registry.import_counter(&name, last).await?;
            }
            false
        }
        Some(Imported::Access(record)) => context.access.import(record, request.check_only).await?,
        None => return Err(Error::new(ErrorCode::InvalidInput, "the request holds nothing to import")),
    };
    Ok(ImportFunctionResponse { already_present })
}

async fn import_function(
    context: &FleetContext,
    definition: FunctionDefinition,
    check_only: bool,
) -> Result<bool, Error> {
    registry::validate(&definition)?;
    if definition.version == 0 {
        let message = format!("{}: a definition to import has a version", definition.name);
        return Err(Error::new(ErrorCode::InvalidDefinition, message));
    }
    if !check_only {
        present(context, &definition).await?;
    }
    let already_present = context.registry.import(definition, check_only).await?;
    if !check_only {
        // Lists show it once this is answered, also where another coordinator has stored it a moment ago.
        context.fleet.show_catalog().await;
    }
    Ok(already_present)
}
