//! Streams through the Flight endpoint.

use std::sync::atomic::Ordering;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, FlightData};
use arrow_schema::Schema;
use futures::StreamExt as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::client::{batch, command, dictionary_batch, encode, firsts, open, path, result_of, schema};
use super::executor::{Behaviour, Executor};
use super::support::{Coordinator, echo, error_of, eventually, start};

async fn fleet(behaviours: &[Behaviour]) -> (Coordinator, Vec<Executor>) {
    let coordinator = start().await;
    let names = ["a", "b", "c", "d"];
    let executors: Vec<_> = names
        .iter()
        .zip(behaviours)
        .map(|(name, behaviour)| Executor::start(&coordinator.address(), name, behaviour.clone()))
        .collect();
    coordinator.executors(|all| all.len() == behaviours.len()).await;
    coordinator.register(echo("add")).await.1.unwrap();
    (coordinator, executors)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_uses_all_executors_and_comes_back_in_order() {
    let behaviour = Behaviour { delay: Some(|n| (n * 7) % 5), ..Default::default() };
    let (coordinator, executors) = fleet(&vec![behaviour; 3]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    let batches = (0..100).map(|i| batch(i..i + 3)).collect();
    stream.send_all(encode(schema(), batches).await);
    stream.half_close();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(Schema::try_from(&first).unwrap().field(0).name(), "result");
    let answers = stream.rest().await.unwrap();
    assert_eq!(firsts(&answers), (0..100).collect::<Vec<_>>());
    let numbers: Vec<u64> = answers.iter().map(|a| result_of(a).sequence).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "exactly one message for each batch, with its own number");
    for executor in &executors {
        assert!(
            executor.batches() >= 10,
            "each had a share: {:?}",
            executors.iter().map(Executor::batches).collect::<Vec<_>>()
        );
        assert_eq!(executor.counts.schemas.load(Ordering::SeqCst), 1, "the schema goes to each once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_clients_get_plain_messages() {
    let (coordinator, _executors) = fleet(&vec![Behaviour::default(); 2]).await;
    let mut stream = open(&coordinator, path("add@1")).await.unwrap();
    // As pyarrow's write_metadata: a message that holds nothing else.
    stream.send(FlightData::new().with_app_metadata("hello"));
    for message in encode(schema(), vec![batch(1..2), batch(2..3), batch(0..0)]).await {
        stream.send(message);
    }
    stream.half_close();
    Schema::try_from(&stream.next().await.unwrap().unwrap()).unwrap();
    let answers = stream.rest().await.unwrap();
    assert!(answers.iter().all(|answer| answer.app_metadata.is_empty()));
    assert_eq!(firsts(&answers[..2]), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_functions_are_refused_before_headers_with_the_nearest_name() {
    let (coordinator, _executors) = fleet(&[Behaviour::default()]).await;
    for (descriptor, hint) in [(path("ad"), "add"), (command("addd"), "add"), (path("add@9"), "add@1")] {
        let status = open(&coordinator, descriptor).await.err().unwrap();
        assert_eq!(status.code(), tonic::Code::NotFound);
        let error = error_of(&status);
        assert!(error.code() == ErrorCode::FunctionNotFound && error.info().hint.contains(hint), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_streams_and_early_half_closes_end_well() {
    let (coordinator, executors) = fleet(&[Behaviour::default()]).await;
    for messages in [vec![], encode(schema(), vec![]).await] {
        let mut stream = open(&coordinator, command("add")).await.unwrap();
        stream.send_all(messages);
        stream.half_close();
        Schema::try_from(&stream.next().await.unwrap().unwrap()).unwrap();
        assert!(stream.rest().await.unwrap().is_empty());
    }
    let open = || executors[0].counts.open.load(Ordering::SeqCst);
    eventually("exchanges end", async || (open() == 0).then_some(())).await;
}

/// HTTP/2 takes a connection with many streams that are dropped before their end for an attack.
#[tokio::test(flavor = "multi_thread")]
async fn exchanges_with_executors_are_read_to_their_end() {
    let (coordinator, executors) = fleet(&[Behaviour { ends_late: true, ..Default::default() }]).await;
    let counts = &executors[0].counts;
    let mut streams = Vec::new();
    for number in 0..2 {
        let mut stream = open(&coordinator, command("add")).await.unwrap();
        stream.send_all(encode(schema(), vec![batch(number..number + 1)]).await);
        stream.half_close();
        stream.next().await.unwrap().unwrap();
        assert_eq!(firsts(&[stream.next().await.unwrap().unwrap()]), [number]);
        streams.push(tokio::spawn(async move { stream.rest().await }));
    }
    assert!(!streams[0].is_finished(), "the first waits, though the second was answered meanwhile");
    for stream in streams {
        counts.may_end.notify_one();
        assert!(stream.await.unwrap().unwrap().is_empty());
    }
    assert_eq!((counts.ended.load(Ordering::SeqCst), counts.open.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let slow = Behaviour { delay: Some(|_| 50), ..Default::default() };
    let (coordinator, executors) = fleet(&vec![slow; 2]).await;
    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(encode(schema(), (0..50).map(|i| batch(i..i + 1)).collect()).await);
    for _ in 0..3 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    let open = || executors.iter().map(|e| e.counts.open.load(Ordering::SeqCst)).sum::<usize>();
    eventually("exchanges end", async || (open() == 0).then_some(())).await;
    let url = format!("{}", coordinator.server.http_address());
    eventually("no stream is counted", async || {
        super::access::get(&url, "/metrics").await.contains("udfleet_streams_open 0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_functions_error_comes_in_order_and_ends_the_stream() {
    let behaviour = Behaviour { error: Some((5, ErrorCode::UserCode)), ..Default::default() };
    let (coordinator, _executors) = fleet(&[behaviour]).await;
    let messages = encode(schema(), (0..20).map(|i| batch(i..i + 1)).collect()).await;

    let mut stream = open(&coordinator, command("add")).await.unwrap();
    stream.send_all(messages.clone());
    stream.next().await.unwrap().unwrap();
    let mut answers = Vec::new();
    while answers.len() < 6 {
        answers.push(stream.next().await.unwrap().unwrap());
    }
    stream.send_all(messages[1..].to_vec());
    stream.half_close();
    assert!(stream.rest().await.unwrap().is_empty(), "what a client still sends is thrown away, and nothing follows");
    assert_eq!(firsts(&answers[..5]), [0, 1, 2, 3, 4]);
    let result = result_of(&answers[5]);
    let error = Error::from(result.error.unwrap());
    assert_eq!((result.sequence, error.code(), error.info().row), (5, ErrorCode::UserCode, Some(3)));
    assert_eq!(error.info().function, "add@1");

    let mut stream = open(&coordinator, path("add")).await.unwrap();
    stream.send_all(messages);
    stream.next().await.unwrap().unwrap();
    let status = stream.rest().await.unwrap_err();
    assert_eq!((error_of(&status).code(), error_of(&status).info().row), (ErrorCode::UserCode, Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_streams_get_typed_errors() {
    let (coordinator, _executors) = fleet(&[Behaviour::default()]).await;
    let messages = encode(schema(), vec![batch(0..1)]).await;
    let cases = [
        vec![messages[1].clone()],
        vec![messages[0].clone(), messages[0].clone()],
        vec![FlightData::new().with_data_header(vec![1, 2, 3])],
    ];
    for case in cases {
        let mut stream = open(&coordinator, path("add")).await.unwrap();
        case.into_iter().for_each(|message| stream.send(message));
        let status = stream.rest().await.unwrap_err();
        assert_eq!(error_of(&status).code(), ErrorCode::InvalidInput);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_stay_with_one_executor() {
    let (coordinator, executors) = fleet(&vec![Behaviour::default(); 3]).await;
    let batches: Vec<_> = (0..12).map(|i| dictionary_batch(&format!("v{i}"))).collect();
    let messages = encode(batches[0].schema(), batches).await;
    let mut stream = open(&coordinator, path("add")).await.unwrap();
    messages.into_iter().for_each(|message| stream.send(message));
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    assert_eq!(stream.rest().await.unwrap().len(), 12);
    let mut shares: Vec<_> = executors.iter().map(Executor::batches).collect();
    shares.sort_unstable();
    assert_eq!(shares, [0, 0, 12]);
    let dictionaries: usize = executors.iter().map(|e| e.counts.dictionaries.load(Ordering::SeqCst)).sum();
    assert_eq!(dictionaries, 12, "each is forwarded once");
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_info_names_executors_and_types() {
    let (coordinator, _executors) = fleet(&vec![Behaviour::default(); 2]).await;
    let mut client = FlightServiceClient::new(coordinator.channel().await);
    let info = client.get_flight_info(path("add")).await.unwrap().into_inner();
    assert_eq!((info.total_records, info.endpoint.len()), (1, 2));
    let location = &info.endpoint[0].location[0].uri;
    assert!(location.starts_with("grpc+tcp://127.0.0.1:"), "{location}");
    assert_eq!(info.endpoint[0].ticket.as_ref().unwrap().ticket, "add@1");
    assert_eq!(info.flight_descriptor.as_ref().unwrap().path, ["add"]);
    let names: Vec<_> = info.try_decode_schema().unwrap().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["arg1", "result"]);
    let flights: Vec<_> = client.list_flights(Criteria::default()).await.unwrap().into_inner().collect().await;
    assert_eq!(flights.len(), 1);
    let mut version = client.do_action(Action::new("protocol_version", "")).await.unwrap().into_inner();
    assert_eq!(version.message().await.unwrap().unwrap().body, vec![2]);
    assert_eq!(error_of(&client.get_flight_info(path("ad")).await.unwrap_err()).code(), ErrorCode::FunctionNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_stops_the_intake() {
    let (coordinator, executors) = fleet(&[Behaviour::default()]).await;
    let stream = open(&coordinator, command("add")).await.unwrap();
    // 64 batches of 8 MiB: far more than windows and buffers hold.
    stream.send_all(encode(schema(), vec![batch(0..1 << 20); 64]).await);
    let taken = || executors[0].batches();
    let mut last = usize::MAX;
    let settled = eventually("the intake stops", async || {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let now = taken();
        let same = now == last && now > 0;
        last = now;
        same.then_some(now)
    })
    .await;
    assert!(settled < 32, "{settled} of 64 batches went through although nobody reads");
}
