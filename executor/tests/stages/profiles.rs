//! Profiles: samples of what functions do.

use std::collections::BTreeMap;

use udfleet_proto::v1::FunctionDefinition;

use crate::support::{Runner, bigint, input, scalar, some};

const MODULE: &str = r#"
import time

def busy(a):
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        pass
    return a

def outer(a):
    return busy(a)

def asleep(a):
    time.sleep(0.02)
    return a
"#;

fn profiled(name: &str) -> FunctionDefinition {
    let config = BTreeMap::from([("python.profile.enabled".to_owned(), "true".to_owned())]);
    FunctionDefinition { config, ..scalar(name, &[bigint()], bigint()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_show_where_the_time_went() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, profiled("outer")).await;
    runner.load(2, profiled("asleep")).await;
    runner.load(3, scalar("busy", &[bigint()], bigint())).await;
    for function in 1..=3 {
        runner.call(input(function, &[&some(0..20)])).await.unwrap();
    }
    let busy = runner.interpreter.profile(1).await.unwrap();
    let all: u64 = busy.stacks.iter().map(|stack| stack.samples).sum();
    let ms = all * busy.period_ns / 1_000_000;
    assert!((200..=1000).contains(&ms), "400 ms of work, {ms} ms sampled");
    let inner: u64 =
        busy.stacks.iter().filter(|s| s.stack.starts_with("mod.py:outer:11;mod.py:busy:")).map(|s| s.samples).sum();
    assert!(inner * 10 >= all * 9, "{:?}", busy.stacks);
    let asleep = runner.interpreter.profile(2).await.unwrap();
    assert!(asleep.stacks.iter().all(|stack| stack.stack.starts_with("mod.py:asleep:")), "{:?}", asleep.stacks);
    assert!(!asleep.stacks.is_empty());
    assert!(runner.interpreter.profile(3).await.is_err(), "not asked for");
    runner.interpreter.kill();
}
