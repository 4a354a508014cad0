//! Answers of several messages, and answers that come at the end.

use std::sync::atomic::Ordering;

use udfleet_proto::error::Error;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{DataType, ErrorCode, FunctionDefinition, FunctionKind, TypeRoot};

use super::client::{batch, command, encode, firsts, open, path, result_of, schema};
use super::executor::{Behaviour, Executor};
use super::support::{Coordinator, echo, eventually, start};

fn table(deterministic: bool) -> FunctionDefinition {
    FunctionDefinition { kind: FunctionKind::Table as i32, deterministic, ..echo("split") }
}

fn aggregate() -> FunctionDefinition {
    FunctionDefinition { kind: FunctionKind::Aggregate as i32, ..echo("agg") }
}

async fn fleet(function: FunctionDefinition, behaviours: &[Behaviour]) -> (Coordinator, Vec<Executor>) {
    let coordinator = start().await;
    let names = ["a", "b", "c"];
    let begin =
        |(name, behaviour): (&&str, &Behaviour)| Executor::start(&coordinator.address(), name, behaviour.clone());
    let executors: Vec<_> = names.iter().zip(behaviours).map(begin).collect();
    coordinator.executors(|all| all.len() == behaviours.len()).await;
    coordinator.register(function).await.1.unwrap();
    (coordinator, executors)
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_in_order_and_the_last_says_so() {
    let behaviour = Behaviour { parts: 3, delay: Some(|n| (n * 7) % 5), ..Default::default() };
    let (coordinator, _executors) = fleet(table(true), &vec![behaviour; 2]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    stream.send_all(encode(schema(), (0..30).map(|i| batch(i..i + 2)).collect()).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let expected: Vec<_> = (0..30u64).flat_map(|i| [(i, false), (i, false), (i, true)]).collect();
    let given: Vec<_> = answers.iter().map(result_of).map(|result| (result.sequence, result.last)).collect();
    assert_eq!(given, expected);
    assert_eq!(firsts(&answers)[87..], [29, 29, 29]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_passed_on_before_the_answer_ends() {
    let endless = Behaviour { parts: 4, silent_at_part: Some(2), ..Default::default() };
    let (coordinator, _executors) = fleet(table(true), &[endless]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(5..6)]).await);
    stream.next().await.unwrap().unwrap();
    for _ in 0..2 {
        assert!(!result_of(&stream.next().await.unwrap().unwrap()).last);
    }
}

/// 2 MiB.
fn large(first: i64) -> arrow_array::RecordBatch {
    batch(first..first + (1 << 18))
}

#[tokio::test(flavor = "multi_thread")]
async fn early_answers_are_held_back_within_bounds() {
    // One executor is slow with the oldest batch, the other has a gigabyte to say about later ones.
    let slow = Behaviour { silent_after: Some(0), ..Default::default() };
    let talkative = Behaviour { parts: 100, ..Default::default() };
    let (coordinator, mut executors) = fleet(table(true), &[slow, talkative]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    stream.send_all(encode(schema(), (0..8).map(large).collect()).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    eventually("both have some", async || {
        (executors[0].batches() > 0 && executors[1].counts.messages.load(Ordering::SeqCst) > 1).then_some(())
    })
    .await;
    let mut passed = 0;
    if executors[1].batches() < 8 && executors[0].batches() > 0 {
        // What the oldest batch does not hold up may have come.
        let messages = || executors[1].counts.messages.load(Ordering::SeqCst);
        let mut before = usize::MAX;
        eventually("it stops", async || {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            let now = messages();
            (std::mem::replace(&mut before, now) == now).then_some(())
        })
        .await;
        passed = messages();
    }
    executors[0].kill();
    let rest = stream.rest().await.unwrap();
    assert_eq!(rest.len(), 800);
    let sequences: Vec<u64> = rest.iter().map(|answer| result_of(answer).sequence).collect();
    assert!(sequences.is_sorted() && sequences[799] == 7);
    assert!(passed < 700, "{passed} messages of 2 MiB were taken in while the oldest was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_continued_where_functions_are_deterministic() {
    let dying = Behaviour { parts: 5, silent_at_part: Some(3), ..Default::default() };
    let (coordinator, mut executors) = fleet(table(true), &[dying]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(7..10)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    for _ in 0..3 {
        stream.next().await.unwrap().unwrap();
    }
    // Nine of fifteen rows are here already.
    let _other = Executor::start(&coordinator.address(), "b", Behaviour { parts: 5, ..Default::default() });
    executors[0].kill();
    let rest = stream.rest().await.unwrap();
    let results: Vec<_> = rest.iter().map(result_of).map(|result| (result.rows, result.last)).collect();
    assert_eq!(results, [(3, false), (3, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_an_error_where_they_are_not() {
    let dying = Behaviour { parts: 5, silent_at_part: Some(1), ..Default::default() };
    let (coordinator, mut executors) = fleet(table(false), &[dying]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    stream.send_all(encode(schema(), vec![batch(7..10)]).await);
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    executors[0].kill();
    let error = Error::from(result_of(&stream.next().await.unwrap().unwrap()).error.unwrap());
    assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::ExecutorLost, "split@1"));
    assert!(error.info().message.contains("not deterministic"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_answer_at_the_end_from_one_executor() {
    let behaviour = Behaviour { parts: 2, ..Default::default() };
    let (coordinator, executors) = fleet(aggregate(), &vec![behaviour; 2]).await;
    let mut stream = open(&coordinator, command("agg")).await.unwrap();
    stream.send_all(encode(schema(), (0..20).map(|i| batch(i..i + 1)).collect()).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    let answers = stream.rest().await.unwrap();
    let (acks, results) = answers.split_at(20);
    for (index, ack) in acks.iter().enumerate() {
        let result = result_of(ack);
        assert!(ack.data_header.is_empty() && result.last && result.sequence == index as u64, "{result:?}");
    }
    let ends: Vec<_> = results.iter().map(result_of).map(|result| (result.sequence, result.last)).collect();
    assert_eq!((ends, firsts(results)), (vec![(20, false), (20, true)], vec![20, 20]));
    let batches: Vec<_> = executors.iter().map(Executor::batches).collect();
    assert!(batches.contains(&20) && batches.contains(&0), "{batches:?}");

    let mut plain = open(&coordinator, path("agg")).await.unwrap();
    for message in encode(schema(), vec![batch(0..1), batch(1..2)]).await {
        plain.send(message);
    }
    plain.half_close();
    plain.next().await.unwrap().unwrap();
    assert_eq!(firsts(&plain.rest().await.unwrap()), [2, 2], "only results");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_input_is_aggregated_too() {
    let (coordinator, _executors) = fleet(aggregate(), &[Behaviour::default()]).await;
    for messages in [vec![], encode(schema(), vec![]).await] {
        let mut stream = open(&coordinator, command("agg")).await.unwrap();
        stream.send_all(messages);
        stream.half_close();
        stream.next().await.unwrap().unwrap();
        assert_eq!(firsts(&stream.rest().await.unwrap()), [0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_lost_with_their_executor() {
    let dying = Behaviour { silent_after: Some(3), ..Default::default() };
    let (coordinator, mut executors) = fleet(aggregate(), &[dying]).await;
    let mut stream = open(&coordinator, command("agg")).await.unwrap();
    stream.send_all(encode(schema(), (0..5).map(|i| batch(i..i + 1)).collect()).await);
    stream.next().await.unwrap().unwrap();
    for _ in 0..3 {
        assert!(result_of(&stream.next().await.unwrap().unwrap()).last);
    }
    executors[0].kill();
    let error = Error::from(result_of(&stream.next().await.unwrap().unwrap()).error.unwrap());
    assert!(error.code() == ErrorCode::ExecutorLost && error.code().retryable(), "{error}");
    assert!(error.info().message.contains("groups"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_of_a_table_function_has_a_row_column() {
    let mut function = table(true);
    let field = |name: &str| udfleet_proto::v1::Field { name: name.to_owned(), r#type: Some(simple(TypeRoot::Int)) };
    function.result_type = Some(DataType { fields: vec![field("w"), field("n")], ..simple(TypeRoot::Row) });
    let (coordinator, _executors) = fleet(function, &[Behaviour::default()]).await;
    let mut stream = open(&coordinator, command("split")).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    let names = arrow_schema::Schema::try_from(&first).unwrap();
    let names: Vec<_> = names.fields().iter().map(|field| (field.name().clone(), field.is_nullable())).collect();
    let expected = [("row", false), ("w", true), ("n", true)].map(|(name, nullable)| (name.to_owned(), nullable));
    assert_eq!(names, expected);
}
