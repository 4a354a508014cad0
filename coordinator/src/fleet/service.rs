//! The methods of the Fleet service.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, TryStreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use udfleet_edge::tls::Credentials;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{
    CapsulesRequest, CapsulesResponse, ConfigKey, CreateTokenRequest, CreateTokenResponse, DescribeFunctionRequest,
    DrainExecutorRequest, DrainExecutorResponse, DropFunctionRequest, DropFunctionResponse, ErrorCode, ExplainRequest,
    ExplainResponse, ExportFunctionsRequest, ExportFunctionsResponse, FetchCapsuleRequest, FetchCapsuleResponse,
    FunctionInfo, ImportFunctionRequest, ImportFunctionResponse, ListExecutorsRequest, ListExecutorsResponse,
    ListFunctionsRequest, ListFunctionsResponse, ListTenantsRequest, ListTenantsResponse, ListTokensRequest,
    ListTokensResponse, LogLine, LogsRequest, OnError, ProfileRequest, ProfileResponse, ProgressRequest,
    ProgressResponse, RegisterFunctionRequest, RegistrationEvent, RestartRequest, RestartResponse, RevokeTokenRequest,
    RevokeTokenResponse, RowErrorsRequest, RowErrorsResponse, ServerInfoRequest, ServerInfoResponse,
};
use udfleet_proto::{VERSION, compatible, config, limits};

use super::capsules::Capsules;
use super::page::page;
use super::profiles::Profiler;
use super::register;
use super::registrar::{Events, Registrar};
use super::{ask, backup, logs, tenants, tokens};
use crate::access::AccessTable;
use crate::artifact::ArtifactStore;
use crate::audit::{AuditEvent, AuditLog};
use crate::leader::Session;
use crate::logs::{LogStore, WantedLines};
use crate::membership::MembershipHandle;
use crate::plan;
use crate::registry::{Function, Lookup, Registry};
use crate::routes::RouteTable;
use crate::store::SharedStore;
use udfleet_edge::auth::{DEFAULT_TENANT, Principal, SendToken};
use udfleet_edge::engine::Connection;
use udfleet_edge::tenant::Tenants;

/// Bytes of the id that a client gives a registration.
const MAX_REQUEST_ID: usize = 64;

/// Events of one registration on their way to a client.
const EVENTS: usize = 64;

/// What the service depends on.
pub struct FleetContext {
    /// Registered functions.
    pub registry: Arc<Registry>,
    /// Who may come in.
    pub access: Arc<AccessTable>,
    /// How much of the fleet each tenant may use, and what it does here.
    pub tenants: Arc<Tenants>,
    /// Notes who changes what.
    pub audit: AuditLog,
    /// Where they are kept.
    pub store: SharedStore,
    /// Their files.
    pub artifacts: Arc<ArtifactStore>,
    /// The executors.
    pub fleet: MembershipHandle,
    /// What the ports show; `None` in plain text.
    pub credentials: Option<Arc<Credentials>>,
    /// Which executors serve which functions.
    pub routes: Arc<RouteTable>,
    /// Output of functions.
    pub logs: Arc<LogStore>,
    /// Sent to executors.
    pub token: SendToken,
    /// Asks executors where functions spend their time.
    pub profiler: Profiler,
    /// Asks executors for batches that failed.
    pub capsules: Capsules,
    /// This coordinator among the others.
    pub session: Session,
    /// Finds what others have registered.
    pub lookup: Arc<dyn Lookup>,
    /// The name the coordinator gives itself.
    pub coordinator: String,
    /// host:port of metrics and health, as others are told.
    pub http_address: String,
    /// Sees registrations through.
    pub registrar: Arc<Registrar>,
    /// Defaults for configuration keys of functions.
    pub function_config: BTreeMap<String, String>,
}

/// See the module.
pub struct FleetService {
    context: Arc<FleetContext>,
}

impl FleetService {
    /// A service with these dependencies.
    #[must_use]
    pub fn new(context: Arc<FleetContext>) -> Self {
        Self { context }
    }

    /// Refuses names that nothing is registered under; an empty one means all.
    async fn known(&self, name: &str) -> Result<(), Error> {
        let Some(which) = parse_optional(name)? else { return Ok(()) };
        self.find(&which).await?;
        let catalog = self.context.registry.catalog();
        if catalog.matching(&which).is_empty() { Err(catalog.not_found(&which)) } else { Ok(()) }
    }

    /// Where coordinators can be reached; this one is among them, whatever the store says.
    fn coordinators(&self) -> Vec<String> {
        let mut all = self.context.session.peers().borrow().addresses();
        if !all.contains(&self.context.coordinator) {
            all.push(self.context.coordinator.clone());
        }
        all
    }

