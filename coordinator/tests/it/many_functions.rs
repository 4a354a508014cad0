//! Many functions, and large ones: what is told to executors and clients fits into messages, and a change costs what the
//! change is.

use std::sync::atomic::Ordering;
use std::time::Instant;

use prost::Message as _;
use udfleet_coordinator::store::embedded::EmbeddedStore;
use udfleet_coordinator::store::{MAX_OPERATIONS, MetaStore as _, Write};
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::{FunctionDefinition, ListFunctionsRequest, ProgressRequest};

use super::client::{batch, command, encode, firsts, open, schema};
use super::executor::{Behaviour, Executor};
use super::support::{Coordinator, echo, eventually, start, start_in};

const MANY: usize = 5_000;

/// A coordinator that finds these functions in its store.
async fn start_with(functions: impl Iterator<Item = FunctionDefinition>) -> Coordinator {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap();
    let put = |definition: FunctionDefinition| {
        let definition = FunctionDefinition { version: 1, ..definition };
        Write::put(format!("functions/{}/1", definition.name), definition.encode_to_vec())
    };
    let writes: Vec<Write> = functions.map(put).collect();
    for writes in writes.chunks(MAX_OPERATIONS) {
        store.transact(&[], writes.to_vec()).await.unwrap().unwrap();
    }
    store.close().await.unwrap();
    start_in(folder).await
}

async fn call(coordinator: &Coordinator, function: &str) -> Vec<i64> {
    let mut stream = eventually("a route", async || open(coordinator, command(function)).await.ok()).await;
    stream.send_all(encode(schema(), vec![batch(5..9)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    firsts(&stream.rest().await.unwrap())
}

/// Names over all pages, and how many pages there were.
async fn listed(coordinator: &Coordinator) -> (Vec<String>, usize) {
    let mut fleet = coordinator.fleet().await;
    let (mut names, mut pages, mut request) = (Vec::new(), 0, ListFunctionsRequest::default());
    loop {
        let page = fleet.list_functions(request.clone()).await.unwrap().into_inner();
        pages += 1;
        names.extend(page.functions.into_iter().map(|info| info.definition.unwrap().name));
        if page.next_page_token.is_empty() {
            return (names, pages);
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_functions() {
    let function = |number| FunctionDefinition { doc: "x".repeat(1000), ..echo(&format!("f{number:05}")) };
    let coordinator = start_with((0..MANY).map(function)).await;
    let began = Instant::now();
    let executor = Executor::start(&coordinator.address(), "a", Behaviour::default());
    let mut other = Executor::start(&coordinator.address(), "b", Behaviour::default());
    let definitions = |executor: &Executor| executor.counts.definitions.load(Ordering::SeqCst);
    eventually("all definitions", async || (definitions(&executor) == MANY).then_some(())).await;
    assert_eq!(call(&coordinator, "f04999").await, [5]);
    println!("{MANY} functions: attached, told and callable in {:?}", began.elapsed());

    let (names, pages) = listed(&coordinator).await;
    assert!(names.len() == MANY && names.is_sorted() && pages > 1, "{} in {pages} pages", names.len());
    let progress = coordinator.fleet().await.progress(ProgressRequest::default()).await.unwrap().into_inner();
    assert!(progress.encoded_len() < MAX_CONTROL_BYTES / 4);

    let began = Instant::now();
    coordinator.register(echo("one_more")).await.1.unwrap();
    println!("one more: registered in {:?}", began.elapsed());
    let told = |what: fn(&super::executor::Counts) -> usize| what(&executor.counts);
    assert_eq!(told(|c| c.named.load(Ordering::SeqCst)), 1, "only what is new");
    assert!(told(|c| c.desired_bytes.load(Ordering::SeqCst)) < 500);
    assert_eq!(definitions(&executor), MANY + 1);

    // One is lost and comes back: nobody attaches in a loop.
    other.kill();
    coordinator.executors(|all| all.iter().any(|(id, state)| id == "b" && state == "lost")).await;
    let back = Executor::start(&coordinator.address(), "b", Behaviour::default());
    eventually("all definitions anew", async || (definitions(&back) == MANY + 1).then_some(())).await;
    assert_eq!(call(&coordinator, "one_more").await, [5]);
    for executor in [&executor, &back] {
        assert_eq!(executor.counts.attaches.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_megabytes() {
    let coordinator = start().await;
    let executor = Executor::start(&coordinator.address(), "a", Behaviour::default());
    coordinator.executors(|all| all.len() == 1).await;
    for number in 0..6 {
        let mut large = echo(&format!("large{number}"));
        large.source_files.insert("module.py".to_owned(), "x".repeat(4 << 20));
        coordinator.register(large).await.1.unwrap();
    }
    let late = Executor::start(&coordinator.address(), "b", Behaviour::default());
    eventually("all definitions", async || (late.counts.definitions.load(Ordering::SeqCst) == 6).then_some(())).await;
    assert_eq!(call(&coordinator, "large5").await, [5]);
    let counts = [&executor, &late].map(|executor| {
        let of = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
        (of(&executor.counts.attaches), of(&executor.counts.definitions))
    });
    assert_eq!(counts, [(1, 6), (1, 6)], "each definition once");
    assert_eq!(listed(&coordinator).await.0.len(), 6, "sources are left out of lists");
}
