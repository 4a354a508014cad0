//! Starts everything in order, and stops it in reverse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use udfleet_edge::config::{Advertise, invalid};
use udfleet_edge::engine::Engines;
use udfleet_edge::flight::FlightFrontend;
use udfleet_edge::http::{AllowedHosts, HttpGuard, SessionKeeper, guarded};
use udfleet_edge::private;
use udfleet_edge::server::{self, Port};
use udfleet_edge::tenant::Tenants;
use udfleet_edge::tls::{Connector, Credentials};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use udfleet_proto::v1::artifacts_server::ArtifactsServer;
use udfleet_proto::v1::fleet_server::FleetServer;
use udfleet_proto::v1::membership_server::MembershipServer;
use udfleet_proto::v1::streams_server::StreamsServer;

use crate::access::{AccessTable, session_key};
use crate::artifact::{ArtifactStore, ArtifactsService, UploadQuota};
use crate::audit::{AuditLog, AuditedDenials};
use crate::config::{Config, MetaStoreUrl};
use crate::fleet::{self, Capsules, FleetContext, FleetService, Profiler, Registrar, StoreLookup};
use crate::http::{self, Exporter, FleetTables, Http, Live, TenantNumbers};
use crate::keyed::{Owners, StateAccess, StreamRegistry, StreamsService};
use crate::leader::{Announcement, Session, Timing};
use crate::logs::LogStore;
use crate::membership::{AttachTrust, MembershipHandle, MembershipService, Output};
use crate::monitor::{Monitor, unix_ms};
use crate::registry::{self, Lookup, Owner, RegistrationQuota, Registry};
use crate::router::{Router, Stats};
use crate::routes::RouteTable;
use crate::store::{self, SharedStore};
use udfleet_edge::auth::{Denials, FleetToken, Gate, LoginFailures, SendToken, Surface, TicketSigner};

/// How long open streams may go on once the coordinator is told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// The lease where coordinators share the store: a new leader is there within 5 seconds.
const SHARED: Timing = Timing { ttl: Duration::from_secs(3) };
/// The lease where nobody else can have the store: nobody is kept waiting, and a busy machine ends nothing.
const EXCLUSIVE: Timing = Timing { ttl: Duration::from_secs(30) };
/// How often unused artifacts are looked for, at most and at least.
const COLLECT_AT_MOST: Duration = Duration::from_millis(250);
const COLLECT_AT_LEAST: Duration = Duration::from_secs(600);

/// How often the keys of tickets are looked at.
const ROTATE_EVERY: Duration = Duration::from_secs(60);
/// The dashboard's history, in the data folder.
const HISTORY: &str = "history";

