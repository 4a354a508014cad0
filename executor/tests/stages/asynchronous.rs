//! Coroutine functions: many rows wait at once.

use std::collections::BTreeMap;
use std::time::Instant;

use udfleet_proto::v1::{ErrorCode, FunctionDefinition, OnError};

use crate::support::{Runner, bigint, decode, field, input, longs, scalar, schema, some};

const MODULE: &str = r#"
import asyncio
from udfleet import AsyncScalarFunction

async def wait(a):
    await asyncio.sleep(0.05 if a % 2 else 0.1)
    return a * 10

tries = {}

async def second_time(a):
    tries[a] = tries.get(a, 0) + 1
    if tries[a] < 2:
        raise OSError("again")
    return tries[a]

cancelled = []

async def hang_at_three(a):
    try:
        if a == 3:
            await asyncio.sleep(60)
        return a
    except asyncio.CancelledError:
        cancelled.append(a)
        raise

async def count_cancelled(a):
    return len(cancelled)

class Opened(AsyncScalarFunction):
    async def open(self, context):
        await asyncio.sleep(0)
        self.base = 100
    async def eval(self, a):
        return self.base + a
"#;

fn asynchronous(name: &str, config: &[(&str, &str)]) -> FunctionDefinition {
    let config: BTreeMap<_, _> = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    FunctionDefinition { asynchronous: true, config, ..scalar(name, &[bigint()], bigint()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_wait_together_and_come_in_order() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, asynchronous("wait", &[])).await;
    runner.load(2, asynchronous("Opened", &[])).await;
    let result = schema(&[field("result", &bigint())]);
    let started = Instant::now();
    let batch = decode(&runner.call(input(1, &[&some(0..100)])).await.unwrap(), &result);
    assert_eq!(longs(&batch, 0), some((0..100).map(|a| a * 10)));
    assert!(started.elapsed().as_secs_f64() < 2.5, "one after the other it would take 7.5 s");
    let batch = decode(&runner.call(input(2, &[&some([1])])).await.unwrap(), &result);
    assert_eq!(longs(&batch, 0), some([101]));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_tried_again_and_time_out() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, asynchronous("second_time", &[("udfleet.async.retries", "1")])).await;
    runner.load(2, asynchronous("hang_at_three", &[("udfleet.async.timeout", "100")])).await;
    runner.load(3, asynchronous("count_cancelled", &[])).await;
    let result = schema(&[field("result", &bigint())]);
    let batch = decode(&runner.call(input(1, &[&some([1, 2])])).await.unwrap(), &result);
    assert_eq!(longs(&batch, 0), some([2, 2]));
    let failure = runner.call(input(2, &[&some([1, 2, 3, 4])])).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row), (ErrorCode::UserCode, Some(2)));
    assert!(info.message.contains("[3]") && info.message.contains("100 ms"), "{}", info.message);
    let batch = decode(&runner.call(input(3, &[&some([0])])).await.unwrap(), &result);
    assert_eq!(longs(&batch, 0), some([1]), "the row that took too long was cancelled and awaited");
    let mut lenient = input(2, &[&some([1, 2, 3, 4])]);
    lenient.on_error = OnError::Null;
    let batch = decode(&runner.call(lenient).await.unwrap(), &result);
    assert_eq!(longs(&batch, 0), [Some(1), Some(2), None, Some(4)]);
    runner.interpreter.kill();
}
