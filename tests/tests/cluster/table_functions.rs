//! Table functions: results of several messages per batch, at executors.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::FlightData;
use arrow_schema::{DataType, Field, Schema};
use udfleet_proto::v1::{ErrorCode, FunctionKind};
use udfleet_tests::batches::{batch, integers, integers_of, numbers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bigint, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::wait_idle;
use udfleet_tests::memory::pss;
use udfleet_tests::messages::{Encoder, command, descriptors, path, result_of};
use udfleet_tests::stream::{Stream, call, in_band};
use udfleet_tests::wait::eventually;

fn table(attribute: &str) -> Function {
    Function::new(attribute).kind(FunctionKind::Table)
}

async fn start(functions: &[Function]) -> (Cluster, String) {
    let cluster = Cluster::start(1).await;
    for function in functions {
        cluster.client().register(function).await;
    }
    let executor = cluster.endpoints().remove(1);
    (cluster, executor)
}

fn schema() -> Arc<Schema> {
    let fields = vec![Field::new("row", DataType::Int32, false), Field::new("result", DataType::Int64, true)];
    Arc::new(Schema::new(fields))
}

fn rows(messages: &[FlightData]) -> Vec<(i64, i64)> {
    let (rows, values) = (integers_of(messages, &schema(), 0), integers_of(messages, &schema(), 1));
    rows.into_iter().zip(values).collect()
}

fn expected(counts: &[i64]) -> Vec<(i64, i64)> {
    counts.iter().enumerate().flat_map(|(row, count)| (0..*count).map(move |value| (row as i64, value))).collect()
}

fn marked(marker: &Path, count: i64) -> RecordBatch {
    let marker: ArrayRef = Arc::new(StringArray::from(vec![marker.display().to_string()]));
    batch(vec![marker, Arc::new(Int64Array::from(vec![count]))])
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_in_parts_and_in_order() {
    let (cluster, executor) = start(&[table("spread")]).await;
    let counts: [&[i64]; 4] = [&[0, 3, 35_000, 1], &[], &[0, 0], &[2]];
    let batches: Vec<RecordBatch> = counts.iter().map(|counts| numbers(counts.iter().copied())).collect();
    let all = |messages: &[FlightData]| rows(messages);
    for (form, descriptor) in descriptors("spread") {
        let results = call(&executor, descriptor, &batches).await.unwrap();
        let wanted: Vec<_> = counts.iter().flat_map(|counts| expected(counts)).collect();
        assert!(all(&results) == wanted, "{form}");
        assert!(results.len() > batches.len() + 2, "{form}: in parts, {}", results.len());
    }
    let results = call(&executor, command("spread"), &batches).await.unwrap();
    for (sequence, counts) in counts.iter().enumerate() {
        let of: Vec<_> = results.iter().filter(|m| result_of(m).sequence == sequence as u64).cloned().collect();
        assert!(all(&of) == expected(counts), "batch {sequence}");
        let last: Vec<bool> = of.iter().map(|message| result_of(message).last).collect();
        assert_eq!(last.iter().position(|last| *last), Some(last.len() - 1), "batch {sequence}: {last:?}");
        assert_eq!(of.iter().map(|message| result_of(message).rows).sum::<u64>(), expected(counts).len() as u64);
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_neither_interpreter_nor_memory_and_leaving_closes_generators() {
    let functions = [table("endless").takes(vec![string()]), Function::new("double")];
    let (mut cluster, executor) = start(&functions).await;
    let marker = cluster.folder().join("endless");
    let mut stream = Stream::open(&executor, command("endless")).await.unwrap();
    let names = [marker.display().to_string()];
    stream.send_all(Encoder::default().all(&[texts(&names), texts(&names)])).await;
    stream.next().await.unwrap().expect("a schema");
    let first = stream.next().await.unwrap().expect("a part");
    assert_eq!((result_of(&first).sequence, result_of(&first).last), (0, false));
    let before = pss(cluster.executor("e1").pid());
    // The executor's only interpreter is free for others while nobody reads.
    for value in 0..20 {
        let results = call(&executor, path("double"), &[numbers([value])]).await.unwrap();
        assert_eq!(integers(&results), [2 * value]);
    }
    let grown = pss(cluster.executor("e1").pid()).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for a reader that does not read");
    drop(stream);
    let closed = marker.with_extension("closed");
    eventually("the generator is closed", async || closed.exists().then_some(())).await;
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_interpreter_starts_over_without_repeating_rows() {
    let inputs = vec![string(), bigint()];
    let again = table("stumble").takes(inputs.clone());
    let once = table("stumble").named("once").takes(inputs).not_deterministic();
    let (cluster, executor) = start(&[again, once]).await;
    let count = 45_000;
    let marker = cluster.folder().join("again");
    let results = call(&executor, command("stumble"), &[marked(&marker, count)]).await.unwrap();
    assert!(marker.exists(), "it has stumbled");
    assert!(rows(&results) == expected(&[count]), "each row once");
    assert_eq!(results.iter().filter(|message| result_of(message).last).count(), 1);
    // Another run might give other rows than those that have been sent.
    let marker = cluster.folder().join("once");
    let error = call(&executor, command("once"), &[marked(&marker, count)]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InterpreterCrashed, "{error}");
    assert_eq!(error.info().exit.as_ref().map(|exit| exit.status), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_comes_behind_the_rows_before_it() {
    let (_cluster, executor) = start(&[table("break_off")]).await;
    let mut stream = Stream::open(&executor, command("break_off")).await.unwrap();
    stream.send_all(Encoder::default().all(&[numbers([25_000])])).await;
    stream.half_close();
    let all = stream.rest().await.unwrap();
    let (error, before) = all[1..].split_last().unwrap();
    let error = in_band(error).expect("an error comes last");
    assert_eq!((error.code(), error.info().row), (ErrorCode::UserCode, Some(0)), "{error}");
    assert_eq!(error.info().function, "break_off@1");
    let rows = rows(before);
    assert!(rows.len() >= 10_000 && rows[..] == expected(&[25_000])[..rows.len()]);
    let mut plain = Stream::open(&executor, path("break_off")).await.unwrap();
    plain.send_all(Encoder::default().all(&[numbers([25_000])])).await;
    plain.half_close();
    let status = plain.rest().await.unwrap_err();
    assert_eq!(udfleet_tests::stream::typed(&status).code(), ErrorCode::UserCode);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_nobody_has_seen_may_come_anew() {
    let inputs = vec![string(), string(), bigint()];
    let walk = table("random_walk").takes(inputs).not_deterministic();
    // Parts of 100 rows; it stumbles in the second.
    let walk = walk.config("udfleet.interpreters", "2").config("python.fn-execution.arrow.batch.size", "100");
    // What is not deterministic runs once, unless it is registered with more tries.
    let walk = walk.config("udfleet.retry.max-attempts", "3");
    let (cluster, executor) = start(&[walk]).await;
    // One for each batch.
    let both = async || {
        let info = cluster.client().describe("random_walk").await?;
        let status = info.executors.first()?.status.clone()?;
        (status.interpreters == 2).then_some(())
    };
    eventually("two interpreters serve it", both).await;
    let gate = Gate::new(&cluster.folder(), "gate");
    let marker = cluster.folder().join("walk");
    let row = |gate: &str, marker: &Path, count: i64| {
        let texts = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let count: ArrayRef = Arc::new(Int64Array::from(vec![count]));
        batch(vec![texts(gate.to_owned()), texts(marker.display().to_string()), count])
    };
    let count = 150;
    let batches = [row(&gate.argument(), &marker, 1), row("", &marker, count)];
    let called = tokio::spawn(async move { call(&executor, command("random_walk"), &batches).await });
    // The second batch waits behind the first: none of its rows has gone out when its interpreter ends.
    gate.wait_entered(1).await;
    eventually("the second batch has stumbled", async || marker.exists().then_some(())).await;
    let restarted = async || cluster.log("e1").contains("is tried on another interpreter").then_some(());
    eventually("it is tried again", restarted).await;
    gate.open();
    let results = called.await.unwrap().unwrap();
    let walked: Vec<i64> = rows(&results)[1..].iter().map(|(_, value)| *value).collect();
    assert!(walked == (walked[0]..walked[0] + count).collect::<Vec<_>>(), "rows of one run, each once");
}
