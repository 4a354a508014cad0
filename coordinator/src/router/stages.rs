//! The stages that a descriptor asks for: plans are compiled here.

use std::sync::Arc;

use udfleet_edge::auth::Principal;
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, OnError, Stage};

use super::routed_stage::RoutedStage;
use crate::plan::compile;
use crate::registry::{Function, null_result_refused};
use crate::routes::Routes;

/// The stages, in order; all of them are served now.
///
/// # Errors
/// For unknown functions, functions that the caller may not use, invalid plans, and stages that no executor serves.
pub(super) fn of(route: Route, caller: &Principal, routes: &Routes) -> Result<Vec<RoutedStage>, Error> {
    let route = match route {
        Route::Exchange(function, request) => Route::Exchange(function, identified(request)),
        Route::Composed(request) => Route::Composed(identified(request)),
        Route::Path(function) => Route::Path(function),
    };
    let stages = match route {
        Route::Path(function) => vec![single(&function, ExchangeRequest::default(), routes)?],
        Route::Exchange(function, request) => vec![single(&function, *request, routes)?],
        Route::Composed(request) => composed(*request, caller, routes)?,
    };
    for stage in &stages {
        if stage.servers(routes)?.is_empty() {
            return Err(stage.no_capacity(routes));
        }
    }
    Ok(stages)
}

/// With a producer's id: batches are known by it and their sequence.
fn identified(mut request: Box<ExchangeRequest>) -> Box<ExchangeRequest> {
    if request.producer.is_empty() {
        request.producer = new_producer();
    }
    request
}

/// The id of a client that has given itself none.
pub(super) fn new_producer() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn single(function: &FunctionRef, request: ExchangeRequest, routes: &Routes) -> Result<RoutedStage, Error> {
    let target = routes.find(function)?;
    if request.on_error() == OnError::Null {
        null_result_refused(&target.function.definition).map_err(|e| e.function(target.function.name.as_str()))?;
    }
    Ok(RoutedStage::of_function(&target.function, &request))
}

fn composed(mut request: ExchangeRequest, caller: &Principal, routes: &Routes) -> Result<Vec<RoutedStage>, Error> {
    let on_error = request.on_error();
    let stages = match (request.plan.take(), request.stage.take()) {
        (Some(plan), _) => compile(&plan, on_error, routes)?.stages,
        (None, Some(stage)) => vec![stage],
        (None, None) => return Err(Error::new(ErrorCode::InvalidInput, "the ExchangeRequest asks for nothing")),
    };
    let (mut after_aggregation, count) = (false, stages.len());
    let mut all = Vec::with_capacity(count);
    for (index, stage) in stages.into_iter().enumerate() {
        let (functions, aggregates) = (functions_of(&stage, routes)?, stage.pipeline_breaker);
        functions.iter().try_for_each(|function| caller.demand_function(&function.definition.name))?;
        // The progress of a plan is that of its last stage: rows would be counted more than once.
        let last = index + 1 == count;
        let asked = ExchangeRequest {
            bundle_progress: request.bundle_progress && last,
            progress_every_ms: if last { request.progress_every_ms } else { 0 },
            ..request.clone()
        };
        all.push(RoutedStage::of_stage(stage, index, &functions, &asked, after_aggregation));
        after_aggregation |= aggregates;
    }
    Ok(all)
}

fn functions_of(stage: &Stage, routes: &Routes) -> Result<Vec<Arc<Function>>, Error> {
    let find = |name: &String| {
        let parsed = FunctionRef::parse(name).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
        routes.find(&parsed).map(|target| Arc::clone(&target.function))
    };
    stage.functions.iter().map(find).collect()
}
