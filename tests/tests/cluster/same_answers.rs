//! Whatever coordinator is asked what the fleet does: the answer is the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use udfleet_proto::v1::{ExchangeRequest, LogsRequest, OnError, ProfileRequest, ProgressRequest, RowErrorsRequest};
use udfleet_tests::batches::{numbers, texts};
use udfleet_tests::coordinators::CoordinatorCluster;
use udfleet_tests::function::{Function, string};
use udfleet_tests::http::{get, metrics};
use udfleet_tests::messages::{path, request};
use udfleet_tests::stream::call;
use udfleet_tests::wait::eventually;

/// What one coordinator says of the fleet.
#[derive(Debug, PartialEq)]
struct FleetAnswers {
    progress: Vec<String>,
    errors: Vec<String>,
    profiles: Vec<String>,
    logs: Vec<String>,
    metrics: BTreeMap<String, f64>,
    pages: BTreeMap<&'static str, Value>,
}

/// A coordinator waits no longer for the reports that a request asks for.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(500);
const PAGES: [&str; 4] = ["/api/v1/functions", "/api/v1/executors", "/api/v1/environments", "/api/v1/progress"];

/// When a report came and who else has one is seen from a coordinator's own place.
fn drop_local(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "report_age_ms" && name != "attached_to");
            fields.values_mut().for_each(drop_local);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_local),
        _ => {}
    }
}

async fn page(http: &str, page: &str) -> Value {
    let (status, body) = get(http, page).await;
    assert_eq!(status, 200, "{page}: {body}");
    let mut value = serde_json::from_str(&body).unwrap();
    drop_local(&mut value);
    value
}

impl FleetAnswers {
    async fn of(cluster: &CoordinatorCluster, at: usize) -> Self {
        let (mut fleet, http) = (cluster.client(at).fleet().await, cluster.http_address(at));
        let progress = fleet.progress(ProgressRequest::default()).await.unwrap().into_inner().functions;
        let (mut errors, mut profiles, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        let mut answers = fleet.row_errors(RowErrorsRequest::default()).await.unwrap().into_inner();
        while let Some(answer) = answers.message().await.unwrap() {
            errors.extend(answer.functions.iter().map(|kept| format!("{kept:?}")));
        }
        let mut answers = fleet.profile(ProfileRequest::default()).await.unwrap().into_inner();
        while let Some(answer) = answers.message().await.unwrap() {
            profiles.extend(answer.functions.iter().map(|profile| format!("{profile:?}")));
        }
        let mut lines = fleet.logs(LogsRequest { tail: 100, ..Default::default() }).await.unwrap().into_inner();
        while let Some(line) = lines.message().await.unwrap() {
            logs.push(format!("{line:?}"));
        }
        [&mut errors, &mut profiles, &mut logs].into_iter().for_each(|all| all.sort());
        let mut series = metrics(&http).await;
        series.retain(|name, _| name.contains("function=\"") || name.starts_with("udfleet_executors"));
        let mut pages = BTreeMap::new();
        for name in PAGES {
            pages.insert(name, page(&http, name).await);
        }
        let progress = progress.iter().map(|function| format!("{function:?}")).collect();
        Self { progress, errors, profiles, logs, metrics: series, pages }
    }

    /// Everything has been heard of.
    fn is_whole(&self) -> bool {
        self.is_counted() && self.logs.len() == 10
    }

    /// Everything has been heard of that is asked of executors, rather than sent by them as it comes.
    fn is_counted(&self) -> bool {
        let counted = |name: &str| self.metrics.get(name).copied();
        counted("udfleet_function_calls_total{function=\"odd_only@1\"}") == Some(20.0)
            && counted("udfleet_function_row_errors_total{function=\"odd_only@1\"}") == Some(500.0)
            && counted("udfleet_function_calls_total{function=\"nap@1\"}") == Some(4.0)
            && !self.errors.is_empty()
            && !self.profiles.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_coordinator_gives_the_same_answers() {
    let Some(mut cluster) = CoordinatorCluster::start(2, 2).await else { return };
    cluster.client(0).register(&Function::new("odd_only")).await;
    cluster.client(1).register(&Function::new("say").takes(vec![string()])).await;
    cluster.client(1).register(&Function::new("nap").config("python.profile.enabled", "true")).await;
    // At each coordinator, and at executors themselves.
    let executor = cluster.executor("e1").ready("grpc").to_owned();
    let addresses = [cluster.address(0), cluster.address(1), executor];
    for round in 0..20 {
        let function = "odd_only".to_owned();
        let skip = ExchangeRequest { function, on_error: OnError::Skip as i32, ..ExchangeRequest::default() };
        call(&addresses[round % 3], request(skip), &[numbers(0..50)]).await.unwrap();
    }
    for word in 0..10 {
        call(&addresses[word % 3], path("say"), &[texts(&[&format!("word {word}")])]).await.unwrap();
    }
    for at in 0..4 {
        call(&addresses[at % 2], path("nap"), &[numbers([300])]).await.unwrap();
    }
    // Numbers are those of reports that the request has asked for: what an executor has counted, everybody knows with the next
    // answer. A round of reports may be given up where the machine is slow.
    let first = async || FleetAnswers::of(&cluster, 0).await.is_counted().then_some(());
    eventually("executors have counted all", first).await;
    let answers = AtomicUsize::new(0);
    let other = async || {
        let asked = Instant::now();
        let all = FleetAnswers::of(&cluster, 1).await.is_counted();
        // Only where no round can have been given up.
        if !all && asked.elapsed() < GIVEN_UP_AFTER {
            let before = answers.fetch_add(1, Ordering::Relaxed);
            assert!(before < 2, "the other coordinator has asked executors, and has not heard of all");
        }
        all.then_some(())
    };
    eventually("the other coordinator has heard of all", other).await;

    let same = async || {
        let [first, second] = [FleetAnswers::of(&cluster, 0).await, FleetAnswers::of(&cluster, 1).await];
        (first.is_whole() && first == second).then_some(())
    };
    eventually("both say the same, and all of it", same).await;

    // One that starts anew has it from executors, but for what it could not hear: lines are kept there, and sums are theirs.
    cluster.kill_coordinator(0);
    cluster.start_coordinator(0).await;
    cluster.wait_ready(0, 2).await;
    let again = async || {
        let [first, second] = [FleetAnswers::of(&cluster, 0).await, FleetAnswers::of(&cluster, 1).await];
        (first.is_whole() && first == second).then_some(())
    };
    eventually("so does one that has just started", again).await;
}
