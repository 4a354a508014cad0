//! GetFlightInfo, ListFlights and actions, and methods that are not served.

use std::collections::BTreeSet;

use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, IpcMessage, Ticket};
use arrow_schema::{DataType, Schema};
use futures::TryStreamExt as _;
use tonic::Code;
use udfleet_proto::v1::ErrorCode;
use udfleet_tests::cluster::Cluster;
use udfleet_tests::engine::EngineClient;
use udfleet_tests::function::{Function, bigint, string};
use udfleet_tests::messages::{descriptors, path};
use udfleet_tests::stream::{flight, typed};

async fn start() -> Cluster {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    client.register(&Function::new("add").takes(vec![bigint(), bigint()])).await;
    client.register(&Function::new("first").untyped().returns(string())).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn flight_info_names_signature_and_executors() {
    let mut cluster = start().await;
    let endpoints = cluster.endpoints();
    for (number, endpoint) in endpoints.iter().enumerate() {
        let mut client = flight(endpoint, None).await;
        for (form, descriptor) in descriptors("add") {
            let info = client.get_flight_info(descriptor.clone()).await.unwrap().into_inner();
            assert_eq!(info.flight_descriptor, Some(descriptor.clone()), "{form} at {endpoint}");
            assert_eq!((info.total_records, info.total_bytes), (2, -1), "{form} at {endpoint}: the number of inputs");
            let schema = Schema::try_from(IpcMessage(info.schema.clone())).unwrap();
            let types: Vec<_> = schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
            assert_eq!(types, [("arg1", DataType::Int64), ("arg2", DataType::Int64), ("result", DataType::Int64)]);
            assert_eq!(schema.metadata()["x-databend-udf-input-count"], "2");
            let locations: BTreeSet<_> = info.endpoint.iter().map(|e| e.location[0].uri.clone()).collect();
            // The coordinator names all that are ready; an executor serves by itself.
            let expected = if number == 0 { &endpoints[1..] } else { &[] };
            assert_eq!(locations, expected.iter().map(|d| format!("grpc+tcp://{d}")).collect(), "{form} at {endpoint}");
            let tickets: Vec<_> = info.endpoint.iter().flat_map(|e| e.ticket.clone()).map(|t| t.ticket).collect();
            assert!(tickets.iter().all(|ticket| ticket == "add@1"), "{tickets:?}");
            let schema = client.get_schema(descriptor).await.unwrap().into_inner();
            assert_eq!(schema.schema, info.schema, "{form} at {endpoint}");
        }
        let untyped = client.get_flight_info(path("first")).await.unwrap().into_inner();
        assert_eq!(untyped.total_records, -1, "{endpoint}: any number of inputs");
        // A client of arrow-udf splits the schema there, and its list of all functions ends with the first that it can't split.
        let mut engine = EngineClient::connect(endpoint, &[("x-udfleet-dialect", "arrow-udf")]).await;
        let (info, schema) = engine.info(path("first")).await.unwrap();
        assert_eq!((info.total_records, schema.field(0).name().as_str()), (0, "first"), "{endpoint}");
        let listed: Vec<_> =
            client.list_flights(Criteria::default()).await.unwrap().into_inner().try_collect().await.unwrap();
        let mut names: Vec<_> = listed.into_iter().flat_map(|info| info.flight_descriptor.unwrap().path).collect();
        names.sort();
        assert_eq!(names, ["add", "first"], "{endpoint}");
        let status = client.get_flight_info(path("ad")).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{endpoint}");
        assert!(typed(&status).info().hint.contains("add"), "{status:?}");
        let status = client.get_flight_info(FlightDescriptor::new_cmd("select 1")).await.unwrap_err();
        assert_eq!(typed(&status).code(), ErrorCode::InvalidInput, "{endpoint}");
    }
    // An executor that is gone is named no more.
    cluster.executor("e1").kill();
    cluster.client().wait_served_by("add", &["e2"]).await;
    let mut client = flight(&endpoints[0], None).await;
    let info = client.get_flight_info(path("add")).await.unwrap().into_inner();
    assert_eq!(info.endpoint.len(), 1);
    assert_eq!(info.endpoint[0].location[0].uri, format!("grpc+tcp://{}", endpoints[2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn actions() {
    let cluster = start().await;
    for endpoint in cluster.endpoints() {
        let mut client = flight(&endpoint, None).await;
        let listed: Vec<_> =
            client.list_actions(Empty::default()).await.unwrap().into_inner().try_collect().await.unwrap();
        let names: Vec<_> = listed.iter().map(|action| action.r#type.as_str()).collect();
        assert_eq!(names, ["protocol_version"], "{endpoint}");
        assert!(!listed[0].description.is_empty());
        let results: Vec<_> = client
            .do_action(Action::new("protocol_version", ""))
            .await
            .unwrap()
            .into_inner()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(results.iter().map(|r| r.body.to_vec()).collect::<Vec<_>>(), [[2]], "{endpoint}");
        let status = client.do_action(Action::new("shutdown", "")).await.err().unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{endpoint}");
        assert!(typed(&status).info().message.contains("shutdown"), "{status:?}");
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_says_so() {
    let cluster = start().await;
    for endpoint in cluster.endpoints() {
        let mut client = flight(&endpoint, None).await;
        let hello = tokio_stream::iter([HandshakeRequest::default()]);
        let data = tokio_stream::iter([FlightData::new().with_descriptor(path("add"))]);
        let refused = [
            ("Handshake", client.handshake(hello).await.err()),
            ("DoPut", client.do_put(data).await.err()),
            ("PollFlightInfo", client.poll_flight_info(path("add")).await.err()),
        ];
        for (method, status) in refused {
            let status = status.unwrap_or_else(|| panic!("{method} at {endpoint} is served"));
            assert_eq!(status.code(), Code::Unimplemented, "{method} at {endpoint}");
            assert!(status.message().contains(method) && status.message().contains("DoExchange"), "{status:?}");
        }
    }
    // The coordinator has tables about the fleet, executors have none.
    for (endpoint, code) in cluster.endpoints().iter().zip([Code::InvalidArgument, Code::Unimplemented]) {
        let status = flight(endpoint, None).await.do_get(Ticket::new("add")).await.err();
        assert_eq!(status.map(|status| status.code()), Some(code), "{endpoint}");
    }
    cluster.assert_no_errors();
}
