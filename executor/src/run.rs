//! Starts an executor from its settings, and stops it in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use ractor::Actor;
use rand::Rng;
use udfleet_edge::config::{Advertise, invalid};
use udfleet_edge::engine::Engines;
use udfleet_edge::flight::FlightFrontend;
use udfleet_edge::http::{AllowedHosts, HttpGuard, guarded};
use udfleet_edge::identity::Identity;
use udfleet_edge::objects::{ObjectLocation, Retries};
use udfleet_edge::server::{self, Port};
use udfleet_edge::tenant::Tenants;
use udfleet_edge::tls::{Connector, Credentials};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use udfleet_proto::v1::Hello;
use udfleet_proto::v1::node_server::NodeServer;
use udfleet_proto::v1::partitions_server::PartitionsServer;
use udfleet_state_store::{BlockCache, StoreOptions, local_object_store};

use crate::artifact::{ArtifactStore, Source};
use crate::attach::{self, AttachmentIdentity, AttachmentSet, OrderlyStop};
use crate::config::{SandboxSwitch, Settings};
use crate::coordinators::Coordinators;
use crate::credential::{self, Identification};
use crate::definition::DefinitionSource;
use crate::environment::{EnvironmentStore, Pythons};
use crate::exchange::{FunctionStreams, FunctionTable};
use crate::http;
use crate::keyed::{Partitions, PartitionsService, StateSettings};
use crate::logs::LogStore;
use crate::metrics::StatsRegistry;
use crate::node::devices::{self, CUDA_VARIABLE, Devices};
use crate::node::reconcile::Limits;
use crate::node::scaling::ScalingRule;
use crate::node::{Board, Context, MemoryWatch, NodeActor, Programs};
use crate::node_service::NodeService;
use crate::orphans;
use crate::own_users;
use crate::sandbox::{Rules, Sandbox, readable_through};
use crate::secrets::SecretsFolder;
use crate::work_dir::WorkDir;
use udfleet_edge::auth::{Gate, LoginFailures, Surface, TicketCheck};

