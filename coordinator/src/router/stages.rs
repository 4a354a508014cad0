//! What a descriptor asks for, as work of executors: a plan is compiled here.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, OnError, Stage};

use super::work::Work;
use crate::plan::compile;
use crate::registry::{Function, null_result_refused};
use crate::routes::Routes;

/// The stages, in order; all of them are served now.
///
/// # Errors
/// For unknown functions, plans that make no sense, and where nobody serves a stage.
pub(super) fn of(route: Route, routes: &Routes) -> Result<Vec<Work>, Error> {
    let stages = match route {
        Route::Path(function) => vec![single(&function, ExchangeRequest::default(), routes)?],
        Route::Exchange(function, request) => vec![single(&function, *request, routes)?],
        Route::Composed(request) => composed(*request, routes)?,
    };
    for stage in &stages {
        if stage.servers(routes)?.is_empty() {
            return Err(stage.no_capacity(routes));
        }
    }
    Ok(stages)
}

fn single(function: &FunctionRef, request: ExchangeRequest, routes: &Routes) -> Result<Work, Error> {
    let target = routes.find(function)?;
    if request.on_error() == OnError::Null {
        null_result_refused(&target.function.definition).map_err(|e| e.function(target.function.name.as_str()))?;
    }
    Ok(Work::of_function(&target.function, &request))
}

fn composed(mut request: ExchangeRequest, routes: &Routes) -> Result<Vec<Work>, Error> {
    let on_error = request.on_error();
    let stages = match (request.plan.take(), request.stage.take()) {
        (Some(plan), _) => compile(&plan, on_error, routes)?.stages,
        (None, Some(stage)) => vec![stage],
        (None, None) => return Err(Error::new(ErrorCode::InvalidInput, "the ExchangeRequest asks for nothing")),
    };
    let (mut behind, count) = (false, stages.len());
    let mut all = Vec::with_capacity(count);
    for (index, stage) in stages.into_iter().enumerate() {
        let (functions, gathers) = (functions_of(&stage, routes)?, stage.gathers);
        // The progress of a plan is that of its last stage: rows would be counted more than once.
        let last = index + 1 == count;
        let asked = ExchangeRequest { bundle_progress: request.bundle_progress && last, ..request.clone() };
        all.push(Work::of_stage(stage, &functions, &asked, behind));
        behind |= gathers;
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
