//! The HTTP ports: health and metrics.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait::{eventually, within};

/// Status and body of a GET.
///
/// # Panics
/// When the server does not answer.
pub async fn get(address: &str, path: &str) -> (u16, String) {
    get_with(address, path, "").await
}

/// The same with further header lines, each with its line end.
///
/// # Panics
/// When the server does not answer.
pub async fn get_with(address: &str, path: &str, headers: &str) -> (u16, String) {
    get_as(address, address, path, headers).await
}

/// The same as if the server were called `host`.
///
/// # Panics
/// When the server does not answer.
pub async fn get_as(address: &str, host: &str, path: &str, headers: &str) -> (u16, String) {
    let (status, _, body) =
        asked(address, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}connection: close\r\n\r\n")).await;
    (status, body)
}

/// Status and head of what a POST of JSON is answered.
///
/// # Panics
/// When the server does not answer.
pub async fn post(address: &str, path: &str, json: &str) -> (u16, String) {
    let length = json.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{json}"
    );
    let (status, head, _) = asked(address, &request).await;
    (status, head)
}

/// Status, head and body of the answer.
async fn asked(address: &str, request: &str) -> (u16, String, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let answer = within(request, exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

/// The series of `/metrics` by name and labels, as printed.
///
/// # Panics
/// When there is no such page.
pub async fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// Waits until no stream is open and no batch is in flight at any of the processes.
pub async fn wait_idle(addresses: &[String]) {
    for address in addresses {
        let busy = |(name, value): (&String, &f64)| {
            (name.contains("in_flight") || name.contains("streams_open") || name == "udfleet_executor_streams")
                && *value != 0.0
        };
        let mut last = Vec::new();
        let idle = async || {
            last =
                metrics(address).await.iter().filter(|series| busy(*series)).map(|(n, v)| format!("{n} {v}")).collect();
            last.is_empty().then_some(())
        };
        let outcome = tokio::time::timeout(crate::wait::PATIENCE / 2, eventually("idle", idle)).await;
        assert!(outcome.is_ok(), "{address} holds on to something: {last:?}");
    }
}