    /// Drops a function or a version, on behalf of a caller.
    async fn dropped(&self, caller: &Principal, name: &str) -> Result<Vec<Arc<Function>>, Error> {
        let which = parse(name)?;
        caller.demand_function(&which.name)?;
        // All versions of the name that there are, whoever has registered them.
        self.context.lookup.look_up(&which).await?;
        let dropped = self.context.registry.drop_function(&which).await?;
        if dropped.is_empty() { Err(self.context.registry.catalog().not_found(&which)) } else { Ok(dropped) }
    }

    /// Notes how what `asked` is about has ended.
    async fn noted<T>(&self, asked: AuditEvent, result: Result<T, Error>) -> Result<T, Error> {
        self.context.audit.note(asked.ended(&result)).await;
        result
    }

    /// Takes in a function that another coordinator may just have registered.
    async fn find(&self, which: &FunctionRef) -> Result<(), Error> {
        if self.context.registry.catalog().matching(which).is_empty() {
            self.context.lookup.look_up(which).await?;
        }
        Ok(())
    }
}

fn no_definition() -> Status {
    Error::new(ErrorCode::InvalidDefinition, "the request holds no definition").into()
}

/// A change that a request asks for.
fn asked<T>(request: &Request<T>, what: &'static str, subject: &str) -> AuditEvent {
    AuditEvent::new(&Principal::of(request), Connection::of(request).peer(), what, subject)
}

fn parse(name: &str) -> Result<FunctionRef, Error> {
    FunctionRef::parse(name).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))
}

/// An empty name means all.
fn parse_optional(name: &str) -> Result<Option<FunctionRef>, Error> {
    if name.is_empty() { Ok(None) } else { parse(name).map(Some) }
}

/// Kept with the definition: bounded.
fn request_id(id: String) -> Result<String, Error> {
    if id.len() <= MAX_REQUEST_ID {
        return Ok(id);
    }
    let message = format!("request_id has {} bytes, at most {MAX_REQUEST_ID} are allowed", id.len());
    Err(Error::new(ErrorCode::InvalidInput, message))
}

