//! Several coordinators on one store.

use std::sync::Arc;

use udfleet_coordinator::server::Server;
use udfleet_coordinator::store::SharedStore;
use udfleet_coordinator::store::embedded::EmbeddedStore;
use udfleet_proto::error::Error;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{
    DescribeFunctionRequest, DropFunctionRequest, ErrorCode, FunctionDefinition, FunctionInfo, ListFunctionsRequest,
};

use crate::executor::{Behaviour, Executor};
use crate::support::{Coordinator, config, echo, error_of, eventually};

/// Coordinators with folders of their own and one store.
async fn start<const N: usize>() -> [Coordinator; N] {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("shared.redb")).await.unwrap());
    let mut all = Vec::new();
    for _ in 0..N {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::clone(&store);
        let server = Box::pin(Server::start_on(config(&folder), async { Ok(store) })).await.unwrap();
        all.push(Coordinator { server, folder });
    }
    all.try_into().unwrap_or_else(|_| panic!("as many as were started"))
}

async fn describe(at: &Coordinator, name: &str) -> Result<FunctionInfo, Error> {
    let request = DescribeFunctionRequest { name: name.to_owned() };
    let answer = at.fleet().await.describe_function(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| error_of(&status))
}

fn version(info: &FunctionInfo) -> u32 {
    info.definition.as_ref().unwrap().version
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_registered_the_other_knows_the_next_moment() {
    let [a, b] = start().await;
    let _executors = [Executor::start(&a.address(), "e1", Behaviour::default())];
    a.executors(|all| all.len() == 1).await;
    for number in 0..5 {
        let name = format!("f{number}");
        a.register(echo(&name)).await.1.unwrap();
        assert_eq!(version(&describe(&b, &name).await.unwrap()), 1);
    }
    let unknown = describe(&b, "nowhere").await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::FunctionNotFound);
    // Dropped through the other one, all of its versions.
    let dropped = b.fleet().await.drop_function(DropFunctionRequest { name: "f0".to_owned() }).await.unwrap();
    assert_eq!(dropped.into_inner().dropped, ["f0@1"]);
    eventually("the first has heard of it", async || describe(&a, "f0").await.is_err().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_of_an_id_is_refused_by_whichever_coordinator_it_asks() {
    let [a, b] = start().await;
    let mut first = Executor::start(&a.address(), "e1", Behaviour::default());
    a.executors(|all| all.len() == 1).await;
    let second = Executor::start(&b.address(), "e1", Behaviour::default());
    let attaches = |executor: &Executor| executor.counts.attaches.load(std::sync::atomic::Ordering::SeqCst);
    eventually("it has tried several times", async || (attaches(&second) > 3).then_some(())).await;
    let told = b.executors(|_| true).await;
    assert!(told.iter().all(|(_, state)| state != "ready"), "the other coordinator has the first attached: {told:?}");
    first.kill();
    b.executors(|all| all.iter().any(|(_, state)| state == "ready")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_at_once_from_both_is_two_versions() {
    let [a, b] = start().await;
    let _executors = [(&a, "e1"), (&b, "e2")].map(|(at, id)| Executor::start(&at.address(), id, Behaviour::default()));
    for at in [&a, &b] {
        at.executors(|all| all.iter().any(|(_, state)| state == "ready")).await;
    }
    let leader = leading(&[&a, &b]).await;
    let stored = |doc: &str| FunctionDefinition { doc: doc.to_owned(), ..echo("add") };
    let (mine, theirs) = tokio::join!(a.begin(stored("a")), b.begin(stored("b")));
    let lines: Vec<String> = [mine, theirs].into_iter().flatten().collect();
    let mut named: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("registering ")).collect();
    named.sort_unstable();
    assert_eq!(named, ["add@1", "add@2"], "{lines:?}");
    let all = [&a, &b][leader];
    eventually("both are there", async || {
        let request = ListFunctionsRequest { all_versions: true, ..Default::default() };
        let listed = all.fleet().await.list_functions(request).await.unwrap().into_inner().functions;
        let docs: Vec<_> = listed.iter().map(|f| f.definition.as_ref().unwrap().doc.clone()).collect();
        (docs.len() == 2 && docs.contains(&"a".to_owned()) && docs.contains(&"b".to_owned())).then_some(())
    })
    .await;
}

/// Which of them leads: the one whose executor is told what to hold.
async fn leading(all: &[&Coordinator]) -> usize {
    eventually("one leads", async || all.iter().position(|at| at.server.leads())).await
}

impl Coordinator {
    /// Begins a registration; the lines that it says first.
    async fn begin(&self, mut definition: FunctionDefinition) -> Vec<String> {
        definition.payload = Some(self.upload(definition.name.as_bytes()).await);
        let request = udfleet_proto::v1::RegisterFunctionRequest { definition: Some(definition), ..Default::default() };
        let mut events = self.fleet().await.register_function(request).await.unwrap().into_inner();
        match events.message().await.unwrap().and_then(|event| event.kind) {
            Some(Kind::Progress(line)) => vec![line],
            other => panic!("no line: {other:?}"),
        }
    }
}
