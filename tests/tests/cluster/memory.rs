//! Backpressure: windows bound memory, however much a client sends and however slowly it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{BinaryArray, RecordBatch};
use arrow_flight::FlightData;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_tests::batches::batch;
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bytes};
use udfleet_tests::http::wait_idle;
use udfleet_tests::memory::{interpreters, pss};
use udfleet_tests::messages::{Encoder, command};
use udfleet_tests::proxy::Proxy;
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::eventually;

const MIB: u64 = 1 << 20;
/// Bytes of one batch.
const BATCH: usize = 1 << 20;
/// Bytes of one of the large batches, of which no HTTP/2 window holds STREAM_WINDOW.
const LARGE: usize = 3 << 20;
/// What all of one stream's windows hold at one process, with the copies that transports make: 64 MiB of input and
/// early answers, HTTP/2 windows of 8 MiB each way on both sides, and the batches of STREAM_WINDOW in shared memory.
const BOUND: u64 = 150 * MIB;

/// The most that each process was seen to hold above what it held at first.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<(String, u64, u64)>>,
}

impl Watch {
    fn start(cluster: &mut Cluster) -> Self {
        let mut processes = vec![("coordinator".to_owned(), cluster.coordinator().pid())];
        for executor in ["e1", "e2"] {
            let pid = cluster.executor(executor).pid();
            processes.push((executor.to_owned(), pid));
            processes.extend(interpreters(pid).into_iter().map(|child| (format!("interpreter of {executor}"), child)));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen: Vec<_> = processes.iter().map(|(name, pid)| (name.clone(), pss(*pid), 0)).collect();
            while !stopped.load(Ordering::Relaxed) {
                for ((_, pid), (_, _, most)) in processes.iter().zip(&mut seen) {
                    *most = pss(*pid).max(*most);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self { stop, thread }
    }

    /// Prints what was seen and checks it.
    fn assert_bounded(self, what: &str) {
        self.assert_within(what, BOUND);
    }

    fn assert_within(self, what: &str, bound: u64) {
        self.stop.store(true, Ordering::Relaxed);
        for (name, first, most) in self.thread.join().unwrap() {
            let grown = most.saturating_sub(first);
            println!("{what}: {name}: {} MiB at first, at most {} MiB", first / MIB, most / MIB);
            assert!(grown < bound, "{what}: {name} grew by {} MiB, more than {} MiB", grown / MIB, bound / MIB);
        }
    }
}

async fn start() -> Cluster {
    let cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("echo").takes(vec![bytes()]).returns(bytes())).await;
    cluster
}

fn blob(bytes: usize) -> RecordBatch {
    batch(vec![Arc::new(BinaryArray::from_iter_values([vec![7_u8; bytes]]))])
}

/// Opens a stream and writes batches into it as fast as they are taken, counting.
async fn flood(endpoint: &str, bytes: usize, batches: u64) -> (Stream, Arc<AtomicU64>) {
    let mut stream = Stream::open(endpoint, command("echo")).await.unwrap();
    let sender = stream.take_sender();
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        let (mut encoder, blob) = (Encoder::default(), blob(bytes));
        let schema = encoder.schema(&blob.schema());
        let _ = sender.send(schema).await;
        for _ in 0..batches {
            for message in encoder.batch(&blob) {
                if sender.send(message).await.is_err() {
                    return;
                }
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    stream.next().await.unwrap().expect("a schema");
    (stream, written)
}

fn check(answer: &FlightData) {
    let error = udfleet_tests::stream::in_band(answer);
    assert!(error.is_none(), "{error:?}");
    assert!(answer.data_body.len() >= BATCH);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_stream() {
    const BATCHES: u64 = 2048;
    let mut cluster = start().await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate().take(2) {
        let watch = Watch::start(&mut cluster);
        let (mut stream, _) = flood(&endpoint, BATCH, BATCHES).await;
        let mut answered = 0;
        while let Some(answer) = stream.next().await.unwrap() {
            check(&answer);
            answered += 1;
        }
        assert_eq!(answered, BATCHES);
        watch.assert_bounded(if number == 0 { "2 GiB through the coordinator" } else { "2 GiB to an executor" });
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader() {
    /// More than may lie anywhere between a writer and a reader that reads nothing: both windows of both hops.
    const MOST_UNREAD: u64 = 300;
    let mut cluster = start().await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate().take(2) {
        let watch = Watch::start(&mut cluster);
        let proxy = Proxy::start(&endpoint).await;
        let (mut stream, written) = flood(proxy.address(), BATCH, 2048).await;
        // It reads one batch at a time, each once the writer has come to a halt: nothing more is taken in.
        for read in 0..20 {
            let (mut last, mut unchanged) = (u64::MAX, 0);
            let halted = async || {
                let now = written.load(Ordering::Relaxed);
                unchanged = if now == last { unchanged + 1 } else { 0 };
                last = now;
                (unchanged >= 20).then_some(())
            };
            eventually("the writer halts", halted).await;
            assert!(last - read < MOST_UNREAD, "{last} batches were taken in while {read} were read");
            check(&stream.next().await.unwrap().expect("an answer"));
        }
        assert!(written.load(Ordering::Relaxed) > STREAM_WINDOW as u64, "it wrote ahead of its reading");
        let what = if number == 0 { "a slow reader of the coordinator" } else { "a slow reader of an executor" };
        watch.assert_bounded(what);
        // Meanwhile others are served as ever.
        check(&call(&endpoint, command("echo"), &[blob(BATCH)]).await.unwrap()[0]);
        proxy.cut();
        wait_idle(&cluster.http_addresses()).await;
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_that_read_nothing_and_vanish() {
    const STREAMS: u64 = 8;
    let mut cluster = start().await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate().take(2) {
        let watch = Watch::start(&mut cluster);
        let proxy = Proxy::start(&endpoint).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(flood(proxy.address(), LARGE, 1000).await);
        }
        let answers = futures::future::join_all(streams.iter_mut().map(|(stream, _)| stream.next())).await;
        answers.into_iter().for_each(|answer| check(&answer.unwrap().expect("an answer")));
        let mut last = 0;
        let halted = async || {
            let now = streams.iter().map(|(_, written)| written.load(Ordering::Relaxed)).sum();
            std::mem::replace(&mut last, now).eq(&now).then_some(())
        };
        eventually("the writers halt", halted).await;
        // Everything on the way is full, in both directions; none of it keeps an interpreter from others.
        check(&call(&endpoint, command("echo"), &[blob(BATCH)]).await.unwrap()[0]);
        // What waits for the vanished must not wait for ever.
        proxy.cut();
        wait_idle(&cluster.http_addresses()).await;
        let what =
            if number == 0 { "8 vanished readers of the coordinator" } else { "8 vanished readers of an executor" };
        watch.assert_within(what, STREAMS * BOUND);
    }
    cluster.assert_no_errors();
}
