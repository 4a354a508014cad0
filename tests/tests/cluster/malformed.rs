//! Malformed input: every endpoint refuses it in both forms with a typed error, and keeps working.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{DataType, Field, Schema};
use udfleet_proto::flight::EXCHANGE_PREFIX;
use udfleet_proto::limits::{MAX_FRAME_BYTES, MAX_NAME_BYTES};
use udfleet_proto::v1::ErrorCode;
use udfleet_tests::batches::{batch, integers, numbers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, string};
use udfleet_tests::http::wait_idle;
use udfleet_tests::memory::interpreters;
use udfleet_tests::messages::{Encoder, descriptors, path};
use udfleet_tests::stream::{call, exchange};

async fn start() -> Cluster {
    let cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("length").takes(vec![string()])).await;
    cluster
}

/// Nobody crashed, nobody complains, and calls work.
async fn assert_unharmed(cluster: &mut Cluster, interpreters: &[u32]) {
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
    for endpoint in cluster.endpoints() {
        let results = call(&endpoint, path("double"), &[numbers([21])]).await.unwrap();
        assert_eq!(integers(&results), [42]);
    }
    assert_eq!(all_interpreters(cluster), interpreters, "no interpreter was replaced");
}

fn all_interpreters(cluster: &mut Cluster) -> Vec<u32> {
    let mut all = interpreters(cluster.executor("e1").pid());
    all.extend(interpreters(cluster.executor("e2").pid()));
    all.sort_unstable();
    all
}

/// Sends the messages to `function` at every endpoint in both forms; each time the error is INVALID_INPUT and says `why`.
async fn assert_refused(cluster: &Cluster, what: &str, function: &str, messages: &[FlightData], why: &str) {
    assert_error(cluster, what, function, messages, (ErrorCode::InvalidInput, why)).await;
}

/// The same for any error.
async fn assert_error(
    cluster: &Cluster,
    what: &str,
    function: &str,
    messages: &[FlightData],
    expected: (ErrorCode, &str),
) {
    let version = format!("{function}@1");
    let mut calls: Vec<_> = descriptors(function).into_iter().map(|(form, path)| (form, path, &*version)).collect();
    // The nodes themselves read what the built-in function of texts is given.
    if function == "length" {
        calls.push(("a built-in", path("builtin_echo"), "builtin_echo"));
    }
    for endpoint in cluster.endpoints() {
        for (form, descriptor, named) in &calls {
            let error = exchange(&endpoint, descriptor.clone(), messages.to_vec()).await.expect_err(what);
            let info = error.info();
            assert_eq!(error.code(), expected.0, "{what} at {endpoint} as {form}: {error:?}");
            assert!(info.message.contains(expected.1), "{what} at {endpoint} as {form}: {error:?}");
            assert_eq!(info.function, *named, "{what} at {endpoint} as {form}: {error:?}");
        }
    }
}

fn garbage(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 151 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_arrow() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    let good = Encoder::default().all(&[numbers([1, 2, 3])]);
    let [schema, batch] = &good[..] else { panic!("schema and batch") };
    let header = |header: Vec<u8>| batch.clone().with_data_header(header);
    let cases: [(&str, Vec<FlightData>, &str); 9] = [
        ("a header of garbage", vec![schema.clone(), header(garbage(200))], ""),
        ("a header of one byte", vec![schema.clone(), header(vec![1])], ""),
        ("a header of zeros", vec![schema.clone(), header(vec![0; 64])], ""),
        ("half a header", vec![schema.clone(), header(batch.data_header[..batch.data_header.len() / 2].to_vec())], ""),
        ("a schema of garbage", vec![schema.clone().with_data_header(garbage(300)), batch.clone()], ""),
        ("a batch before its schema", vec![batch.clone(), schema.clone()], "schema"),
        ("a second schema", vec![schema.clone(), batch.clone(), schema.clone(), batch.clone()], "second schema"),
        (
            "another schema",
            vec![schema.clone(), batch.clone(), Encoder::default().schema(&texts(&["a"]).schema()), batch.clone()],
            "second schema",
        ),
        ("an empty body", vec![schema.clone(), batch.clone().with_data_body(Vec::new())], ""),
    ];
    for (what, messages, why) in &cases {
        assert_refused(&cluster, what, "double", messages, why).await;
    }
    assert_unharmed(&mut cluster, &before).await;
}

/// The messages of a batch of texts, its body changed.
fn with_body(batch: &RecordBatch, change: impl FnOnce(&mut Vec<u8>)) -> Vec<FlightData> {
    let mut messages = Encoder::default().all(std::slice::from_ref(batch));
    let last = messages.pop().unwrap();
    let mut body = last.data_body.to_vec();
    change(&mut body);
    messages.push(FlightData { data_body: body.into(), ..last });
    messages
}