/// The longest that an orderly stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// How long streams may take to send their last message.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs an executor until `stop` resolves. `ready` is called with the line of JSON that says where it listens.
///
/// # Errors
/// `INVALID_CONFIG` for settings that can't work here, `INTERNAL` when a part of it fails.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(&serde_json::Value),
) -> Result<(), Error> {
    let work_dir = WorkDir::open(&settings.work_dir)?;
    settings.listeners()?.warn();
    let tls = settings.tls()?.map(Credentials::of_node).transpose()?;
    let grpc = Port::bind("listen", settings.listen, tls.as_ref()).await?;
    let http = Port::bind("http_listen", settings.http_listen, tls.as_ref()).await?;
    let engine = match settings.engine_listen {
        Some(address) => Some(Port::bind("engine_listen", address, tls.as_ref()).await?),
        None => None,
    };
    let (grpc_address, http_address) = (grpc.address(), http.address());
    let own = own_name(&settings, tls.as_deref())?;
    let id = match settings.token.as_ref().and_then(credential::join_name) {
        Some(name) if own.is_empty() => name,
        _ => work_dir.id(&own)?,
    };
    let identification = Arc::new(Identification::new(
        settings.token.as_ref(),
        settings.token_read_from.as_deref(),
        &settings.work_dir,
        &id,
    )?);
    let bearer = identification.bearer()?;
    let connector = Connector::new(tls.clone());
    let named = settings.coordinator.as_slice().to_vec();
    let coordinators = Arc::new(Coordinators::new(&named[0], attach::channel(&connector, &named[0])?));
    let programs = programs()?;
    let sandbox = sandbox(&settings, &programs).await?;
    let pythons = Pythons::discover(&settings.python, &sandbox).await;
    let (temporary, environments) = (work_dir.temporary(), settings.environments_dir.as_path());
    let folders = own_users::Folders { temporary: &temporary, environments };
    let pythons = own_users::apply(sandbox, &settings, &folders, &programs, pythons).await?;
    if settings.sandbox == SandboxSwitch::On {
        for missing in pythons.sandbox().level().missing() {
            tracing::warn!("interpreters are contained only in part: {missing}");
        }
    }
    let artifacts =
        Arc::new(ArtifactStore::new(work_dir.artifacts(), Source::new(Arc::clone(&coordinators), bearer.clone()))?);
    let visible = std::env::var(CUDA_VARIABLE).ok();
    let devices = Arc::new(Devices::new(devices::offered(&settings.resources, visible.as_deref(), Path::new("/dev"))));
    let hello = hello(&settings, id, grpc_address, &pythons, &devices);
    let definitions = DefinitionSource::new(Arc::clone(&coordinators), bearer.clone());
    let parts = context(&settings, &work_dir, hello.executor.clone(), pythons, artifacts, definitions, devices)?;
    let context = Arc::new(Context { credentials: tls.clone(), ..parts });
    let (node, node_task) = Actor::spawn(None, NodeActor, Arc::clone(&context))
        .await
        .map_err(|e| Error::internal(format!("the node can't be started: {e}")))?;
    let stopping = OrderlyStop::default();
    let end = stopping.begun.clone();
    let engines = Arc::new(Engines::default());
    let tenants = Arc::<Tenants>::default();
    let streams = FunctionStreams::new(Arc::clone(&context.table));
    let frontend = FlightFrontend::new(streams, Arc::clone(&engines), Arc::clone(&tenants));
    let has_credential = matches!(&*identification, Identification::Own(_));
    let tickets = Arc::new(TicketCheck::new(identification.fleet_token(), has_credential, Arc::clone(&tenants)));
    let failures = Arc::<LoginFailures>::default();
    let gate = |surface| Gate::new(surface, tickets.clone(), Arc::clone(&failures));
    let service = NodeService::new(Arc::clone(&context), node.clone());
    let engine_address = engine.as_ref().map(|port| port.address().to_string());
    let (open, stop_open) = (frontend.clone(), end.clone().cancelled_owned());
    let serve_engines = async move {
        match engine {
            Some(port) => port.serve_engines(open, stop_open).await,
            None => Ok(()),
        }
    };
    let partitions = PartitionsService::new(Arc::clone(&context.table), Arc::clone(&context.partitions));
    let partitions = PartitionsServer::new(partitions)
        .max_decoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES)
        .max_encoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES);
    let node_server = NodeServer::new(service).max_decoding_message_size(MAX_CONTROL_BYTES);
    let services = server::grpc(gate(Surface::Executor))
        .add_service(server::flight_service(frontend))
        .add_service(node_server)
        .add_service(partitions);
    let closed = grpc.serve(services, end.clone().cancelled_owned());
    let mut server = tokio::spawn(async move { tokio::try_join!(closed, serve_engines).map(|((), ())| ()) });
    let hosts = AllowedHosts::new(settings.http_hosts.iter().map(String::as_str).chain([hello.address.as_str()]));
    let guard = HttpGuard { gate: gate(Surface::ExecutorHttp), hosts: Arc::new(hosts), sessions: None };
    let pages = guarded(http::router(Arc::clone(&context), engines, Arc::clone(&failures), tenants), guard);
    let http = {
        let grpc = hello.address.clone();
        tokio::spawn(async move { http.serve_http(pages, &grpc, std::future::pending()).await })
    };
    let watched = Arc::clone(&context.memory);
    let memory = tokio::spawn(async move { watched.run().await });
    let watched = Arc::clone(&context.partitions);
    let partitions = tokio::spawn(async move { watched.watch().await });
    let orphans = tokio::spawn(orphans::adopt());
    let certificates = tls.map(|credentials| tokio::spawn(credentials.watch()));
    let secrets = tokio::spawn(Arc::clone(&context.secrets).watch());
    let mut addresses = serde_json::json!({
        "udfleet": "executor",
        "id": hello.executor,
        "grpc": grpc_address.to_string(),
        "http": http_address.to_string(),
    });
    if let Some(address) = engine_address {
        addresses["engine"] = address.into();
    }
    ready(&addresses);
    let (executor, advertise) = (&hello.executor, &hello.address);
    tracing::info!(executor, advertise, listen = %grpc_address, http = %http_address, "executor started");
    let (renewing, asked) = (Arc::clone(&identification), Arc::clone(&coordinators));
    let renewal = tokio::spawn(async move { renewing.keep(&asked).await });
    let identity = AttachmentIdentity { bearer, identification, tickets };
    let attachments = AttachmentSet::new(coordinators, connector, identity, hello, Arc::clone(&context), node.clone());
    let mut attachments = tokio::spawn(attachments.run(named, stopping.clone()));
    let outcome = tokio::select! {
        () = stop => Ok(()),
        ended = &mut server => ended.unwrap_or_else(|e| Err(Error::internal(format!("the gRPC server failed: {e}")))),
    };
    tracing::info!("stopping");
    // Nothing new comes in; interpreters finish their batch, close their functions and end.
    context.table.set_draining(true);
    end.cancel();
    node.stop(None);
    if tokio::time::timeout(STOP_WITHIN, node_task).await.is_err() {
        tracing::warn!("interpreters did not end within {} s and are killed with the executor", STOP_WITHIN.as_secs());
    }
    if tokio::time::timeout(STOP_WITHIN, context.partitions.close()).await.is_err() {
        tracing::warn!("partitions of keyed state were not closed in order; what is committed is durable");
    }
    stopping.finished.cancel();
    if tokio::time::timeout(LAST_WORDS, &mut attachments).await.is_err() {
        attachments.abort();
    }
    // Streams learn why they end; one whose client does not listen holds nothing up.
    if !server.is_finished() {
        let _ = tokio::time::timeout(LAST_WORDS, &mut server).await;
        server.abort();
    }
    http.abort();
    memory.abort();
    orphans.abort();
    partitions.abort();
    renewal.abort();
    if let Some(watch) = certificates {
        watch.abort();
    }
    secrets.abort();
    outcome
}

