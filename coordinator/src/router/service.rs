//! The backend of the coordinator's Flight service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use udfleet_edge::auth::{Principal, SendToken, TicketSigner};
use udfleet_edge::engine::{AnswerStream, Engine, Incoming};
use udfleet_edge::flight::{Admitted, Backend};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ExchangeRequest, FunctionDefinition};

use super::core::Counts;
use super::exchange::Exchange;
use super::input::InputSource;
use super::routed_stage::RoutedStage;
use super::{arrival, info, stages};
use crate::registry::{Function, Lookup};
use crate::routes::{RouteTable, Target};

/// Counts of all streams.
#[derive(Debug, Default)]
pub struct Stats {
    /// Streams accepted.
    pub streams: AtomicU64,
    /// Streams open now.
    pub active: AtomicU64,
    /// Batches forwarded.
    pub batches: AtomicU64,
    /// Batches sent again because an executor was lost, or refused them.
    pub retries: AtomicU64,
}

impl Stats {
    pub(super) fn stream(self: &Arc<Self>) -> ActiveStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        ActiveStream(Arc::clone(self))
    }

    pub(super) fn add(&self, counts: Counts) {
        if counts != Counts::default() {
            self.batches.fetch_add(counts.batches, Ordering::Relaxed);
            self.retries.fetch_add(counts.retries, Ordering::Relaxed);
        }
    }
}

/// One open stream.
pub(super) struct ActiveStream(Arc<Stats>);

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all streams share.
pub(super) struct RouterContext {
    pub routes: Arc<RouteTable>,
    pub token: SendToken,
    pub tickets: Arc<TicketSigner>,
    pub stats: Arc<Stats>,
    /// An executor that says nothing of a stream for so long hangs.
    pub exchange_timeout: Duration,
}

/// Routes streams to executors.
#[derive(Clone)]
pub struct Router {
    shared: Arc<RouterContext>,
    lookup: Arc<dyn Lookup>,
    coordinators: Coordinators,
}

/// Where the coordinators of the fleet can be reached now.
pub type Coordinators = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

impl Router {
    /// Routes by this table; `tickets` are shown to executors and given to callers for these, `lookup` finds what another
    /// coordinator has just registered, and clients are told of `coordinators`. An executor that says nothing of a stream
    /// for `exchange_timeout` hangs.
    #[must_use]
    pub fn new(
        routes: Arc<RouteTable>,
        tickets: Arc<TicketSigner>,
        stats: Arc<Stats>,
        lookup: Arc<dyn Lookup>,
        coordinators: Coordinators,
        exchange_timeout: Duration,
    ) -> Self {
        let token = SendToken::changing(tickets.clone());
        Self {
            shared: Arc::new(RouterContext { routes, token, tickets, stats, exchange_timeout }),
            lookup,
            coordinators,
        }
    }

    /// The stages of one stream, in a row.
    fn run(
        &self,
        stages: Vec<RoutedStage>,
        client: Incoming,
        first: Option<FlightData>,
    ) -> Result<AnswerStream, Error> {
        let mut stages = stages.into_iter();
        let stage = stages.next().ok_or_else(|| Error::internal("a plan without stages"))?;
        let mut exchange = Exchange::new(Arc::clone(&self.shared), stage, InputSource::Client(Box::new(client)))?;
        if let Some(first) = first {
            exchange.begin(first)?;
        }
        for stage in stages {
            exchange = Exchange::new(Arc::clone(&self.shared), stage, InputSource::Stage(Box::new(exchange)))?;
        }
        let next = |mut exchange: Box<Exchange>| async move { Some((Ok(exchange.next().await?), exchange)) };
        Ok(Box::pin(futures::stream::unfold(Box::new(exchange), next)))
    }
}

/// A function that executors serve.
pub struct AdmittedFunction(Arc<Function>);

impl Admitted for AdmittedFunction {
    fn definition(&self) -> &FunctionDefinition {
        &self.0.definition
    }

    fn name(&self) -> &str {
        &self.0.name
    }
}

impl Backend for Router {
    type Admitted = AdmittedFunction;

    async fn prepare(&self, route: &Route) {
        arrival::await_functions(route, &self.shared.routes, &*self.lookup).await;
    }

    fn admit(&self, function: &FunctionRef) -> Result<AdmittedFunction, Error> {
        let routes = self.shared.routes.load_full();
        let target = routes.find(function)?;
        if target.servers.is_empty() {
            return Err(target.no_capacity());
        }
        Ok(AdmittedFunction(Arc::clone(&target.function)))
    }

    fn call(
        &self,
        admitted: AdmittedFunction,
        request: ExchangeRequest,
        first: Option<FlightData>,
        input: Incoming,
    ) -> Result<AnswerStream, Error> {
        let request = ExchangeRequest { producer: stages::new_producer(), ..request };
        self.run(vec![RoutedStage::of_function(&admitted.0, &request)], input, first)
    }

    fn exchange(
        &self,
        route: Route,
        caller: &Principal,
        first: FlightData,
        input: Incoming,
    ) -> Result<AnswerStream, Error> {
        let stages = stages::of(route, caller, &self.shared.routes.load_full())?;
        self.run(stages, input, Some(first))
    }

    fn describe(
        &self,
        route: Route,
        caller: &Principal,
        engine: Engine,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Error> {
        let routes = self.shared.routes.load_full();
        match route {
            Route::Path(function) | Route::Exchange(function, _) => {
                info::flight_info(routes.find(&function)?, engine, descriptor, &(self.coordinators)())
            }
            Route::Composed(_) => info::of_stages(stages::of(route, caller, &routes)?, &routes, descriptor),
        }
    }

    fn ticket(&self, caller: &Principal) -> Option<String> {
        self.shared.tickets.ticket(caller)
    }

    fn list(
        &self,
        caller: Arc<Principal>,
        engine: Engine,
    ) -> impl Iterator<Item = Result<FlightInfo, Error>> + Send + 'static {
        let routes = self.shared.routes.load_full();
        let usable = |target: &&Arc<Target>| caller.functions.include(&target.function.definition.name);
        let targets: Vec<Arc<Target>> = routes.by_name().filter(usable).cloned().collect();
        let coordinators = (self.coordinators)();
        targets.into_iter().map(move |target| {
            let name = target.function.definition.name.clone();
            info::flight_info(&target, engine, FlightDescriptor::new_path(vec![name]), &coordinators)
        })
    }
}
