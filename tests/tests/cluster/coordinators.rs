//! Several coordinators on one etcd: any of them can die or stand still, and nobody notices.

use std::time::{Duration, Instant};

use udfleet_proto::v1::{
    CreateTokenRequest, DrainExecutorRequest, DropFunctionRequest, FunctionInfo, LoadState, LogsRequest,
    RevokeTokenRequest, ServerInfoRequest, TokenKind,
};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::control::Client;
use udfleet_tests::coordinators::CoordinatorCluster;
use udfleet_tests::function::Function;
use udfleet_tests::http::{get_with, post};
use udfleet_tests::messages::{Encoder, command, path};
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::{PATIENCE, eventually, within};

/// A new leader is there within 5 seconds of a quiet machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);
/// All coordinators know of a token, or that it was revoked, in this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// How often executors have begun to load anything.
fn loads(cluster: &mut CoordinatorCluster) -> usize {
    ["e1", "e2"].map(|id| cluster.executor(id).log().matches("LOADING").count()).iter().sum()
}

/// One row at a time through an open stream.
struct Conversation {
    stream: Stream,
    encoder: Encoder,
}

impl Conversation {
    async fn open(address: &str, function: &str) -> Self {
        let mut stream = Stream::open(address, command(function)).await.unwrap();
        let mut encoder = Encoder::default();
        stream.send(encoder.schema(&numbers([0]).schema())).await;
        stream.next().await.unwrap().expect("a schema");
        Self { stream, encoder }
    }