pub(super) type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl udfleet_proto::v1::fleet_server::Fleet for FleetService {
    async fn server_info(&self, request: Request<ServerInfoRequest>) -> Result<Response<ServerInfoResponse>, Status> {
        let client = request.into_inner().version;
        if !client.is_empty() && !compatible(&client, VERSION) {
            let message = format!("the client is udfleet {client}, this coordinator {VERSION}");
            return Err(Error::new(ErrorCode::VersionMismatch, message).hint("install the same minor version").into());
        }
        let key = |key: &config::Key| ConfigKey {
            name: key.name.to_owned(),
            r#type: key.value.name().to_owned(),
            default: key.default.to_owned(),
            scope: "function".to_owned(),
            meaning: key.meaning.to_owned(),
        };
        Ok(Response::new(ServerInfoResponse {
            version: VERSION.to_owned(),
            coordinator: self.context.coordinator.clone(),
            http_address: self.context.http_address.clone(),
            max_frame_bytes: limits::MAX_FRAME_BYTES as u64,
            config_keys: config::KEYS.iter().map(key).collect(),
            coordinators: self.coordinators(),
            certificate_ends_unix: self.context.credentials.as_ref().map_or(0, |own| own.numbers().not_after),
            meta_store_outage: self.context.store.outage().map(|outage| outage.to_string()).unwrap_or_default(),
        }))
    }

    type RegisterFunctionStream = BoxStream<RegistrationEvent>;

    async fn register_function(
        &self,
        request: Request<RegisterFunctionRequest>,
    ) -> Result<Response<Self::RegisterFunctionStream>, Status> {
        let caller = Principal::of(&request);
        let name = request.get_ref().definition.as_ref().map_or("", |definition| definition.name.as_str());
        let asked = asked(&request, "RegisterFunction", name);
        if !name.is_empty()
            && let Err(denied) = caller.demand_function(name)
        {
            return Err(self.noted::<()>(asked, Err(denied)).await.err().map_or_else(no_definition, Status::from));
        }
        let request = request.into_inner();
        let mut definition = request.definition.ok_or_else(no_definition)?;
        definition.request_id = request_id(request.request_id)?;
        definition.tenant = if caller.tenant == DEFAULT_TENANT { String::new() } else { caller.tenant.clone() };
        let timeout = match request.timeout_ms {
            0 => self.context.registrar.registration_timeout,
            millis => Duration::from_millis(millis),
        };
        let (sender, events) = mpsc::channel(EVENTS);
        tokio::spawn(register::run(Arc::clone(&self.context), definition, timeout, Events(sender), asked));
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }

    async fn describe_function(
        &self,
        request: Request<DescribeFunctionRequest>,
    ) -> Result<Response<FunctionInfo>, Status> {
        let which = parse(&request.into_inner().name)?;
        self.find(&which).await?;
        let snapshot = self.context.fleet.snapshot();
        let entry = snapshot.find(&which).ok_or_else(|| snapshot.catalog.not_found(&which))?;
        Ok(Response::new(entry.info()))
    }

    async fn list_functions(
        &self,
        request: Request<ListFunctionsRequest>,
    ) -> Result<Response<ListFunctionsResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.context.fleet.snapshot();
        let entries = if request.all_versions { snapshot.all_versions() } else { snapshot.newest() };
        let mut functions: Vec<FunctionInfo> = entries.iter().map(|entry| entry.info()).collect();
        functions.iter_mut().filter_map(|info| info.definition.as_mut()).for_each(|d| d.source_files.clear());
        let (functions, next_page_token) = page(functions, &request.page_token);
        Ok(Response::new(ListFunctionsResponse { functions, next_page_token }))
    }

    async fn drop_function(
        &self,
        request: Request<DropFunctionRequest>,
    ) -> Result<Response<DropFunctionResponse>, Status> {
        let asked = asked(&request, "DropFunction", &request.get_ref().name);
        let dropped = match self.dropped(&Principal::of(&request), &request.get_ref().name).await {
            Ok(dropped) => dropped,
            failed => self.noted(asked.clone(), failed).await?,
        };
        for function in &dropped {
            let event = asked.clone().about(&function.name).function(&function.hash, &function.environment);
            self.context.audit.note(event).await;
        }
        self.context.fleet.show_catalog().await;
        let dropped = dropped.iter().map(|function| function.name.clone()).collect();
        Ok(Response::new(DropFunctionResponse { dropped }))
    }

    async fn list_executors(
        &self,
        request: Request<ListExecutorsRequest>,
    ) -> Result<Response<ListExecutorsResponse>, Status> {
        let (snapshot, now) = (self.context.fleet.snapshot(), Instant::now());
        let executors = snapshot.executors.values().map(|executor| executor.info(now)).collect();
        let (executors, next_page_token) = page(executors, &request.into_inner().page_token);
        Ok(Response::new(ListExecutorsResponse { executors, next_page_token }))
    }

    async fn drain_executor(
        &self,
        request: Request<DrainExecutorRequest>,
    ) -> Result<Response<DrainExecutorResponse>, Status> {
        let what = if request.get_ref().undo { "UndrainExecutor" } else { "DrainExecutor" };
        let asked = asked(&request, what, &request.get_ref().executor);
        let request = request.into_inner();
        let drained = self.context.fleet.drain(&request.executor, !request.undo).await;
        let info = self.noted(asked, drained).await?;
        Ok(Response::new(DrainExecutorResponse { executor: Some(info) }))
    }

    async fn progress(&self, request: Request<ProgressRequest>) -> Result<Response<ProgressResponse>, Status> {
        let request = request.into_inner();
        let which = parse_optional(&request.function)?;
        if let Some(which) = &which {
            self.find(which).await?;
        }
        let snapshot = self.context.fleet.fresh_snapshot().await?;
        let functions = snapshot.progress(which.as_ref());
        if let Some(which) = which.filter(|_| functions.is_empty()) {
            return Err(snapshot.catalog.not_found(&which).into());
        }
        let (functions, next_page_token) = page(functions, &request.page_token);
        Ok(Response::new(ProgressResponse { functions, next_page_token }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let (caller, asked) = (Principal::of(&request), asked(&request, "Explain", ""));
        let plan = request.into_inner().plan.unwrap_or_default();
        let compiled = plan::compile(&plan, OnError::Unspecified, &*self.context.routes.load_full())?;
        for function in compiled.stages.iter().flat_map(|stage| &stage.functions) {
            if let Err(denied) = caller.demand_function(&parse(function)?.name) {
                self.noted(asked.clone(), Err(denied)).await?;
            }
        }
        let (text, outputs) = (compiled.explain(), compiled.outputs().to_vec());
        Ok(Response::new(ExplainResponse { text, outputs, stages: compiled.stages }))
    }

    type ExportFunctionsStream = BoxStream<ExportFunctionsResponse>;

    async fn export_functions(
        &self,
        request: Request<ExportFunctionsRequest>,
    ) -> Result<Response<Self::ExportFunctionsStream>, Status> {
        let exported = backup::export(&self.context).await;
        Ok(Response::new(Box::pin(self.noted(asked(&request, "ExportFunctions", ""), exported).await?)))
    }

    async fn import_function(
        &self,
        request: Request<ImportFunctionRequest>,
    ) -> Result<Response<ImportFunctionResponse>, Status> {
        let asked = backup::with_content(
            asked(&request, "ImportFunction", &backup::subject(request.get_ref())),
            request.get_ref(),
        );
        let request = request.into_inner();
        let check_only = request.check_only;
        let imported = backup::import(&self.context, request).await;
        Ok(Response::new(if check_only { imported? } else { self.noted(asked, imported).await? }))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let caller = Principal::of(&request);
        let asked = asked(&request, "CreateToken", &request.get_ref().name);
        let created = tokens::create(&self.context, request.into_inner(), &caller).await;
        Ok(Response::new(self.noted(asked, created).await?))
    }

    async fn list_tokens(&self, request: Request<ListTokensRequest>) -> Result<Response<ListTokensResponse>, Status> {
        Ok(Response::new(tokens::list(&self.context, request.get_ref())))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        Ok(Response::new(tenants::list(&self.context, request.get_ref())))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let revoked = tokens::revoke(&self.context, request.get_ref()).await;
        let asked = asked(&request, "RevokeToken", &request.get_ref().name);
        Ok(Response::new(self.noted(asked, revoked).await?))
    }

    type RowErrorsStream = BoxStream<RowErrorsResponse>;

    async fn row_errors(&self, request: Request<RowErrorsRequest>) -> Result<Response<Self::RowErrorsStream>, Status> {
        let request = request.into_inner();
        self.known(&request.function).await?;
        let nodes = self.context.fleet.nodes().await?;
        let ask = |mut node: ask::Node| {
            let request = request.clone();
            async move { node.row_errors(request).await }
        };
        Ok(Response::new(ask::all(nodes, &self.context.token, ask).await?))
    }

    type ProfileStream = BoxStream<ProfileResponse>;

    async fn profile(&self, request: Request<ProfileRequest>) -> Result<Response<Self::ProfileStream>, Status> {
        let request = request.into_inner();
        self.known(&request.function).await?;
        Ok(Response::new(self.context.profiler.ask(request).await?))
    }

    type CapsulesStream = BoxStream<CapsulesResponse>;

    async fn capsules(&self, request: Request<CapsulesRequest>) -> Result<Response<Self::CapsulesStream>, Status> {
        let request = request.into_inner();
        parse_optional(&request.function)?;
        Ok(Response::new(self.context.capsules.ask(request).await?))
    }

    type FetchCapsuleStream = BoxStream<FetchCapsuleResponse>;

    async fn fetch_capsule(
        &self,
        request: Request<FetchCapsuleRequest>,
    ) -> Result<Response<Self::FetchCapsuleStream>, Status> {
        let (caller, from) = (Principal::of(&request), Connection::of(&request).peer());
        let download = self.context.capsules.fetch(&caller, from, &request.get_ref().id).await?;
        let pieces = download.pieces.map_ok(|data| FetchCapsuleResponse { data }).err_into();
        Ok(Response::new(Box::pin(pieces)))
    }

    type RestartStream = BoxStream<RestartResponse>;

    async fn restart(&self, request: Request<RestartRequest>) -> Result<Response<Self::RestartStream>, Status> {
        let asked = asked(&request, "Restart", &request.get_ref().function);
        let request = request.into_inner();
        let nodes = async {
            self.known(&request.function).await?;
            self.context.fleet.nodes().await
        };
        let nodes = self.noted(asked, nodes.await).await?;
        let ask = |mut node: ask::Node| {
            let request = request.clone();
            async move { node.restart(request).await }
        };
        Ok(Response::new(ask::all(nodes, &self.context.token, ask).await?))
    }

    type LogsStream = BoxStream<LogLine>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let request = request.into_inner();
        let wanted = match parse_optional(&request.function)? {
            None => WantedLines::All,
            Some(which) => WantedLines::Function(which),
        };
        // Of a function that has been dropped, its last lines may still be read.
        if self.context.logs.tail(&wanted, 1).is_empty() {
            self.known(&request.function).await?;
        }
        let lines = logs::read(&self.context.logs, wanted, request.tail as usize, request.follow);
        Ok(Response::new(Box::pin(lines)))
    }
}
