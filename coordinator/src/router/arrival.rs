//! Functions that another coordinator has just registered: who calls them here the next moment finds them.

use std::collections::BTreeSet;
use std::time::Duration;

use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use crate::plan::functions_called;
use crate::registry::Lookup;
use crate::routes::{RouteTable, Routes};

/// How long executors may take to say here, too, that they serve a new function.
const REPORTED_WITHIN: Duration = Duration::from_secs(2);

/// Takes in functions that the route names and this coordinator does not know, and waits until new ones are served here.
/// What stands in the way of the call is told by the call itself.
pub(super) async fn await_functions(route: &Route, table: &RouteTable, lookup: &dyn Lookup) {
    let mut asked = BTreeSet::new();
    while let Some(unknown) = unknown(route, &table.load_full()) {
        let name = unknown.to_string();
        if !asked.insert(name) || !matches!(lookup.look_up(&unknown).await, Ok(true)) {
            return;
        }
    }
    let (Route::Path(function) | Route::Exchange(function, _)) = route else { return };
    if new_and_unserved(function, &table.load(), lookup) {
        let mut changes = table.changes();
        let served =
            async { while new_and_unserved(function, &table.load(), lookup) && changes.changed().await.is_ok() {} };
        // What is not served by then is refused as retryable.
        let _ = tokio::time::timeout(REPORTED_WITHIN, served).await;
    }
}

/// The first function of the route that is not known.
fn unknown(route: &Route, routes: &Routes) -> Option<FunctionRef> {
    let is_unknown =
        |function: &FunctionRef| routes.find(function).is_err_and(|error| error.code() == ErrorCode::FunctionNotFound);
    let first_of = |names: &mut dyn Iterator<Item = &str>| {
        names.filter_map(|name| FunctionRef::parse(name).ok()).find(|function| is_unknown(function))
    };
    match route {
        Route::Path(function) | Route::Exchange(function, _) => Some(function.clone()).filter(is_unknown),
        Route::Composed(request) => match (&request.plan, &request.stage) {
            (Some(plan), _) => first_of(&mut functions_called(plan).into_iter()),
            (None, Some(stage)) => first_of(&mut stage.functions.iter().map(String::as_str)),
            (None, None) => None,
        },
    }
}

fn new_and_unserved(function: &FunctionRef, routes: &Routes, lookup: &dyn Lookup) -> bool {
    routes.find(function).is_ok_and(|target| target.servers.is_empty() && lookup.is_new(&target.function.name))
}