    async fn ask(&mut self, value: i64) -> Vec<i64> {
        self.stream.send_all(self.encoder.batch(&numbers([value]))).await;
        integers(&[self.stream.next().await.unwrap().expect("an answer")])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_registered_at_one_is_called_at_the_other_the_next_moment() {
    let Some(cluster) = CoordinatorCluster::start(2, 2).await else { return };
    for (number, (here, there)) in [(0, 1), (1, 0), (0, 1)].into_iter().enumerate() {
        let function = Function::new("double").named(&format!("double{number}"));
        cluster.client(here).register(&function).await;
        let results = call(&cluster.address(there), path(&function.name), &[numbers([4])]).await.unwrap();
        assert_eq!(integers(&results), [8]);
    }
    // Each has the whole fleet's numbers and lines.
    let totals = async || {
        let (here, _) = cluster.client(0).progress("double0").await;
        let (there, _) = cluster.client(1).progress("double0").await;
        (here.calls == 1 && there.calls == 1).then_some(())
    };
    let begun = Instant::now();
    eventually("both count the call", totals).await;
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_the_leader_moves_nothing_and_another_takes_over() {
    let Some(mut cluster) = CoordinatorCluster::start(2, 2).await else { return };
    let (leader, term) = cluster.wait_leader(&[0, 1]).await;
    let other = 1 - leader;
    cluster.client(other).register(&Function::new("double")).await;
    cluster.client(leader).wait_served_by("double", &["e1", "e2"]).await;
    let direct = cluster.executor("e1").ready("grpc").to_owned();
    let mut streams =
        [Conversation::open(&cluster.address(other), "double").await, Conversation::open(&direct, "double").await];
    let before = loads(&mut cluster);
    // A registration is under way at the one that dies.
    let mut events = cluster.client(leader).begin_register(&Function::new("echo").named("orphan")).await;
    within("its first line", events.message()).await.unwrap();
    let killed = Instant::now();
    cluster.kill_coordinator(leader);
    for value in 0..20 {
        for stream in &mut streams {
            assert_eq!(stream.ask(value).await, [2 * value]);
        }
    }
    let (_, next) = cluster.wait_leader(&[other]).await;
    assert!(killed.elapsed() < TAKEN_OVER_WITHIN, "{:?}", killed.elapsed());
    assert!(next > term, "{next} after {term}");
    // It is finished by the new leader, whatever had come of it.
    let settled = async || {
        let info: FunctionInfo = cluster.client(other).describe("orphan").await?;
        (info.state() == LoadState::Ready).then_some(())
    };
    eventually("the orphaned registration is finished", settled).await;
    cluster.client(other).register(&Function::new("echo").named("later")).await;
    cluster.client(other).wait_served_by("double", &["e1", "e2"]).await;
    let after = loads(&mut cluster);
    assert_eq!(after - before, 4, "orphan and later, on two executors each; nothing else was loaded");
    for stream in &mut streams {
        assert_eq!(stream.ask(7).await, [14]);
    }
    // The dead one comes back, and learns all from the store and from executors.
    cluster.start_coordinator(leader).await;
    cluster.wait_ready(leader, 2).await;
    cluster.client(leader).wait_served_by("double", &["e1", "e2"]).await;
    let results = call(&cluster.address(leader), path("later"), &[numbers([3])]).await.unwrap();
    assert_eq!(integers(&results), [3]);
    assert_eq!(cluster.term(leader).await, 0, "it follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_past_its_lease_follows_when_it_wakes() {
    let Some(mut cluster) = CoordinatorCluster::start(2, 2).await else { return };
    let (leader, term) = cluster.wait_leader(&[0, 1]).await;
    let other = 1 - leader;
    cluster.client(leader).register(&Function::new("double")).await;
    cluster.client(other).wait_served_by("double", &["e1", "e2"]).await;
    let before = loads(&mut cluster);
    cluster.coordinator(leader).signal(libc::SIGSTOP);
    let (_, next) = cluster.wait_leader(&[other]).await;
    assert!(next > term);
    cluster.client(other).register(&Function::new("echo")).await;
    cluster.coordinator(leader).signal(libc::SIGCONT);
    let follows = async || (cluster.term(leader).await == 0).then_some(());
    eventually("it steps down", follows).await;
    // It has lost its executors meanwhile, and has them again.
    cluster.wait_ready(leader, 2).await;
    cluster.client(leader).wait_served_by("echo", &["e1", "e2"]).await;
    assert_eq!(cluster.term(other).await, next, "the new leader was not disturbed");
    let results = call(&cluster.address(leader), path("double"), &[numbers([4])]).await.unwrap();
    assert_eq!(integers(&results), [8]);
    assert_eq!(loads(&mut cluster) - before, 2, "echo on two executors; nothing was loaded twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_drops_and_lines_are_the_same_at_each() {
    let Some(cluster) = CoordinatorCluster::start(2, 2).await else { return };
    let (leader, _) = cluster.wait_leader(&[0, 1]).await;
    let other = 1 - leader;
    cluster.client(other).register(&Function::new("double")).await;
    let request = DrainExecutorRequest { executor: "e2".to_owned(), undo: false };
    cluster.client(other).fleet().await.drain_executor(request.clone()).await.unwrap();
    for at in [leader, other] {
        let drained = async || (cluster.states(at).await.get("e2")? == "drained").then_some(());
        eventually("drained everywhere", drained).await;
        cluster.client(at).wait_served_by("double", &["e1"]).await;
    }
    let undo = DrainExecutorRequest { undo: true, ..request };
    cluster.client(other).fleet().await.drain_executor(undo).await.unwrap();
    cluster.client(leader).wait_served_by("double", &["e1", "e2"]).await;
    let drop = DropFunctionRequest { name: "double".to_owned() };
    cluster.client(other).fleet().await.drop_function(drop).await.unwrap();
    eventually("dropped everywhere", async || cluster.client(leader).describe("double").await.is_none().then_some(()))
        .await;
    let request = LogsRequest { tail: 10, ..Default::default() };
    for at in [leader, other] {
        let answer = cluster.client(at).fleet().await.logs(request.clone()).await;
        assert!(answer.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_calls_go_on_and_all_comes_back_by_itself() {
    let Some(mut cluster) = CoordinatorCluster::start(2, 2).await else { return };
    cluster.client(0).register(&Function::new("double")).await;
    cluster.client(1).wait_served_by("double", &["e1", "e2"]).await;
    let (_, term) = cluster.wait_leader(&[0, 1]).await;
    let before = loads(&mut cluster);
    cluster.etcd().pause(0);
    // Nobody knows any more that it leads: whoever did has stepped down.
    let nobody = async || (cluster.term(0).await == 0 && cluster.term(1).await == 0).then_some(());
    eventually("nobody leads", nobody).await;
    for at in [0, 1] {
        let results = call(&cluster.address(at), path("double"), &[numbers([4])]).await.unwrap();
        assert_eq!(integers(&results), [8], "routes need no store");
    }
    cluster.etcd().resume(0);
    let (_, next) = cluster.wait_leader(&[0, 1]).await;
    assert!(next > term);
    for at in [0, 1] {
        cluster.wait_ready(at, 2).await;
    }
    cluster.client(1).register(&Function::new("echo")).await;
    cluster.client(0).wait_served_by("echo", &["e1", "e2"]).await;
    assert_eq!(loads(&mut cluster) - before, 2, "echo on two executors; double was never touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_or_revoked_at_one_count_at_the_other_within_two_seconds() {
    let Some(cluster) = CoordinatorCluster::prepare(2) else { return };
    let mut cluster = cluster.with_token("the-fleets-own-token");
    for index in 0..2 {
        cluster.start_coordinator(index).await;
    }
    let known = async |index: usize, token: &str| {
        let mut fleet = Client::new(&cluster.address(index), Some(token)).fleet().await;
        fleet.server_info(ServerInfoRequest::default()).await.is_ok()
    };
    for (number, (here, there)) in [(0, 1), (1, 0), (0, 1)].into_iter().enumerate() {
        let (name, kind) = (format!("t{number}"), TokenKind::Roles as i32);
        let request =
            CreateTokenRequest { kind, name: name.clone(), roles: vec!["call".to_owned()], ..Default::default() };
        let token = cluster.client(here).fleet().await.create_token(request).await.unwrap().into_inner().token;
        let begun = Instant::now();
        eventually("it is known there", async || known(there, &token).await.then_some(())).await;
        assert!(begun.elapsed() < KNOWN_WITHIN, "{:?}", begun.elapsed());
        let request = RevokeTokenRequest { kind, name };
        cluster.client(there).fleet().await.revoke_token(request).await.unwrap();
        let begun = Instant::now();
        eventually("it is refused here", async || (!known(here, &token).await).then_some(())).await;
        assert!(begun.elapsed() < KNOWN_WITHIN, "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_at_one_coordinator_is_known_at_all() {
    let Some(cluster) = CoordinatorCluster::prepare(2) else { return };
    let mut cluster = cluster.with_token("the-fleets-own-token");
    for index in 0..2 {
        cluster.start_coordinator(index).await;
    }
    let [here, there] = [0, 1].map(|index| cluster.http_address(index));
    let (status, head) = post(&here, "/api/v1/session", "{\"token\": \"the-fleets-own-token\"}").await;
    assert_eq!(status, 204, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    for address in [&here, &there] {
        let (status, body) = get_with(address, "/api/v1/whoami", &cookie).await;
        assert!(status == 200 && body.contains("fleet token"), "{status} {body}");
        assert_eq!(get_with(address, "/api/v1/whoami", "").await.0, 401);
    }
}