fn context(
    settings: &Settings,
    work_dir: &WorkDir,
    executor: String,
    pythons: Pythons,
    artifacts: Arc<ArtifactStore>,
    definitions: DefinitionSource,
    devices: Arc<Devices>,
) -> Result<Context, Error> {
    let sandbox = pythons.sandbox().clone();
    let (dir, uv) = (settings.environments_dir.clone(), settings.uv.clone());
    let environments = EnvironmentStore::new(dir, uv, pythons, Arc::clone(&artifacts), sandbox.clone())?;
    let board = Arc::new(Board::default());
    board.built(environments.built());
    Ok(Context {
        limits: Limits {
            interpreters_per_environment: settings.interpreters_per_environment,
            max_interpreters: settings.max_interpreters,
        },
        scaling: ScalingRule {
            most_per_environment: settings.max_interpreters_per_environment,
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            idle: settings.interpreter_idle.0,
        },
        ttl: settings.environment_ttl.0,
        largest_disk: settings.sandbox_disk.map(|size| size.0),
        temporary: work_dir.temporary(),
        sdk: environments.sdk().to_owned(),
        programs: programs()?,
        sandbox,
        environments,
        artifacts,
        definitions,
        logs: Arc::new(LogStore::new(&executor)),
        table: Arc::new(FunctionTable::default()),
        stats: Arc::new(StatsRegistry::default()),
        board,
        devices,
        secrets: Arc::new(SecretsFolder::new(settings.secrets_dir.clone())),
        memory: Arc::new(MemoryWatch::new(settings.memory.0)),
        partitions: Arc::new(Partitions::new(state(settings)?, Arc::default())),
        credentials: None,
        numbers: AtomicU32::new(0),
        executor,
    })
}

