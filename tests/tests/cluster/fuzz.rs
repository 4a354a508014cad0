//! Garbage at every port, made from one seed: whatever comes, the programs live and answer afterwards.

use std::time::{Duration, Instant};

use arrow_flight::{FlightData, FlightDescriptor};
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use udfleet_proto::v1::{Call, ExchangeRequest, Expression, Field, Filter, Operator, Plan, expression, operator};
use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, bigint, string};
use udfleet_tests::http::get;
use udfleet_tests::messages::{Encoder, command, path, request};
use udfleet_tests::stream::{Stream, call};

/// For each of the two kinds of abuse.
const AT_MOST: Duration = Duration::from_secs(8);
const ROUNDS: usize = 400;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }

    /// Some bytes changed, cut or doubled.
    fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                return bytes;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(if self.below(2) == 0 { 0xff } else { 0 });
                }
                _ => {
                    let copy = bytes[at..].to_vec();
                    bytes.extend(copy);
                }
            }
        }
        bytes
    }
}

fn descriptor(random: &mut Random) -> FlightDescriptor {
    match random.below(10) {
        0 => path("length"),
        1 => command("double"),
        2 => command("length"),
        3 => path("builtin_echo"),
        4 => path("builtin_healthy"),
        5 => FlightDescriptor::new_cmd(random.bytes(200)),
        6 => {
            let good = request(ExchangeRequest { function: "double".to_owned(), ..Default::default() });
            FlightDescriptor::new_cmd(random.mutated(&good.cmd))
        }
        7 => plan(random),
        8 => {
            let good = plan(random);
            FlightDescriptor::new_cmd(random.mutated(&good.cmd))
        }
        _ => path("double"),
    }
}

/// A plan that filters by something that nobody has heard of, or nearly so; its texts may be long.
fn plan(random: &mut Random) -> FlightDescriptor {
    let text = |random: &mut Random, longest: usize| match random.below(4) {
        0 => "double".to_owned(),
        1 => "x".repeat(1 << random.below(longest)),
        _ => String::from_utf8_lossy(&random.bytes(300)).into_owned(),
    };
    let source = vec![Field { name: text(random, 23), r#type: Some(bigint()) }];
    let column = Some(expression::Kind::Column(text(random, 23)));
    let mut predicate = Expression { kind: column, text: text(random, 23), ..Expression::default() };
    for _ in 0..random.below(150) {
        let call = Call { function: text(random, 8), arguments: vec![predicate], ..Call::default() };
        predicate = Expression {
            kind: Some(expression::Kind::Call(Box::new(call))),
            text: text(random, 8),
            ..Expression::default()
        };
    }
    let filter = operator::Kind::Filter(Filter { predicate: Some(predicate) });
    let plan = Plan { source, operators: vec![Operator { kind: Some(filter) }] };
    request(ExchangeRequest { plan: Some(plan), ..ExchangeRequest::default() })
}

/// A stream whose messages are nearly right.
async fn mutated_stream(endpoint: &str, mut random: Random) {
    let batch = if random.below(2) == 0 { numbers(0..50) } else { texts(&["alpha", "beta", "gamma"]) };
    let good = Encoder::default().all(&[batch.clone(), batch]);
    let mut messages = vec![FlightData::new().with_descriptor(descriptor(&mut random))];
    for message in good {
        messages.push(match random.below(4) {
            0 => message.clone().with_data_header(random.mutated(&message.data_header)),
            1 => FlightData { data_body: random.mutated(&message.data_body).into(), ..message },
            2 => FlightData { app_metadata: random.bytes(30).into(), ..message },
            _ => message,
        });
    }
    if let Ok(mut stream) = Stream::open_with(endpoint, None, messages).await {
        stream.half_close();
        while let Ok(Some(_)) = stream.next().await {}
    }
}

/// A connection that speaks nothing, or something like it.
async fn garbage_connection(endpoint: &str, mut random: Random) {
    let Ok(mut stream) = TcpStream::connect(endpoint).await else { return };
    let beginning: &[u8] = match random.below(4) {
        0 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        1 => b"GET /api/v1/functions HTTP/1.1\r\nHost: x\r\n",
        2 => b"\x16\x03\x01",
        _ => b"",
    };
    let all = [beginning, &random.bytes(2000)].concat();
    let _ = stream.write_all(&all).await;
    if random.below(2) == 0 {
        let _ = stream.shutdown().await;
        let _ = tokio::time::timeout(Duration::from_millis(100), stream.read_to_end(&mut Vec::new())).await;
    }
}

/// Calls `abuse` with seeds of its own, some at a time, until it has had enough.
async fn repeat(seed: u64, abuse: impl AsyncFn(Random)) {
    let begun = Instant::now();
    for round in 0..ROUNDS / 8 {
        if begun.elapsed() > AT_MOST {
            return;
        }
        let seeds = (0..8).map(|index| ((seed * 1000 + round as u64) * 8 + index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        join_all(seeds.map(|seed| abuse(Random(seed | 1)))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_the_programs_live_and_answer() {
    let engine = vec!["--engine-listen=127.0.0.1:0"];
    let mut cluster =
        Cluster::with(1, Options { coordinator: engine.clone(), executor: engine, ..Options::default() }).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("length").takes(vec![string()])).await;
    let flight = [cluster.endpoints(), cluster.engine_endpoints()].concat();
    let all = [flight.clone(), cluster.http_addresses()].concat();
    let pids = [cluster.coordinator().pid(), cluster.executor("e1").pid()];
    repeat(1, async |random: Random| {
        let endpoint = flight[random.0 as usize / 2 % flight.len()].clone();
        mutated_stream(&endpoint, random).await;
    })
    .await;
    repeat(2, async |random: Random| {
        let endpoint = all[random.0 as usize / 2 % all.len()].clone();
        garbage_connection(&endpoint, random).await;
    })
    .await;
    for endpoint in &flight {
        assert_eq!(integers(&call(endpoint, path("double"), &[numbers([21])]).await.unwrap()), [42], "{endpoint}");
    }
    for address in cluster.http_addresses() {
        assert_eq!(get(&address, "/healthz").await.0, 200, "{address}");
    }
    assert_eq!([cluster.coordinator().pid(), cluster.executor("e1").pid()], pids);
    let log = [cluster.coordinator().log(), cluster.log("e1")].concat();
    assert!(!log.contains("panicked at"), "{log}");
}
