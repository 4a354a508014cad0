//! How the coordinator's router distributes batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::{metrics, wait_idle};
use udfleet_tests::messages::{Encoder, command, descriptors, path};
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_uses_the_whole_fleet_and_stays_in_order() {
    let cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("uneven")).await;
    let batches: Vec<_> = (0..200).map(|i| numbers([i])).collect();
    for (form, descriptor) in descriptors("uneven") {
        let results = call(&cluster.address(), descriptor, &batches).await.unwrap();
        assert_eq!(integers(&results), (0..200).collect::<Vec<_>>(), "{form}");
    }
    let shared = async || {
        let (total, each) = cluster.client().progress("uneven").await;
        (total.calls == 400).then_some(each)
    };
    let each = eventually("all batches are counted", shared).await;
    let calls: Vec<_> = each.iter().map(|(id, m)| (id.as_str(), m.calls)).collect();
    let [("e1", first), ("e2", second)] = calls[..] else { panic!("{calls:?}") };
    // Both have one interpreter: neither gets much more than its half.
    assert!(first > 120 && second > 120, "{calls:?}");
    // The executors say the same themselves, and the coordinator on its page.
    let addresses = cluster.http_addresses();
    let pages = [
        (&addresses[1], "udfleet_executor_function", first),
        (&addresses[2], "udfleet_executor_function", second),
        (&addresses[0], "udfleet_function", 400),
    ];
    for (address, prefix, expected) in pages {
        let page = metrics(address).await;
        for counted in ["calls", "rows"] {
            let series = format!("{prefix}_{counted}_total{{function=\"uneven@1\"}}");
            assert_eq!(page[&series], expected as f64, "{address}: {series}");
        }
    }
    assert_eq!(metrics(&addresses[0]).await["udfleet_batches_forwarded_total"], 400.0);
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_function_stops_nobody_else() {
    let cluster = Cluster::start(2).await;
    let stuck = Function::new("wait").takes(vec![string()]).variant("stuck");
    let client = cluster.client();
    client.register(&stuck).await;
    client.register(&Function::new("double")).await;
    for endpoint in cluster.endpoints() {
        let gate = Gate::new(&cluster.folder(), &endpoint.replace(':', "-"));
        // More than all windows take in: every interpreter of its environment is stuck, and batches queue before it.
        let mut streams = Vec::new();
        for (_, descriptor) in descriptors("wait") {
            let mut stream = Stream::open(&endpoint, descriptor).await.unwrap();
            let sender = stream.take_sender();
            let sent = Encoder::default().all(&vec![texts(&[gate.argument()]); 60]);
            tokio::spawn(async move {
                for message in sent {
                    sender.send(message).await.expect("an open stream");
                }
            });
            streams.push(stream);
        }
        gate.wait_entered(1).await;
        let batches: Vec<_> = (0..50).map(|i| numbers([i])).collect();
        for descriptor in [path("double"), command("double")] {
            let results = call(&endpoint, descriptor, &batches).await.unwrap();
            assert_eq!(integers(&results).len(), 50);
        }
        gate.open();
        for mut stream in streams {
            assert_eq!(integers(&stream.rest().await.unwrap()[1..]), [1; 60]);
        }
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

/// A stream of `batches` batches of one row that stop at the gate.
async fn at_the_gate(cluster: &Cluster, gate: &Gate, batches: usize) -> Stream {
    let mut stream = Stream::open(&cluster.address(), command("wait")).await.unwrap();
    let sender = stream.take_sender();
    let sent = Encoder::default().all(&vec![texts(&[gate.argument()]); batches]);
    tokio::spawn(async move {
        for message in sent {
            sender.send(message).await.expect("an open stream");
        }
    });
    stream
}

/// Waits until the coordinator has taken this many batches in.
async fn wait_forwarded(cluster: &Cluster, batches: f64) {
    let coordinator = cluster.http_addresses().swap_remove(0);
    let forwarded = async || (metrics(&coordinator).await["udfleet_batches_forwarded_total"] == batches).then_some(());
    eventually(&format!("{batches} batches are taken in"), forwarded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_behind_slow_calls_goes_on_at_an_executor_that_joins() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("wait").takes(vec![string()])).await;
    let gate = Gate::new(&cluster.folder(), "gate");
    let mut stream = at_the_gate(&cluster, &gate, 20).await;
    gate.wait_entered(1).await;
    // The window of one executor is full: nothing more can happen on this stream until a call ends.
    wait_forwarded(&cluster, 8.0).await;
    cluster.add_executor("e2").await;
    cluster.client().wait_served_by("wait", &["e1", "e2"]).await;
    gate.wait_entered(2).await;
    gate.open();
    assert_eq!(integers(&stream.rest().await.unwrap()[1..]), [1; 20]);
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_an_executor_gives_back_have_not_been_tried() {
    let mut cluster = Cluster::start(2).await;
    let once = Function::new("wait").takes(vec![string()]).config("udfleet.retry.max-attempts", "1");
    cluster.client().register(&once).await;
    let gate = Gate::new(&cluster.folder(), "gate");
    let mut stream = at_the_gate(&cluster, &gate, 16).await;
    gate.wait_entered(2).await;
    wait_forwarded(&cluster, 16.0).await;
    // It finishes the call that runs, and refuses those that wait for its interpreter.
    cluster.executor("e1").signal(libc::SIGTERM);
    cluster.wait_state("e1", "stopped").await;
    gate.open();
    assert_eq!(integers(&stream.rest().await.unwrap()[1..]), [1; 16]);
    assert!(cluster.executor("e1").ended().await.success());
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_two_streams_take_turns() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("nap")).await;
    // One interpreter, one stream that keeps it busy: another stream's batch waits for a window, not for its end.
    let mut busy = Stream::open(&cluster.address(), command("nap")).await.unwrap();
    let sender = busy.take_sender();
    let feeding = tokio::spawn(async move {
        let mut encoder = Encoder::default();
        let mut messages = vec![encoder.schema(&numbers([0]).schema())];
        loop {
            for message in messages {
                if sender.send(message).await.is_err() {
                    return;
                }
            }
            messages = encoder.batch(&numbers([20]));
        }
    });
    busy.next().await.unwrap().expect("a schema");
    busy.next().await.unwrap().expect("an answer");
    let answered = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answered);
    let reading = tokio::spawn(async move {
        while busy.next().await.unwrap().is_some() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let results = call(&cluster.address(), path("nap"), &[numbers([1])]).await.unwrap();
    assert_eq!(integers(&results), [1]);
    let waited = answered.load(Ordering::Relaxed);
    assert!(waited < 100, "{waited} batches of the busy stream went first");
    assert!(!feeding.is_finished() && !reading.is_finished(), "the busy stream was busy all along");
    feeding.abort();
    reading.abort();
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}
