//! The coordinator's metadata is in etcd, which goes away and comes back.

use std::time::{Duration, Instant};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{DrainExecutorRequest, ServerInfoRequest};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::etcd::EtcdCluster;
use udfleet_tests::function::Function;
use udfleet_tests::http::{get, metrics};
use udfleet_tests::messages::{Encoder, command, path};
use udfleet_tests::stream::{Stream, call, typed};
use udfleet_tests::wait::{eventually, within};

/// Within which a request that needs etcd has to fail while it is away.
const SECONDS: Duration = Duration::from_secs(15);

async fn start(url: String) -> Cluster {
    let url: &'static str = Box::leak(format!("--meta-store={url}").into_boxed_str());
    let options = Options { coordinator: vec![url, "--artifact-store-shared"], ..Options::default() };
    Cluster::with(2, options).await
}

/// What the coordinator says of its store.
async fn outage(cluster: &Cluster) -> String {
    let answer = cluster.client().fleet().await.server_info(ServerInfoRequest::default()).await;
    answer.unwrap().into_inner().meta_store_outage
}

async fn drain(cluster: &Cluster, undo: bool) -> Result<(), Error> {
    let request = DrainExecutorRequest { executor: "e2".to_owned(), undo };
    let answer = cluster.client().fleet().await.drain_executor(request).await;
    answer.map(drop).map_err(|status| typed(&status))
}

/// A stream that is open all the time.
struct OpenStream {
    stream: Stream,
    encoder: Encoder,
}

impl OpenStream {
    async fn open(address: &str) -> Self {
        let mut stream = Stream::open(address, command("double")).await.unwrap();
        let mut encoder = Encoder::default();
        stream.send(encoder.schema(&numbers([0]).schema())).await;
        stream.next().await.unwrap().expect("a schema");
        Self { stream, encoder }
    }

    async fn double(&mut self, value: i64) {
        self.stream.send_all(self.encoder.batch(&numbers([value]))).await;
        assert_eq!(integers(&[self.stream.next().await.unwrap().expect("an answer")]), [2 * value]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_what_runs_goes_on_and_what_changes_fails_in_time() {
    let Some(mut etcd) = EtcdCluster::start(1) else { return };
    let mut cluster = start(etcd.url("fleet")).await;
    cluster.client().register(&Function::new("double")).await;
    let [coordinator, executor] = [0, 1].map(|at| cluster.endpoints()[at].clone());
    let http = cluster.http_addresses()[0].clone();
    let (mut routed, mut direct) = (OpenStream::open(&coordinator).await, OpenStream::open(&executor).await);
    let mut number = 0;
    for dies in [false, true] {
        if dies {
            etcd.kill(0);
        } else {
            etcd.pause(0);
        }
        let start = Instant::now();
        let refused = cluster.client().try_register(&Function::new("echo")).await.unwrap_err();
        assert!(refused.code().retryable(), "{refused:?}");
        let refused = drain(&cluster, false).await.unwrap_err();
        assert!(refused.code().retryable(), "{refused:?}");
        assert!(start.elapsed() < SECONDS, "it took {:?}", start.elapsed());

        eventually("the outage is told", async || (!outage(&cluster).await.is_empty()).then_some(())).await;
        let (status, text) = get(&http, "/readyz").await;
        assert_eq!(status, 200, "it goes on routing");
        assert_ne!(text, "ready\n");
        assert_eq!(metrics(&http).await["udfleet_meta_store_up"], 0.0);
        for stream in [&mut routed, &mut direct] {
            number += 1;
            stream.double(number).await;
        }
        for address in [&coordinator, &executor] {
            let results = call(address, path("double"), &[numbers([4])]).await.unwrap();
            assert_eq!(integers(&results), [8], "new streams too");
        }

        if dies {
            etcd.restart(0);
        } else {
            etcd.resume(0);
        }
        eventually("the outage is over", async || outage(&cluster).await.is_empty().then_some(())).await;
        assert_eq!(get(&http, "/readyz").await, (200, "ready\n".to_owned()));
        cluster.client().register(&Function::new("echo").variant(if dies { "dies" } else { "pauses" })).await;
        drain(&cluster, false).await.unwrap();
        // It is drained once the open stream goes elsewhere, which it does with its next batch.
        let draining = async || cluster.states().await.get("e2").filter(|state| *state != "ready").cloned();
        eventually("e2 is taken out of service", draining).await;
        drain(&cluster, true).await.unwrap();
        cluster.wait_ready(2).await;
        routed.double(10).await;
        assert_eq!(integers(&call(&coordinator, path("echo"), &[numbers([5])]).await.unwrap()), [5]);
    }
    drop((routed, direct));
    // What was registered is in etcd: a coordinator that starts anew has it.
    cluster.restart_coordinator().await;
    cluster.wait_ready(2).await;
    for function in ["double@1", "echo@1", "echo@2"] {
        cluster.client().wait_served_by(function, &["e1", "e2"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_waits_for_etcd() {
    let Some(mut etcd) = EtcdCluster::start(1) else { return };
    etcd.kill(0);
    let in_its_place = tokio::net::TcpListener::bind(etcd.endpoints()).await.unwrap();
    let url = etcd.url("fleet");
    let comes = async move {
        within("the coordinator looks for etcd", in_its_place.accept()).await.unwrap();
        drop(in_its_place);
        etcd.restart(0);
        etcd
    };
    let (cluster, _etcd) = tokio::join!(start(url), comes);
    cluster.client().register(&Function::new("double")).await;
}
