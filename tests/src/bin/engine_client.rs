//! What an engine does, for `make bench`: small calls of one function, each a DoExchange of its own, over several
//! connections at once or a fresh one for each call. Prints calls per second.
//!
//! `udfleet-engine-client ADDRESS FUNCTION TOKEN CONNECTIONS CALLS ROWS kept|fresh`; an empty TOKEN sends none.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::transport::{Channel, Endpoint};
use udfleet_tests::messages::{Encoder, path};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Load {
    endpoint: Endpoint,
    token: String,
    calls: usize,
    rows: usize,
    fresh: bool,
    messages: Vec<FlightData>,
}

/// Two BIGINT columns as RisingWave sends them: the descriptor on every message.
fn messages(function: &str, rows: usize) -> Result<Vec<FlightData>, Failure> {
    let column = || Arc::new((0..rows as i64).collect::<Int64Array>()) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("i", column()), ("j", column())])?;
    let messages = Encoder::default().all(&[batch]).into_iter();
    let described = |message: FlightData| FlightData {
        flight_descriptor: Some(path(function)),
        app_metadata: Default::default(),
        ..message
    };
    Ok(messages.map(described).collect())
}

impl Load {
    async fn run(self) -> Result<(), Failure> {
        let mut client = FlightServiceClient::new(self.endpoint.connect().await?);
        for call in 0..self.calls {
            if self.fresh && call > 0 {
                client = FlightServiceClient::new(self.endpoint.connect().await?);
            }
            self.call(&mut client).await?;
        }
        Ok(())
    }

    async fn call(&self, client: &mut FlightServiceClient<Channel>) -> Result<(), Failure> {
        let mut request = tonic::Request::new(tokio_stream::iter(self.messages.clone()));
        if !self.token.is_empty() {
            request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        }
        let mut answers = client.do_exchange(request).await?.into_inner();
        let mut rows = 0;
        while let Some(answer) = answers.message().await? {
            let message = arrow_ipc::root_as_message(&answer.data_header);
            let message = message.map_err(|error| format!("an answer that is no Arrow message: {error}"))?;
            rows += message.header_as_record_batch().map_or(0, |batch| batch.length());
        }
        if rows == self.rows as i64 { Ok(()) } else { Err(format!("{rows} rows came back").into()) }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, function, token, connections, calls, rows, how] = &arguments[..] else {
        return Err("ADDRESS FUNCTION TOKEN CONNECTIONS CALLS ROWS kept|fresh".into());
    };
    let (connections, calls, rows): (usize, usize, usize) = (connections.parse()?, calls.parse()?, rows.parse()?);
    let load = Load {
        endpoint: Endpoint::from_shared(format!("http://{address}"))?,
        token: token.clone(),
        calls: calls / connections,
        rows,
        fresh: how == "fresh",
        messages: messages(function, rows)?,
    };
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    (0..connections).for_each(|_| drop(tasks.spawn(load.clone().run())));
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    println!("{}", (connections * load.calls) as f64 / started.elapsed().as_secs_f64());
    Ok(())
}
