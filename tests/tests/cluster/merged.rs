//! Small calls that go to an interpreter together, and callers that leave.

use udfleet_tests::batches::{integers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::{get, wait_idle};
use udfleet_tests::memory::alive;
use udfleet_tests::messages::{Encoder, path};
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::eventually;

/// A stream with one batch, which stops at the gate.
async fn waits(cluster: &Cluster, function: &str, gate: &Gate) -> Stream {
    let mut stream = Stream::open(&cluster.endpoints()[1], path(function)).await.unwrap();
    stream.send_all(Encoder::default().all(&[texts(&[gate.argument()])])).await;
    stream.half_close();
    stream
}

/// Two callers of `wait` whose batches are in one call, at the gate that is given.
async fn together(cluster: &Cluster, name: &str, gate: &Gate) -> [Stream; 2] {
    let through = Gate::new(&cluster.folder(), &format!("{name}-before"));
    // What is known to be long goes alone: until now, calls of `wait` are short.
    through.open();
    for _ in 0..3 {
        call(&cluster.endpoints()[1], path("wait"), &[texts(&[through.argument()])]).await.unwrap();
    }
    let held = Gate::new(&cluster.folder(), &format!("{name}-held"));
    let mut holder = waits(cluster, "hold", &held).await;
    held.wait_entered(1).await;
    let callers = [waits(cluster, "wait", gate).await, waits(cluster, "wait", gate).await];
    wait_in_line(cluster, 2).await;
    held.open();
    assert_eq!(integers(&holder.rest().await.unwrap()[1..]), [1]);
    gate.wait_entered(1).await;
    callers
}

/// Until so many batches of `wait` have come to the executor and wait there.
async fn wait_in_line(cluster: &Cluster, batches: u64) {
    let in_flight = async || {
        let (_, page) = get(&cluster.http_addresses()[1], "/metrics").await;
        let line = page
            .lines()
            .find(|line| line.starts_with("udfleet_executor_function_in_flight") && line.contains("wait@1"))?;
        (line.rsplit(' ').next()?.parse() == Ok(batches)).then_some(())
    };
    eventually("the batches have come", in_flight).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_call_goes_on_while_one_of_its_callers_waits_and_ends_with_the_last() {
    let cluster = Cluster::start(1).await;
    let wait = Function::new("wait").takes(vec![string()]);
    cluster.client().register(&wait).await;
    cluster.client().register(&wait.clone().named("hold")).await;
    cluster.client().register(&wait.clone().named("alone").variant("alone")).await;

    let gate = Gate::new(&cluster.folder(), "one-stays");
    let [leaves, mut stays] = together(&cluster, "first", &gate).await;
    let alone = Gate::new(&cluster.folder(), "alone");
    let other = waits(&cluster, "alone", &alone).await;
    alone.wait_entered(1).await;
    drop((leaves, other));
    // The call that nobody waits for any more is ended: by then the merged one would be, too.
    let ended = |gate: &Gate| {
        let process = gate.processes()[0];
        async move || (!alive(process)).then_some(())
    };
    eventually("the call without callers has ended", ended(&alone)).await;
    gate.open();
    assert_eq!(integers(&stays.rest().await.unwrap()[1..]), [1]);
    assert_eq!(gate.entered(), 2, "the row of the caller that left was in the same call");

    let closed = Gate::new(&cluster.folder(), "both-leave");
    drop(together(&cluster, "second", &closed).await);
    eventually("the merged call has ended", ended(&closed)).await;
    let open = Gate::new(&cluster.folder(), "open");
    open.open();
    let answer = call(&cluster.endpoints()[1], path("wait"), &[texts(&[open.argument()])]).await.unwrap();
    assert_eq!(integers(&answer), [1], "another interpreter has taken its place");
    assert_eq!(closed.entered(), 1, "what nobody waits for is not run again");
    wait_idle(&cluster.http_addresses()).await;
}
