//! Executors that die, drain and come back.

use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::v1::{
    BatchHeader, DescribeFunctionRequest, DrainExecutorRequest, ErrorCode, ExchangeRequest, FunctionDefinition,
    FunctionInfo, LoadState,
};

use super::client::{batch, command, dictionary_batch, encode, firsts, open, path, result_of, schema};
use super::executor::{Behaviour, Executor};
use super::support::{Coordinator, echo, error_of, eventually, start};

async fn describe(coordinator: &Coordinator, name: &str) -> FunctionInfo {
    let request = DescribeFunctionRequest { name: name.to_owned() };
    coordinator.fleet().await.describe_function(request).await.unwrap().into_inner()
}

fn on(info: &FunctionInfo) -> Vec<&str> {
    info.executors.iter().map(|e| e.executor.as_str()).collect()
}

/// A coordinator with executors `a`, `b` and so on, which behave so, and the function `add`.
async fn fleet<const EXECUTORS: usize>(behaviours: [Behaviour; EXECUTORS]) -> (Coordinator, [Executor; EXECUTORS]) {
    let coordinator = start().await;
    let mut names = 'a'..;
    let executor = |behaviour| Executor::start(&coordinator.address(), &names.next().unwrap().to_string(), behaviour);
    let executors = behaviours.map(executor);
    coordinator.executors(|all| all.len() == EXECUTORS).await;
    coordinator.register(echo("add")).await.1.unwrap();
    (coordinator, executors)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_survives_the_loss_of_an_executor() {
    let steady = Behaviour { delay: Some(|_| 2), ..Default::default() };
    let (coordinator, [mut dying, _b]) =
        fleet([Behaviour { silent_after: Some(5), ..Default::default() }, steady]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), (0..80).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    // It takes batches that it will not answer.
    eventually("batches hang", async || (dying.batches() > 5).then_some(())).await;
    dying.kill();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), (0..80).collect::<Vec<_>>());
    coordinator.executors(|all| all.contains(&("a".to_owned(), "lost".to_owned()))).await;
    assert_eq!(on(&describe(&coordinator, "add").await), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_stream_moves_with_its_dictionaries() {
    let silent = Behaviour { silent_after: Some(3), ..Default::default() };
    let (coordinator, [mut dying]) = fleet([silent]).await;
    let batches: Vec<_> = (0..8).map(|i| dictionary_batch(&format!("v{i}"))).collect();
    let messages = encode(batches[0].schema(), batches).await;
    let mut stream = open(&coordinator, path("add")).await.unwrap();
    messages.into_iter().for_each(|message| stream.send(message));
    stream.half_close();
    eventually("batches hang", async || (dying.batches() > 3).then_some(())).await;
    let second = Executor::start(&coordinator.address(), "b", Behaviour::default());
    eventually("b serves", async || (on(&describe(&coordinator, "add").await).len() == 2).then_some(())).await;
    dying.kill();
    stream.next().await.unwrap().unwrap();
    assert_eq!(stream.rest().await.unwrap().len(), 8);
    let dictionaries = second.counts.dictionaries.load(std::sync::atomic::Ordering::SeqCst);
    assert!((5..=6).contains(&dictionaries), "those of the unanswered batches, and what was in force: {dictionaries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded() {
    let failing = Behaviour { error: Some((0, ErrorCode::ExecutorLost)), ..Default::default() };
    let (coordinator, [executor]) = fleet([failing]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(0..1)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let error = Error::from(result_of(&answers[0]).error.unwrap());
    assert_eq!((error.code(), error.info().attempt, answers.len()), (ErrorCode::ExecutorLost, 3, 1));
    assert_eq!(executor.batches(), 3, "udfleet.retry.max-attempts is 3");
}

/// Sequences of the batches that an executor has seen, by attempt.
fn seen(executor: &Executor, attempt: u32) -> Vec<u64> {
    executor.seen().iter().filter(|batch| batch.header.attempt == attempt).map(|batch| batch.header.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_has_the_name_of_the_first() {
    let silent = Behaviour { silent_after: Some(2), ..Default::default() };
    let (coordinator, [mut dying]) = fleet([silent]).await;
    let request = ExchangeRequest { function: "add".to_owned(), producer: "mine".to_owned(), ..Default::default() };
    let mut stream = open(&coordinator, exchange_descriptor(&request)).await.unwrap();
    let messages = encode(schema(), (0..6).map(|i| batch(i..i + 1)).collect()).await;
    for (index, message) in messages.into_iter().enumerate() {
        // The client's own numbers, the third batch being its second try.
        let header = BatchHeader { sequence: 10 * index as u64, attempt: if index == 3 { 2 } else { 1 } };
        let metadata = if index == 0 { Vec::new() } else { header.encode_to_vec() };
        stream.send(message.with_app_metadata(metadata));
    }
    stream.half_close();
    eventually("batches hang", async || (dying.batches() > 2).then_some(())).await;
    let second = Executor::start(&coordinator.address(), "b", Behaviour::default());
    eventually("b serves", async || (on(&describe(&coordinator, "add").await).len() == 2).then_some(())).await;
    dying.kill();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let sequences: Vec<u64> = answers.iter().map(|answer| result_of(answer).sequence).collect();
    assert_eq!(sequences, [10, 20, 30, 40, 50, 60], "each once, under the client's number");
    assert_eq!((seen(&dying, 1), seen(&dying, 2)), (vec![10, 20], vec![30]), "the rest was on its way");
    assert_eq!((seen(&second, 1), seen(&second, 2), seen(&second, 3)), (vec![], vec![40, 50, 60], vec![30]));
    assert!(dying.seen().iter().chain(&second.seen()).all(|batch| batch.producer == "mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_name_is_given_one() {
    let (coordinator, [executor]) = fleet([Behaviour::default()]).await;
    for descriptor in [command("add"), command("add"), path("add")] {
        let mut stream = open(&coordinator, descriptor).await.unwrap();
        encode(schema(), vec![batch(0..1)]).await.into_iter().for_each(|message| stream.send(message));
        stream.half_close();
        stream.rest().await.unwrap();
    }
    let producers: std::collections::BTreeSet<_> = executor.seen().into_iter().map(|batch| batch.producer).collect();
    assert!(producers.len() == 3 && !producers.contains(""), "{producers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_deterministic_runs_once_unless_it_is_configured_to() {
    let coordinator = start().await;
    let failing = Behaviour { error: Some((0, ErrorCode::ExecutorLost)), ..Default::default() };
    let executor = Executor::start(&coordinator.address(), "a", failing);
    coordinator.executors(|all| all.len() == 1).await;
    let volatile = |name: &str| FunctionDefinition { deterministic: false, ..echo(name) };
    let mut retried = volatile("retried");
    retried.config.insert("udfleet.retry.max-attempts".to_owned(), "2".to_owned());
    for (function, tries) in [(volatile("once"), 1), (retried, 2)] {
        let before = executor.batches();
        let name = function.name.clone();
        coordinator.register(function).await.1.unwrap();
        let mut stream = open(&coordinator, command(&name)).await.unwrap();
        stream.send_all(encode(schema(), vec![batch(0..1)]).await);
        stream.half_close();
        stream.next().await.unwrap().unwrap();
        let error = Error::from(result_of(&stream.rest().await.unwrap()[0]).error.unwrap());
        assert_eq!((error.code(), error.info().attempt), (ErrorCode::ExecutorLost, tries));
        assert_eq!((error.has_no_side_effects(), error.info().sequence), (false, Some(0)));
        assert_eq!(executor.batches() - before, tries as usize, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_uses_an_executor_that_comes() {
    let slow = Behaviour { delay: Some(|_| 20), ..Default::default() };
    let (coordinator, [first]) = fleet([slow.clone()]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    // More than a window of what it will have in flight.
    stream.send_all(encode(schema(), (0..400).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    eventually("it runs", async || (first.batches() > 0).then_some(())).await;
    let second = Executor::start(&coordinator.address(), "b", slow);
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), (0..400).collect::<Vec<_>>());
    assert!(second.batches() > 50, "{} of 400", second.batches());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_no_attempts() {
    let (coordinator, [executor]) = fleet([Behaviour { refuses: 4, ..Default::default() }]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(7..8)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), [7], "udfleet.retry.max-attempts is 3");
    assert_eq!(seen(&executor, 1), [0; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_bounded_by_time() {
    let (coordinator, [executor]) = fleet([Behaviour { refuses: usize::MAX, ..Default::default() }]).await;
    let asked = std::time::Instant::now();
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(0..1)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let error = Error::from(result_of(&answers[0]).error.unwrap());
    assert_eq!((error.code(), answers.len()), (ErrorCode::NoCapacity, 1));
    assert!(error.has_no_side_effects(), "{error}");
    assert!(asked.elapsed().as_secs() >= 10, "{:?}", asked.elapsed());
    assert!((5..=12).contains(&executor.batches()), "asked {} times", executor.batches());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_refused_is_asked_again_though_others_are_busy() {
    let silent = Behaviour { silent_after: Some(0), ..Default::default() };
    let (coordinator, [mut busy, refusing]) = fleet([silent, Behaviour { refuses: 1, ..Default::default() }]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), (0..16).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    // The window of each is 8 batches: b's all come back, and b gets them again.
    eventually("b is asked again", async || (refusing.batches() > 8).then_some(())).await;
    busy.kill();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), (0..16).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_without_the_function_is_no_last_word() {
    let moved = Behaviour { error: Some((0, ErrorCode::FunctionNotFound)), ..Default::default() };
    let (coordinator, [left, _serving]) = fleet([moved, Behaviour::default()]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), (0..40).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), (0..40).collect::<Vec<_>>());
    assert!(left.batches() > 0, "it was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_left_is_a_refusal_with_the_reason() {
    let (coordinator, [mut only]) = fleet([Behaviour::default()]).await;
    only.kill();
    coordinator.executors(|all| all[0].1 == "lost").await;
    let status = open(&coordinator, path("add")).await.err().unwrap();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let error = error_of(&status);
    assert_eq!(error.code(), ErrorCode::NoCapacity);
    assert!(error.info().message.contains("no executor is attached"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_work_moves_and_draining_is_undone() {
    let coordinator = start().await;
    let mut one = echo("one");
    one.config.insert("udfleet.executors".to_owned(), "1".to_owned());
    let mut executors = [
        Executor::start(&coordinator.address(), "a", Behaviour::default()),
        Executor::start(&coordinator.address(), "b", Behaviour::default()),
    ];
    coordinator.executors(|all| all.len() == 2).await;
    let info = coordinator.register(one).await.1.unwrap();
    let [first] = on(&info)[..] else { panic!("on one executor: {info:?}") };
    let (first, other) = if first == "a" { ("a", "b") } else { ("b", "a") };

    let mut fleet = coordinator.fleet().await;
    let drain = |undo| DrainExecutorRequest { executor: first.to_owned(), undo };
    fleet.drain_executor(drain(false)).await.unwrap();
    coordinator.executors(|all| all.contains(&(first.to_owned(), "drained".to_owned()))).await;
    let moved = async |to: &str| {
        eventually("it moves", async || {
            let info = describe(&coordinator, "one").await;
            (info.state() == LoadState::Ready && on(&info) == [to]).then_some(())
        })
        .await;
    };
    moved(other).await;
    fleet.drain_executor(drain(true)).await.unwrap();
    coordinator.executors(|all| all.contains(&(first.to_owned(), "ready".to_owned()))).await;
    moved(other).await;
    executors[usize::from(other == "b")].kill();
    moved(first).await;
    assert!(fleet.drain_executor(DrainExecutorRequest { executor: "nobody".to_owned(), undo: false }).await.is_err());
}
