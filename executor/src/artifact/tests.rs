use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::v1::artifacts_server::{Artifacts, ArtifactsServer};
use udfleet_proto::v1::{
    ArtifactChunk, GetArtifactRequest, MissingArtifactsRequest, MissingArtifactsResponse, PutArtifactResponse,
};

use super::*;
use udfleet_edge::auth::SendToken;

use crate::coordinators::Coordinators;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// Sends "hello" in two chunks, whatever is asked for; knows only hashes that begin with 2 or 3.
#[derive(Clone, Default)]
struct Coordinator {
    gets: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Artifacts for Coordinator {
    type GetStream = Pin<Box<dyn Stream<Item = Result<ArtifactChunk, Status>> + Send>>;

    async fn get(&self, request: Request<GetArtifactRequest>) -> Result<Response<Self::GetStream>, Status> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        if !request.into_inner().hash.starts_with(['2', '3']) {
            return Err(Error::new(ErrorCode::ArtifactMissing, "no such artifact").into());
        }
        let chunk = |data: &'static [u8]| Ok(ArtifactChunk { data: data.into(), ..ArtifactChunk::default() });
        Ok(Response::new(Box::pin(futures::stream::iter([chunk(b"hel"), chunk(b"lo")]))))
    }

    async fn missing(&self, _: Request<MissingArtifactsRequest>) -> Result<Response<MissingArtifactsResponse>, Status> {
        Err(Status::unimplemented("not asked by executors"))
    }

    async fn put(&self, _: Request<Streaming<ArtifactChunk>>) -> Result<Response<PutArtifactResponse>, Status> {
        Err(Status::unimplemented("not asked by executors"))
    }
}

async fn store() -> (tempfile::TempDir, Arc<ArtifactStore>, Arc<AtomicUsize>) {
    let coordinator = Coordinator::default();
    let gets = Arc::clone(&coordinator.gets);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(ArtifactsServer::new(coordinator));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let dir = tempfile::tempdir().unwrap();
    let source = Source::new(Arc::new(Coordinators::new("test", channel)), SendToken::new(None).unwrap());
    let store = Arc::new(ArtifactStore::new(dir.path().join("artifacts"), source).unwrap());
    (dir, store, gets)
}

fn artifact(hash: &str) -> Artifact {
    Artifact { hash: hash.to_owned(), name: "a.bin".to_owned(), size: 5 }
}

#[tokio::test]
async fn fetched_once_for_all_who_ask() {
    let (_dir, store, gets) = store().await;
    let all = (0..8).map(|_| {
        let store = Arc::clone(&store);
        async move { store.fetch(&artifact(HELLO)).await.unwrap() }
    });
    let paths = futures::future::join_all(all).await;
    assert_eq!(std::fs::read(&paths[0]).unwrap(), b"hello");
    assert_eq!(gets.load(Ordering::SeqCst), 1);
    store.collect(&BTreeSet::from([HELLO.to_owned()]), Duration::ZERO);
    assert!(paths[0].exists(), "wanted");
    store.collect(&BTreeSet::new(), Duration::ZERO);
    assert!(!paths[0].exists(), "unused");
}

#[tokio::test]
async fn what_was_damaged_is_fetched_again() {
    let (dir, store, gets) = store().await;
    let path = store.fetch(&artifact(HELLO)).await.unwrap();
    for (damage, fetched) in [("", 2), ("hellO world", 3)] {
        std::fs::write(&path, damage).unwrap();
        assert_eq!(std::fs::read(store.fetch(&artifact(HELLO)).await.unwrap()).unwrap(), b"hello");
        assert_eq!(gets.load(Ordering::SeqCst), fetched);
    }
    assert_eq!(std::fs::read_dir(dir.path().join("artifacts")).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_wrong_never_becomes_visible() {
    let (dir, store, _) = store().await;
    let other = HELLO.replacen('2', "3", 1);
    for (hash, code) in [
        (other.as_str(), ErrorCode::Internal),
        (&"f".repeat(64), ErrorCode::ArtifactMissing),
        ("../../etc/passwd", ErrorCode::InvalidDefinition),
    ] {
        let error = Error::from(store.fetch(&artifact(hash)).await.unwrap_err());
        assert_eq!(error.code(), code, "{hash}");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("artifacts")).unwrap().count(), 0);
}