/// Overwrites 32-bit offsets: they follow the validity bitmap, which arrow-rs pads to 64 bytes.
fn offsets(body: &mut [u8], from: usize, values: &[i32]) {
    for (index, value) in values.iter().enumerate() {
        body[from + 4 * index..from + 4 * index + 4].copy_from_slice(&value.to_le_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buffers_that_lie() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    let strings = texts(&["alpha", "beta", "gamma", "delta"]);
    let plain = Encoder::default().all(std::slice::from_ref(&strings)).pop().unwrap().data_body.to_vec();
    let at = plain.windows(8).position(|window| window == [0, 0, 0, 0, 5, 0, 0, 0]).expect("offsets 0 and 5");
    let huge = i32::MAX;
    for (what, messages) in [
        ("a body cut short", with_body(&strings, |body| body.truncate(body.len() / 2))),
        ("offsets beyond the values", with_body(&strings, |body| offsets(body, at, &[0, 5, huge, huge, huge]))),
        ("offsets that go back", with_body(&strings, |body| offsets(body, at, &[0, 19, 3, 7, 19]))),
        ("offsets below zero", with_body(&strings, |body| offsets(body, at, &[-8, 5, 9, 14, 19]))),
        (
            "text that is no UTF-8",
            with_body(&strings, |body| {
                let text = body.windows(5).position(|window| window == b"alpha").unwrap();
                body[text..text + 5].copy_from_slice(&[0xff; 5]);
            }),
        ),
    ] {
        assert_refused(&cluster, what, "length", &messages, "malformed batch").await;
    }
    let compressed = |compression| {
        let options = IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
        Encoder::new(options).all(&[texts(&vec!["the same again"; 1000])])
    };
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let mut messages = compressed(compression);
        for endpoint in cluster.endpoints() {
            let results = exchange(&endpoint, path("length"), messages.clone()).await.unwrap();
            assert_eq!(integers(&results), vec![14; 1000], "{compression:?} itself is fine");
        }
        let mut body = messages[1].data_body.to_vec();
        // Each compressed buffer begins with its own length: too short, below zero, and one that would fill the machine.
        let first = body.iter().position(|byte| *byte != 0).unwrap() / 8 * 8;
        let limit = MAX_FRAME_BYTES.to_string();
        for (length, code, why) in [
            (1, ErrorCode::InvalidInput, "malformed batch"),
            (-7, ErrorCode::InvalidInput, "malformed batch"),
            (1_i64 << 46, ErrorCode::LimitExceeded, limit.as_str()),
        ] {
            body[first..first + 8].copy_from_slice(&length.to_le_bytes());
            messages[1].data_body = body.clone().into();
            let what = format!("{compression:?} of {length} bytes");
            assert_error(&cluster, &what, "length", &messages, (code, why)).await;
        }
        messages[1].data_body = garbage(body.len()).into();
        assert_refused(&cluster, &format!("{compression:?} of garbage"), "length", &messages, "").await;
    }
    assert_unharmed(&mut cluster, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_lie() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    // The schema says one column, the batch holds two; then the other way round; then another type.
    let one = Encoder::default().all(&[numbers([1, 2])]);
    let column = || Arc::new(Int64Array::from(vec![1, 2]));
    let two = Encoder::default().all(&[batch(vec![column(), column()])]);
    let text = Encoder::default().all(&[batch(vec![Arc::new(StringArray::from(vec!["a", "b"]))])]);
    // Two buffers fewer than the schema needs, or of other lengths: both must be refused, not read.
    assert_refused(&cluster, "numbers for texts", "length", &[text[0].clone(), one[1].clone()], "malformed batch")
        .await;
    for (what, messages) in [
        ("more rows than its column", raw_batch(7, 2, 16)),
        ("rows below zero", raw_batch(-1, 2, 16)),
        ("a buffer beyond the body", raw_batch(2, 2, 1 << 40)),
        ("a buffer of a length below zero", raw_batch(2, 2, -16)),
    ] {
        assert_refused(&cluster, what, "double", &[one[0].clone(), messages], "malformed batch").await;
    }
    // A batch may hold more than its schema names; what is named is read.
    for endpoint in cluster.endpoints() {
        let outcome = exchange(&endpoint, path("double"), vec![one[0].clone(), two[1].clone()]).await;
        assert!(
            outcome.as_ref().is_ok_and(|r| integers(r) == [2, 4])
                || outcome.is_err_and(|e| e.code() == ErrorCode::InvalidInput)
        );
    }
    assert_unharmed(&mut cluster, &before).await;
}

/// A batch of one BIGINT column whose header claims these things about a body of 64 bytes.
fn raw_batch(rows: i64, length: i64, bytes: i64) -> FlightData {
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[arrow_ipc::FieldNode::new(length, 0)]);
    let buffers = builder.create_vector(&[arrow_ipc::Buffer::new(0, 0), arrow_ipc::Buffer::new(0, bytes)]);
    let mut batch = arrow_ipc::RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish().as_union_value();
    let mut message = arrow_ipc::MessageBuilder::new(&mut builder);
    message.add_version(arrow_ipc::MetadataVersion::V5);
    message.add_header_type(arrow_ipc::MessageHeader::RecordBatch);
    message.add_bodyLength(64);
    message.add_header(batch);
    let message = message.finish();
    builder.finish(message, None);
    FlightData::new().with_data_header(builder.finished_data().to_vec()).with_data_body(vec![0; 64])
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_that_are_none() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    let long = "n".repeat(MAX_NAME_BYTES * 1000);
    let other = |kind: i32| FlightDescriptor { r#type: kind, path: vec!["double".to_owned()], ..Default::default() };
    let command = |bytes: &[u8]| FlightDescriptor::new_cmd([EXCHANGE_PREFIX, bytes].concat());
    let cases = [
        ("no type", FlightDescriptor::default()),
        ("an unknown type", other(77)),
        ("an empty path", FlightDescriptor::new_path(Vec::new())),
        ("two names", FlightDescriptor::new_path(vec!["double".to_owned(), "length".to_owned()])),
        ("an empty name", path("")),
        ("a huge name", path(&long)),
        ("a name that is none", path("../double")),
        ("a version that is none", path("double@x")),
        ("somebody's SQL", FlightDescriptor::new_cmd("select 1")),
        ("an empty ExchangeRequest", command(b"")),
        ("a broken ExchangeRequest", command(&garbage(50))),
    ];
    for endpoint in cluster.endpoints() {
        for (what, descriptor) in &cases {
            let error = exchange(&endpoint, descriptor.clone(), Vec::new()).await.expect_err(what);
            let text = error.to_string();
            assert_eq!(error.code(), ErrorCode::InvalidInput, "{what} at {endpoint}: {error:?}");
            assert!(!text.is_empty() && text.len() < 1000, "{what} at {endpoint}: {} bytes of text", text.len());
        }
        for (name, hint) in [("doubel", "double"), ("double@9", "")] {
            for (form, descriptor) in descriptors(name) {
                let error = exchange(&endpoint, descriptor, Vec::new()).await.expect_err(name);
                assert_eq!(error.code(), ErrorCode::FunctionNotFound, "{name} at {endpoint} as {form}");
                assert!(error.info().message.contains(name) && error.info().hint.contains(hint), "{error:?}");
            }
        }
    }
    assert_unharmed(&mut cluster, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_the_frame_limit() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    let good = Encoder::default().all(&[numbers([1])]);
    let body = bytes::Bytes::from(vec![0; MAX_FRAME_BYTES + (2 << 20)]);
    let large = FlightData { data_body: body, ..good[1].clone() };
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("double") {
            let messages = vec![good[0].clone(), good[1].clone(), large.clone()];
            let error = exchange(&endpoint, descriptor, messages).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::LimitExceeded, "{form} at {endpoint}: {error:?}");
            assert!(error.info().message.contains(&MAX_FRAME_BYTES.to_string()), "{form} at {endpoint}: {error:?}");
        }
    }
    assert_unharmed(&mut cluster, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_do_not_fit() {
    let mut cluster = start().await;
    let before = all_interpreters(&mut cluster);
    let column = || Arc::new(Int64Array::from(vec![1]));
    for (columns, given) in [
        (batch(vec![column(), column()]), "given (Int64, Int64)"),
        (texts(&["a"]), "given (Utf8)"),
        (batch(vec![Arc::new(arrow_array::UInt64Array::from(vec![1]))]), "given (UInt64)"),
    ] {
        let messages = Encoder::default().all(&[columns]);
        assert_refused(&cluster, given, "double", &messages, "double@1 takes (BIGINT)").await;
        assert_refused(&cluster, given, "double", &messages, given).await;
    }
    let none = Schema::new(Vec::<Field>::new());
    let messages = [Encoder::default().schema(&none)];
    assert_refused(&cluster, "no columns", "double", &messages, "0 in place of 1").await;
    let nested = Schema::new(vec![Field::new("a", DataType::new_list(DataType::Int64, true), true)]);
    assert_refused(&cluster, "a list", "double", &[Encoder::default().schema(&nested)], "List(Int64)").await;
    assert_unharmed(&mut cluster, &before).await;
}