/// Of one request to the bucket of keyed state: SlateDB tries again by itself.
const STATE_RETRIES: Retries = Retries { most: 3, within: Duration::from_secs(5) };

/// Where keyed state lies, where the settings say it.
fn state(settings: &Settings) -> Result<Option<StateSettings>, Error> {
    let bucket = settings.state_bucket();
    bucket.check("state_store", settings.state_store.as_ref())?;
    let Some(location) = &settings.state_store else { return Ok(None) };
    let unusable = |error: &dyn std::fmt::Display| invalid(format!("state_store {location}: {error}"));
    let objects = match location {
        ObjectLocation::Folder(folder) => local_object_store(folder).map_err(|e| unusable(&e))?,
        ObjectLocation::S3 { bucket: name, prefix } => {
            bucket.open(name, prefix, STATE_RETRIES)?.map_err(|e| unusable(&e))?
        }
    };
    let cache = usize::try_from(settings.state_cache.0).unwrap_or(usize::MAX);
    let options = StoreOptions { cache: BlockCache::new(cache), ..StoreOptions::default() };
    Ok(Some(StateSettings { objects, options }))
}

/// What the settings say, else the name in the certificate: coordinators let the executor in under no other. Empty: neither.
fn own_name(settings: &Settings, credentials: Option<&Credentials>) -> Result<String, Error> {
    let shown = credentials.and_then(Credentials::identity);
    match shown {
        Some(Identity::Executor(name)) if settings.id.is_empty() => Ok(name),
        Some(identity @ Identity::Executor(_)) if identity.name() != settings.id => {
            Err(invalid(format!("id is {:?}, and tls_cert is that of {identity}", settings.id))
                .hint("leave id out, or use the certificate of this executor"))
        }
        _ => Ok(settings.id.clone()),
    }
}

fn programs() -> Result<Programs, Error> {
    let own = std::env::current_exe().map_err(|e| Error::internal(format!("this executable can't be found: {e}")))?;
    Programs::beside(&own)
}

/// The way in which processes are started that users have a say in.
async fn sandbox(settings: &Settings, programs: &Programs) -> Result<Sandbox, Error> {
    if settings.sandbox == SandboxSwitch::Off {
        tracing::warn!(
            "the sandbox is off: functions can do all that the user of this executor can, and read its token"
        );
        return Ok(Sandbox::off());
    }
    let (read, write) = (settings.sandbox_read.clone(), settings.sandbox_write.clone());
    let without = settings.sandbox_without.iter().copied().collect();
    let rules = Rules { without, read, write, required: settings.require_sandbox };
    if let Some(secrets) = &settings.secrets_dir
        && let Some(through) = readable_through(secrets, &rules)
    {
        let message = format!("secrets_dir {}: all functions may read {}", secrets.display(), through.display());
        return Err(invalid(message).hint("put the secrets elsewhere, such as /run/secrets"));
    }
    Sandbox::on(programs.host.clone(), programs.executor.clone(), rules).await
}

fn hello(settings: &Settings, executor: String, address: SocketAddr, pythons: &Pythons, devices: &Devices) -> Hello {
    Hello {
        executor,
        incarnation: format!("{:016x}", rand::rng().random::<u64>()),
        version: udfleet_proto::VERSION.to_owned(),
        address: Advertise::told(settings.advertise.as_ref(), address),
        pythons: pythons.offered(),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory_bytes: settings.memory.0,
        max_interpreters: settings.max_interpreters,
        interpreters_per_environment: settings.interpreters_per_environment,
        labels: settings.labels.clone(),
        secrets: Vec::new(),
        built_environments: Vec::new(),
        holds_desired_state: false,
        reports_progress: true,
        resources: devices.list(),
        sandbox: Some(pythons.sandbox().level().status()),
    }
}
