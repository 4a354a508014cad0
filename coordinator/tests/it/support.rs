//! A coordinator on free ports, and helpers for all tests.

use std::future::Future;
use std::time::Duration;

use prost::Message as _;
use sha2::{Digest, Sha256};
use tonic::transport::Channel;
use udfleet_coordinator::config::Config;
use udfleet_coordinator::server::Server;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::types::simple;
use udfleet_proto::v1::artifacts_client::ArtifactsClient;
use udfleet_proto::v1::fleet_client::FleetClient;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{
    Artifact, ArtifactChunk, ExecutorInfo, FuncType, FunctionDefinition, FunctionInfo, FunctionKind, Language,
    ListExecutorsRequest, RegisterFunctionRequest, TypeRoot,
};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Coordinator {
    pub server: Server,
    pub folder: tempfile::TempDir,
}

pub fn config(folder: &tempfile::TempDir) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        http_listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.path().to_owned(),
        ..Config::default()
    }
}

pub async fn start() -> Coordinator {
    start_in(tempfile::tempdir().unwrap()).await
}

pub async fn start_in(folder: tempfile::TempDir) -> Coordinator {
    Coordinator { server: Server::start(config(&folder)).await.unwrap(), folder }
}

impl Coordinator {
    pub fn address(&self) -> String {
        self.server.grpc_address().to_string()
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address())).unwrap().connect().await.unwrap()
    }

    pub async fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.channel().await).max_decoding_message_size(MAX_CONTROL_BYTES)
    }

    /// Sends the payload and registers; all lines on the way, and how it ended.
    pub async fn register(&self, mut definition: FunctionDefinition) -> (Vec<Kind>, Result<FunctionInfo, Error>) {
        definition.payload = Some(self.upload(definition.name.as_bytes()).await);
        self.register_raw(definition).await
    }

    pub async fn register_raw(&self, definition: FunctionDefinition) -> (Vec<Kind>, Result<FunctionInfo, Error>) {
        let request = RegisterFunctionRequest { definition: Some(definition), ..Default::default() };
        let mut events = self.fleet().await.register_function(request).await.unwrap().into_inner();
        let mut lines = Vec::new();
        loop {
            let event = within(events.message()).await.unwrap().expect("ready or failed comes last").kind.unwrap();
            match event {
                Kind::Ready(info) => return (lines, Ok(info)),
                Kind::Failed(info) => return (lines, Err(info.into())),
                line => lines.push(line),
            }
        }
    }

    pub async fn upload(&self, content: &[u8]) -> Artifact {
        let hash = hex::encode(Sha256::digest(content));
        let size = content.len() as u64;
        let chunks = vec![ArtifactChunk { hash: hash.clone(), size, data: content.to_vec().into() }];
        ArtifactsClient::new(self.channel().await).put(tokio_stream::iter(chunks)).await.unwrap();
        Artifact { hash, name: "payload".to_owned(), size }
    }

    /// Executors and their states, once `wanted` holds for them.
    pub async fn executors(&self, wanted: impl Fn(&[(String, String)]) -> bool) -> Vec<(String, String)> {
        let mut fleet = self.fleet().await;
        eventually("executors", async || {
            let executors = fleet.list_executors(ListExecutorsRequest::default()).await.unwrap().into_inner().executors;
            let state = |executor: ExecutorInfo| {
                let word = executor.state().word().to_owned();
                (executor.hello.unwrap().executor, word)
            };
            let states: Vec<_> = executors.into_iter().map(state).collect();
            wanted(&states).then_some(states)
        })
        .await
    }
}

/// A scalar BIGINT -> BIGINT, deterministic.
pub fn echo(name: &str) -> FunctionDefinition {
    FunctionDefinition {
        name: name.to_owned(),
        language: Language::Python as i32,
        kind: FunctionKind::Scalar as i32,
        func_type: FuncType::General as i32,
        input_typed: true,
        input_types: vec![simple(TypeRoot::Bigint)],
        result_type: Some(simple(TypeRoot::Bigint)),
        deterministic: true,
        ..FunctionDefinition::default()
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Asks again until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let answer = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

pub fn error_of(status: &tonic::Status) -> Error {
    assert!(!status.details().is_empty(), "an untyped error: {status:?}");
    let _ = udfleet_proto::v1::ErrorInfo::decode(status.details()).unwrap();
    Error::from(status)
}