/// A running coordinator.
pub struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    engine: Option<SocketAddr>,
    ready: Arc<AtomicBool>,
    fleet: MembershipHandle,
    logs: Arc<LogStore>,
    /// Dashboards that are open.
    live: Arc<Live>,
    store: SharedStore,
    session: Session,
    /// Ends this coordinator's part in the cluster; the task ends once that is done.
    leave: (CancellationToken, JoinHandle<()>),
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Server {
    /// Binds the ports, opens the store, and serves.
    ///
    /// # Errors
    /// When a port is taken, or the data folder can't be used or belongs to another coordinator.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let of = config.clone();
        Box::pin(Self::start_on(config, async move { store::open(&of).await })).await
    }

    /// The same on a store that several coordinators may share; it is opened once the ports are bound.
    ///
    /// # Errors
    /// As [`Server::start`], and what `open` says.
    pub async fn start_on(
        config: Config,
        open: impl Future<Output = Result<SharedStore, Error>>,
    ) -> Result<Self, Error> {
        config.check()?;
        // Ports first: a second coordinator by mistake fails here, before it touches data.
        config.listeners()?.warn();
        let tls = config.tls()?.map(Credentials::of_node).transpose()?;
        let grpc = Port::bind("listen", config.listen, tls.as_ref()).await?;
        let http = Port::bind("http_listen", config.http_listen, tls.as_ref()).await?;
        let engine = match config.engine_listen {
            Some(address) => Some(Port::bind("engine_listen", address, tls.as_ref()).await?),
            None => None,
        };
        let (grpc_address, http_address) = (grpc.address(), http.address());
        let advertise = Advertise::told(config.advertise.as_ref(), grpc_address);
        let http_advertise = Advertise::told_beside(config.advertise.as_ref(), grpc_address, http_address);
        let unusable = |e: std::io::Error| invalid(format!("data_dir {}: {e}", config.data_dir.display()));
        // Payloads among them, which the store for artifacts writes.
        private::restrict_new_files();
        private::create_folder(&config.data_dir).map_err(unusable)?;
        let store = open.await?;
        let artifacts = ArtifactStore::open(&config.artifact_store()).await?;
        let owner = Owner::of_folder(&config.data_dir).await.map_err(unusable)?;
        let (registry, revision) = Registry::open(Arc::clone(&store), owner.clone()).await?;
        let tenants = Arc::new(Tenants::new(config.tenants.clone()));
        let registry = Arc::new(registry.limited(RegistrationQuota::new(Arc::clone(&tenants))));
        let fleet_token = Arc::new(match &config.token_read_from {
            Some(file) => FleetToken::of_file(file)?,
            None => FleetToken::new(config.token.as_ref()),
        });
        let (access, access_revision) = AccessTable::open(Arc::clone(&store), Arc::clone(&fleet_token)).await?;
        let audit = AuditLog::open(&config.data_dir.join("audit")).map_err(unusable)?;
        let (access, failures) =
            (Arc::new(access.granting(config.certificates.clone())), Arc::<LoginFailures>::default());
        let denials = Denials::new(Arc::new(AuditedDenials::new(audit.clone())));
        let routes = Arc::new(RouteTable::new(Connector::new(tls.clone())));
        let timeout = config.executor_timeout.0;
        let (address, http_address_told) = (advertise.clone(), http_advertise.clone());
        let me = Announcement { owner, address, http_address: http_address_told };
        let timing = match config.meta_store {
            MetaStoreUrl::Embedded => EXCLUSIVE,
            MetaStoreUrl::Etcd(_) => SHARED,
        };
        let leave = CancellationToken::new();
        let (session, left) = Session::start(Arc::clone(&store), me, timing, leave.clone());
        let (s, r) = (Arc::clone(&store), Arc::clone(&registry));
        let fleet = MembershipHandle::start(s, session.clone(), r, Arc::clone(&routes), timeout).await?;
        let (logs, builds) = (Arc::<LogStore>::default(), Arc::<LogStore>::default());
        let sessions = Arc::new(SessionKeeper::new(&session_key(store.as_ref()).await?, tls.is_some())?);
        let started_unix_ms = unix_ms(SystemTime::now());
        let (stats, engines) = (Arc::new(Stats::default()), Arc::new(Engines::default()));
        let mut server = Self {
            grpc: grpc_address,
            http: http_address,
            engine: engine.as_ref().map(Port::address),
            ready: Arc::new(AtomicBool::new(false)),
            fleet: fleet.clone(),
            logs: Arc::clone(&logs),
            live: Arc::new(Live::new(started_unix_ms)),
            store,
            session: session.clone(),
            leave: (leave, left),
            stop: CancellationToken::new(),
            tasks: tokio::task::JoinSet::new(),
        };
        let tickets = Arc::new(TicketSigner::new(
            &advertise,
            Arc::clone(&tenants),
            fleet_token.is_set() || !config.certificates.is_empty(),
        )?);
        let token = SendToken::changing(tickets.clone());
        server.rotate(&tickets);
        let lookup = StoreLookup { registry: Arc::clone(&registry), fleet: fleet.clone() };
        let lookup: Arc<dyn Lookup> = Arc::new(lookup);
        let peers = session.peers();
        let coordinators = Arc::new(move || peers.borrow().addresses());
        let router = Router::new(
            Arc::clone(&routes),
            Arc::clone(&tickets),
            Arc::clone(&stats),
            Arc::clone(&lookup),
            coordinators,
            config.exchange_timeout.0,
        );
        let history = config.data_dir.join(HISTORY);
        let monitor = Arc::new(Monitor::restored(&history, SystemTime::now()));
        let router = FlightFrontend::new(router, Arc::clone(&engines), Arc::clone(&tenants))
            .noting(denials.clone())
            .with_tables(Arc::new(FleetTables(Arc::clone(&monitor))));
        let registrar = Arc::new(Registrar {
            registry: Arc::clone(&registry),
            fleet: fleet.clone(),
            session: session.clone(),
            registration_timeout: config.registration_timeout.0,
        });
        let profiler = Profiler { fleet: fleet.clone(), token: token.clone() };
        let capsules = Capsules {
            fleet: fleet.clone(),
            token: token.clone(),
            artifacts: Arc::clone(&artifacts),
            audit: audit.clone(),
        };
        let context = FleetContext {
            access: Arc::clone(&access),
            tenants: Arc::clone(&tenants),
            audit,
            credentials: tls.clone(),
            registry: Arc::clone(&registry),
            store: Arc::clone(&server.store),
            artifacts,
            fleet: fleet.clone(),
            routes,
            logs,
            token,
            profiler: profiler.clone(),
            capsules: capsules.clone(),
            session,
            lookup,
            coordinator: advertise.clone(),
            http_address: http_advertise.clone(),
            registrar: Arc::clone(&registrar),
            function_config: config.functions.clone(),
        };
        let context = Arc::new(context);
        fleet::resume(&registrar).await?;
        server.until_stopped(fleet::adopt(registrar));
        server.collect(&context, config.artifact_ttl.0);
        let gate = |surface| Gate::new(surface, access.clone(), Arc::clone(&failures)).noting(denials.clone());
        let hosts = AllowedHosts::new(config.http_hosts.iter().chain([&advertise, &http_advertise]));
        let (http_gate, hosts) = (gate(Surface::CoordinatorHttp), Arc::new(hosts));
        let guard = HttpGuard { gate: http_gate.clone(), hosts, sessions: Some(Arc::clone(&sessions)) };
        if let Some(port) = engine {
            server.spawn(port.serve_engines(router.clone(), server.stop.clone().cancelled_owned()));
        }
        let output = Output { functions: Arc::clone(&server.logs), builds: Arc::clone(&builds) };
        let uploads = UploadQuota::new(Arc::clone(&tenants), Arc::clone(&registry), config.artifact_ttl.0);
        let membership = membership(&context, output, tickets);
        server.serve_grpc(grpc, router, context, membership, gate(Surface::Coordinator), uploads);
        let (session, store) = (server.session.clone(), Arc::clone(&server.store));
        let shown = Arc::clone(&stats);
        let numbers = TenantNumbers { tenants, registry: Arc::clone(&registry) };
        let exporter = Exporter {
            fleet: fleet.clone(),
            session,
            stats,
            engines,
            store,
            failures,
            credentials: tls.clone(),
            tenants: numbers,
        };
        let shown = Http {
            fleet: fleet.clone(),
            monitor,
            live: Arc::clone(&server.live),
            logs: Arc::clone(&server.logs),
            builds: Arc::clone(&builds),
            profiler,
            capsules,
            session: server.session.clone(),
            stats: shown,
            exporter: Arc::new(exporter),
            ready: Arc::clone(&server.ready),
            store: Arc::clone(&server.store),
            gate: http_gate,
            sessions,
            started_unix_ms,
        };
        server.serve_http(http, shown, guard, advertise.clone(), history);
        server.until_stopped(async move { access.follow(access_revision).await });
        server.follow(registry, fleet, revision);
        if let Some(credentials) = tls {
            server.until_stopped(credentials.watch());
        }
        server.until_stopped(async move { fleet_token.watch().await });
        server.ready.store(true, Ordering::Relaxed);
        let (data, meta_store) = (config.data_dir.display(), &config.meta_store);
        tracing::info!(advertise, grpc = %grpc_address, http = %http_address, %data, %meta_store, "coordinator ready");
        Ok(server)
    }

    fn serve_grpc(
        &mut self,
        port: Port,
        flight: FlightFrontend<Router>,
        context: Arc<FleetContext>,
        membership: MembershipService,
        gate: Gate,
        uploads: UploadQuota,
    ) {
        let artifacts = ArtifactsService::new(Arc::clone(&context.artifacts), uploads);
        let owners = Owners { store: Arc::clone(&context.store), routes: Arc::clone(&context.routes) };
        let (lookup, token) = (Arc::clone(&context.lookup), context.token.clone());
        let registry = StreamRegistry { store: Arc::clone(&context.store) };
        let (audit, session) = (context.audit.clone(), context.session.clone());
        let access = StateAccess { owners, registry, token };
        let streams = StreamsService { access, lookup, audit, session, tenants: Arc::clone(&context.tenants) };
        let control = MAX_CONTROL_BYTES;
        let services = server::grpc(gate)
            .add_service(server::flight_service(flight))
            .add_service(FleetServer::new(FleetService::new(context)).max_decoding_message_size(control))
            .add_service(ArtifactsServer::new(artifacts).max_decoding_message_size(control))
            .add_service(StreamsServer::new(streams).max_decoding_message_size(MAX_FRAME_BYTES + control))
            .add_service(MembershipServer::new(membership).max_decoding_message_size(control));
        self.spawn(port.serve(services, self.stop.clone().cancelled_owned()));
    }

    fn serve_http(&mut self, port: Port, shown: Http, guard: HttpGuard, grpc: String, history: PathBuf) {
        let (monitor, fleet, watched) = (Arc::clone(&shown.monitor), self.fleet.clone(), shown.clone());
        let coordinator = self.session.me().owner.coordinator.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = monitor.run(fleet, coordinator, &history) => {}
                () = stop.cancelled() => {}
            }
            monitor.saved(&history).await;
        });
        self.until_stopped(async move { watched.live.run(&watched).await });
        let app = guarded(http::routes(shown), guard);
        let stop = self.stop.clone().cancelled_owned();
        self.spawn(async move { port.serve_http(app, &grpc, stop).await });
    }

    fn spawn(&mut self, serve: impl Future<Output = Result<(), Error>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "a port is not served any more");
            }
        });
    }

    /// Lets the keys of tickets follow one another.
    fn rotate(&mut self, tickets: &Arc<TicketSigner>) {
        let tickets = Arc::clone(tickets);
        self.until_stopped(async move {
            let mut turns = tokio::time::interval(ROTATE_EVERY);
            loop {
                turns.tick().await;
                if let Err(error) = tickets.rotate(SystemTime::now()) {
                    tracing::error!(%error, "the key of tickets can't be changed");
                }
            }
        });
    }

    /// Removes files that no function needs any more.
    fn collect(&mut self, context: &Arc<FleetContext>, ttl: Duration) {
        let (context, stop) = (Arc::clone(context), self.stop.clone());
        let mut turns = tokio::time::interval((ttl / 4).clamp(COLLECT_AT_MOST, COLLECT_AT_LEAST));
        let used = move |registry: &Registry| {
            let catalog = registry.catalog();
            let hashes = catalog.iter().flat_map(|f| registry::artifacts(&f.definition).into_keys());
            hashes.map(str::to_owned).collect()
        };
        self.tasks.spawn(async move {
            let forever = async {
                loop {
                    turns.tick().await;
                    if let Err(error) = context.artifacts.collect(|| used(&context.registry)).await {
                        tracing::warn!(%error, "unused artifacts can't be removed");
                    }
                }
            };
            tokio::select! {
                () = forever => {}
                () = stop.cancelled() => {}
            }
        });
    }

    fn follow(&mut self, registry: Arc<Registry>, fleet: MembershipHandle, revision: u64) {
        self.until_stopped(async move { registry.follow(revision, || fleet.catalog_changed()).await });
    }

    fn until_stopped(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Address of gRPC and Flight.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Address of metrics and health.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Address for engines, where there is one.
    #[must_use]
    pub fn engine_address(&self) -> Option<SocketAddr> {
        self.engine
    }

    /// True while this coordinator is the one that places functions.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.session.standing().role.term().is_some()
    }

    /// Ends attach streams, lets open streams finish for a while, then drops what is left and closes the store.
    pub async fn stop(mut self) {
        self.ready.store(false, Ordering::Relaxed);
        self.stop.cancel();
        self.fleet.stop();
        self.leave.0.cancel();
        self.logs.close();
        self.live.close();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("streams were still open after {} s", GRACE.as_secs());
        }
        self.tasks.shutdown().await;
        // Bounded by itself.
        let _ = self.leave.1.await;
        // Connections that did not end in time still hold the store, but its file is free for the next coordinator.
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "closing the metadata store");
        }
    }
}

/// What executors attach to.
fn membership(context: &FleetContext, output: Output, tickets: Arc<TicketSigner>) -> MembershipService {
    let trust = AttachTrust { access: Arc::clone(&context.access), tickets, audit: context.audit.clone() };
    MembershipService::new(
        context.fleet.clone(),
        Arc::clone(&context.registry),
        output,
        trust,
        context.session.clone(),
        context.coordinator.clone(),
    )
}
