//! Clients that send half of everything, and a process without descriptors: nobody else notices. What holds for each
//! connection of each port: `port_limits.rs`.

use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::net::TcpStream;
use udfleet_edge::server::MAX_OPEN_INCOMPLETE_BYTES;
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::Function;
use udfleet_tests::http2::{Http2, half_message};
use udfleet_tests::memory::pss;
use udfleet_tests::messages::path;
use udfleet_tests::stream::call;
use udfleet_tests::wait::{eventually, within};

const MIB: usize = 1 << 20;

async fn start() -> Cluster {
    let engine = vec!["--engine-listen=127.0.0.1:0"];
    let cluster =
        Cluster::with(1, Options { coordinator: engine.clone(), executor: engine, ..Options::default() }).await;
    cluster.client().register(&Function::new("double")).await;
    cluster
}

async fn assert_served(endpoint: &str) {
    assert_eq!(integers(&call(endpoint, path("double"), &[numbers([21])]).await.unwrap()), [42], "{endpoint}");
}

/// Soon: what had no descriptors for a while may have to begin again.
async fn assert_served_again(endpoint: &str) {
    let served = eventually(endpoint, async || call(endpoint, path("double"), &[numbers([21])]).await.ok()).await;
    assert_eq!(integers(&served), [42], "{endpoint}");
}

/// One connection begins twelve messages of 200 MiB and sends 90 of each: more than a port holds.
async fn send_halves(endpoint: &str) -> usize {
    let mut connection = Http2::connect(endpoint).await;
    let chunk = Bytes::from(vec![0; MIB]);
    let mut refused = 0;
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut call = connection.exchange().await.unwrap();
        let mut sent = call.send(half_message(200 << 20)).await;
        for _ in 0..90 {
            if sent.is_ok() {
                sent = call.send(chunk.clone()).await;
            }
        }
        if sent.is_ok() {
            open.push(call);
        } else {
            refused += 1;
        }
    }
    assert!(open.len() * 90 * MIB <= MAX_OPEN_INCOMPLETE_BYTES as usize, "{} are held", open.len());
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_stop_in_the_middle_hold_no_more_than_a_port_may() {
    let mut cluster = start().await;
    let pids = [cluster.coordinator().pid(), cluster.executor("e1").pid()];
    for (endpoint, pid) in cluster.engine_endpoints().iter().zip(pids) {
        let before = pss(pid);
        let refused = within("twelve halves", send_halves(endpoint)).await;
        assert!(refused >= 6, "{refused} of 12 at {endpoint}");
        let grown = pss(pid).saturating_sub(before);
        assert!(grown < MAX_OPEN_INCOMPLETE_BYTES * 3 / 2, "{endpoint}: {} MiB", grown >> 20);
        assert_served(endpoint).await;
    }
    cluster.assert_no_errors();
}

/// CPU time of a process, in ticks of 10 ms.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_nothing_spins_and_all_goes_on_afterwards() {
    let mut cluster = start().await;
    let pids = [cluster.coordinator().pid(), cluster.executor("e1").pid()];
    for (endpoint, pid) in cluster.engine_endpoints().iter().zip(pids) {
        let process = Pid::from_raw(pid as i32);
        let held = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
        let few = Rlimit { current: Some(held + 4), maximum: getrlimit(Resource::Nofile).maximum };
        let before = prlimit(process, Resource::Nofile, few).unwrap();
        let mut connections = Vec::new();
        for _ in 0..20 {
            connections.push(TcpStream::connect(endpoint).await.unwrap());
        }
        let begun = cpu_ticks(pid);
        // What is measured is CPU time, which a busy machine does not lengthen.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let used = cpu_ticks(pid) - begun;
        assert!(used < 60, "{endpoint} used {used} of 200 ticks");
        drop(connections);
        prlimit(process, Resource::Nofile, before).unwrap();
        assert_served_again(endpoint).await;
    }
}
